use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Secret;

/// The admin token: the one given, else the one in `<data>/admin-token`, which is made if it does not exist.
/// The path is the answer's second half when the file was used: a log may tell where it is, never what it is.
pub fn admin_token(given: Option<Secret>, data: &Path) -> Result<(Secret, Option<PathBuf>), Error> {
    if let Some(token) = given {
        return Ok((token, None));
    }
    let path = data.join("admin-token");
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => {
            // Also repairs a file that somebody has copied here with wider rights.
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
            Ok((Secret::new(text.trim()), Some(path)))
        }
        Ok(_) => Err(Error::new(
            ErrorKind::InvalidData,
            "the file is empty; delete it to get a new token",
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

fn make(path: PathBuf) -> Result<(Secret, Option<PathBuf>), Error> {
    let mut bytes = [0; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| Error::other("the system gives no random bytes"))?;
    let text = format!("duet_root_{}", URL_SAFE_NO_PAD.encode(bytes));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Written aside and renamed, so that a crash leaves no empty token.
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&aside, &path)?;
    Ok((Secret::new(text), Some(path)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_made_token_is_kept_and_only_the_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("new");
        let (first, path) = admin_token(None, &data).unwrap();
        let (second, _) = admin_token(None, &data).unwrap();
        assert_eq!(first, second);
        assert!(first.expose().len() > 40);
        let mode = std::fs::metadata(path.unwrap())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let given = admin_token(Some(Secret::new("mine")), &data).unwrap();
        assert_eq!(given, (Secret::new("mine"), None));
    }
}
