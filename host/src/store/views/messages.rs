use rusqlite::{Row, params};

use crate::store::{Store, StoreError};

/// A place in a conversation's messages: after everything older than `at_ms`, and up to `id` within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessagePlace {
    pub at_ms: i64,
    pub id: i64,
}

#[derive(Debug, Clone)]
pub struct MessageRow {
    pub id: i64,
    pub wamid: Option<String>,
    /// `in` or `out`.
    pub direction: String,
    /// `live`, `echo`, `history` or `duet`.
    pub origin: String,
    pub kind: String,
    pub text: Option<String>,
    pub at_ms: i64,
    pub status: Option<String>,
    /// Meta's error code of a failed one.
    pub status_error: Option<i64>,
    /// The wamid of the message that it answers.
    pub reply_to: Option<String>,
    /// JSON: state, mime_type, sha256, bytes.
    pub media: Option<String>,
    pub edited: bool,
    pub revoked: bool,
}

impl Store {
    /// A conversation's messages, oldest first.
    pub async fn messages(
        &self,
        conversation: i64,
        after: Option<MessagePlace>,
        limit: u32,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.read(move |connection| {
            let after = after.unwrap_or(MessagePlace { at_ms: i64::MIN, id: 0 });
            let mut statement = connection.prepare_cached(
                "SELECT id, wamid, direction, origin, type, text, at_ms, status, status_error, reply_to, media, edited, revoked
                 FROM messages WHERE conversation = ?1 AND (at_ms, id) > (?2, ?3) ORDER BY at_ms, id LIMIT ?4",
            )?;
            let rows = statement.query_map(params![conversation, after.at_ms, after.id, limit], message)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn message(row: &Row<'_>) -> Result<MessageRow, rusqlite::Error> {
    Ok(MessageRow {
        id: row.get(0)?,
        wamid: row.get(1)?,
        direction: row.get(2)?,
        origin: row.get(3)?,
        kind: row.get(4)?,
        text: row.get(5)?,
        at_ms: row.get(6)?,
        status: row.get(7)?,
        status_error: row.get(8)?,
        reply_to: row.get(9)?,
        media: row.get(10)?,
        edited: row.get(11)?,
        revoked: row.get(12)?,
    })
}
