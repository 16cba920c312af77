//! The receipt log: webhook bodies as they came, in a file and with a writer of their own, so that no
//! other transaction delays an answer to Meta. An append is answered after the fsync of its group commit.
//!
//! - `writer`: the thread that commits; `waiting`: which bodies it commits next

mod waiting;
mod writer;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use duet_rules::partner::{self, OwnWord};
use duet_rules::provider::Provider;
use duet_rules::webhook::Mentions;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::checkpoint::Checkpoints;
use super::writer::maintenance;
use super::{OpenError, SCHEMA, StoreError};
use crate::newest::Newest;
use waiting::Append;
use writer::{File, Log, Order};

/// Its name in the data folder.
pub(super) const FILE: &str = "receipts.db";
/// Bodies are appended and read once, in order: hardly a page is looked at again.
const CACHE_KIB: i64 = 1024;
/// Maintenance tries so often to get a place in the queue.
const QUEUE_TRIES_MAX: u32 = 500;
const QUEUE_TRY_PAUSE: Duration = Duration::from_millis(10);

/// A stored webhook body.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// Ascending in the order of acknowledgement, never given twice.
    pub id: i64,
    pub received_ms: i64,
    /// The body mentions history: intake looks at that part apart from the live one.
    pub history: bool,
    pub body: Vec<u8>,
    /// The business whose partner has passed it on; `None` when it came from Meta.
    pub partner_of: Option<String>,
}

/// Who has passed a body on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    pub provider: Provider,
    pub business: String,
}

impl Receipt {
    /// The body in Meta's envelope.
    pub fn metas(&self) -> Result<Cow<'_, [u8]>, OwnWord> {
        match self.partner_of {
            Some(_) => partner::metas(&self.body),
            None => Ok(Cow::Borrowed(&self.body)),
        }
    }

    /// The same for looking at whose it is: a body without anything of Meta's stays as it is.
    pub(super) fn looked_at(&self) -> Cow<'_, [u8]> {
        self.metas().unwrap_or(Cow::Borrowed(&self.body))
    }
}

/// Why a body was not taken. Meta keeps it and tries again.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the receipt queue is full")]
    Full,
    #[error("the receipt log cannot write: {0}")]
    Disk(String),
}

/// The receipt log. Cheap to clone; the file closes when the last clone is gone.
#[derive(Clone)]
pub struct ReceiptLog {
    inner: Arc<Inner>,
}

struct Inner {
    queue: SyncSender<Order>,
    bytes_waiting: Arc<AtomicUsize>,
    bytes_max: usize,
    /// Highest id on disk; written before any append of its commit is answered.
    last: Newest,
    /// Of those, the highest that this process has taken and that may forbid a send.
    last_forbidding: Arc<AtomicI64>,
    healthy: Arc<AtomicBool>,
    reader: Mutex<Connection>,
}

impl ReceiptLog {
    /// Opens `receipts.db` in the folder. At most `queue_max` bodies of together `bytes_max` bytes wait for a commit.
    pub fn open(
        folder: &Path,
        queue_max: usize,
        bytes_max: usize,
    ) -> Result<ReceiptLog, OpenError> {
        let path = folder.join(FILE);
        let sqlite = |source| OpenError::Sqlite {
            file: path.clone(),
            source,
        };
        let mut connection = super::connect(&path, CACHE_KIB)?;
        let newest = prepare(&connection, &path)?;
        let checkpoints = Checkpoints::start(&mut connection, &path)?;
        let reader = super::reader(&path).map_err(sqlite)?;
        let last = Newest::new(newest);
        let last_forbidding = Arc::new(AtomicI64::new(0));
        let bytes_waiting = Arc::new(AtomicUsize::new(0));
        let (queue, orders) = sync_channel(queue_max);
        let healthy = Arc::new(AtomicBool::new(true));
        let log = Log {
            file: File::open(&path).map_err(|error| OpenError::Folder(folder.into(), error))?,
            connection,
            checkpoints,
            last: last.clone(),
            last_forbidding: last_forbidding.clone(),
            bytes_waiting: bytes_waiting.clone(),
            healthy: healthy.clone(),
        };
        std::thread::Builder::new()
            .name("duet-receipts".into())
            .spawn(move || log.serve(&orders))
            .map_err(|error| OpenError::Folder(folder.into(), error))?;
        let reader = Mutex::new(reader);
        let inner = Inner {
            queue,
            bytes_waiting,
            bytes_max,
            last,
            last_forbidding,
            healthy,
            reader,
        };
        Ok(ReceiptLog {
            inner: Arc::new(inner),
        })
    }

