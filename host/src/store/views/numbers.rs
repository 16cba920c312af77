use rusqlite::params;

use crate::store::{Store, StoreError};

/// A business number and how far its two lives are joined.
#[derive(Debug, Clone)]
pub struct NumberRow {
    /// Meta's `phone_number_id`.
    pub id: String,
    pub display: Option<String>,
    pub waba: Option<String>,
    pub state: String,
    pub app_seen_ms: Option<i64>,
    pub contacts_state: String,
    pub history_state: String,
    /// Percent, as Meta tells it.
    pub history_progress: Option<i64>,
    /// Messages that came with the history.
    pub history_messages: i64,
    /// Those of them whose media was promised and has not come.
    pub history_missing: i64,
}

impl Store {
    /// Numbers after the id `after`, in the order of their ids.
    pub async fn numbers(&self, after: String, limit: u32) -> Result<Vec<NumberRow>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT n.id, n.display, n.waba, n.state, n.app_seen_ms, n.contacts_state, n.history_state,
                 n.history_progress,
                 (SELECT count(*) FROM conversations c JOIN messages m ON m.conversation = c.id
                  WHERE c.number = n.id AND m.origin = 'history'),
                 (SELECT count(*) FROM conversations c JOIN messages m ON m.conversation = c.id
                  WHERE c.number = n.id AND m.origin = 'history' AND m.type = 'media_placeholder')
                 FROM numbers n WHERE n.id > ?1 ORDER BY n.id LIMIT ?2",
            )?;
            let rows = statement.query_map(params![after, limit], |row| {
                Ok(NumberRow {
                    id: row.get(0)?,
                    display: row.get(1)?,
                    waba: row.get(2)?,
                    state: row.get(3)?,
                    app_seen_ms: row.get(4)?,
                    contacts_state: row.get(5)?,
                    history_state: row.get(6)?,
                    history_progress: row.get(7)?,
                    history_messages: row.get(8)?,
                    history_missing: row.get(9)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
