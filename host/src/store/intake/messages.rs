//! Messages as they are shown: made once, then brought forward by statuses, late media, edits and revocations in
//! whatever order these come.

use duet_rules::status;
use duet_rules::webhook::{Edit, Key, Media, Message, Origin, Revoke, Status, is_unshown};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::super::{media, outbox, pace};
use super::early::{self, Early, File, Progress, take_early};
use super::project::{Change, opt, widen};
use super::versions::{Edited, rewrite};
use super::{Recorded, StoreError};

/// Makes the message; what came before it is applied at once.
pub(super) fn message(
    connection: &Connection,
    change: &Change<'_>,
    said: &Message,
    recorded: &mut Recorded,
) -> Result<Option<i64>, StoreError> {
    let Some(conversation) = change.event.conversation else {
        return Ok(None);
    };
    let origin = match said.origin {
        Origin::Live => "live",
        Origin::Echo => "echo",
        Origin::History => "history",
    };
    let id = connection
        .prepare_cached(
            "INSERT INTO messages (conversation, wamid, direction, origin, type, text, at_ms, status, reply_to, media, errors, phase)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .insert(params![
            conversation,
            said.wamid,
            if said.outgoing { "out" } else { "in" },
            origin,
            said.type_,
            said.text,
            change.at_ms(),
            said.status,
            said.reaction_to.as_ref().or(said.reply_to.as_ref()),
            said.media.as_ref().map(media_json),
            is_unshown(&said.type_).then(|| errors(&change.event.body)).flatten(),
            said.phase
        ])?;
    let event = change.event;
    if said.media.is_some() {
        recorded.media |= media::expect(connection, id, event.history, event.received_ms)?;
    }
    if let Some(wamid) = &said.wamid {
        recorded.media |= catch_up(connection, id, &[key(change, wamid)], event.received_ms)?;
    }
    let at_ms = change.past_ms();
    connection
        .prepare_cached(
            "UPDATE conversations SET last_ms = max(coalesce(last_ms, 0), ?2) WHERE id = ?1",
        )?
        .execute(params![conversation, at_ms])?;
    if said.opens_window {
        widen(connection, conversation, at_ms)?;
    }
    if said.referral && said.origin == Origin::Live {
        connection
            .prepare_cached("UPDATE conversations SET entry_ms = ?2 WHERE id = ?1")?
            .execute(params![conversation, at_ms])?;
    }
    if said.origin == Origin::Live {
        pace::came_in(connection, &change.terms.pace, change.passed(conversation))?;
        opt(connection, change.terms, change.event.contact, said, at_ms)?;
    }
    Ok(Some(id))
}

/// Applies what waits for a message under its ids; true when that leaves a file to fetch.
pub(in super::super) fn catch_up(
    connection: &Connection,
    message: i64,
    keys: &[Key],
    received_ms: i64,
) -> Result<bool, StoreError> {
    let mut file = false;
    for key in keys {
        if let Some(early) = take_early(connection, *key)? {
            file |= apply_early(connection, message, &early, received_ms)?;
        }
    }
    Ok(file)
}

/// True when it leaves a file to fetch.
fn apply_early(
    connection: &Connection,
    message: i64,
    early: &Early,
    received_ms: i64,
) -> Result<bool, StoreError> {
    if let Some(progress) = &early.status {
        raise(connection, message, progress)?;
    }
    if let Some(file) = &early.file {
        fill(connection, message, file)?;
    }
    if let Some(edited) = &early.edit {
        rewrite(connection, message, edited)?;
    }
    if early.revoked {
        take_back(connection, message)?;
    }
    let is_edited = early.edit.as_ref().is_some_and(|edit| edit.media.is_some());
    if early.file.is_none() && !is_edited {
        return Ok(false);
    }
    // Only the history has files that come apart from their message.
    media::expect(connection, message, early.file.is_some(), received_ms)
}

fn media_json(media: &Media) -> String {
    serde_json::json!({
        "id": media.id, "mime_type": media.mime_type, "sha256": media.sha256, "filename": media.filename,
        "url": media.url,
    })
    .to_string()
}

/// Meta's `errors[]` of an element, whole.
fn errors(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let errors = body.get("errors").filter(|errors| errors.is_array())?;
    Some(errors.to_string())
}