    /// Appends a body of Meta's; the answer is its id, given after the fsync.
    pub async fn append(
        &self,
        body: Bytes,
        received_ms: i64,
        mentions: Mentions,
    ) -> Result<i64, AppendError> {
        self.append_of(None, body, received_ms, mentions).await
    }

    /// The same of a body that a partner has passed on.
    pub async fn append_of(
        &self,
        partner: Option<Partner>,
        body: Bytes,
        received_ms: i64,
        mentions: Mentions,
    ) -> Result<i64, AppendError> {
        let bytes = body.len();
        let waiting = self.inner.bytes_waiting.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > self.inner.bytes_max {
            self.inner.bytes_waiting.fetch_sub(bytes, Ordering::Relaxed);
            return Err(AppendError::Full);
        }
        let (done, answer) = oneshot::channel();
        if let Err(refused) = self.inner.queue.try_send(Order::Append(Append {
            body,
            received_ms,
            mentions,
            partner,
            done,
        })) {
            self.inner.bytes_waiting.fetch_sub(bytes, Ordering::Relaxed);
            return Err(match refused {
                TrySendError::Full(_) => AppendError::Full,
                TrySendError::Disconnected(_) => AppendError::Disk("the writer has stopped".into()),
            });
        }
        match crate::machine::answered(answer).await {
            Ok(Ok(id)) => Ok(id),
            Ok(Err(reason)) => Err(AppendError::Disk(reason)),
            Err(_) => Err(AppendError::Disk("the writer has stopped".into())),
        }
    }

    /// Highest id that is on disk; every acknowledged receipt is at or below it.
    pub fn acknowledged(&self) -> i64 {
        self.inner.last.get()
    }

    /// The newest receipt that may forbid a send, of those that Meta has been told we have; 0 before the first one
    /// of this process.
    pub fn newest_forbidding(&self) -> i64 {
        self.inner.last_forbidding.load(Ordering::Acquire)
    }

    /// Whether the last commit went well.
    pub fn healthy(&self) -> bool {
        self.inner.healthy.load(Ordering::Relaxed)
    }

    /// Grows whenever new receipts are on disk.
    pub fn newest(&self) -> Newest {
        self.inner.last.clone()
    }

    /// Receipts after `after` in order, until `bytes_max` is passed; only those with history if asked.
    pub fn read_after(
        &self,
        after: i64,
        history_only: bool,
        bytes_max: usize,
    ) -> Result<Vec<Receipt>, StoreError> {
        let reader = self.inner.reader.lock().map_err(|_| StoreError::Stopped)?;
        let sql = if history_only {
            "SELECT id, received_ms, history, body, business FROM receipts WHERE history = 1 AND id > ?1 ORDER BY id LIMIT 512"
        } else {
            "SELECT id, received_ms, history, body, business FROM receipts WHERE id > ?1 ORDER BY id LIMIT 512"
        };
        let mut statement = reader.prepare_cached(sql)?;
        let mut rows = statement.query([after])?;
        let mut receipts = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some(row) = rows.next()?
        {
            let receipt = receipt(row)?;
            bytes += receipt.body.len();
            receipts.push(receipt);
        }
        Ok(receipts)
    }

