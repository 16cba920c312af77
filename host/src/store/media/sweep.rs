//! Files to which nothing refers: their message was erased, is too old, or has another file. Triggers count the
//! references; a file leaves its name between two commits, so that none that is just being stored again goes.

use std::path::PathBuf;

use duet_rules::media::Digest;
use rusqlite::{Connection, params};

use super::super::{Store, StoreError};
use super::folder::{MediaFolder, wipe};

/// Files of one step.
const SLICE: i64 = 100;

impl Store {
    /// Removes every file to which nothing refers; the answer counts them.
    pub async fn sweep_media(&self) -> Result<usize, StoreError> {
        let mut count = 0;
        loop {
            let folder = self.media_folder();
            let retired = self
                .maintain(move |connection| retire(connection, &folder))
                .await?;
            if retired.is_empty() {
                return Ok(count);
            }
            count += retired.len();
            blocking(move || retired.iter().flatten().try_for_each(|path| wipe(path))).await?;
        }
    }

    /// After a start: wipes what was on its way when the last process ended, and removes files of which no row
    /// knows. Call it before the first fetch.
    pub async fn sweep_orphans(&self) -> Result<usize, StoreError> {
        let folder = self.media_folder();
        let (cleared, digests) = {
            let folder = folder.clone();
            blocking(move || Ok((folder.clear_new()?, folder.digests()?))).await?
        };
        for slice in digests.chunks(usize::try_from(SLICE).unwrap_or(1)) {
            let slice = slice.to_vec();
            self.write(move |connection| {
                slice
                    .iter()
                    .try_for_each(|digest| forget(connection, *digest, 0))
            })
            .await?;
        }
        Ok(cleared + self.sweep_media().await?)
    }

    /// Wipes what is arriving for these messages.
    pub(in super::super) async fn drop_arrivals(
        &self,
        messages: Vec<i64>,
    ) -> Result<(), StoreError> {
        let folder = self.media_folder();
        blocking(move || {
            messages
                .iter()
                .try_for_each(|message| folder.drop_arrival(*message))
        })
        .await
    }
}

/// Has a file swept unless something refers to it.
pub(super) fn forget(
    connection: &Connection,
    digest: Digest,
    bytes: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO media_files VALUES (?1, ?2, 0)")?
        .execute(params![digest.to_string(), bytes])?;
    Ok(())
}

/// The next files that go: they have lost their names. `None` for one that was not there.
fn retire(
    connection: &Connection,
    folder: &MediaFolder,
) -> Result<Vec<Option<PathBuf>>, StoreError> {
    // One commit for all: whoever waits for the writer waits once. A file that lost its name before a commit that
    // failed is found again as one that is not there.
    let transaction = connection.unchecked_transaction()?;
    let digests: Vec<String> = transaction
        .prepare_cached("SELECT digest FROM media_files WHERE refs = 0 LIMIT ?1")?
        .query_map([SLICE], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut retired = Vec::new();
    for name in digests {
        if let Some(digest) = Digest::read(&name) {
            retired.push(folder.retire(digest).map_err(unavailable)?);
        }
        transaction
            .prepare_cached("DELETE FROM media_files WHERE digest = ?1 AND refs = 0")?
            .execute([name])?;
    }
    transaction.commit()?;
    Ok(retired)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Stopped)?
        .map_err(unavailable)
}

fn unavailable(error: std::io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
