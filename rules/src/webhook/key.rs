//! Dedupe keys: what Meta repeats has the same key, what differs has another one.

use std::fmt;

use ring::digest::{SHA256, digest};

/// The first 16 bytes of SHA-256 over the parts, each preceded by its length (u64, little endian),
/// so that `("ab", "c")` and `("a", "bc")` differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; 16]);

impl Key {
    /// A part that the body lacks counts as empty.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        const LENGTH_BYTES: usize = size_of::<u64>();
        let bytes = parts.iter().map(|part| LENGTH_BYTES + part.len()).sum();
        let mut text = Vec::with_capacity(bytes);
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            text.extend_from_slice(&length.to_le_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(digest(&SHA256, &text).as_ref()) {
            *to = *from;
        }
        Self(key)
    }

    /// The key of a message: what a status, an edit or a revocation finds it by.
    #[must_use]
    pub fn message(number: &str, wamid: &str) -> Self {
        Self::of(&["m", number, wamid])
    }

    /// The second key of a message, the same in its live and its history copy: `peer` is whose chat it is, the
    /// stanza what [`crate::wamid::decode`] finds in the id.
    #[must_use]
    pub fn stanza(number: &str, peer: &str, stanza: &str) -> Self {
        Self::of(&["s", number, peer, stanza])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}
