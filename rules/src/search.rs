//! What somebody looks for among messages, made a query of FTS5's: words that all have to be there, `"phrases"` in
//! double quotes, and `beginn*` for words that begin so. Nothing else has a meaning, so that no word is taken for
//! an operator.

/// Longest text, in bytes.
pub const QUERY_BYTES_MAX: usize = 512;
/// Words and phrases at most.
pub const TERMS_MAX: usize = 16;

/// Letters of India's scripts that keyboards write as one character or as two. Unicode calls both the same, the index
/// does not ("Unicode Character Database", canonical decompositions).
const TWO_SPELLINGS: [(char, [char; 2]); 24] = [
    ('\u{958}', ['\u{915}', '\u{93c}']),
    ('\u{959}', ['\u{916}', '\u{93c}']),
    ('\u{95a}', ['\u{917}', '\u{93c}']),
    ('\u{95b}', ['\u{91c}', '\u{93c}']),
    ('\u{95c}', ['\u{921}', '\u{93c}']),
    ('\u{95d}', ['\u{922}', '\u{93c}']),
    ('\u{95e}', ['\u{92b}', '\u{93c}']),
    ('\u{95f}', ['\u{92f}', '\u{93c}']),
    ('\u{9cb}', ['\u{9c7}', '\u{9be}']),
    ('\u{9cc}', ['\u{9c7}', '\u{9d7}']),
    ('\u{9dc}', ['\u{9a1}', '\u{9bc}']),
    ('\u{9dd}', ['\u{9a2}', '\u{9bc}']),
    ('\u{9df}', ['\u{9af}', '\u{9bc}']),
    ('\u{a33}', ['\u{a32}', '\u{a3c}']),
    ('\u{a36}', ['\u{a38}', '\u{a3c}']),
    ('\u{a59}', ['\u{a16}', '\u{a3c}']),
    ('\u{a5a}', ['\u{a17}', '\u{a3c}']),
    ('\u{a5b}', ['\u{a1c}', '\u{a3c}']),
    ('\u{a5e}', ['\u{a2b}', '\u{a3c}']),
    ('\u{b5c}', ['\u{b21}', '\u{b3c}']),
    ('\u{b5d}', ['\u{b22}', '\u{b3c}']),
    ('\u{bca}', ['\u{bc6}', '\u{bbe}']),
    ('\u{bcb}', ['\u{bc7}', '\u{bbe}']),
    ('\u{bcc}', ['\u{bc6}', '\u{bd7}']),
];

/// Why nothing can be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("it has no word to look for: write a letter or a digit")]
    Empty,
    #[error("it has more than {QUERY_BYTES_MAX} bytes; write less of it")]
    TooLong,
    #[error(
        "it has more than {TERMS_MAX} words; put those that follow one another into double quotes, or leave some out"
    )]
    TooMany,
}

/// The query in FTS5's syntax, every term of it a quoted string.
pub fn query(text: &str) -> Result<String, QueryError> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(QueryError::TooLong);
    }
    let mut terms = Vec::new();
    // Every second piece stood between quotes; a quote that nobody closed reaches to the end.
    for (at, piece) in text.split('"').enumerate() {
        if at % 2 == 1 {
            terms.extend(term(piece, terms_continue(text, at)));
        } else {
            let words = piece.split_whitespace();
            terms.extend(words.filter_map(|word| term(word, word.ends_with('*'))));
        }
    }
    match terms.len() {
        0 => Err(QueryError::Empty),
        1..=TERMS_MAX => Ok(terms.join(" AND ")),
        _ => Err(QueryError::TooMany),
    }
}

/// Whether the quoted piece number `at` is followed by a star: its last word may go on.
fn terms_continue(text: &str, at: usize) -> bool {
    text.split('"')
        .nth(at + 1)
        .is_some_and(|next| next.starts_with('*'))
}

/// None where there is nothing that the index would hold.
fn term(words: &str, goes_on: bool) -> Option<String> {
    let words: String = words.chars().filter(|char| !char.is_control()).collect();
    if !words.contains(char::is_alphanumeric) {
        return None;
    }
    let mut spellings = vec![words.clone(), spelt(&words, true), spelt(&words, false)];
    spellings.sort_unstable();
    spellings.dedup();
    let star = if goes_on { "*" } else { "" };
    let mut quoted = spellings.iter().map(|words| format!("\"{words}\"{star}"));
    match spellings.len() {
        1 => quoted.next(),
        _ => Some(format!("({})", quoted.collect::<Vec<_>>().join(" OR "))),
    }
}

/// With each of those letters as one character, or as two.
fn spelt(words: &str, as_one: bool) -> String {
    let mut spelt = words.to_owned();
    for (one, two) in TWO_SPELLINGS {
        let two: String = two.iter().collect();
        spelt = match as_one {
            true => spelt.replace(&two, one.encode_utf8(&mut [0; 4])),
            false => spelt.replace(one, &two),
        };
    }
    spelt
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_phrases_and_beginnings() {
        for (text, expected) in [
            ("invoice", r#""invoice""#),
            ("  kal   aana ", r#""kal" AND "aana""#),
            ("dhany*", r#""dhany*"*"#),
            (r#""good morning" sir"#, r#""good morning" AND "sir""#),
            (r#""good morn"*"#, r#""good morn"*"#),
            (r#"say "good mor"#, r#""say" AND "good mor""#),
            ("नमस्ते", r#""नमस्ते""#),
            ("வணக்கம்*", r#""வணக்கம்*"*"#),
            // None of FTS5's own words and signs counts.
            ("a OR b NOT c", r#""a" AND "OR" AND "b" AND "NOT" AND "c""#),
            (
                "text:x -y ^z (w)",
                r#""text:x" AND "-y" AND "^z" AND "(w)""#,
            ),
            ("NEAR(a, b)", r#""NEAR(a," AND "b)""#),
            ("? !! +91", r#""+91""#),
        ] {
            assert_eq!(query(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_letter_of_two_spellings_is_looked_for_in_both() {
        let (one, two) = ("स\u{95c}क", "स\u{921}\u{93c}क");
        for typed in [one, two] {
            let query = query(&format!("{typed}* kal")).unwrap();
            for spelling in [one, two] {
                assert!(query.contains(&format!("\"{spelling}*\"*")), "{query}");
            }
            assert!(
                query.starts_with('(') && query.ends_with("*) AND \"kal\""),
                "{query}"
            );
        }
    }

    #[test]
    fn what_cannot_be_looked_for() {
        for text in ["", "  ", "*", "\"\"", "\"", "?! …", "👍", "\u{0}"] {
            assert_eq!(query(text), Err(QueryError::Empty), "{text:?}");
        }
        assert_eq!(query(&"ab ".repeat(200)), Err(QueryError::TooLong));
        assert_eq!(query(&"ab ".repeat(17)), Err(QueryError::TooMany));
        assert!(query(&"ab ".repeat(16)).is_ok());
    }

    proptest! {
        /// Whatever is typed, the query is strings in quotes, some with a star, and what joins them.
        #[test]
        fn nothing_stands_outside_quotes(text in "\\PC{0,60}|[a-z\"* ()^:+-]{0,60}|[\u{915}-\u{95f}\" *]{0,60}") {
            if let Ok(query) = query(&text) {
                for (at, piece) in query.split('"').enumerate() {
                    let outside = piece.replace("AND", "").replace("OR", "");
                    prop_assert!(at % 2 == 1 || outside.chars().all(|char| " *()".contains(char)), "{query}");
                }
                prop_assert_eq!(query.matches('"').count() % 2, 0);
            }
        }
    }
}
