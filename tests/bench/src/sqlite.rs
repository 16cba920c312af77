//! SQLite alone: one thread, the gateway's tables and durability, commits of a fixed number of rows.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use duet_rules::webhook::{self, Element, Meaning, Part};
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

/// Rows of one commit, as in intake.
const SLICE: usize = 200;

/// The messages of these chunks, ready to be written.
pub(crate) fn old_messages(chunks: &[Vec<u8>]) -> Result<Vec<Element>> {
    let mut rows = Vec::new();
    for chunk in chunks {
        let elements = webhook::decode(chunk, Part::History)?;
        let is_message = |element: &Element| matches!(element.meaning, Meaning::Message(_));
        rows.extend(elements.into_iter().filter(is_message));
    }
    Ok(rows)
}

/// Messages per second that one connection writes into the gateway's own tables: an event, a message and its keys.
pub(crate) fn messages_per_second(file: &Path, rows: &[Element]) -> Result<f64> {
    let connection = Connection::open(file)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;",
    )?;
    let began = Instant::now();
    for slice in rows.chunks(SLICE) {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for row in slice {
            write(&connection, row)?;
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
    }
    let count = u64::try_from(rows.len())?;
    Ok(crate::load::precise(count) / began.elapsed().as_secs_f64())
}

fn write(connection: &Connection, row: &Element) -> Result<()> {
    let Meaning::Message(said) = &row.meaning else {
        return Ok(());
    };
    let conversation = row
        .contact
        .as_ref()
        .and_then(|contact| contact.wa_id.as_ref());
    let conversation: i64 = conversation.map_or(Ok(0), |phone| phone.parse())?;
    let id = row.keys.first().map(|key| &key.0[..]);
    connection
        .prepare_cached(
            "INSERT INTO events (id, kind, number, waba, contact, conversation, at_ms, received_ms, receipt, history, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?6, 1, 1, ?7)",
        )?
        .execute(params![id, row.kind, row.number, row.waba, conversation, row.at_ms, row.body])?;
    let message = connection
        .prepare_cached(
            "INSERT INTO messages (conversation, wamid, direction, origin, type, text, at_ms, status, phase)
             VALUES (?1, ?2, 'in', 'history', ?3, ?4, ?5, ?6, ?7)",
        )?
        .insert(params![
            conversation,
            said.wamid,
            said.type_,
            said.text,
            row.at_ms,
            said.status,
            said.phase
        ])?;
    let mut key = connection.prepare_cached("INSERT INTO dedupe VALUES (?1, ?2, ?3)")?;
    for known in &row.keys {
        key.execute(params![&known.0[..], message, row.at_ms])?;
    }
    Ok(())
}
