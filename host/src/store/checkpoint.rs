//! Copies a write-ahead log back into its file on a thread and a connection of its own, so that no commit waits for
//! it. The writer itself copies only the last few pages: when nothing is left, SQLite begins the log anew.

use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::OpenError;

/// A log of so many pages is copied back.
const PAGES_MIN: i32 = 2000;
/// The writer copies what is left when it is no more than this: a few milliseconds.
const REST_PAGES_MAX: i32 = 200;
/// A log that grows faster than it is copied is held up by its writer, so that it stays bounded.
const PAGES_MAX: i32 = 4 * PAGES_MIN;
/// Pages of a log are read once.
const CACHE_KIB: i64 = 64;

/// The checkpoints of one file; dropped with its writer.
pub(super) struct Checkpoints {
    log: Arc<Log>,
    /// Taken only when dropped.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Log {
    /// Its pages, as of the last commit.
    pages: AtomicI32,
    /// How many of them the thread has copied.
    copied: AtomicI32,
    /// Held while any connection copies: SQLite refuses a second one.
    copying: Mutex<()>,
}

impl Checkpoints {
    /// For the file that `writer` writes to.
    pub(super) fn start(writer: &mut Connection, path: &Path) -> Result<Checkpoints, OpenError> {
        let log = Arc::new(Log::default());
        let counted = log.clone();
        let hook = move |_: &mut Wal, pages| {
            counted.pages.store(pages, Ordering::Relaxed);
            Ok(())
        };
        writer
            .wal_hook(Some(hook))
            .map_err(|source| OpenError::Sqlite {
                file: path.into(),
                source,
            })?;
        let (wake, woken) = sync_channel(1);
        let (served, file) = (log.clone(), path.to_owned());
        let thread = std::thread::Builder::new()
            .name("duet-checkpoint".into())
            .spawn(move || served.serve(&file, &woken))
            .map_err(|error| OpenError::Folder(path.into(), error))?;
        Ok(Checkpoints {
            log,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Has a long log copied back; `writer` is between two commits.
    pub(super) fn after_commit(&self, writer: &Connection) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        if pages <= PAGES_MIN {
            return;
        }
        let rest = pages.saturating_sub(self.log.copied.load(Ordering::Relaxed));
        let copying = if pages > PAGES_MAX {
            self.hold()
        } else if rest <= REST_PAGES_MAX {
            self.log.copying.try_lock().ok()
        } else {
            None
        };
        match copying {
            Some(_held) => self.log.copy(writer),
            // A full channel: it is awake already.
            None => drop(self.wake.as_ref().map(|wake| wake.try_send(()))),
        }
    }

    /// Nothing is copied until the answer is dropped.
    pub(super) fn hold(&self) -> Option<MutexGuard<'_, ()>> {
        self.log.copying.lock().ok()
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// None leaves the log longer; the next commit tries again.
fn connect(file: &Path) -> Option<Connection> {
    let connection = super::connect(file, CACHE_KIB);
    let told = connection.inspect_err(|error| tracing::warn!(%error, "a write-ahead log grows"));
    told.ok()
}

impl Log {
    /// Its connection is made when it is first needed, since that reads the whole schema.
    fn serve(&self, file: &Path, woken: &Receiver<()>) {
        let mut connection = None;
        while woken.recv().is_ok() {
            let made = connection.take().or_else(|| connect(file));
            if let (Ok(_held), Some(made)) = (self.copying.lock(), &made) {
                self.copy(made);
            }
            connection = made;
        }
    }

    /// A failure leaves the log longer; the next commit tries again.
    fn copy(&self, connection: &Connection) {
        let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            row.get::<_, i32>(2)
        });
        if let Ok(copied) = copied {
            // All of it: the next commit begins the log anew, and nothing of that one is copied.
            let is_all = copied >= self.pages.load(Ordering::Relaxed);
            let copied = if is_all { 0 } else { copied };
            self.copied.store(copied, Ordering::Relaxed);
        }
    }
}
