//! Message ids in the structure that Meta's own ids decode to:
//! `1c 18 <len><peer digits> 15 02 00 <11|12> 18 <len><stanza> 00`, base64, behind `wamid.`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;

/// Who wrote the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    Business,
    Customer,
}

/// A new id for a message with `peer`, whose digits or user id it embeds.
pub(crate) fn new(peer: &str, author: Author, dice: &mut impl Rng) -> String {
    let stanza = hex::encode_upper(dice.random::<[u8; 9]>());
    encode(peer, author, &stanza)
}

/// The same message as Meta spells it with another peer, when the id can be read.
#[must_use]
pub fn rescoped(id: &str, peer: &str) -> Option<String> {
    let read = duet_rules::wamid::decode(id)?;
    let author = if read.from_business {
        Author::Business
    } else {
        Author::Customer
    };
    Some(encode(peer, author, &read.stanza))
}

/// The id of a message with this stanza, for those who choose it themselves.
pub(crate) fn encode(peer: &str, author: Author, stanza: &str) -> String {
    let peer: String = peer.chars().take(127).collect();
    let mut bytes = vec![0x1c, 0x18, u8::try_from(peer.len()).unwrap_or(127)];
    bytes.extend_from_slice(peer.as_bytes());
    bytes.extend_from_slice(&[
        0x15,
        0x02,
        0x00,
        if author == Author::Business {
            0x11
        } else {
            0x12
        },
    ]);
    bytes.extend_from_slice(&[0x18, u8::try_from(stanza.len()).unwrap_or(0)]);
    bytes.extend_from_slice(stanza.as_bytes());
    bytes.push(0);
    format!("wamid.{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_id_is_reproduced_byte_for_byte() {
        let id = encode("16467043595", Author::Business, "249A8B9AD84747AB63");
        assert_eq!(
            id,
            "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBIyNDlBOEI5QUQ4NDc0N0FCNjMA"
        );
    }
}
