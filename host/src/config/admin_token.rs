use std::io::Error;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Secret;
use super::kept::{kept, make};

/// The admin token: the one given, else the one in `<data>/admin-token`, which is made if it does not exist.
/// The path is the answer's second half when the file was used: a log may tell where it is, never what it is.
pub fn admin_token(given: Option<Secret>, data: &Path) -> Result<(Secret, Option<PathBuf>), Error> {
    if let Some(token) = given {
        return Ok((token, None));
    }
    let path = data.join("admin-token");
    let token = match kept(&path)? {
        Some(token) => token,
        None => make(&path, |bytes| {
            format!("duet_root_{}", URL_SAFE_NO_PAD.encode(bytes))
        })?,
    };
    Ok((token, Some(path)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
