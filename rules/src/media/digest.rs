//! SHA-256 of a file. Meta writes it as base64 in webhooks and as hex in answers of `GET /{media-id}`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// 32 bytes; shown as lower-case hex, which is also the file's name on disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Reads hex or base64; what is neither claims nothing (Meta's own examples have words such as `IMAGE_HASH`).
    #[must_use]
    pub fn read(text: &str) -> Option<Digest> {
        let bytes = hex::decode(text).or_else(|_| STANDARD.decode(text)).ok()?;
        bytes.try_into().ok().map(Digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn metas_spellings_are_read_and_words_claim_nothing() {
        let webhook = Digest::read("SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI=").unwrap();
        let hex = "49f227634806293b0995459bc310b593e1400f41591efcf07e9bced335f41942";
        assert_eq!(webhook.to_string(), hex);
        assert_eq!(Digest::read(hex), Some(webhook));
        assert_eq!(Digest::read(&hex.to_uppercase()), Some(webhook));
        // From the published examples.
        for word in [
            "",
            "4654+8g=",
            "IMAGE_HASH",
            "a1b2c3d4e5f6...",
            "SfInY0gGKTsJlUWbwxC1k+FAD0FZHv",
        ] {
            assert_eq!(Digest::read(word), None, "{word}");
        }
    }

    proptest! {
        #[test]
        fn both_spellings_say_the_same(bytes: [u8; 32]) {
            prop_assert_eq!(Digest::read(&hex::encode(bytes)), Some(Digest(bytes)));
            prop_assert_eq!(Digest::read(&STANDARD.encode(bytes)), Some(Digest(bytes)));
        }
    }
}
