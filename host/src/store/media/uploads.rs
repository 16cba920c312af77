//! Under which id Meta has a file for a number, and the sends that wait until it has one.
//!
//! Promises: an id is used only for the number, the bytes and the type that it was given for, while Meta keeps it. What
//! comes of an upload is told to all sends that wait for it, in one transaction.

use duet_rules::media::{Digest, REUSE_MS};
use duet_rules::sending::Cause;
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::super::access::{self, RefusedToken};
use super::super::alarms::Alarm;
use super::super::outbox::bury;
use super::super::{Store, StoreError};

/// An upload that a send needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The send that was first to need it.
    pub outbox: i64,
    pub business: String,
    /// Meta's `phone_number_id`.
    pub number: String,
    pub digest: Digest,
    pub mime_type: String,
    pub bytes: u64,
}

/// What came of an upload that is not tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uploaded {
    /// Meta has it under this id.
    Done { media_id: String },
    /// There is an id already.
    Known,
    /// Meta does not take it, or it is not there.
    Failed { code: Option<i64>, cause: String },
    /// Given up: the sends become dead letters.
    Dead { code: Option<i64>, cause: String },
    /// Not this file but the token is refused.
    TokenRefused(RefusedToken),
}

/// A file that a send holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct HeldFile {
    pub(in super::super) digest: Digest,
    pub(in super::super) mime_type: String,
    pub(in super::super) bytes: u64,
    pub(in super::super) again: bool,
}

/// What a send has of its files at Meta's.
pub(in super::super) enum Ready {
    /// All of them, by these ids; `again` when one was lost before.
    All {
        ids: Vec<(Digest, String)>,
        again: bool,
    },
    /// This one is missing there.
    Missing(HeldFile),
}

impl Store {
    /// Whether a send waits for an upload at `now_ms`. One that was freed a moment ago is judged first.
    pub async fn awaits_upload(&self, upload: Upload, now_ms: i64) -> Result<bool, StoreError> {
        self.read(move |connection| {
            let waiting = connection
                .prepare_cached(&format!("SELECT 1 FROM outbox WHERE {WAITING} LIMIT 1"))?
                .query_row(waiting_for(&upload, now_ms), |_| Ok(()))
                .optional()?;
            Ok(waiting.is_some())
        })
        .await
    }

    /// The id that Meta has given already, if it is still good at `now_ms`.
    pub async fn upload_of(
        &self,
        upload: Upload,
        now_ms: i64,
    ) -> Result<Option<String>, StoreError> {
        self.read(move |connection| {
            media_id(
                connection,
                &upload.number,
                upload.digest,
                &upload.mime_type,
                now_ms,
            )
        })
        .await
    }

    /// Writes down what came of an upload, for all sends that wait for it. The answer is the rows to look at, and the
    /// alarm if there is a new one.
    pub async fn settle_upload(
        &self,
        upload: Upload,
        uploaded: Uploaded,
        now_ms: i64,
    ) -> Result<(Vec<i64>, Option<Alarm>), StoreError> {
        self.write(move |connection| {
            let mut alarm = None;
            let rows = match uploaded {
                Uploaded::Done { media_id } => {
                    remember(connection, &upload, &media_id, now_ms)?;
                    let mut rows = release(connection, &upload, now_ms)?;
                    rows.extend(access::taken(connection, upload.outbox, now_ms)?);
                    rows
                }
                Uploaded::Known => release(connection, &upload, now_ms)?,
                Uploaded::Failed { code, cause } => {
                    close(connection, &upload, "failed", code, &cause, now_ms)?
                }
                Uploaded::Dead { code, cause } => {
                    close(connection, &upload, "dead", code, &cause, now_ms)?
                }
                Uploaded::TokenRefused(token) => {
                    alarm = access::refused(connection, upload.outbox, &token, now_ms)?;
                    release(connection, &upload, now_ms)?
                }
            };
            Ok((rows, alarm))
        })
        .await
    }

    /// Meta does not have a file of a send any more: its id is forgotten, and the send waits for another upload. False
    /// when a status has told otherwise meanwhile.
    pub async fn file_gone(
        &self,
        outbox: i64,
        ids: Vec<(Digest, String)>,
        code: i64,
        cause: String,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| {
            for (digest, media_id) in &ids {
                connection
                    .prepare_cached(
                        "DELETE FROM media_uploads WHERE digest = ?1 AND media_id = ?2",
                    )?
                    .execute(params![digest.to_string(), media_id])?;
            }
            connection
                .prepare_cached("UPDATE outbox_files SET again = 1 WHERE outbox = ?1")?
                .execute([outbox])?;
            let changed = connection
                .prepare_cached(
                    "UPDATE outbox SET state = 'pending', next_ms = ?2, code = ?3, cause = ?4
                     WHERE id = ?1 AND state = 'sending'",
                )?
                .execute(params![outbox, now_ms, code, cause])?;
            Ok(changed > 0)
        })
        .await
    }
}

/// Sends that wait for the upload of ?1 by the number ?2 as ?3, with the cause ?4 and beyond ?5. The states are all named
/// so that the index of open rows serves.
const WAITING: &str =
    "state IN ('pending', 'sending', 'unknown') AND state = 'pending' AND cause = ?4
    AND next_ms > ?5 AND id IN (SELECT outbox FROM outbox_files WHERE digest = ?1 AND mime_type = ?3)
    AND conversation IN (SELECT id FROM conversations WHERE number = ?2)";

