//! Looks inside a message id of Meta's, to recognise one message under two ids.
//!
//! Undocumented by Meta and read off published ids: base64 of
//! `1c 18 <len> <peer> 15 02 00 <11 = by the business | 12 = by the user> 18 <len> <stanza> 00`.
//! The same message may carry different ids in history and live, yet the stanza stays. Many ids do
//! not follow the pattern, so decoding is allowed to fail and nothing may depend on it.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BYTES_MAX: usize = 512;
const FROM_BUSINESS: u8 = 0x11;
const FROM_USER: u8 = 0x12;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a message id says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wamid {
    /// Digits of a phone: the user's, but the business's own in some history chunks. Ids that are
    /// scoped to a user id name that one instead.
    pub peer: String,
    pub from_business: bool,
    /// The message's id on the phones, upper-case hex digits.
    pub stanza: String,
}

/// Decodes `wamid.…`; `None` for whatever does not follow the pattern to the last byte.
#[must_use]
pub fn decode(id: &str) -> Option<Wamid> {
    let encoded = id.strip_prefix("wamid.")?;
    if encoded.len() > BYTES_MAX {
        return None;
    }
    let bytes = BASE64.decode(encoded).ok()?;
    let rest = bytes.strip_prefix(&[0x1c])?;
    let (peer, rest) = text(rest)?;
    let rest = rest.strip_prefix(&[0x15, 0x02, 0x00])?;
    let (&direction, rest) = rest.split_first()?;
    let from_business = match direction {
        FROM_BUSINESS => true,
        FROM_USER => false,
        _ => return None,
    };
    let (stanza, rest) = text(rest)?;
    let plausible = rest == [0]
        && !peer.is_empty()
        && peer
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        && !stanza.is_empty()
        && stanza.bytes().all(|byte| byte.is_ascii_hexdigit());
    plausible.then(|| Wamid {
        peer: peer.to_owned(),
        from_business,
        stanza: stanza.to_ascii_uppercase(),
    })
}

/// One `18 <len> <bytes>` field and what follows it.
fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, rest) = bytes.strip_prefix(&[0x18])?.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(length))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PUBLISHED: &str = "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBIyNDlBOEI5QUQ4NDc0N0FCNjMA";

    fn encode(peer: &str, direction: u8, stanza: &str) -> String {
        let mut bytes = vec![0x1c, 0x18, u8::try_from(peer.len()).unwrap()];
        bytes.extend_from_slice(peer.as_bytes());
        bytes.extend_from_slice(&[0x15, 2, 0, direction, 0x18]);
        bytes.push(u8::try_from(stanza.len()).unwrap());
        bytes.extend_from_slice(stanza.as_bytes());
        bytes.push(0);
        format!("wamid.{}", BASE64.encode(bytes))
    }

    #[test]
    fn reads_a_published_id() {
        let expected = Wamid {
            peer: "16467043595".into(),
            from_business: true,
            stanza: "249A8B9AD84747AB63".into(),
        };
        assert_eq!(decode(PUBLISHED), Some(expected));
    }

    #[test]
    fn refuses_what_does_not_follow_the_pattern() {
        for id in [
            "",
            "wamid.",
            "wamid.QyNUEHBgLMTY0NjcwNDM1OTUVAgAR",
            "wamid.ID",
            "ABGGFlCGg0cvAgo",
            &PUBLISHED.replace("wamid.", ""),
        ] {
            assert_eq!(decode(id), None, "{id}");
        }
        assert_eq!(decode(&encode("+1650", 0x12, "AB")), None);
        assert_eq!(decode(&encode("1650", 0x13, "AB")), None);
        assert_eq!(decode(&encode("1650", 0x12, "XY")), None);
        assert_eq!(decode(&encode("1650", 0x12, "")), None);
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(peer in "[0-9]{1,20}|[A-Z]{2}\\.[0-9]{1,20}", user: bool, stanza in "[0-9A-Fa-f]{1,40}", padded: bool) {
            let id = encode(&peer, if user { FROM_USER } else { FROM_BUSINESS }, &stanza);
            let id = if padded { id } else { id.trim_end_matches('=').to_owned() };
            let expected = Wamid { peer, from_business: !user, stanza: stanza.to_ascii_uppercase() };
            prop_assert_eq!(decode(&id), Some(expected));
        }

        #[test]
        fn never_panics(id in ".{0,80}", tail: Vec<u8>) {
            let _ = decode(&id);
            let _ = decode(&format!("wamid.{}", BASE64.encode(tail)));
        }
    }
}
