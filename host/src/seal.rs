//! Secrets at rest: sealed with ChaCha20-Poly1305 under a master key that no database holds.
//!
//! Promises: what is sealed opens only under the same master key and for the same owner, so that a row that was
//! copied to another business opens nothing. Of several master keys the first seals and all open: one can be
//! rotated out while the gateway runs on.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::Secret;

const KEY_BYTES: usize = 32;

/// A key that seals other secrets.
pub struct MasterKey {
    /// The same for the same key, and tells nothing of it.
    name: String,
    key: LessSafeKey,
}

/// Whose secret it is and what for: a sealed text opens for nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    pub business: &'a str,
    pub purpose: &'a str,
    /// Or what else it is about; may be empty.
    pub number: &'a str,
}

/// A text that is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The master key that opens it.
    pub master: String,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// Why nothing was sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error(
        "it is sealed under the master key {0}, which is not here; put that key back into DUET_MASTER_KEY or into master-key in the data folder and start again, or set the secret anew"
    )]
    NoKey(String),
    #[error("what is stored of it was changed and does not open; set the secret anew")]
    Changed,
    #[error("the system gives no random bytes")]
    Random,
}

/// All master keys that are known. The first one seals.
pub struct Vault {
    first: MasterKey,
    further: Vec<MasterKey>,
}

impl MasterKey {
    /// A key from its text: 32 bytes in base64 or hex. `None` for anything else.
    pub fn read(text: &str) -> Option<MasterKey> {
        let bytes = hex(text).or_else(|| {
            [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
                .iter()
                .find_map(|base64| base64.decode(text).ok())
        });
        MasterKey::new(&bytes?)
    }

    fn new(bytes: &[u8]) -> Option<MasterKey> {
        if bytes.len() != KEY_BYTES {
            return None;
        }
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).ok()?;
        let name = digest(&SHA256, bytes);
        let name = name.as_ref().iter().take(8);
        Some(MasterKey {
            name: name.map(|byte| format!("{byte:02x}")).collect(),
            key: LessSafeKey::new(key),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Vault {
    pub fn new(first: MasterKey, further: Vec<MasterKey>) -> Vault {
        Vault { first, further }
    }

    /// The master key that seals now.
    pub fn master(&self) -> &str {
        &self.first.name
    }

    /// Seals a text for its owner.
    pub fn seal(&self, owner: Owner<'_>, secret: &Secret) -> Result<Sealed, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| SealError::Random)?;
        let mut text = secret.expose().as_bytes().to_vec();
        self.first
            .key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                owner.bound(),
                &mut text,
            )
            .map_err(|_| SealError::Random)?;
        Ok(Sealed {
            master: self.first.name.clone(),
            bytes: [&nonce[..], &text].concat(),
        })
    }

    /// Opens what was sealed for this owner.
    pub fn open(&self, owner: Owner<'_>, sealed: &Sealed) -> Result<Secret, SealError> {
        let mut keys = std::iter::once(&self.first).chain(&self.further);
        let master = keys
            .find(|key| key.name == sealed.master)
            .ok_or_else(|| SealError::NoKey(sealed.master.clone()))?;
        let (nonce, text) = sealed
            .bytes
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealError::Changed)?;
        let mut text = text.to_vec();
        let opened = master
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                owner.bound(),
                &mut text,
            )
            .map_err(|_| SealError::Changed)?;
        let opened = std::str::from_utf8(opened).map_err(|_| SealError::Changed)?;
        Ok(Secret::new(opened))
    }
}

impl Owner<'_> {
    /// What is authenticated beside the text. None of the parts holds a zero byte.
    fn bound(&self) -> Aad<Vec<u8>> {
        Aad::from(
            [self.business, self.purpose, self.number]
                .join("\0")
                .into_bytes(),
        )
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * KEY_BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEA: Owner<'_> = Owner {
        business: "tea",
        purpose: "access",
        number: "",
    };

    fn key(byte: u8) -> MasterKey {
        MasterKey::new(&[byte; KEY_BYTES]).unwrap()
    }

    #[test]
    fn a_sealed_text_opens_for_its_owner_under_its_key_and_for_nobody_else() {
        let vault = Vault::new(key(1), vec![]);
        let token = Secret::new("EAAG-token");
        let sealed = vault.seal(TEA, &token).unwrap();
        assert_eq!(vault.open(TEA, &sealed), Ok(token.clone()));
        assert_ne!(
            sealed.bytes,
            vault.seal(TEA, &token).unwrap().bytes,
            "each has a nonce of its own"
        );
        for other in [
            Owner {
                business: "books",
                ..TEA
            },
            Owner {
                purpose: "webhook",
                ..TEA
            },
            Owner {
                number: "1001",
                ..TEA
            },
        ] {
            assert_eq!(vault.open(other, &sealed), Err(SealError::Changed));
        }
        for at in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            *changed.bytes.get_mut(at).unwrap() ^= 1;
            assert_eq!(vault.open(TEA, &changed), Err(SealError::Changed), "{at}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let old = Vault::new(key(1), vec![]);
        let sealed = old.seal(TEA, &Secret::new("t")).unwrap();
        let both = Vault::new(key(2), vec![key(1)]);
        assert_eq!(both.open(TEA, &sealed), Ok(Secret::new("t")));
        let anew = both.seal(TEA, &Secret::new("t")).unwrap();
        assert_eq!(anew.master, both.master());
        let new = Vault::new(key(2), vec![]);
        assert_eq!(new.open(TEA, &anew), Ok(Secret::new("t")));
        let refused = new.open(TEA, &sealed).unwrap_err();
        assert_eq!(refused, SealError::NoKey(key(1).name));
    }

    #[test]
    fn a_key_is_32_bytes_in_base64_or_hex() {
        let bytes = [0xfb; KEY_BYTES];
        let name = MasterKey::new(&bytes).unwrap().name;
        for text in [
            "fb".repeat(KEY_BYTES),
            "FB".repeat(KEY_BYTES),
            STANDARD.encode(bytes),
            URL_SAFE_NO_PAD.encode(bytes),
        ] {
            assert_eq!(MasterKey::read(&text).unwrap().name, name, "{text}");
        }
        for text in ["", "secret", &"fb".repeat(31), &STANDARD.encode([1; 33])] {
            assert!(MasterKey::read(text).is_none(), "{text}");
        }
    }
}
