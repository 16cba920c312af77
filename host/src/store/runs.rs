//! The last runs of each instance, each with what it has read and what it came to. A run is kept in the transaction that
//! makes its event done or dead, and takes the place of the oldest.

use rusqlite::{Connection, Row, params};

use super::lanes::Finish;
use super::{Store, StoreError};

/// What is kept of a run beside that which its end tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 1 on the first try.
    pub attempt: u32,
    /// What it saw as now, ms since 1970.
    pub now_ms: i64,
    /// What it saw as chance.
    pub seed: [u8; 16],
    /// SHA-256 of its settings.
    pub settings: [u8; 32],
    /// JSON.
    pub outcome: String,
    /// JSON.
    pub effects: String,
    /// None when it was too much to be kept.
    pub seen: Option<Seen>,
}

/// What a run has read and what its calls have brought: JSON, and the bytes that stand in neither, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub reads: String,
    pub read_bytes: Vec<u8>,
    pub calls: String,
    pub call_bytes: Vec<u8>,
}

/// A run that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRun {
    pub seq: i64,
    /// Of the component that ran.
    pub digest: String,
    pub record: Record,
}

/// Which of the kept runs are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest, at most so many.
    Last(u64),
    /// The newest of this event.
    Event(i64),
}

impl Store {
    /// Kept runs of an instance, oldest first.
    pub async fn kept_runs(
        &self,
        instance: String,
        which: Which,
    ) -> Result<Vec<KeptRun>, StoreError> {
        self.read(move |connection| kept(connection, &instance, which))
            .await
    }

    /// Keeps no more than so many runs of an instance.
    pub async fn trim_runs(&self, instance: String, runs_max: u64) -> Result<(), StoreError> {
        self.write(move |connection| trim(connection, &instance, runs_max))
            .await
    }
}

pub(super) fn keep(
    connection: &Connection,
    finish: &Finish,
    record: &Record,
) -> Result<(), StoreError> {
    let seen = record.seen.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO runs (instance, seq, contact, attempt, now_ms, seed, digest, settings, outcome, effects, reads,
             read_bytes, calls, call_bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            finish.instance,
            finish.seq,
            finish.contact,
            record.attempt,
            record.now_ms,
            record.seed,
            finish.digest,
            record.settings,
            record.outcome,
            record.effects,
            seen.map(|seen| &seen.reads),
            seen.map(|seen| &seen.read_bytes),
            seen.map(|seen| &seen.calls),
            seen.map(|seen| &seen.call_bytes),
        ])?;
    trim(connection, &finish.instance, finish.runs_max)
}

fn trim(connection: &Connection, instance: &str, runs_max: u64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE instance = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![instance, whole(runs_max)])?;
    Ok(())
}

fn kept(connection: &Connection, instance: &str, which: Which) -> Result<Vec<KeptRun>, StoreError> {
    let (event, limit) = match which {
        Which::Last(limit) => (None, whole(limit)),
        Which::Event(seq) => (Some(seq), 1),
    };
    let mut runs: Vec<KeptRun> = connection
        .prepare_cached(
            "SELECT seq, digest, attempt, now_ms, seed, settings, outcome, effects, reads, read_bytes, calls, call_bytes
             FROM runs WHERE instance = ?1 AND seq = coalesce(?2, seq) ORDER BY id DESC LIMIT ?3",
        )?
        .query_map(params![instance, event, limit], run)?
        .collect::<Result<_, _>>()?;
    runs.reverse();
    Ok(runs)
}

fn run(row: &Row<'_>) -> Result<KeptRun, rusqlite::Error> {
    let reads: Option<String> = row.get(8)?;
    let seen = match reads {
        None => None,
        Some(reads) => Some(Seen {
            reads,
            read_bytes: row.get(9)?,
            calls: row.get(10)?,
            call_bytes: row.get(11)?,
        }),
    };
    Ok(KeptRun {
        seq: row.get(0)?,
        digest: row.get(1)?,
        record: Record {
            attempt: row.get(2)?,
            now_ms: row.get(3)?,
            seed: row.get(4)?,
            settings: row.get(5)?,
            outcome: row.get(6)?,
            effects: row.get(7)?,
            seen,
        },
    })
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
