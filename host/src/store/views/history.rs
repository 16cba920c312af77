use std::collections::BTreeMap;

use duet_rules::history::{Chunk, Kept, MEDIA_AGE_MAX_MS, Report, report};
use rusqlite::{Connection, params};

use crate::store::StoreError;

/// What has come of a number's history, and what became of it.
pub(super) fn history(
    connection: &Connection,
    number: &str,
    declined: bool,
    now_ms: i64,
) -> Result<Report, StoreError> {
    let chunks = chunks(connection, number)?;
    let kept = kept(connection, number, &chunks)?;
    Ok(report(declined, &chunks, &kept, now_ms))
}

/// How far it has come, without counting what is kept of it.
pub(super) fn progress(
    connection: &Connection,
    number: &str,
    declined: bool,
    now_ms: i64,
) -> Result<Report, StoreError> {
    let chunks = chunks(connection, number)?;
    Ok(report(declined, &chunks, &BTreeMap::new(), now_ms))
}

fn chunks(connection: &Connection, number: &str) -> Result<Vec<Chunk>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT phase, chunk, progress, messages, received_ms FROM history_chunks WHERE number = ?1",
    )?;
    let rows = statement.query_map([number], |row| {
        Ok(Chunk {
            phase: row.get(0)?,
            order: row.get(1)?,
            progress: row.get(2)?,
            messages: row.get(3)?,
            received_ms: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What is kept of each phase.
fn kept(
    connection: &Connection,
    number: &str,
    chunks: &[Chunk],
) -> Result<BTreeMap<i64, Kept>, StoreError> {
    let first_ms = chunks.iter().map(|chunk| chunk.received_ms).min();
    let oldest_ms = first_ms.unwrap_or(0).saturating_sub(MEDIA_AGE_MAX_MS);
    let mut statement = connection.prepare_cached(
        // Each conversation's phases come in the index's order and from the index alone: a count of distinct ones in one
        // step would sort all messages.
        "SELECT phase, sum(messages), count(*), sum(media), sum(came), sum(too_old) FROM (
             SELECT m.phase, count(*) AS messages, sum(m.media IS NOT NULL) AS came,
                 sum(m.type = 'media_placeholder' OR m.media IS NOT NULL) AS media,
                 sum(m.type = 'media_placeholder' AND m.at_ms < ?2 AND NOT (m.media IS NOT NULL)) AS too_old
             FROM messages m WHERE m.phase IS NOT NULL
             AND m.conversation IN (SELECT id FROM conversations WHERE number = ?1)
             GROUP BY m.conversation, m.phase)
         GROUP BY phase",
    )?;
    let rows = statement.query_map(params![number, oldest_ms], |row| {
        Ok((
            row.get(0)?,
            Kept {
                messages: row.get(1)?,
                conversations: row.get(2)?,
                media: row.get(3)?,
                media_came: row.get(4)?,
                media_too_old: row.get(5)?,
            },
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
