//! SQLite alone: one thread, the receipt log's table and durability, commits of a fixed number of bodies.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::{Connection, params};

const BODY_BYTES: usize = 1024;

/// Bodies per second that one connection commits durably in batches of `batch`.
pub(crate) fn bodies_per_second(folder: &Path, batch: u64, seconds: f64) -> Result<f64> {
    let connection = Connection::open(folder.join(format!("alone-{batch}.db")))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;
         CREATE TABLE receipts (id INTEGER PRIMARY KEY AUTOINCREMENT, received_ms INTEGER NOT NULL,
             history INTEGER NOT NULL, body BLOB NOT NULL);
         CREATE INDEX receipts_history ON receipts (id) WHERE history = 1;",
    )?;
    let mut body = vec![b'.'; BODY_BYTES];
    let (began, limit) = (Instant::now(), Duration::from_secs_f64(seconds));
    let mut stored: u64 = 0;
    while began.elapsed() < limit {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO receipts (received_ms, history, body) VALUES (?1, ?2, ?3)",
        )?;
        for _ in 0..batch {
            stored += 1;
            if let Some(head) = body.first_chunk_mut() {
                *head = stored.to_le_bytes();
            }
            insert.execute(params![0, false, body])?;
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
    }
    Ok(crate::load::precise(stored) / began.elapsed().as_secs_f64())
}
