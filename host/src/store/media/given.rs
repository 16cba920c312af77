//! Files that a business may send: those that it handed over, and those that came with its messages. A send holds its
//! files from its transaction on; the message that comes of it has them then.

use duet_rules::media::{Digest, Sendable, upload_type};
use duet_rules::sending::{Invalid, files};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::super::{Store, StoreError};

/// A send names a file that is not there.
const NO_FILE: &str =
    "there is no such file of this business; hand it over with POST /api/v1/media, and send again";

impl Store {
    /// Keeps a file that was placed in the folder for a business.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it was swept meanwhile; hand it over again.
    pub async fn keep_given(
        &self,
        business: String,
        digest: Digest,
        file: Sendable,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let folder = self.media_folder();
        self.write(move |connection| {
            if !folder.holds(digest) {
                return Err(StoreError::Conflict);
            }
            connection
                .prepare_cached(
                    "INSERT INTO media_given VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
                     mime_type = excluded.mime_type, animated = excluded.animated, used_ms = excluded.used_ms",
                )?
                .execute(params![
                    business,
                    digest.to_string(),
                    file.mime_type,
                    i64::try_from(file.bytes).unwrap_or(i64::MAX),
                    file.animated,
                    now_ms
                ])?;
            Ok(())
        })
        .await
    }

    /// A file that a business may send, or that came with its messages.
    pub async fn business_file(
        &self,
        business: String,
        digest: Digest,
    ) -> Result<Option<Sendable>, StoreError> {
        self.read(move |connection| of_business(connection, &business, digest))
            .await
    }

    /// Has a file that a plugin has brought along because of a contact go with the last of such.
    pub async fn given_for(
        &self,
        business: String,
        digest: Digest,
        contact: i64,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO media_given_for SELECT business, digest, ?3 FROM media_given
                     WHERE business = ?1 AND digest = ?2 AND EXISTS (SELECT 1 FROM contacts WHERE id = ?3)",
                )?
                .execute(params![business, digest.to_string(), contact])?;
            Ok(())
        })
        .await
    }

    /// Whether the files that a message names may be sent in a conversation: each is its business's, and Meta takes it.
    pub async fn check_files(
        &self,
        conversation: i64,
        message: &Value,
    ) -> Result<Result<(), Invalid>, StoreError> {
        if files(message).is_ok_and(|named| named.is_empty()) {
            return Ok(Ok(()));
        }
        let message = message.clone();
        self.read(move |connection| Ok(sendable(connection, conversation, &message)?.map(drop)))
            .await
    }
}

/// The files that a message to a conversation names, or why they cannot be sent.
pub(in super::super) fn sendable(
    connection: &Connection,
    conversation: i64,
    message: &Value,
) -> Result<Result<Vec<(Digest, Sendable)>, Invalid>, StoreError> {
    let named = match files(message) {
        Ok(named) if named.is_empty() => return Ok(Ok(Vec::new())),
        Ok(named) => named,
        Err(invalid) => return Ok(Err(invalid)),
    };
    let business: Option<String> = connection
        .prepare_cached(
            "SELECT k.business FROM conversations c JOIN contacts k ON k.id = c.contact WHERE c.id = ?1",
        )?
        .query_row([conversation], |row| row.get(0))
        .optional()?;
    let business = business.unwrap_or_default();
    let mut found = Vec::new();
    for file in named {
        let problem = match of_business(connection, &business, file.digest)? {
            None => NO_FILE.to_owned(),
            Some(known) => match file.kind.takes(&known) {
                Ok(()) => {
                    found.push((file.digest, known));
                    continue;
                }
                Err(problem) => problem,
            },
        };
        let pointer = file.pointer;
        return Ok(Err(Invalid { pointer, problem }));
    }
    Ok(Ok(found))
}

/// The digests of what plugins have brought along because of a contact, which nothing holds for it any more.
pub(in super::super) fn let_go_of(
    connection: &Connection,
    contact: i64,
) -> Result<Vec<String>, StoreError> {
    let mut query = connection
        .prepare_cached("DELETE FROM media_given_for WHERE contact = ?1 RETURNING digest")?;
    let found = query.query_map([contact], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Has a send hold its files.
pub(in super::super) fn hold(
    connection: &Connection,
    outbox: i64,
    files: &[(Digest, Sendable)],
    now_ms: i64,
) -> Result<(), StoreError> {
    for (digest, file) in files {
        let digest = digest.to_string();
        connection
            .prepare_cached(
                "INSERT INTO outbox_files (outbox, digest, mime_type, bytes) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                outbox,
                digest,
                file.mime_type,
                i64::try_from(file.bytes).unwrap_or(i64::MAX)
            ])?;
        connection
            .prepare_cached(
                "UPDATE media_given SET used_ms = ?3 WHERE digest = ?2 AND business = (
                 SELECT k.business FROM outbox o JOIN conversations c ON c.id = o.conversation
                 JOIN contacts k ON k.id = c.contact WHERE o.id = ?1)",
            )?
            .execute(params![outbox, digest, now_ms])?;
    }
    Ok(())
}

fn of_business(
    connection: &Connection,
    business: &str,
    digest: Digest,
) -> Result<Option<Sendable>, StoreError> {
    let digest = digest.to_string();
    let given: Option<Sendable> = connection
        .prepare_cached(
            "SELECT mime_type, bytes, animated FROM media_given WHERE business = ?1 AND digest = ?2",
        )?
        .query_row([business, &digest], file)
        .optional()?;
    if given.is_some() {
        return Ok(given);
    }
    let came: Option<Sendable> = connection
        .prepare_cached(
            "SELECT coalesce(f.mime_type, m.media ->> 'mime_type', ''), f.bytes, NULL FROM media f
             JOIN messages m ON m.id = f.message JOIN conversations c ON c.id = m.conversation
             JOIN contacts k ON k.id = c.contact
             WHERE f.digest = ?2 AND f.state = 'stored' AND k.business = ?1 LIMIT 1",
        )?
        .query_row([business, &digest], file)
        .optional()?;
    // Meta's own type of what came may have parameters that its upload does not take.
    Ok(came.map(|file| Sendable {
        mime_type: upload_type(&file.mime_type).map_or(file.mime_type, str::to_owned),
        ..file
    }))
}

fn file(row: &rusqlite::Row<'_>) -> Result<Sendable, rusqlite::Error> {
    let bytes: i64 = row.get(1)?;
    Ok(Sendable {
        mime_type: row.get(0)?,
        bytes: u64::try_from(bytes).unwrap_or(0),
        animated: row.get(2)?,
    })
}
