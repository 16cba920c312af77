//! Reading events back.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::{Store, StoreError};
use crate::event::Event;

pub(super) const COLUMNS: &str = "seq, id, kind, number, waba, contact, conversation, at_ms, received_ms, receipt, history, body, context, business, instance";

/// The newest event's `seq`; 0 if there is none.
pub(super) fn newest(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?
        .query_row([], |row| row.get(0))
}

/// Takes a place behind all events that are there, and before those to come. No event has it or gets it.
pub(super) fn take_place(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection
        .prepare_cached(
            "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'events' RETURNING seq",
        )?
        .query_row([], |row| row.get(0))
}

/// Events that are read at once end after so many bytes of bodies.
const READ_BYTES_MAX: usize = 4 << 20;

impl Store {
    /// The newest event's `seq`; 0 if there is none.
    pub async fn newest_event(&self) -> Result<i64, StoreError> {
        self.read(|connection| Ok(newest(connection)?)).await
    }

    /// Up to `limit` events after `after`, in order; fewer when they are long.
    pub async fn events_after(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![after, limit])?;
            let (mut events, mut bytes) = (Vec::new(), 0);
            while bytes < READ_BYTES_MAX
                && let Some(row) = rows.next()?
            {
                let event = event(row)?;
                bytes += event.body.len();
                events.push(Arc::new(event));
            }
            Ok(events)
        })
        .await
    }
}

pub(super) fn event(row: &Row<'_>) -> Result<Event, rusqlite::Error> {
    let id: Vec<u8> = row.get(1)?;
    Ok(Event {
        seq: row.get(0)?,
        id: hex::encode(id),
        kind: row.get(2)?,
        number: row.get(3)?,
        waba: row.get(4)?,
        contact: row.get(5)?,
        conversation: row.get(6)?,
        at_ms: row.get(7)?,
        received_ms: row.get(8)?,
        receipt: row.get(9)?,
        history: row.get(10)?,
        body: row.get(11)?,
        context: row.get(12)?,
        business: row.get(13)?,
        instance: row.get(14)?,
    })
}
