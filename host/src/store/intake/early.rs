//! What came before its message and waits for it under its key: a status, the media of a placeholder, an edit, a
//! revocation. Meta promises no order.

use duet_rules::status;
use duet_rules::webhook::{Key, Message};
use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use super::versions::Edited;

/// What waits for one message.
#[derive(Default)]
pub(super) struct Early {
    pub(super) status: Option<Progress>,
    pub(super) file: Option<File>,
    pub(super) edit: Option<Edited>,
    pub(super) revoked: bool,
}

/// How far a message has come.
#[derive(Clone)]
pub(super) struct Progress {
    /// Lower case.
    pub(super) status: String,
    /// Meta's code and its whole `errors[]` when it failed.
    pub(super) code: Option<i64>,
    pub(super) errors: Option<String>,
}

/// What a placeholder stands for.
pub(super) struct File {
    /// JSON, as in a message's row.
    pub(super) media: String,
    pub(super) type_: String,
    pub(super) text: Option<String>,
}

impl File {
    pub(super) fn new(media: String, message: &Message) -> File {
        File {
            media,
            type_: message.type_.clone(),
            text: message.text.clone(),
        }
    }
}

/// What waits for the message with this key, no longer.
pub(super) fn take_early(connection: &Connection, key: Key) -> Result<Option<Early>, StoreError> {
    let early = read(connection, key)?;
    if early.is_some() {
        connection
            .prepare_cached("DELETE FROM early WHERE key = ?1")?
            .execute([&key.0[..]])?;
    }
    Ok(early)
}

fn read(connection: &Connection, key: Key) -> Result<Option<Early>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT status, error, errors, media, type, text, edit, revoked FROM early WHERE key = ?1",
        )?
        .query_row([&key.0[..]], |row| {
            let status: Option<String> = row.get(0)?;
            let (code, errors) = (row.get(1)?, row.get(2)?);
            let media: Option<String> = row.get(3)?;
            let (type_, text): (Option<String>, _) = (row.get(4)?, row.get(5)?);
            let edit: Option<String> = row.get(6)?;
            Ok(Early {
                status: status.map(|status| Progress {
                    status,
                    code,
                    errors,
                }),
                file: media.map(|media| File {
                    media,
                    type_: type_.unwrap_or_default(),
                    text,
                }),
                edit: edit.and_then(|edit| serde_json::from_str(&edit).ok()),
                revoked: row.get(7)?,
            })
        })
        .optional()?)
}

/// Keeps `early` beside what waits for the message already: of two statuses the further one, of two edits the
/// later one.
pub(super) fn keep(
    connection: &Connection,
    key: Key,
    early: Early,
    (number, received_ms): (&str, i64),
) -> Result<(), StoreError> {
    let known = read(connection, key)?.unwrap_or_default();
    let status = match (known.status, early.status) {
        (Some(known), Some(new)) if !status::advance(Some(&known.status), &new.status) => {
            Some(known)
        }
        (known, new) => new.or(known),
    };
    let edit = match (known.edit, early.edit) {
        (Some(known), Some(new)) if new.at_ms < known.at_ms => Some(known),
        (known, new) => new.or(known),
    };
    let file = early.file.or(known.file);
    let edit = edit.map(|edit| serde_json::json!(edit).to_string());
    connection
        .prepare_cached(
            "INSERT INTO early (key, status, error, errors, media, type, text, edit, revoked, received_ms, number)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (key) DO UPDATE SET status = excluded.status, error = excluded.error, errors = excluded.errors,
             media = excluded.media, type = excluded.type, text = excluded.text, edit = excluded.edit,
             revoked = excluded.revoked",
        )?
        .execute(params![
            &key.0[..],
            status.as_ref().map(|progress| &progress.status),
            status.as_ref().and_then(|progress| progress.code),
            status.as_ref().and_then(|progress| progress.errors.as_ref()),
            file.as_ref().map(|file| &file.media),
            file.as_ref().map(|file| &file.type_),
            file.as_ref().and_then(|file| file.text.as_ref()),
            edit,
            known.revoked || early.revoked,
            received_ms,
            number
        ])?;
    Ok(())
}
