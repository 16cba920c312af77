//! A row and its message come together: by Meta's answer, or by a status that carries our mark. Either
//! may come first, and both may come; the second finds its work done.

use duet_rules::media::is_gone;
use duet_rules::meta_error::MetaError;
use duet_rules::sending::{
    Kind, NamedFile, files, free_until_ms, kind, read_callback, readable, reply_to,
};
use duet_rules::webhook::{Key, Status};
use duet_rules::{status, wamid};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use super::super::intake::{catch_up, register};
use super::super::ledger::{Reason, because};
use super::super::media::{HeldFile, forget_of, held};
use super::StoreError;

/// The status of a message that Meta has taken and not spoken of yet.
const ACCEPTED: &str = "accepted";
/// Longest text that is kept of Meta's words.
const CAUSE_CHARS_MAX: usize = 500;

pub(super) fn store_id(connection: &Connection) -> Result<String, StoreError> {
    Ok(connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'store'")?
        .query_row([], |row| row.get(0))?)
}

/// A row that has left at least once.
struct Left {
    state: String,
    conversation: i64,
    number: Option<String>,
    message: Value,
    left_ms: Option<i64>,
    /// Read before the row is closed: it lets go of them then.
    files: Vec<HeldFile>,
}

/// Settles the row that a status speaks of, inside intake's transaction: whatever became of the row so
/// far, Meta knows better. The answer is the row, so that its conversation can go on; `None` when the
/// mark is not ours or the row is gone or never left.
///
/// `failed` makes the row `failed`, any other status `sent`; a dead letter is withdrawn. The message
/// stands afterwards, so that intake can bring its status forward.
pub(in super::super) fn settle_in(
    connection: &Connection,
    opaque: &str,
    number: Option<&str>,
    progress: &Status,
    now_ms: i64,
) -> Result<Option<i64>, StoreError> {
    let Some(id) = read_callback(opaque, &store_id(connection)?) else {
        return Ok(None);
    };
    let Some(row) = left(connection, id)? else {
        return Ok(None);
    };
    // Whoever passes statuses on has seen marks: none speaks of another number's send.
    if row.number.is_some() && row.number.as_deref() != number {
        return Ok(None);
    }
    let current = match progress.wamid.as_deref() {
        Some(wamid) => ensure_message(connection, &row, wamid, now_ms)?,
        None => None,
    };
    let failed = progress.status == "failed";
    let late = !status::advance(current.as_deref(), &progress.status);
    if late && (failed || matches!(row.state.as_str(), "sent" | "failed")) {
        return Ok(Some(id));
    }
    if failed {
        forget_files(connection, &row, progress)?;
    }
    let (state, code, cause) = match &progress.error {
        Some((code, words)) if failed => ("failed", Some(*code), Some(short(words))),
        _ if failed => ("failed", None, None),
        _ => ("sent", None, None),
    };
    connection
        .prepare_cached(
            "UPDATE outbox SET state = ?2, wamid = coalesce(?3, wamid), code = ?4, cause = ?5
             WHERE id = ?1 AND (state <> ?2 OR wamid IS NOT ?3)",
        )?
        .execute(params![id, state, progress.wamid, code, cause])?;
    if row.state == "dead" {
        because(connection, Reason::Withdrawn, || {
            connection
                .prepare_cached("DELETE FROM dead_letters WHERE outbox = ?1")?
                .execute([id])?;
            Ok(())
        })?;
    }
    Ok(Some(id))
}

/// Meta's answer to our request. A row that a status has settled already only gets its message, if that
/// is missing.
pub(super) fn sent(
    connection: &Connection,
    id: i64,
    wamid: Option<&str>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Some(row) = left(connection, id)? else {
        return Ok(());
    };
    connection
        .prepare_cached(
            "UPDATE outbox SET state = 'sent', wamid = coalesce(?2, wamid), code = NULL, cause = NULL
             WHERE id = ?1 AND state IN ('sending', 'unknown')",
        )?
        .execute(params![id, wamid])?;
    if let Some(wamid) = wamid
        && kind(&row.message) != Kind::MarkRead
    {
        ensure_message(connection, &row, wamid, now_ms)?;
    }
    Ok(())
}

fn left(connection: &Connection, id: i64) -> Result<Option<Left>, StoreError> {
    let files = held(connection, id)?;
    Ok(connection
        .prepare_cached(
            "SELECT o.state, o.conversation, c.number, o.message, o.sending_ms FROM outbox o
             LEFT JOIN conversations c ON c.id = o.conversation WHERE o.id = ?1 AND o.attempt > 0",
        )?
        .query_row([id], |row| {
            let message: String = row.get(3)?;
            Ok(Left {
                state: row.get(0)?,
                conversation: row.get(1)?,
                number: row.get(2)?,
                message: serde_json::from_str(&message).unwrap_or_default(),
                left_ms: row.get(4)?,
                files,
            })
        })
        .optional()?)
}

