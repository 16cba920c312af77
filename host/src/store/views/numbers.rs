use duet_rules::coexistence::Number;
use rusqlite::params;

use crate::store::numbers::life;
use crate::store::{Store, StoreError};

/// A business number and how far its two lives are joined.
#[derive(Debug, Clone)]
pub struct NumberRow {
    /// Meta's `phone_number_id`.
    pub id: String,
    pub display: Option<String>,
    pub waba: Option<String>,
    pub life: Number,
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
                "SELECT n.id, n.display, n.waba, n.state, n.state_since_ms, n.app_seen_ms, n.reason, n.initiated_by, n.contacts_state, n.history_state,
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
                    life: life(row, 3)?,
                    contacts_state: row.get(8)?,
                    history_state: row.get(9)?,
                    history_progress: row.get(10)?,
                    history_messages: row.get(11)?,
                    history_missing: row.get(12)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