    /// Ids up to `id` are never given again. When an older receipts.db was put back, intake has passed ids that
    /// are still to come; it would pass over their bodies. True if that is so.
    pub async fn continue_after(&self, id: i64) -> Result<bool, StoreError> {
        let raised = self
            .maintain(move |connection| {
                connection.execute(
                    "INSERT INTO sqlite_sequence (name, seq) SELECT 'receipts', 0
                     WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'receipts')",
                    [],
                )?;
                let sql =
                    "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'receipts' AND seq < ?1";
                Ok(connection.execute(sql, [id])?)
            })
            .await?;
        if raised > 0 {
            tracing::warn!(
                id,
                "receipts.db is older than duet.db: its ids go on behind those that intake has passed"
            );
        }
        Ok(raised > 0)
    }

    /// Remembers here how far intake has come, in case duet.db forgets it.
    pub async fn note_taken(&self, receipt: i64) -> Result<(), StoreError> {
        self.maintain(move |connection| {
            connection.execute(
                "UPDATE taken SET receipt = ?1 WHERE receipt < ?1",
                [receipt],
            )?;
            Ok(())
        })
        .await
    }

    /// Refuses a duet.db that has come less far than one before it.
    pub fn check_taken(&self, place: i64) -> Result<(), OpenError> {
        let reader = self
            .inner
            .reader
            .lock()
            .map_err(|_| OpenError::Damaged(FILE.into()))?;
        let taken = reader
            .query_row("SELECT receipt FROM taken", [], |row| row.get(0))
            .map_err(|source| OpenError::Sqlite {
                file: FILE.into(),
                source,
            })?;
        if place < taken {
            return Err(OpenError::Older { place, taken });
        }
        Ok(())
    }

    /// Copies the write-ahead log back, so that the file alone holds everything.
    pub async fn fold(&self) -> Result<(), StoreError> {
        self.maintain(super::fold).await
    }

    /// One receipt, if it is still kept.
    pub fn get(&self, id: i64) -> Result<Option<Receipt>, StoreError> {
        let reader = self.inner.reader.lock().map_err(|_| StoreError::Stopped)?;
        let mut statement = reader.prepare_cached(
            "SELECT id, received_ms, history, body, business FROM receipts WHERE id = ?1",
        )?;
        Ok(statement.query_row([id], receipt).optional()?)
    }

    /// Runs `work` on the reading connection, on a blocking thread; it should be short, since intake waits.
    pub(super) async fn inspect<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let inner = self.inner.clone();
        let look = move || {
            let reader = inner.reader.lock().map_err(|_| StoreError::Stopped)?;
            work(&reader)
        };
        crate::machine::blocking(look)
            .await
            .map_err(|_| StoreError::Stopped)?
    }

    /// Runs `work` on the writing connection between two commits, outside a transaction: erasure and retention.
    pub(super) async fn maintain<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (maintenance, answer) = maintenance(work);
        let mut order = Order::Maintain(maintenance);
        for _ in 0..QUEUE_TRIES_MAX {
            match self.inner.queue.try_send(order) {
                Ok(()) => {
                    return crate::machine::answered(answer)
                        .await
                        .map_err(|_| StoreError::Stopped)?;
                }
                Err(TrySendError::Disconnected(_)) => return Err(StoreError::Stopped),
                Err(TrySendError::Full(back)) => order = back,
            }
            tokio::time::sleep(QUEUE_TRY_PAUSE).await;
        }
        Err(StoreError::Unavailable("the receipt queue is full".into()))
    }
}

fn receipt(row: &rusqlite::Row<'_>) -> Result<Receipt, rusqlite::Error> {
    Ok(Receipt {
        id: row.get(0)?,
        received_ms: row.get(1)?,
        history: row.get(2)?,
        body: row.get(3)?,
        partner_of: row.get(4)?,
    })
}

/// A log that was made before there were partners does not know whom a body came from.
fn add_partner(connection: &Connection) -> Result<(), rusqlite::Error> {
    let knows: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info('receipts') WHERE name = 'business')",
        [],
        |row| row.get(0),
    )?;
    if !knows {
        connection.execute_batch(
            "ALTER TABLE receipts ADD COLUMN provider TEXT; ALTER TABLE receipts ADD COLUMN business TEXT",
        )?;
    }
    Ok(())
}

/// Makes the table; the answer is the newest id ever given.
fn prepare(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let make = || -> Result<(i64, i64), rusqlite::Error> {
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > SCHEMA {
            return Ok((found, 0));
        }
        connection.execute_batch(
            "BEGIN IMMEDIATE;
             CREATE TABLE IF NOT EXISTS receipts (
                 id INTEGER PRIMARY KEY AUTOINCREMENT,
                 received_ms INTEGER NOT NULL,
                 history INTEGER NOT NULL,
                 body BLOB NOT NULL,
                 provider TEXT,
                 business TEXT
             );
             DROP INDEX IF EXISTS receipts_history;
             CREATE INDEX IF NOT EXISTS receipts_by_part ON receipts (history);
             CREATE TABLE IF NOT EXISTS tally (accepted INTEGER NOT NULL, aged INTEGER NOT NULL);
             INSERT INTO tally SELECT (SELECT count(*) FROM receipts), 0 WHERE NOT EXISTS (SELECT 1 FROM tally);
             CREATE TABLE IF NOT EXISTS taken (receipt INTEGER NOT NULL);
             INSERT INTO taken SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM taken);",
        )?;
        add_partner(connection)?;
        connection.pragma_update(None, "user_version", SCHEMA)?;
        connection.execute_batch("COMMIT")?;
        let newest = connection.query_row(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'receipts'",
            [],
            |row| row.get(0),
        )?;
        Ok((found, newest))
    };
    match make() {
        Ok((found, _)) if found > SCHEMA => Err(OpenError::Newer {
            file: path.into(),
            found,
        }),
        Ok((_, newest)) => Ok(newest),
        Err(source) => Err(OpenError::Sqlite {
            file: path.into(),
            source,
        }),
    }
}
