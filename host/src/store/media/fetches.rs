//! The files that are to be fetched, each with its tries, and what came of it.

use duet_rules::media::{Digest, Next, Tries};
use rusqlite::{Connection, OptionalExtension, params};

use super::super::{Store, StoreError};
use super::awaited;
use super::sweep::forget;

/// A file that Meta still has.
#[derive(Debug, Clone)]
pub struct Fetch {
    pub message: i64,
    /// Whose number got it; `""` is the gateway's own business.
    pub business: String,
    pub number: String,
    pub media_id: Option<String>,
    /// What the webhook gave; it lives 5 minutes.
    pub url: Option<String>,
    /// What the webhook says of its SHA-256.
    pub claimed: Option<String>,
    pub received_ms: i64,
    pub next_ms: i64,
    pub tries: Tries,
}

/// What came of a fetch.
#[derive(Debug, Clone)]
pub enum Fetched {
    /// The bytes stand in the folder.
    Stored {
        digest: Digest,
        bytes: u64,
        /// What Meta said when it was asked.
        mime_type: Option<String>,
    },
    Not {
        next: Next,
        cause: String,
    },
}

impl Store {
    /// Writes down what came of a fetch. False when nobody waits for it any more: its message was erased, or has
    /// another file by now. What it brought is then removed.
    pub async fn settle_fetch(&self, fetch: Fetch, fetched: Fetched) -> Result<bool, StoreError> {
        let folder = self.media_folder();
        self.write(move |connection| {
            let (message, id) = (fetch.message, &fetch.media_id);
            let (state, cause, at_ms, tries) = match fetched {
                Fetched::Stored {
                    digest,
                    bytes,
                    mime_type,
                } => {
                    // It may have been swept with its last message just before it came again.
                    if !folder.holds(digest) {
                        return Err(StoreError::Conflict);
                    }
                    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
                    let stored = connection
                        .prepare_cached(
                            "UPDATE media SET state = 'stored', digest = ?3, bytes = ?4, cause = NULL,
                             mime_type = coalesce(?5, mime_type)
                             WHERE message = ?1 AND media_id IS ?2 AND state = 'remote'",
                        )?
                        .execute(params![message, id, digest.to_string(), bytes, mime_type])?;
                    match stored {
                        0 => forget(connection, digest, bytes)?,
                        _ => awaited::settled(connection, message, crate::now_ms())?,
                    }
                    return Ok(stored > 0);
                }
                Fetched::Not { next, cause } => {
                    let (at_ms, tries) = match next {
                        Next::Again { at_ms, tries } => (at_ms, tries),
                        Next::TooLarge | Next::Failed | Next::Expired => (0, fetch.tries),
                    };
                    (next.end().unwrap_or("remote"), cause, at_ms, tries)
                }
            };
            let told = connection
                .prepare_cached(
                    "UPDATE media SET state = ?3, cause = ?4, next_ms = ?5, attempt = ?6, strikes = ?7
                     WHERE message = ?1 AND media_id IS ?2 AND state = 'remote'",
                )?
                .execute(params![message, id, state, cause, at_ms, tries.attempt, tries.strikes])?;
            if told > 0 && state != "remote" {
                awaited::settled(connection, message, crate::now_ms())?;
            }
            Ok(told > 0)
        })
        .await
    }

    /// Whether a fetch is still open: its message was not erased meanwhile, and has no other file by now.
    pub async fn awaits(&self, fetch: &Fetch) -> Result<bool, StoreError> {
        let (message, id) = (fetch.message, fetch.media_id.clone());
        self.read(move |connection| {
            let found = connection
                .prepare_cached(
                    "SELECT 1 FROM media WHERE message = ?1 AND media_id IS ?2 AND state = 'remote'",
                )?
                .query_row(params![message, id], |_| Ok(()))
                .optional()?;
            Ok(found.is_some())
        })
        .await
    }

    /// Bytes of all files on disk.
    pub async fn media_bytes(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let bytes: i64 =
                connection.query_row("SELECT bytes FROM media_usage", [], |row| row.get(0))?;
            Ok(u64::try_from(bytes).unwrap_or(0))
        })
        .await
    }
}

/// Notes that a message's file is to be fetched. What it had before, as before an edit, goes.
pub(in super::super) fn expect(
    connection: &Connection,
    message: i64,
    history: bool,
    received_ms: i64,
) -> Result<bool, StoreError> {
    let expected = connection
        .prepare_cached(
            "INSERT INTO media (message, media_id, url, claimed, history, received_ms, number)
             SELECT m.id, m.media ->> 'id', m.media ->> 'url', m.media ->> 'sha256', ?2, ?3, c.number
             FROM messages m CROSS JOIN conversations c ON c.id = m.conversation WHERE m.id = ?1 AND m.media IS NOT NULL
             ON CONFLICT (message) DO UPDATE SET media_id = excluded.media_id, url = excluded.url,
             claimed = excluded.claimed, history = excluded.history, received_ms = excluded.received_ms,
             number = excluded.number, state = 'remote', attempt = 0, strikes = 0, next_ms = 0, cause = NULL, mime_type = NULL, digest = NULL,
             bytes = NULL
             WHERE media_id IS NOT excluded.media_id OR media_id IS NULL RETURNING message",
        )?
        .query_row(params![message, history, received_ms], |_| Ok(()))
        .optional()?;
    Ok(expected.is_some())
}
