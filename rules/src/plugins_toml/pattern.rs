use crate::toml_file::nearest;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The first words of all event kinds that Duet makes.
pub(super) const FAMILIES: [&str; 19] = [
    "account",
    "call",
    "case",
    "coexistence",
    "contact",
    "conversation",
    "echo",
    "error",
    "flow",
    "group",
    "history",
    "hook",
    "media",
    "message",
    "number",
    "schedule",
    "status",
    "template",
    "timer",
];

/// The kind of whatever Meta sent that Duet does not know; it has no family.
const UNKNOWN_KIND: &str = "unknown";

/// Which event kinds are wanted: one kind (`message.text`), a family (`message.*`) or all (`*`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// A text that is no [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no pattern of event kinds; write a kind such as message.text, a family such as message.*, or *"
)]
pub struct PatternError(String);

impl Pattern {
    /// Whether an event of this kind is wanted.
    pub fn matches(&self, kind: &str) -> bool {
        match self.family() {
            Some(family) => kind
                .strip_prefix(family)
                .is_some_and(|rest| rest.starts_with('.')),
            None => self.0 == "*" || self.0 == kind,
        }
    }

    /// Whether every kind that `other` matches is matched by this pattern too.
    pub fn covers(&self, other: &Pattern) -> bool {
        self.0 == "*" || self == other || (other.0 != "*" && self.matches(&other.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `message` of `message.*`
    fn family(&self) -> Option<&str> {
        self.0.strip_suffix(".*")
    }

    /// The pattern that it seems to be a slip of: no kind of Duet's begins like it, and one that begins nearly like it.
    pub(crate) fn meant(&self) -> Option<String> {
        let word = self.unknown_family()?;
        let family = nearest(word, FAMILIES)?;
        Some(self.0.replacen(word, family, 1))
    }

    /// The first word, when no kind of Duet's begins with it: such a pattern never matches.
    pub(super) fn unknown_family(&self) -> Option<&str> {
        let word = self.0.split('.').next().unwrap_or_default();
        let known = word == "*" || self.0 == UNKNOWN_KIND || FAMILIES.contains(&word);
        (!known).then_some(word)
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        const BYTES_MAX: usize = 100;
        let words = text.strip_suffix(".*").unwrap_or(&text);
        let well_formed = words.split('.').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        });
        if text == "*" || (well_formed && text.len() <= BYTES_MAX) {
            return Ok(Self(text));
        }
        Err(PatternError(crate::toml_file::quoted(&text)))
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.0
    }
}

impl std::str::FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::try_from(text.to_owned())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_words_only() {
        let cases = [
            ("*", "unknown", true),
            ("message.*", "message.text", true),
            ("message.*", "message.text.more", true),
            ("message.*", "message", false),
            ("message.*", "messages.text", false),
            ("message.text", "message.text", true),
            ("message.text", "message.text_more", false),
            ("error", "error", true),
        ];
        for (pattern, kind, expect) in cases {
            assert_eq!(
                pattern.parse::<Pattern>().unwrap().matches(kind),
                expect,
                "{pattern} and {kind}"
            );
        }
    }

    #[test]
    fn a_pattern_covers_what_is_narrower() {
        let cases = [
            ("*", "*", true),
            ("*", "message.*", true),
            ("message.*", "*", false),
            ("message.*", "message.*", true),
            ("message.*", "message.text", true),
            ("message.text", "message.*", false),
            ("message.*", "echo.*", false),
            ("message.*", "message.text.*", true),
        ];
        for (wide, narrow, expect) in cases {
            let [wide, narrow] = [wide, narrow].map(|text| text.parse::<Pattern>().unwrap());
            assert_eq!(wide.covers(&narrow), expect, "{wide} and {narrow}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            ".",
            ".*",
            "**",
            "message.",
            "message*",
            "Message.text",
            "message..text",
            "*.text",
            "a b",
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }
}
