//! Deleted rows are overwritten at once (`secure_delete`), yet copies linger: cells that moved to another page,
//! beginnings of words in the index of messages, and the write-ahead logs. So the index and both files are rewritten
//! and both logs cut to nothing.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::Connection;

use super::super::receipts::ReceiptLog;
use super::super::search::rewrite_index;
use super::super::{Store, StoreError};

/// Rows of one transaction in the receipt log.
pub(super) const ROWS_MAX: usize = 1000;
/// A reader that still looks at an old snapshot holds the log; it is waited for so often and so long.
const TRIES_MAX: u32 = 10;
const TRY_WAIT: Duration = Duration::from_millis(500);
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// While this file exists, erased data may linger in the files.
const MARK: &str = "erasure.due";

/// SQLite's folder for temporary files is one for the whole process.
static TEMPORARY: Mutex<()> = Mutex::new(());

impl Store {
    /// Rewrites the files if an erasure, perhaps before a crash, has left that to do; call it after the start.
    /// The answer says why it could not be completed, if so.
    pub async fn finish_erasures(&self, log: &ReceiptLog) -> Result<Option<String>, StoreError> {
        let _erasing = self.inner.erasing.lock().await;
        match self.mark().exists() {
            true => self.scrub(log).await,
            false => Ok(None),
        }
    }

    /// Rewrites the files. The answer says why that could not be completed, if so.
    pub(super) async fn scrub(&self, log: &ReceiptLog) -> Result<Option<String>, StoreError> {
        let folder = self.folder();
        let receipts = log
            .maintain(move |connection| rewrite(connection, &folder))
            .await?;
        let folder = self.folder();
        let main = self
            .maintain(move |connection| {
                rewrite_index(connection)?;
                rewrite(connection, &folder)
            })
            .await?;
        let media = self.sweep_media().await.err();
        let lingering = receipts
            .or(main)
            .or(media.map(|error| format!("a file of a message could not be removed: {error}")));
        if lingering.is_none() {
            std::fs::remove_file(self.mark()).map_err(unavailable)?;
        }
        Ok(lingering)
    }

    pub(super) fn remember_to_scrub(&self) -> Result<(), StoreError> {
        let mark = || {
            std::fs::File::create(self.mark())?.sync_all()?;
            std::fs::File::open(self.folder())?.sync_all()
        };
        mark().map_err(unavailable)
    }

    fn mark(&self) -> PathBuf {
        self.folder().join(MARK)
    }
}

fn unavailable(error: std::io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Rewrites a file and cuts its log. The answer says why copies may linger, if so.
fn rewrite(connection: &Connection, folder: &Path) -> Result<Option<String>, StoreError> {
    let Ok(_alone) = TEMPORARY.lock() else {
        return Err(StoreError::Stopped);
    };
    if let Err(error) = vacuum(connection, folder) {
        return Ok(Some(format!("the file could not be rewritten: {error}")));
    }
    connection.busy_timeout(TRY_WAIT)?;
    let cut = cut_log(connection);
    connection.busy_timeout(BUSY_WAIT)?;
    Ok((!cut?).then(|| "another reader holds the write-ahead log".into()))
}

/// The copy that VACUUM makes goes through a file inside the data folder, unlinked as soon as it is open: in
/// memory it could be larger than the machine, and elsewhere personal data would leave the folder.
fn vacuum(connection: &Connection, folder: &Path) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "temp_store_directory", folder.to_string_lossy())?;
    connection.pragma_update(None, "temp_store", "FILE")?;
    let result = connection.execute_batch("VACUUM");
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "temp_store_directory", "")?;
    result
}

fn cut_log(connection: &Connection) -> Result<bool, rusqlite::Error> {
    for _ in 0..TRIES_MAX {
        let busy: i64 =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}
