//! What gives a contact away in bytes: its phone in any spelling, its user ids, and the ids of its messages,
//! which hold the phone in base64. Matched as whole numbers and ids, so that a longer number that happens to
//! hold the same digits does not count. Names are not traces: two people may share one.

use std::collections::HashSet;

use duet_rules::{identity, wamid};
use memchr::memmem;

/// Shorter numbers only count as a whole JSON string.
const PHONE_DIGITS_MIN: usize = 7;
const WAMID: &[u8] = b"wamid.";

/// The traces of one contact.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// All digits, at least `PHONE_DIGITS_MIN`.
    phones: HashSet<String>,
    /// Found anywhere as a word of its own.
    words: HashSet<String>,
    /// Message ids that begin with `wamid.`.
    wamids: HashSet<String>,
    /// Message ids of other shapes and odd phones: found as a whole JSON string, or as the whole text.
    strings: HashSet<String>,
}

impl Traces {
    pub(super) fn add_phone(&mut self, phone: &str) {
        let plain = phone.bytes().all(|byte| byte.is_ascii_digit());
        if plain && phone.len() >= PHONE_DIGITS_MIN {
            self.phones.insert(phone.to_owned());
        } else if !phone.is_empty() {
            self.strings.insert(phone.to_owned());
        }
    }

    pub(super) fn add_user_id(&mut self, user_id: &str) {
        if !user_id.is_empty() {
            self.words.insert(user_id.to_owned());
        }
    }

    pub(super) fn add_message_id(&mut self, id: &str) {
        if id.as_bytes().starts_with(WAMID) {
            self.wamids.insert(id.to_owned());
        } else if !id.is_empty() {
            self.strings.insert(id.to_owned());
        }
    }

    /// Whether the bytes, JSON or not, hold any of the traces.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        self.wamid_in(bytes) || self.word_in(bytes) || self.string_in(bytes) || self.phone_in(bytes)
    }

    fn wamid_in(&self, bytes: &[u8]) -> bool {
        memmem::find_iter(bytes, WAMID).any(|at| {
            let rest = bytes.get(at..).unwrap_or_default();
            let id = message_id(rest);
            self.wamids.contains(&id)
                || (!self.phones.is_empty()
                    && wamid::decode(&id).is_some_and(|inside| self.phones.contains(&inside.peer)))
        })
    }

    fn word_in(&self, bytes: &[u8]) -> bool {
        let part = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        self.words.iter().any(|word| {
            memmem::find_iter(bytes, word.as_bytes()).any(|at| {
                let before = at.checked_sub(1).and_then(|at| bytes.get(at));
                !part(before) && !part(bytes.get(at + word.len()))
            })
        })
    }

    fn string_in(&self, bytes: &[u8]) -> bool {
        if self.strings.is_empty() {
            return false;
        }
        let held = |part: &[u8]| {
            std::str::from_utf8(part)
                .is_ok_and(|text| self.strings.contains(text.replace("\\/", "/").as_str()))
        };
        held(bytes) || bytes.split(|&byte| byte == b'"').any(held)
    }

    /// Digits with the separators that people write between them, such as `+1 (650) 555-1234`.
    fn phone_in(&self, bytes: &[u8]) -> bool {
        if self.phones.is_empty() {
            return false;
        }
        let mut run = Run::default();
        for chunk in bytes.utf8_chunks() {
            let mut chars = chunk.valid().chars();
            while let Some(char) = chars.next() {
                let mut char = char;
                if char == '\\'
                    && chars.as_str().starts_with('u')
                    && let Some(escaped) = escaped(chars.as_str())
                {
                    char = escaped;
                    chars.nth(4);
                }
                if char.is_ascii_digit() {
                    run.push(char);
                } else if identity::digits(char.encode_utf8(&mut [0; 4])).is_empty() {
                    run.apart = true;
                } else if run.end(&self.phones) {
                    return true;
                }
            }
            if !chunk.invalid().is_empty() && run.end(&self.phones) {
                return true;
            }
        }
        run.end(&self.phones)
    }
}

/// The message id at the start, whose slashes JSON may have escaped.
fn message_id(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&byte| char::from(byte))
        .take_while(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '/' | '=' | '_' | '-' | '\\')
        })
        .filter(|&c| c != '\\')
        .collect()
}

/// The character of `uXXXX`.
fn escaped(text: &str) -> Option<char> {
    char::from_u32(u32::from_str_radix(text.get(1..5)?, 16).ok()?)
}

/// Digits with nothing but separators between them.
#[derive(Default)]
struct Run {
    digits: String,
    /// Where a group of digits begins.
    groups: Vec<usize>,
    apart: bool,
}

impl Run {
    fn push(&mut self, digit: char) {
        if self.apart || self.digits.is_empty() {
            self.groups.push(self.digits.len());
            self.apart = false;
        }
        self.digits.push(digit);
    }

    /// Whether some groups in a row, perhaps after the `00` of a call abroad, are one of the phones. The run
    /// begins anew.
    fn end(&mut self, phones: &HashSet<String>) -> bool {
        if self.digits.is_empty() {
            self.apart = false;
            return false;
        }
        let found = self.digits.len() >= PHONE_DIGITS_MIN
            && phones
                .iter()
                .any(|phone| self.groups.iter().any(|&from| self.is_at(from, phone)));
        self.digits.clear();
        self.groups.clear();
        self.apart = false;
        found
    }

    fn is_at(&self, from: usize, phone: &str) -> bool {
        let rest = self.digits.get(from..).unwrap_or_default();
        [0, 2].into_iter().any(|abroad| {
            let rest = if abroad == 0 {
                Some(rest)
            } else {
                rest.strip_prefix("00")
            };
            let to = from + abroad + phone.len();
            rest.is_some_and(|rest| rest.starts_with(phone))
                && (to == self.digits.len() || self.groups.binary_search(&to).is_ok())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces() -> Traces {
        let mut traces = Traces::default();
        traces.add_phone("16505551234");
        traces.add_user_id("US.13491208655302741918");
        traces.add_message_id("wamid.HBgL/AB+cd==");
        traces.add_message_id("ABGGFlCGg0cvAgo");
        traces
    }

    #[test]
    fn every_spelling_gives_the_contact_away() {
        for text in [
            r#"{"wa_id":"16505551234"}"#,
            "call +1 (650) 555-1234.",
            r#""+1\u00a0650\u2011555 1234""#,
            "numbers: 4915112345678 16505551234 4915112345679",
            "0016505551234",
            "https://wa.me/16505551234?text=hi",
            r#"{"user_id":"US.13491208655302741918"}"#,
            r#"{"id":"wamid.HBgL\/AB+cd=="}"#,
            r#"{"id":"ABGGFlCGg0cvAgo"}"#,
            // Nobody listed this id; the phone is inside.
            r#"{"id":"wamid.HBgLMTY1MDU1NTEyMzQVAgASGAJBQgA="}"#,
        ] {
            assert!(traces().are_in(text.as_bytes()), "{text}");
        }
        assert!(traces().are_in(b"\xff\xfe16505551234\xff"));
    }

    #[test]
    fn other_people_stay() {
        for text in [
            r#"{"wa_id":"116505551234"}"#,
            r#"{"timestamp":"1650555123400"}"#,
            r#"{"user_id":"US.134912086553027419180"}"#,
            r#"{"id":"wamid.HBgL/AB+cd"}"#,
            r#"{"id":"xABGGFlCGg0cvAgo"}"#,
            "6505551234",
            "",
        ] {
            assert!(!traces().are_in(text.as_bytes()), "{text}");
        }
    }
}
