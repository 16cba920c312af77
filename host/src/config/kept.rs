use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::Secret;

/// The secret in a file that only its owner reads; `None` when there is no such file.
pub(super) fn kept(path: &Path) -> Result<Option<Secret>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => {
            // Also repairs a file that somebody has copied here with wider rights.
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
            Ok(Some(Secret::new(text.trim())))
        }
        Ok(_) => Err(Error::new(
            ErrorKind::InvalidData,
            "the file is empty; delete it to get a new one",
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes such a file from 32 random bytes.
pub(super) fn make(path: &Path, text: impl FnOnce([u8; 32]) -> String) -> Result<Secret, Error> {
    let mut bytes = [0; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| Error::other("the system gives no random bytes"))?;
    let text = text(bytes);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Written aside and renamed, so that a crash leaves no empty secret.
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    Ok(Secret::new(text))
}
