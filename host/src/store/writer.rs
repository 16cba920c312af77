//! The one writer of the main file. Operations that wait together share a commit, and so an fsync; each
//! stands in a savepoint of its own, so that one that fails undoes only itself.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::StoreError;
use super::checkpoint::Checkpoints;

/// Operations that may wait for the writer; further callers wait for a place.
const QUEUE_MAX: usize = 4096;
/// One commit takes at most so many operations, and runs them for at most so long.
const BATCH_MAX: usize = 512;
const BATCH_RUN_MAX: Duration = Duration::from_millis(8);

/// An operation on its way through the writer.
trait Job: Send {
    /// Runs inside the transaction; false undoes it.
    fn run(&mut self, connection: &Connection) -> bool;
    /// After the commit, or with the reason why there was none.
    fn settle(self: Box<Self>, committed: Result<(), String>);
}

struct Task<T, W> {
    work: Option<W>,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
    /// Held as long as the task is in the queue, also when its caller has gone away.
    _place: OwnedSemaphorePermit,
}

/// Work between two commits, outside a transaction.
pub(super) type Maintenance = Box<dyn FnOnce(&Connection) + Send>;

enum Order {
    Write(Box<dyn Job>),
    Maintain(Maintenance, OwnedSemaphorePermit),
}

/// `work` with the place where its result will stand.
pub(super) fn maintenance<T, W>(work: W) -> (Maintenance, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let run = move |connection: &Connection| {
        // A caller that went away no longer needs the answer.
        let _ = answer.send(work(connection).map_err(unavailable));
    };
    (Box::new(run), answered)
}

impl<T, W> Job for Task<T, W>
where
    T: Send,
    W: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let result = work(connection);
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn settle(self: Box<Self>, committed: Result<(), String>) {
        let result = match (self.result, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) => Err(unavailable(error)),
            (_, Err(reason)) => Err(StoreError::Unavailable(reason)),
            (None, Ok(())) => Err(StoreError::Stopped),
        };
        // A caller that went away no longer needs the answer.
        let _ = self.answer.send(result);
    }
}

/// A full or failing disk is told apart from a mistake: the operation may work later.
fn unavailable(error: StoreError) -> StoreError {
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, OutOfMemory, ReadOnly, SystemIoFailure};
    match &error {
        StoreError::Sqlite(inner)
            if matches!(
                inner.sqlite_error_code(),
                Some(DiskFull | SystemIoFailure | CannotOpen | OutOfMemory | ReadOnly)
            ) =>
        {
            StoreError::Unavailable(inner.to_string())
        }
        _ => error,
    }
}

pub(super) struct Writer {
    /// Taken only when dropped.
    queue: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    places: Arc<Semaphore>,
}

/// Ends only after the last commit, so that whoever opens the folder next finds it whole.
impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        checkpoints: Checkpoints,
    ) -> Result<Writer, std::io::Error> {
        let (queue, orders) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("duet-store".into())
            .spawn(move || serve(&connection, &checkpoints, &orders))?;
        let places = Arc::new(Semaphore::new(QUEUE_MAX));
        Ok(Writer {
            queue: Some(queue),
            thread: Some(thread),
            places,
        })
    }

    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let place = self.place().await?;
        let (answer, answered) = oneshot::channel();
        let task = Task {
            work: Some(work),
            result: None,
            answer,
            _place: place,
        };
        self.send(Order::Write(Box::new(task)))?;
        crate::machine::answered(answered)
            .await
            .map_err(|_| StoreError::Stopped)?
    }

    /// Runs `work` between two commits. Everybody else waits meanwhile.
    pub(super) async fn maintain<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let place = self.place().await?;
        let (maintenance, answered) = maintenance(work);
        self.send(Order::Maintain(maintenance, place))?;
        crate::machine::answered(answered)
            .await
            .map_err(|_| StoreError::Stopped)?
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        self.places
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Stopped)
    }

    fn send(&self, order: Order) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or(StoreError::Stopped)?;
        queue.try_send(order).map_err(|_| StoreError::Stopped)
    }
}

/// Until every sender is gone.
fn serve(connection: &Connection, checkpoints: &Checkpoints, orders: &Receiver<Order>) {
    while let Ok(first) = orders.recv() {
        let maintenance = match first {
            Order::Write(first) => write_batch(connection, first, orders),
            Order::Maintain(maintenance, _place) => Some(maintenance),
        };
        if let Some(maintenance) = maintenance {
            let _still = checkpoints.hold();
            maintenance(connection);
        }
        checkpoints.after_commit(connection);
    }
}

/// One commit, answered; and the maintenance that comes after it.
fn write_batch(
    connection: &Connection,
    first: Box<dyn Job>,
    orders: &Receiver<Order>,
) -> Option<Maintenance> {
    let mut batch = Vec::with_capacity(64);
    let mut maintenance = None;
    let next = || match orders.try_recv().ok()? {
        Order::Write(job) => Some(job),
        Order::Maintain(work, _place) => {
            maintenance = Some(work);
            None
        }
    };
    let committed = commit(connection, first, next, &mut batch);
    for job in batch {
        job.settle(committed.clone());
    }
    maintenance
}

fn commit(
    connection: &Connection,
    first: Box<dyn Job>,
    mut following: impl FnMut() -> Option<Box<dyn Job>>,
    batch: &mut Vec<Box<dyn Job>>,
) -> Result<(), String> {
    let begun = step(connection, "BEGIN IMMEDIATE");
    let started = Instant::now();
    let mut next = Some(first);
    while let Some(mut job) = next.take() {
        if begun.is_ok() {
            run(connection, job.as_mut());
        }
        batch.push(job);
        if batch.len() < BATCH_MAX && started.elapsed() < BATCH_RUN_MAX {
            next = following();
        }
    }
    begun.map_err(|error| error.to_string())?;
    if connection.is_autocommit() {
        // A full disk makes SQLite undo the whole transaction by itself.
        return Err("the transaction was undone; is the disk full?".into());
    }
    crate::failpoint::hit("store.before_commit");
    if let Err(error) = step(connection, "COMMIT") {
        let _ = step(connection, "ROLLBACK");
        return Err(error.to_string());
    }
    crate::failpoint::hit("store.after_commit");
    Ok(())
}

fn run(connection: &Connection, job: &mut dyn Job) {
    if connection.is_autocommit() {
        return;
    }
    if step(connection, "SAVEPOINT operation").is_err() {
        return;
    }
    // What cannot be undone or released here ends the transaction, and so fails its commit.
    if !job.run(connection) && !connection.is_autocommit() {
        let _ = step(connection, "ROLLBACK TO operation");
    }
    let _ = step(connection, "RELEASE operation");
}

fn step(connection: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
