//! A component's bytes, read from where `plugins.toml` says.

use std::io;
use std::path::Path;
use std::sync::Arc;

/// A larger file is refused before it is read.
const BYTES_MAX: u64 = 64 << 20;

/// A component as it stands on disk.
pub(super) struct Component {
    pub(super) bytes: Arc<[u8]>,
    /// SHA-256, hex.
    pub(super) digest: String,
}

pub(super) async fn read(path: &Path) -> io::Result<Component> {
    let found = tokio::fs::metadata(path).await?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    if found.len() > BYTES_MAX {
        return Err(io::Error::other(format!(
            "it has {} bytes, more than {BYTES_MAX}",
            found.len()
        )));
    }
    let bytes = tokio::fs::read(path).await?;
    let digest = hex::encode(ring::digest::digest(&ring::digest::SHA256, &bytes));
    Ok(Component {
        bytes: bytes.into(),
        digest,
    })
}