/// Makes the message of a row unless it stands; the answer is its status now.
fn ensure_message(
    connection: &Connection,
    row: &Left,
    wamid: &str,
    now_ms: i64,
) -> Result<Option<String>, StoreError> {
    // A conversation that was erased meanwhile gets no new message.
    let Some(number) = &row.number else {
        return Ok(None);
    };
    match known(connection, number, wamid)? {
        Some(Some(message)) => status_of(connection, message),
        // The key stands without a message: it was erased.
        Some(None) => Ok(None),
        None => insert_message(connection, row, number, wamid, now_ms),
    }
}

/// Meta has failed a message because it does not have its file: the next send uploads that anew.
fn forget_files(connection: &Connection, row: &Left, progress: &Status) -> Result<(), StoreError> {
    if let (Some((code, words)), Some(number), Some(wamid)) =
        (&progress.error, &row.number, &progress.wamid)
        && is_gone(&MetaError {
            code: *code,
            message: words.clone(),
            ..MetaError::default()
        })
        && let Some(Some(message)) = known(connection, number, wamid)?
    {
        forget_of(connection, number, message)?;
    }
    Ok(())
}

/// The message that the key of `wamid` stands for, if the key stands.
fn known(
    connection: &Connection,
    number: &str,
    wamid: &str,
) -> Result<Option<Option<i64>>, StoreError> {
    let key = Key::message(number, wamid);
    Ok(connection
        .prepare_cached("SELECT message FROM dedupe WHERE key = ?1")?
        .query_row([&key.0[..]], |row| row.get(0))
        .optional()?)
}

fn insert_message(
    connection: &Connection,
    row: &Left,
    number: &str,
    wamid: &str,
    now_ms: i64,
) -> Result<Option<String>, StoreError> {
    let (type_, text) = readable(&row.message);
    let at_ms = row.left_ms.unwrap_or(now_ms);
    let file = first_file(row);
    let message = connection
        .prepare_cached(
            "INSERT INTO messages (conversation, wamid, direction, origin, type, text, at_ms, status, reply_to, media)
             VALUES (?1, ?2, 'out', 'duet', ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .insert(params![
            row.conversation,
            wamid,
            type_,
            text,
            at_ms,
            ACCEPTED,
            reply_to(&row.message),
            file.as_ref().map(|(named, file)| described(row, named, file))
        ])?;
    register(connection, &keys(number, wamid), Some(message), now_ms)?;
    if let Some((_, file)) = file {
        connection
            .prepare_cached(
                "INSERT INTO media (message, history, received_ms, state, mime_type, digest, bytes)
                 VALUES (?1, 0, ?2, 'stored', ?3, ?4, ?5)",
            )?
            .execute(params![
                message,
                at_ms,
                file.mime_type,
                file.digest.to_string(),
                i64::try_from(file.bytes).unwrap_or(i64::MAX)
            ])?;
    }
    // What Duet sends has no file to fetch.
    catch_up(connection, message, &[Key::message(number, wamid)], now_ms)?;
    connection
        .prepare_cached(
            "UPDATE conversations SET last_ms = max(coalesce(last_ms, 0), ?2) WHERE id = ?1",
        )?
        .execute(params![row.conversation, at_ms])?;
    answered(connection, row.conversation, at_ms)?;
    status_of(connection, message)
}

/// The file that stands for a sent message; of a carousel the first.
fn first_file(row: &Left) -> Option<(NamedFile, &HeldFile)> {
    let named = files(&row.message).ok()?.into_iter().next()?;
    let file = row.files.iter().find(|file| file.digest == named.digest)?;
    Some((named, file))
}

/// What the list of messages says of it.
fn described(row: &Left, named: &NamedFile, file: &HeldFile) -> String {
    let beside = named.pointer.trim_end_matches("file");
    let filename = row.message.pointer(&format!("{beside}filename"));
    json!({"mime_type": file.mime_type, "filename": filename}).to_string()
}

/// The first answer to a customer who came through an advertisement makes messages free for a while.
fn answered(connection: &Connection, conversation: i64, at_ms: i64) -> Result<(), StoreError> {
    let entry_ms: Option<i64> = connection
        .prepare_cached("SELECT entry_ms FROM conversations WHERE id = ?1")?
        .query_row([conversation], |row| row.get(0))?;
    if let Some(entry_ms) = entry_ms {
        connection
            .prepare_cached(
                "UPDATE conversations SET entry_ms = NULL, free_until_ms = coalesce(?2, free_until_ms) WHERE id = ?1",
            )?
            .execute(params![conversation, free_until_ms(entry_ms, at_ms)])?;
    }
    Ok(())
}

fn status_of(connection: &Connection, message: i64) -> Result<Option<String>, StoreError> {
    let status = connection
        .prepare_cached("SELECT status FROM messages WHERE id = ?1")?
        .query_row([message], |row| row.get(0))
        .optional()?;
    Ok(status.flatten())
}

/// The keys by which intake knows the message in every other place: by its id, and by its stanza.
fn keys(number: &str, id: &str) -> Vec<Key> {
    let mut keys = vec![Key::message(number, id)];
    if let Some(inside) = wamid::decode(id) {
        keys.push(Key::stanza(number, &inside.peer, &inside.stanza));
    }
    keys
}

fn short(words: &str) -> String {
    words.chars().take(CAUSE_CHARS_MAX).collect()
}