/// What the send `outbox` of a number has of its files at Meta's; `None` when it names files that it no longer holds.
pub(in super::super) fn ready(
    connection: &Connection,
    outbox: i64,
    number: &str,
    named: &[Digest],
    now_ms: i64,
) -> Result<Option<Ready>, StoreError> {
    if named.is_empty() {
        return Ok(Some(Ready::All {
            ids: Vec::new(),
            again: false,
        }));
    }
    let held = held(connection, outbox)?;
    let (mut ids, mut again) = (Vec::new(), false);
    for digest in named {
        let Some(file) = held.iter().find(|file| file.digest == *digest) else {
            return Ok(None);
        };
        again |= file.again;
        match media_id(connection, number, *digest, &file.mime_type, now_ms)? {
            Some(id) => ids.push((*digest, id)),
            None => return Ok(Some(Ready::Missing(file.clone()))),
        }
    }
    Ok(Some(Ready::All { ids, again }))
}

/// The files that a send holds.
pub(in super::super) fn held(
    connection: &Connection,
    outbox: i64,
) -> Result<Vec<HeldFile>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT digest, mime_type, bytes, again FROM outbox_files WHERE outbox = ?1",
    )?;
    let mut rows = statement.query([outbox])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (digest, bytes): (String, i64) = (row.get(0)?, row.get(2)?);
        if let Some(digest) = Digest::read(&digest) {
            found.push(HeldFile {
                digest,
                mime_type: row.get(1)?,
                bytes: u64::try_from(bytes).unwrap_or(0),
                again: row.get(3)?,
            });
        }
    }
    Ok(found)
}

/// Forgets by which ids Meta has the files of a message that it failed for them: the next send uploads anew.
pub(in super::super) fn forget_of(
    connection: &Connection,
    number: &str,
    message: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "DELETE FROM media_uploads WHERE number = ?1 AND digest IN (SELECT digest FROM media WHERE message = ?2)
             AND uploaded_ms <= (SELECT at_ms FROM messages WHERE id = ?2)",
        )?
        .execute(params![number, message])?;
    Ok(())
}

/// Forgets ids that Meta keeps no longer.
pub(in super::super) fn forget_uploads(
    connection: &Connection,
    now_ms: i64,
) -> Result<(), StoreError> {
    connection.execute(
        "DELETE FROM media_uploads WHERE uploaded_ms <= ?1",
        [now_ms.saturating_sub(REUSE_MS)],
    )?;
    Ok(())
}

/// After a start: no upload is under way.
pub(in super::super) fn begin_anew(connection: &Connection, now_ms: i64) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE outbox SET next_ms = ?1 WHERE state IN ('pending', 'sending', 'unknown') AND state = 'pending'
         AND next_ms > ?1 AND cause = ?2",
        params![now_ms, Cause::FileUploading.as_str()],
    )?;
    Ok(())
}

fn media_id(
    connection: &Connection,
    number: &str,
    digest: Digest,
    mime_type: &str,
    now_ms: i64,
) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT media_id FROM media_uploads WHERE number = ?1 AND digest = ?2 AND mime_type = ?3 AND uploaded_ms > ?4",
        )?
        .query_row(
            params![number, digest.to_string(), mime_type, now_ms.saturating_sub(REUSE_MS)],
            |row| row.get(0),
        )
        .optional()?)
}

/// A file that was erased while it was on its way leaves no trace.
fn remember(
    connection: &Connection,
    upload: &Upload,
    media_id: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO media_uploads SELECT ?1, ?2, ?3, ?4, ?5
             WHERE EXISTS (SELECT 1 FROM media_files WHERE digest = ?2 AND refs > 0)",
        )?
        .execute(params![
            upload.number,
            upload.digest.to_string(),
            upload.mime_type,
            media_id,
            now_ms
        ])?;
    Ok(())
}

/// The values of [`WAITING`].
fn waiting_for(upload: &Upload, now_ms: i64) -> impl Params {
    (
        upload.digest.to_string(),
        upload.number.clone(),
        upload.mime_type.clone(),
        Cause::FileUploading.as_str(),
        now_ms,
    )
}

fn release(connection: &Connection, upload: &Upload, now_ms: i64) -> Result<Vec<i64>, StoreError> {
    let sql = format!("UPDATE outbox SET next_ms = ?5 WHERE {WAITING} RETURNING id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(waiting_for(upload, now_ms), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn close(
    connection: &Connection,
    upload: &Upload,
    state: &str,
    code: Option<i64>,
    cause: &str,
    now_ms: i64,
) -> Result<Vec<i64>, StoreError> {
    let rows = release(connection, upload, now_ms)?;
    for row in &rows {
        connection
            .prepare_cached("UPDATE outbox SET state = ?2, code = ?3, cause = ?4 WHERE id = ?1")?
            .execute(params![row, state, code, cause])?;
        if state == "dead" {
            bury(connection, *row, cause, now_ms)?;
        }
    }
    Ok(rows)
}
