use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Secret;
use super::kept::{kept, make};
use crate::seal::{MasterKey, Vault};

/// What opens and seals the secrets of businesses: the keys that are given, and the one in `<data>/master-key`, which
/// is made if there is no other. The path is the answer's second half when that file seals.
pub fn vault(given: &[Secret], data: &Path) -> Result<(Vault, Option<PathBuf>), Error> {
    let path = data.join("master-key");
    let mut keys = given.to_vec();
    // A key that was made here still opens after another one was given.
    keys.extend(kept(&path)?);
    if keys.is_empty() {
        keys.push(make(&path, |bytes| STANDARD.encode(bytes))?);
    }
    let mut read = keys.iter().map(|key| MasterKey::read(key.expose()));
    let (Some(Some(first)), Some(further)) = (read.next(), read.collect()) else {
        let no_key =
            "it holds no key of 32 bytes in base64 or hex; put the key back that was in it";
        return Err(Error::new(ErrorKind::InvalidData, no_key));
    };
    Ok((Vault::new(first, further), given.is_empty().then_some(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_key_is_kept_and_still_opens_when_another_one_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let (made, path) = vault(&[], folder.path()).unwrap();
        let path = path.unwrap();
        let (again, _) = vault(&[], folder.path()).unwrap();
        assert_eq!(made.master(), again.master());

        let owner = crate::seal::Owner {
            business: "tea",
            purpose: "access",
            number: "",
        };
        let sealed = made.seal(owner, &Secret::new("t")).unwrap();
        let given = Secret::new(STANDARD.encode([7; 32]));
        let (both, used) = vault(&[given], folder.path()).unwrap();
        assert_eq!(used, None);
        assert_ne!(both.master(), made.master());
        assert_eq!(both.open(owner, &sealed), Ok(Secret::new("t")));

        std::fs::write(&path, "no key").unwrap();
        assert!(
            vault(&[], folder.path()).is_err(),
            "it is not made anew over one that was there"
        );
    }
}
