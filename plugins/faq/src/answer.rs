//! Which answer fits a text. No I/O: this is what the unit tests test.

use serde::Deserialize;
use unicase::UniCase;
use unicode_segmentation::UnicodeSegmentation;

/// The manifest's schema describes each of them.
#[derive(Deserialize)]
pub struct Settings {
    pub answers: Vec<Entry>,
    #[serde(default)]
    pub hand_over_words: Vec<String>,
    pub hand_over_reply: Option<String>,
    pub default_reply: Option<String>,
    #[serde(default)]
    pub mark_read: bool,
}

#[derive(Deserialize)]
pub struct Entry {
    pub words: Vec<String>,
    pub reply: String,
}

#[derive(Debug, PartialEq)]
pub struct Answer<'a> {
    pub reply: Option<&'a str>,
    /// The customer asked for a person.
    pub hands_over: bool,
}

impl Settings {
    /// A call for a person goes before everything, the default reply comes last.
    pub fn answer(&self, text: &str) -> Option<Answer<'_>> {
        let text = words(text);
        if says_any(&text, &self.hand_over_words) {
            return Some(Answer {
                reply: self.hand_over_reply.as_deref(),
                hands_over: true,
            });
        }
        let fitting = self
            .answers
            .iter()
            .find(|entry| says_any(&text, &entry.words));
        let reply = fitting
            .map(|entry| &entry.reply)
            .or(self.default_reply.as_ref())?;
        Some(Answer {
            reply: Some(reply),
            hands_over: false,
        })
    }
}

/// Whole words only, so that `price` is not found in `priceless`; a phrase is found as its words in a row.
fn says_any(text: &[UniCase<&str>], phrases: &[String]) -> bool {
    phrases.iter().any(|phrase| {
        let phrase = words(phrase);
        !phrase.is_empty() && text.windows(phrase.len()).any(|window| window == phrase)
    })
}

/// Words as Unicode has them, equal whatever their case: a Hindi word keeps its vowel signs, STRASSE is Straße.
fn words(text: &str) -> Vec<UniCase<&str>> {
    text.unicode_words().map(UniCase::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        serde_json::from_str(
            r#"{
                "answers": [
                    { "words": ["price", "कीमत", "how much"], "reply": "10" },
                    { "words": ["Straße"], "reply": "Here" }
                ],
                "hand_over_words": ["human"],
                "hand_over_reply": "One moment",
                "default_reply": "Pardon?"
            }"#,
        )
        .unwrap()
    }

    #[test]
    fn the_first_fitting_answer_is_given() {
        let cases = [
            ("What's the PRICE?", Some("10")),
            ("इसकी कीमत क्या है?", Some("10")),
            ("How  much is it", Some("10")),
            ("how is it so much", Some("Pardon?")),
            ("priceless", Some("Pardon?")),
            ("WELCHE STRASSE", Some("Here")),
            ("", Some("Pardon?")),
            ("The price, human!", Some("One moment")),
        ];
        let settings = settings();
        for (text, reply) in cases {
            let answer = settings.answer(text).unwrap();
            assert_eq!(
                (answer.reply, answer.hands_over),
                (reply, reply == Some("One moment")),
                "{text}"
            );
        }
    }

    #[test]
    fn without_a_default_reply_an_unknown_text_stays_unanswered() {
        let settings = Settings {
            default_reply: None,
            ..settings()
        };
        assert_eq!(settings.answer("Hello"), None);
    }

    #[test]
    fn the_manifest_has_this_version() {
        let manifest: serde_json::Value =
            serde_json::from_str(include_str!("../manifest.json")).unwrap();
        assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    }
}
