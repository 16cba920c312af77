//! Plugins that have asked to be told what becomes of a message's file: each gets an event, in the transaction in which
//! that is settled, or at once when it is.

use duet_rules::webhook::Key;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::super::StoreError;
use super::super::own::{Own, make};

/// The kind of that event.
const SETTLED: &str = "media.settled";

/// What an instance waits for.
pub(in super::super) struct Awaited<'a> {
    pub(in super::super) instance: &'a str,
    pub(in super::super) conversation: i64,
    /// Meta's id of the message.
    pub(in super::super) message: &'a str,
}

/// Has the instance told what becomes of the file; of one that has gone, nothing.
pub(in super::super) fn await_file(
    connection: &Connection,
    awaited: &Awaited<'_>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let number: Option<String> = connection
        .prepare_cached("SELECT number FROM conversations WHERE id = ?1")?
        .query_row([awaited.conversation], |row| row.get(0))
        .optional()?;
    let key = Key::message(&number.unwrap_or_default(), awaited.message);
    let found: Option<(i64, String)> = connection
        .prepare_cached(
            "SELECT f.message, f.state FROM messages m JOIN media f ON f.message = m.id WHERE m.conversation = ?1
             AND m.id = (SELECT message FROM dedupe WHERE key = ?2)",
        )?
        .query_row(params![awaited.conversation, &key.0[..]], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match found {
        Some((message, state)) if state == "remote" => {
            connection
                .prepare_cached("INSERT OR IGNORE INTO media_awaited VALUES (?1, ?2)")?
                .execute(params![message, awaited.instance])?;
            Ok(())
        }
        Some((message, _)) => tell(connection, message, awaited.instance, now_ms),
        None => Ok(()),
    }
}

/// Tells whoever waits for the file of a message, which is stored by now or will not come.
pub(super) fn settled(
    connection: &Connection,
    message: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    let waiting: Vec<String> = connection
        .prepare_cached("DELETE FROM media_awaited WHERE message = ?1 RETURNING instance")?
        .query_map([message], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    waiting
        .iter()
        .try_for_each(|instance| tell(connection, message, instance, now_ms))
}

/// The file of a message, with whose it is.
struct File {
    business: String,
    number: String,
    contact: i64,
    conversation: i64,
    body: String,
}

fn tell(
    connection: &Connection,
    message: i64,
    instance: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT k.business, c.number, c.contact, c.id, m.wamid, f.state, f.digest,
             coalesce(f.mime_type, m.media ->> 'mime_type'), f.bytes, m.media ->> 'filename'
             FROM media f JOIN messages m ON m.id = f.message JOIN conversations c ON c.id = m.conversation
             JOIN contacts k ON k.id = c.contact WHERE f.message = ?1",
        )?
        .query_row([message], file)
        .optional()?;
    let Some(file) = found else {
        return Ok(());
    };
    let own = Own {
        kind: SETTLED.to_owned(),
        about: &format!("{instance}/{message}"),
        business: file.business,
        instance: Some(instance.to_owned()),
        number: Some(file.number),
        contact: Some(file.contact),
        conversation: Some(file.conversation),
        at_ms: now_ms,
        now_ms,
        body: file.body,
    };
    make(connection, own).map(drop)
}

fn file(row: &Row<'_>) -> Result<File, rusqlite::Error> {
    let text = |column: usize| row.get::<_, Option<String>>(column);
    let body = json!({
        "message": text(4)?,
        "state": text(5)?,
        "handle": text(6)?,
        "mime_type": text(7)?,
        "bytes": row.get::<_, Option<i64>>(8)?,
        "filename": text(9)?,
    });
    Ok(File {
        business: row.get(0)?,
        number: row.get(1)?,
        contact: row.get(2)?,
        conversation: row.get(3)?,
        body: body.to_string(),
    })
}
