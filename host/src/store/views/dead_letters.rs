use rusqlite::params;

use super::Page;
use crate::store::wall::Wall;
use crate::store::{Store, StoreError};

/// An event that an instance gave up on, or a send that died.
#[derive(Debug, Clone)]
pub struct DeadLetterRow {
    pub id: i64,
    pub instance: String,
    pub seq: i64,
    /// The outbox row when a send died.
    pub outbox: Option<i64>,
    pub cause: String,
    pub attempts: i64,
    pub at_ms: i64,
    /// The event's kind and conversation, while the event is kept.
    pub kind: Option<String>,
    pub conversation: Option<i64>,
}

#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    pub instance: Option<String>,
}

impl Store {
    /// Dead letters, oldest first.
    pub async fn dead_letters(
        &self,
        wall: Wall,
        page: Page,
        filter: DeadLetterFilter,
    ) -> Result<Vec<DeadLetterRow>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT d.id, d.instance, d.seq, d.outbox, d.cause, d.attempts, d.at_ms, e.kind,
                 coalesce(e.conversation, o.conversation)
                 FROM dead_letters d LEFT JOIN events e ON e.seq = d.seq LEFT JOIN outbox o ON o.id = d.outbox
                 WHERE d.id > ?1 AND (?2 IS NULL OR d.instance = ?2) AND (?4 IS NULL OR d.business = ?4)
                 ORDER BY d.id LIMIT ?3",
            )?;
            let rows = statement.query_map(params![page.after, filter.instance, page.limit, wall], |row| {
                Ok(DeadLetterRow {
                    id: row.get(0)?,
                    instance: row.get(1)?,
                    seq: row.get(2)?,
                    outbox: row.get(3)?,
                    cause: row.get(4)?,
                    attempts: row.get(5)?,
                    at_ms: row.get(6)?,
                    kind: row.get(7)?,
                    conversation: row.get(8)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
