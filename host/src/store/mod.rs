//! Everything that Duet keeps, behind one face. Only this module speaks SQL.
//!
//! - `receipts`: webhook bodies, in a file and with a writer of their own, fsynced before the 200
//! - `writer`: the one writer of the main file, with group commit
//! - `checkpoint`: copies the write-ahead logs back, beside the writers
//! - `intake`: elements become events, once, with their projections
//! - `lanes`: an instance's place, effects, retries and dead letters
//! - `businesses`: whose numbers are whose
//! - `secrets`: what is sealed for them; `access`: whether their tokens are taken
//! - `numbers`: the life of each business number; `connections`: how it is connected; `syncs`: its contacts and history
//! - `owner`: whose an element is
//! - `marketing`: who gets no marketing messages
//! - `openings`: to whom conversations were begun
//! - `standing`: what Meta says of numbers' quality and of accounts
//! - `templates`: what is known of each account's templates
//! - `outbox`: sends and the gate before each; `pace`: what has been taken from the rates
//! - `alarms`: what an admin should look at; `notices`: what leaves of them
//! - `handling`: who has a conversation; `handover`: what the admin and its agents do to it
//! - `ledger`: what is counted, so that what goes missing is missed
//! - `kv`: an instance's own store; `journal`: the calls that it makes; `timers`: when it wants to be called
//! - `runs`: its last runs, with what they have read; `versions`: which of its versions were live last;
//!   `canaries`: which one was withdrawn
//! - `cases`: those that other systems keep of conversations; `annotations`: what people and plugins keep on them
//! - `schedules`: when its admin wants it to be; `hooks`: who has called it from outside
//! - `own`: events that the gateway makes itself
//! - `media`: the files of messages
//! - `views`: what the admin API reads; `search`: the index of messages' words
//! - `tokens`: who may use the admin API; `wall`: of which business they see what there is
//! - `erase`: a contact leaves; `export`: it takes its data along; `traces`: what gives it away in bytes
//! - `retention`: what goes with time
//!
//! Operations are named after what they mean and commit whole; their promises stand in `host/tests/store`,
//! which a second engine has to pass too.

pub mod access;
pub mod alarms;
pub mod annotations;
pub mod businesses;
pub mod calls;
pub mod canaries;
pub mod cases;
mod checkpoint;
pub mod connections;
mod conversations;
pub mod erase;
mod events;
mod export;
pub mod handling;
mod handover;
pub mod hooks;
pub mod intake;
pub mod journal;
pub mod kv;
pub mod lanes;
mod ledger;
mod marketing;
pub mod media;
pub mod notices;
mod numbers;
mod openings;
pub mod outbox;
mod own;
mod owner;
mod pace;
pub mod receipts;
pub mod refresh_tokens;
pub mod retention;
pub mod runs;
pub mod schedules;
mod search;
pub mod secrets;
mod standing;
pub mod syncs;
mod templates;
pub mod timers;
pub mod tokens;
mod traces;
pub mod versions;
pub mod views;
pub mod wall;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use checkpoint::Checkpoints;
pub use conversations::Conversation;
use writer::Writer;

/// Highest schema that this binary knows.
const SCHEMA: i64 = MIGRATIONS.len() as i64;
/// The steps to it; a file remembers how many it has taken.
const MIGRATIONS: [&str; 26] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/12.sql"),
    include_str!("schema/13.sql"),
    include_str!("schema/14.sql"),
    include_str!("schema/15.sql"),
    include_str!("schema/16.sql"),
    include_str!("schema/17.sql"),
    include_str!("schema/18.sql"),
    include_str!("schema/19.sql"),
    include_str!("schema/20.sql"),
    include_str!("schema/21.sql"),
    include_str!("schema/22.sql"),
    include_str!("schema/23.sql"),
    include_str!("schema/24.sql"),
    include_str!("schema/25.sql"),
    include_str!("schema/26.sql"),
    include_str!("schema/27.sql"),
];
/// Pages that the writer keeps in memory; the system's page cache has the rest.
const CACHE_KIB: i64 = 8 * 1024;
/// Readers beside the one writer.
const READERS_MAX: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the data folder {0} is in use by another duet process; stop it first, or give this one another folder with DUET_DATA"
    )]
    InUse(PathBuf),
    #[error(
        "{file} has schema {found}, this duet knows up to {SCHEMA}; start the newer duet that wrote it, or restore a backup made before the upgrade"
    )]
    Newer { file: PathBuf, found: i64 },
    #[error(
        "{0} is damaged, or no database of duet's; put a backup in its place, or move it away together with its -wal and -shm"
    )]
    Damaged(PathBuf),
    #[error(
        "duet.db has taken in webhooks up to {place}, but {taken} of receipts.db were taken in before: duet.db was lost, or an older copy was put back, and customers would be answered twice; put the newest duet.db and its -wal back, or move receipts.db away and go on without what it holds"
    )]
    Older { place: i64, taken: i64 },
    #[error("cannot open {file}: {source}")]
    Sqlite {
        file: PathBuf,
        source: rusqlite::Error,
    },
    #[error("cannot use the data folder {0}: {1}")]
    Folder(PathBuf, std::io::Error),
}

