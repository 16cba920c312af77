//! The bytes of files for runs: those that go on, and those that are run again.

use std::io::{self, Read, Seek, SeekFrom};

use duet_rules::media::Digest;

use crate::plugin::Unavailable;
use crate::store::media::MediaFolder;

/// At most so many bytes of a file from `offset` on; nothing when it is not there.
pub(super) async fn read(
    folder: MediaFolder,
    digest: Digest,
    offset: u64,
    bytes_max: u32,
) -> Result<Option<Vec<u8>>, Unavailable> {
    let read = move || -> io::Result<Vec<u8>> {
        let (mut file, _) = folder.open(digest)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(bytes_max.into()).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let read = tokio::task::spawn_blocking(read).await;
    match read.map_err(|_| Unavailable("the gateway is ending".into()))? {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Unavailable(error.to_string())),
    }
}