fn key(change: &Change<'_>, wamid: &str) -> Key {
    Key::message(change.event.number.as_deref().unwrap_or_default(), wamid)
}

/// The message with this id, if it is known.
fn find(connection: &Connection, key: Key) -> Result<Option<i64>, StoreError> {
    let found: Option<Option<i64>> = connection
        .prepare_cached("SELECT message FROM dedupe WHERE key = ?1")?
        .query_row([&key.0[..]], |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}

/// Applies it to the message with this id, now or when it comes.
fn apply(
    connection: &Connection,
    change: &Change<'_>,
    wamid: &str,
    early: Early,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let key = key(change, wamid);
    let received_ms = change.event.received_ms;
    match find(connection, key)? {
        Some(message) => {
            recorded.media |= apply_early(connection, message, &early, received_ms)?;
            Ok(())
        }
        None => {
            let number = change.event.number.as_deref().unwrap_or_default();
            early::keep(connection, key, early, (number, received_ms))
        }
    }
}

/// A status: it settles our own send, and brings the message forward.
pub(super) fn advance(
    connection: &Connection,
    change: &Change<'_>,
    told: &Status,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let code = told.error.as_ref().map(|(code, _)| *code);
    if let Some(opaque) = &told.opaque {
        let number = change.event.number.as_deref();
        let now_ms = change.event.received_ms;
        let settled = outbox::settle_in(connection, opaque, number, told, now_ms)?;
        recorded.movable.extend(settled);
        if let Some((row, code)) = settled.zip(code) {
            outbox::learn(connection, row, code, change.past_ms())?;
        }
    }
    let Some(wamid) = &told.wamid else {
        return Ok(());
    };
    let status = Progress {
        status: told.status.clone(),
        code,
        errors: code.and_then(|_| errors(&change.event.body)),
    };
    let early = Early {
        status: Some(status),
        ..Early::default()
    };
    apply(connection, change, wamid, early, recorded)
}

/// Brings a message's status forward, never back.
fn raise(connection: &Connection, message: i64, progress: &Progress) -> Result<(), StoreError> {
    let current: Option<String> = connection
        .prepare_cached("SELECT status FROM messages WHERE id = ?1")?
        .query_row([message], |row| row.get(0))
        .optional()?
        .flatten();
    if status::advance(current.as_deref(), &progress.status) {
        connection
            .prepare_cached(
                "UPDATE messages SET status = ?2, status_error = ?3, errors = ?4 WHERE id = ?1",
            )?
            .execute(params![
                message,
                progress.status,
                progress.code,
                progress.errors
            ])?;
    }
    Ok(())
}

/// The media of an earlier placeholder. Joined by id alone: direction and time stay the placeholder's.
pub(super) fn follow_up(
    connection: &Connection,
    change: &Change<'_>,
    said: &Message,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let (Some(wamid), Some(media)) = (&said.wamid, &said.media) else {
        return Ok(());
    };
    let early = Early {
        file: Some(File::new(media_json(media), said)),
        ..Early::default()
    };
    apply(connection, change, wamid, early, recorded)
}

fn fill(connection: &Connection, message: i64, file: &File) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE messages SET media = ?2, type = ?3, text = coalesce(text, ?4) WHERE id = ?1",
        )?
        .execute(params![message, file.media, file.type_, file.text])?;
    Ok(())
}

pub(super) fn edit(
    connection: &Connection,
    change: &Change<'_>,
    edit: &Edit,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let edited = Edited {
        text: edit.text.clone(),
        media: edit.media.as_ref().map(media_json),
        at_ms: change.at_ms(),
    };
    let early = Early {
        edit: Some(edited),
        ..Early::default()
    };
    apply(connection, change, &edit.original, early, recorded)
}

pub(super) fn revoke(
    connection: &Connection,
    change: &Change<'_>,
    revoke: &Revoke,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let early = Early {
        revoked: true,
        ..Early::default()
    };
    apply(connection, change, &revoke.original, early, recorded)
}

/// Deleted for everyone on the phones; here it is marked, and what it said is kept.
fn take_back(connection: &Connection, message: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE messages SET revoked = 1 WHERE id = ?1")?
        .execute([message])?;
    Ok(())
}