/// Why an operation did not happen. None of it happened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, or refuses; the same operation may work later.
    #[error("the store cannot write now: {0}")]
    Unavailable(String),
    /// Another process has taken over since.
    #[error("the lease was lost (epoch {0})")]
    LeaseLost(i64),
    /// What the run has read was changed meanwhile: run it again.
    #[error("a key that was read has changed")]
    Conflict,
    /// The instance would hold more than its grant allows.
    #[error(
        "the plugin would hold {held}, more than {limit} = {max}; delete what is old, or raise that in its grant"
    )]
    Bound {
        limit: &'static str,
        held: i64,
        max: u64,
    },
    #[error("the store is stopped")]
    Stopped,
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// The main store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    /// Held while the process lives: a second one on the same folder is refused.
    _lock: std::fs::File,
    epoch: i64,
    /// Held while an erasure is made: it is whole, the files rewritten, before the next one begins.
    erasing: tokio::sync::Mutex<()>,
}

impl Store {
    /// Opens `duet.db` in the folder, makes or migrates its tables, and takes the lease.
    pub fn open(folder: &Path) -> Result<Store, OpenError> {
        make_folder(folder).map_err(|error| OpenError::Folder(folder.into(), error))?;
        let lock = lock(folder)?;
        let path = folder.join("duet.db");
        let mut connection = connect(&path, CACHE_KIB)?;
        let epoch = prepare(&mut connection, &path)?;
        let checkpoints = Checkpoints::start(&mut connection, &path)?;
        let writer = Writer::start(connection, checkpoints)
            .map_err(|error| OpenError::Folder(folder.into(), error))?;
        let inner = Inner {
            path,
            writer,
            readers: Mutex::new(Vec::new()),
            _lock: lock,
            epoch,
            erasing: tokio::sync::Mutex::default(),
        };
        Ok(Store {
            inner: Arc::new(inner),
        })
    }

    /// The fencing epoch of this process's lease: grows with every start.
    pub fn epoch(&self) -> i64 {
        self.inner.epoch
    }

    /// Runs `work` in the next group commit and answers when that is on disk.
    async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.writer.write(work).await
    }

    /// Runs `work` on the writer's connection between two commits, outside a transaction.
    async fn maintain<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.writer.maintain(work).await
    }

    /// Copies the write-ahead log back, so that the file alone holds everything. For the end: it waits for readers.
    pub async fn fold(&self) -> Result<(), StoreError> {
        self.maintain(fold).await
    }

    fn folder(&self) -> PathBuf {
        self.inner
            .path
            .parent()
            .unwrap_or(Path::new("."))
            .to_owned()
    }

    /// Runs `work` on a read-only connection, beside the writer, on a blocking thread.
    async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let inner = self.inner.clone();
        crate::machine::blocking(move || inner.read(work))
            .await
            .map_err(|_| StoreError::Stopped)?
    }

    /// A look at a row or two: a few microseconds, so it runs where it stands.
    fn peek<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.inner.read(work)
    }
}

impl Inner {
    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self
            .readers
            .lock()
            .ok()
            .and_then(|mut readers| readers.pop());
        let connection = match idle {
            Some(connection) => connection,
            None => reader(&self.path)?,
        };
        let result = work(&connection);
        if let Ok(mut readers) = self.readers.lock()
            && readers.len() < READERS_MAX
        {
            readers.push(connection);
        }
        result
    }
}

/// Makes the data folder: customers' words are nobody else's business on this machine.
pub fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

fn fold(connection: &Connection) -> Result<(), StoreError> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

fn lock(folder: &Path) -> Result<std::fs::File, OpenError> {
    let file = std::fs::File::create(folder.join("duet.lock"))
        .map_err(|error| OpenError::Folder(folder.into(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(folder.into())),
        Err(std::fs::TryLockError::Error(error)) => Err(OpenError::Folder(folder.into(), error)),
    }
}

/// A writing connection: WAL, every commit fsynced, checkpoints made beside the commits.
fn connect(path: &Path, cache_kib: i64) -> Result<Connection, OpenError> {
    let open = || -> Result<Connection, rusqlite::Error> {
        let connection = Connection::open(path)?;
        keep_plans(&connection)?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
             PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;",
        )?;
        connection.pragma_update(None, "cache_size", -cache_kib)?;
        Ok(connection)
    };
    open().map_err(|source| match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            OpenError::Damaged(path.into())
        }
        _ => OpenError::Sqlite {
            file: path.into(),
            source,
        },
    })
}

/// Otherwise SQLite prepares a cached statement anew whenever a value is bound that might change its plan.
fn keep_plans(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
}

fn reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    keep_plans(&connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.execute_batch("PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

/// Makes or migrates the tables and takes the lease; the answer is its epoch.
fn prepare(connection: &mut Connection, path: &Path) -> Result<i64, OpenError> {
    let sqlite = |source| OpenError::Sqlite {
        file: path.into(),
        source,
    };
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(sqlite)?;
    if found > SCHEMA {
        return Err(OpenError::Newer {
            file: path.into(),
            found,
        });
    }
    let take = |connection: &mut Connection| -> Result<i64, rusqlite::Error> {
        let transaction = connection.transaction()?;
        for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "user_version", SCHEMA)?;
        transaction.execute(
            "INSERT INTO leases VALUES ('*', ?1, 1)
             ON CONFLICT (scope) DO UPDATE SET owner = excluded.owner, epoch = epoch + 1",
            [std::process::id().to_string()],
        )?;
        let epoch =
            transaction.query_row("SELECT epoch FROM leases WHERE scope = '*'", [], |row| {
                row.get(0)
            })?;
        transaction.commit()?;
        Ok(epoch)
    };
    take(connection).map_err(sqlite)
}
