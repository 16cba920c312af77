use rusqlite::{Row, params};

use super::Page;
use crate::store::wall::Wall;
use crate::store::{Store, StoreError};

#[derive(Debug, Clone)]
pub struct OutboxRow {
    pub id: i64,
    /// `api` for a send that came through the admin API.
    pub instance: String,
    pub digest: String,
    /// The event that caused it.
    pub seq: i64,
    pub conversation: i64,
    pub speaker: String,
    /// Which person speaks, JSON.
    pub agent: Option<String>,
    /// Meta's message object, JSON.
    pub message: String,
    pub state: String,
    pub attempt: i64,
    pub next_ms: i64,
    pub created_ms: i64,
    pub sending_ms: Option<i64>,
    pub wamid: Option<String>,
    /// Meta's error code.
    pub code: Option<i64>,
    pub cause: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct OutboxFilter {
    pub state: Option<&'static str>,
    pub conversation: Option<i64>,
}

impl Store {
    /// Sends in the order in which they were asked for.
    pub async fn outbox(
        &self,
        wall: Wall,
        page: Page,
        filter: OutboxFilter,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, instance, digest, seq, conversation, speaker, message, state, attempt, next_ms, created_ms,
                 sending_ms, wamid, code, cause, agent
                 FROM outbox o WHERE id > ?1 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR conversation = ?3)
                 AND (?5 IS NULL OR ?5 = (SELECT k.business FROM conversations c JOIN contacts k ON k.id = c.contact
                     WHERE c.id = o.conversation)) ORDER BY id LIMIT ?4",
            )?;
            let values = params![page.after, filter.state, filter.conversation, page.limit, wall];
            let rows = statement.query_map(values, send)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn send(row: &Row<'_>) -> Result<OutboxRow, rusqlite::Error> {
    Ok(OutboxRow {
        id: row.get(0)?,
        instance: row.get(1)?,
        digest: row.get(2)?,
        seq: row.get(3)?,
        conversation: row.get(4)?,
        speaker: row.get(5)?,
        message: row.get(6)?,
        state: row.get(7)?,
        attempt: row.get(8)?,
        next_ms: row.get(9)?,
        created_ms: row.get(10)?,
        sending_ms: row.get(11)?,
        wamid: row.get(12)?,
        code: row.get(13)?,
        cause: row.get(14)?,
        agent: row.get(15)?,
    })
}
