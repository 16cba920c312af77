use duet_rules::coexistence::Number;
use duet_rules::history::Report;
use rusqlite::{OptionalExtension, params};

use super::history::history;
use crate::store::numbers::life;
use crate::store::{Store, StoreError};

/// A business number and how far its two lives are joined.
#[derive(Debug, Clone)]
pub struct NumberRow {
    /// Meta's `phone_number_id`.
    pub id: String,
    pub display: Option<String>,
    pub waba: Option<String>,
    /// `""` is the gateway's own.
    pub business: String,
    pub life: Number,
    pub contacts_state: String,
    pub history: Report,
}

impl Store {
    /// Numbers after the id `after`, in the order of their ids, as they are at `now_ms`.
    pub async fn numbers(
        &self,
        after: String,
        limit: u32,
        now_ms: i64,
    ) -> Result<Vec<NumberRow>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, display, waba, state, state_since_ms, app_seen_ms, reason, initiated_by, contacts_state,
                        history_declined, business
                 FROM numbers WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let mut rows = statement.query(params![after, limit])?;
            let mut numbers = Vec::new();
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                numbers.push(NumberRow {
                    history: history(connection, &id, row.get(9)?, now_ms)?,
                    id,
                    display: row.get(1)?,
                    waba: row.get(2)?,
                    business: row.get(10)?,
                    life: life(row, 3)?,
                    contacts_state: row.get(8)?,
                });
            }
            Ok(numbers)
        })
        .await
    }

    /// Whether the chats of a number came over; `None` when there is no such number.
    pub async fn history(&self, number: String, now_ms: i64) -> Result<Option<Report>, StoreError> {
        self.read(move |connection| {
            let declined: Option<bool> = connection
                .prepare_cached("SELECT history_declined FROM numbers WHERE id = ?1")?
                .query_row([&number], |row| row.get(0))
                .optional()?;
            declined
                .map(|declined| history(connection, &number, declined, now_ms))
                .transpose()
        })
        .await
    }
}
