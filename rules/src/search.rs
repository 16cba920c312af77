//! What somebody looks for among messages, made a query of FTS5's: words that all have to be there, `"phrases"` in
//! double quotes, and `beginn*` for words that begin so. Nothing else has a meaning, so that no word is taken for
//! an operator.

/// Longest text, in bytes.
pub const QUERY_BYTES_MAX: usize = 512;
/// Words and phrases at most.
pub const TERMS_MAX: usize = 16;

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
        1..=TERMS_MAX => Ok(terms.join(" ")),
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
    words
        .contains(char::is_alphanumeric)
        .then(|| format!("\"{words}\"{}", if goes_on { "*" } else { "" }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_phrases_and_beginnings() {
        for (text, expected) in [
            ("invoice", r#""invoice""#),
            ("  kal   aana ", r#""kal" "aana""#),
            ("dhany*", r#""dhany*"*"#),
            (r#""good morning" sir"#, r#""good morning" "sir""#),
            (r#""good morn"*"#, r#""good morn"*"#),
            (r#"say "good mor"#, r#""say" "good mor""#),
            ("नमस्ते", r#""नमस्ते""#),
            ("வணக்கம்*", r#""வணக்கம்*"*"#),
            // None of FTS5's own words and signs counts.
            ("a OR b NOT c", r#""a" "OR" "b" "NOT" "c""#),
            ("text:x -y ^z (w)", r#""text:x" "-y" "^z" "(w)""#),
            ("NEAR(a, b)", r#""NEAR(a," "b)""#),
            ("? !! +91", r#""+91""#),
        ] {
            assert_eq!(query(text).as_deref(), Ok(expected), "{text}");
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
        /// Whatever is typed, the query is strings in quotes, some with a star, and nothing else.
        #[test]
        fn nothing_stands_outside_quotes(text in "\\PC{0,60}|[a-z\"* ()^:+-]{0,60}") {
            if let Ok(query) = query(&text) {
                for (at, piece) in query.split('"').enumerate() {
                    prop_assert!(at % 2 == 1 || matches!(piece, "" | " " | "*" | "* "), "{query}");
                }
                prop_assert_eq!(query.matches('"').count() % 2, 0);
            }
        }
    }
}
