//! The thread that writes the receipt log: what waits together shares a commit, and so an fsync.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

use rusqlite::{Connection, params};

use super::super::checkpoint::Checkpoints;
use super::super::writer::Maintenance;
use super::waiting::{Append, Waiting};
use crate::newest::Newest;

/// What the writer is asked for.
pub(super) enum Order {
    Append(Append),
    Maintain(Maintenance),
}

/// Which file the path led to when it was opened: what is written to a file that has no name is lost.
pub(super) struct File {
    path: PathBuf,
    id: (u64, u64),
}

impl File {
    pub(super) fn open(path: &Path) -> std::io::Result<File> {
        Ok(File {
            path: path.to_owned(),
            id: File::id(path)?,
        })
    }

    fn id(path: &Path) -> std::io::Result<(u64, u64)> {
        let metadata = std::fs::metadata(path)?;
        Ok((metadata.dev(), metadata.ino()))
    }

    fn is_in_place(&self) -> bool {
        File::id(&self.path).is_ok_and(|id| id == self.id)
    }
}

/// The writer's side.
pub(super) struct Log {
    pub(super) file: File,
    pub(super) connection: Connection,
    pub(super) checkpoints: Checkpoints,
    pub(super) last: Newest,
    pub(super) last_forbidding: Arc<AtomicI64>,
    pub(super) bytes_waiting: Arc<AtomicUsize>,
    pub(super) healthy: Arc<AtomicBool>,
}

impl Log {
    /// Until every clone of the log is gone.
    pub(super) fn serve(self, orders: &Receiver<Order>) {
        let mut waiting = Waiting::default();
        while let Ok(first) = orders.recv() {
            let mut maintenance = collect(first, orders, &mut waiting);
            while let Some(batch) = waiting.next() {
                self.append(batch);
                self.checkpoints.after_commit(&self.connection);
                if maintenance.is_none()
                    && let Ok(next) = orders.try_recv()
                {
                    maintenance = collect(next, orders, &mut waiting);
                }
            }
            if let Some(maintenance) = maintenance {
                let _still = self.checkpoints.hold();
                maintenance(&self.connection);
            }
        }
    }

    fn append(&self, batch: Vec<Append>) {
        let committed = self.commit(&batch);
        let bytes = batch.iter().map(|append| append.body.len()).sum();
        self.bytes_waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.healthy.store(committed.is_ok(), Ordering::Relaxed);
        match committed {
            Ok(ids) => self.answer(batch, &ids),
            Err(error) => {
                tracing::warn!(%error, bodies = batch.len(), "the receipt log cannot write, Meta keeps these bodies");
                for append in batch {
                    let _ = append.done.send(Err(error.clone()));
                }
            }
        }
    }

    fn commit(&self, batch: &[Append]) -> Result<Vec<i64>, String> {
        if !self.file.is_in_place() {
            return Err(format!(
                "{} was removed or replaced under the running gateway; put it back, or start the gateway again",
                self.file.path.display()
            ));
        }
        let result = self.insert(batch);
        if result.is_err() && !self.connection.is_autocommit() {
            let rolled_back = self.connection.execute_batch("ROLLBACK");
            rolled_back.map_err(|error| error.to_string())?;
        }
        result.map_err(|error| error.to_string())
    }

    fn insert(&self, batch: &[Append]) -> Result<Vec<i64>, rusqlite::Error> {
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO receipts (received_ms, history, body, provider, business) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let mut ids = Vec::with_capacity(batch.len());
        for append in batch {
            let partner = append.partner.as_ref();
            ids.push(insert.insert(params![
                append.received_ms,
                append.mentions.history,
                &append.body[..],
                partner.map(|partner| partner.provider.as_str()),
                partner.map(|partner| &partner.business)
            ])?);
        }
        let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        self.connection
            .prepare_cached("UPDATE tally SET accepted = accepted + ?1")?
            .execute([count])?;
        crate::failpoint::hit("receipts.before_commit");
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        crate::failpoint::hit("receipts.after_commit");
        Ok(ids)
    }

    fn answer(&self, batch: Vec<Append>, ids: &[i64]) {
        let newest = batch
            .iter()
            .zip(ids)
            .rev()
            .find(|(append, _)| append.mentions.forbids);
        if let Some((_, &newest)) = newest {
            self.last_forbidding.store(newest, Ordering::Release);
        }
        if let Some(&newest) = ids.last() {
            self.last.raise(newest);
        }
        for (append, &id) in batch.into_iter().zip(ids) {
            let _ = append.done.send(Ok(id));
        }
    }
}

/// Adds what has come; the answer is the maintenance that follows, if any. It comes after the bodies before it.
fn collect(first: Order, orders: &Receiver<Order>, waiting: &mut Waiting) -> Option<Maintenance> {
    let mut next = Some(first);
    while let Some(order) = next.take() {
        match order {
            Order::Maintain(maintenance) => return Some(maintenance),
            Order::Append(append) => waiting.add(append),
        }
        if waiting.has_room() {
            next = orders.try_recv().ok();
        }
    }
    None
}
