//! The bytes of files for runs: those that go on, and those that are run again.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Mutex, MutexGuard, PoisonError};

use duet_rules::media::Digest;

use crate::plugin::Unavailable;
use crate::store::media::MediaFolder;

/// Reads files for one run. Each is looked at as a whole once: a plugin that reads it in small parts costs no more.
pub(super) struct Files {
    folder: MediaFolder,
    whole: Mutex<BTreeSet<[u8; 32]>>,
}

impl Files {
    pub(super) fn new(folder: MediaFolder) -> Files {
        Files {
            folder,
            whole: Mutex::default(),
        }
    }

    /// At most so many bytes of a file from `offset` on; nothing when it is not there.
    pub(super) async fn read(
        &self,
        digest: Digest,
        offset: u64,
        bytes_max: u32,
    ) -> Result<Option<Vec<u8>>, Unavailable> {
        let (folder, looked_at) = (self.folder.clone(), self.lock().contains(&digest.0));
        let read = move || -> io::Result<Vec<u8>> {
            let mut file = match looked_at {
                true => folder.open_again(digest)?,
                false => folder.open(digest)?.0,
            };
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(bytes_max.into()).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let read = tokio::task::spawn_blocking(read).await;
        match read.map_err(|_| Unavailable("the gateway is ending".into()))? {
            Ok(bytes) => {
                self.lock().insert(digest.0);
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // No repeated run finds other bytes.
            Err(error) if error.kind() == io::ErrorKind::Other => {
                tracing::error!(%error, %digest, "a file cannot be handed to a plugin");
                Ok(None)
            }
            Err(error) => Err(Unavailable(error.to_string())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<[u8; 32]>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
