//! Rows for tests, here and of the sender.

use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use crate::store::{Store, StoreError};

/// A time that all rows are older than.
pub(crate) const NOW: i64 = 1_700_000_000_000;

/// What a test looks at of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) state: String,
    pub(crate) attempt: u32,
    pub(crate) wamid: Option<String>,
    pub(crate) code: Option<i64>,
    pub(crate) cause: Option<String>,
}

pub(crate) fn text(body: &str) -> Value {
    json!({"type": "text", "text": {"body": body}})
}

impl Store {
    /// A conversation with an open window; its phone is made of `peer`.
    pub(crate) async fn plant_conversation(&self, peer: i64) -> Result<i64, StoreError> {
        self.write(move |connection| {
            connection.execute(
                "INSERT OR IGNORE INTO numbers (id, state) VALUES ('1001', 'live')",
                [],
            )?;
            connection.execute(
                "INSERT INTO contacts (wa_id) VALUES (?1)",
                [format!("1650555{peer:04}")],
            )?;
            connection.execute(
                "INSERT INTO conversations (number, contact, window_until_ms) VALUES ('1001', ?1, ?2)",
                params![connection.last_insert_rowid(), i64::MAX],
            )?;
            Ok(connection.last_insert_rowid())
        })
        .await
    }

    /// An automation's pending send, caused by event 10.
    pub(crate) async fn plant(&self, conversation: i64, message: Value) -> Result<i64, StoreError> {
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO outbox (instance, digest, seq, conversation, speaker, message, state, next_ms, created_ms)
                 VALUES ('faq', 'd', 10, ?1, 'automation', ?2, 'pending', 0, 0)",
                params![conversation, message.to_string()],
            )?;
            Ok(connection.last_insert_rowid())
        })
        .await
    }

    pub(crate) async fn change(&self, sql: &'static str) -> Result<(), StoreError> {
        self.write(move |connection| Ok(connection.execute_batch(sql)?))
            .await
    }

    pub(crate) async fn seen(&self, id: i64) -> Result<Option<Seen>, StoreError> {
        self.read(move |connection| {
            Ok(connection
                .query_row(
                    "SELECT state, attempt, wamid, code, cause FROM outbox WHERE id = ?1",
                    [id],
                    |row| {
                        Ok(Seen {
                            state: row.get(0)?,
                            attempt: row.get(1)?,
                            wamid: row.get(2)?,
                            code: row.get(3)?,
                            cause: row.get(4)?,
                        })
                    },
                )
                .optional()?)
        })
        .await
    }

    /// The first column of a query, as text.
    pub(crate) async fn column(&self, sql: &'static str) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| {
            Ok(connection
                .prepare(sql)?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?)
        })
        .await
    }

    /// A status webhook that carries a send's mark.
    pub(crate) async fn plant_status(
        &self,
        opaque: String,
        status: duet_rules::webhook::Status,
        now_ms: i64,
    ) -> Result<Option<i64>, StoreError> {
        self.write(move |connection| {
            super::settle_in(connection, &opaque, Some("1001"), &status, now_ms)
        })
        .await
    }
}
