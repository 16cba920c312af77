//! What an element changes in the picture of numbers, contacts, conversations and messages.

use duet_rules::coexistence::Sign;
use duet_rules::status;
use duet_rules::webhook::{
    Account, ContactChange, Edit, Element, HistoryProgress, Key, Meaning, Media, Message, Origin,
    Preference, Revoke, Status,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::super::{media, numbers};
use super::{Arrival, Recorded, StoreError};
use crate::effect::Handling;
use crate::event::Event;

/// Meta's window for free-form answers after the customer's last message (its page on sending messages).
const WINDOW_MS: i64 = 24 * 60 * 60 * 1000;

/// The event that makes the change.
pub(super) struct Change<'a> {
    pub(super) event: &'a Event,
    /// How long a person keeps a conversation after an echo.
    pub(super) person_ms: i64,
}

impl Change<'_> {
    fn at_ms(&self) -> i64 {
        self.event.at_ms.unwrap_or(self.event.received_ms)
    }
}

/// Applies what the element means; the answer is the message that it made, if any.
pub(super) fn apply(
    connection: &Connection,
    change: &Change<'_>,
    meaning: &Meaning,
    recorded: &mut Recorded,
) -> Result<Option<i64>, StoreError> {
    // Whatever a person sent, also what has no kind of its own yet.
    let echo = matches!(meaning, Meaning::Message(message) if message.origin == Origin::Echo);
    if echo || change.event.kind.starts_with("echo.") {
        take_over(connection, change, recorded)?;
    }
    match meaning {
        Meaning::Message(message) if message.follow_up => {
            follow_up(connection, change, message, recorded)?;
        }
        Meaning::Message(said) => return message(connection, change, said, recorded),
        Meaning::Status(progress) => advance(connection, change, progress, recorded)?,
        Meaning::Edit(edited) => edit(connection, change, edited, recorded)?,
        Meaning::Revoke(revoked) => revoke(connection, change, revoked)?,
        Meaning::Contact(entry) => address_book(connection, change, entry, recorded)?,
        Meaning::HistoryProgress(progress) => history(connection, change, progress)?,
        Meaning::HistoryDeclined => {
            set_number(
                connection,
                change,
                "UPDATE numbers SET history_state = 'declined' WHERE id = ?1",
            )?;
        }
        Meaning::Account(account) => account_state(connection, change, account, recorded)?,
        Meaning::Preference(preference) => preferences(connection, change, preference)?,
        // A new user id is known before its contact is looked up.
        Meaning::UserId { .. } | Meaning::Nothing => {}
    }
    Ok(None)
}

/// What waits for a message under an id that turns out to be another one of the same message.
pub(super) fn catch_up(
    connection: &Connection,
    message: i64,
    keys: &[Key],
    received_ms: i64,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    for key in keys {
        let Some(early) = take_early(connection, *key)? else {
            continue;
        };
        if let Some(status) = &early.status {
            raise(connection, message, status, early.error)?;
        }
        if early.media.is_some() {
            connection
                .prepare_cached(
                    "UPDATE messages SET media = ?2, type = coalesce(?3, type), text = coalesce(text, ?4) WHERE id = ?1",
                )?
                .execute(params![message, early.media, early.kind, early.text])?;
            // Only history has media that come apart from their message.
            recorded.media |= media::expect(connection, message, true, received_ms)?;
        }
    }
    Ok(())
}

/// The conversation of a number with a contact, made if need be.
pub(super) fn conversation(
    connection: &Connection,
    number: &str,
    contact: i64,
) -> Result<i64, StoreError> {
    let found = connection
        .prepare_cached("SELECT id FROM conversations WHERE number = ?1 AND contact = ?2")?
        .query_row(params![number, contact], |row| row.get(0))
        .optional()?;
    match found {
        Some(id) => Ok(id),
        None => Ok(connection
            .prepare_cached("INSERT INTO conversations (number, contact) VALUES (?1, ?2)")?
            .insert(params![number, contact])?),
    }
}

/// A person spoke from the app: the conversation is theirs, and the phone is alive.
fn take_over(
    connection: &Connection,
    change: &Change<'_>,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    if let Some(conversation) = change.event.conversation {
        // A phone with a wrong clock does not keep the conversation longer.
        let spoken_ms = change.at_ms().min(change.event.received_ms);
        let until_ms = spoken_ms.saturating_add(change.person_ms);
        let seq = change.event.seq;
        super::super::lanes::hand(
            connection,
            conversation,
            Handling::Person,
            until_ms,
            seq,
            None,
        )?;
    }
    app_seen(connection, change, recorded)
}

/// The live copy of a message that came with the history before. It is the same message, but only now is it known
/// to be live: an echo takes the conversation over, a customer's message opens the window. Both once.
pub(super) fn live_copy(
    connection: &Connection,
    element: &Element,
    message: Option<i64>,
    arrival: &Arrival,
) -> Result<(), StoreError> {
    let (Some(message), Meaning::Message(said), false) =
        (message, &element.meaning, element.history)
    else {
        return Ok(());
    };
    let origin = if said.outgoing { "echo" } else { "live" };
    let conversation: Option<i64> = connection
        .prepare_cached(
            "UPDATE messages SET origin = ?2 WHERE id = ?1 AND origin = 'history' RETURNING conversation",
        )?
        .query_row(params![message, origin], |row| row.get(0))
        .optional()?;
    let Some(conversation) = conversation else {
        return Ok(());
    };
    let at_ms = element
        .at_ms
        .unwrap_or(arrival.received_ms)
        .min(arrival.received_ms);
    if said.outgoing {
        let newest: i64 =
            connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
                row.get(0)
            })?;
        let until_ms = at_ms.saturating_add(arrival.person_ms);
        super::super::lanes::hand(
            connection,
            conversation,
            Handling::Person,
            until_ms,
            newest,
            None,
        )?;
    } else if said.opens_window {
        widen(connection, conversation, at_ms)?;
    }
    Ok(())
}

/// Opens the window for free-form answers from the customer's message on.
fn widen(connection: &Connection, conversation: i64, at_ms: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE conversations SET window_until_ms = max(coalesce(window_until_ms, 0), ?2) WHERE id = ?1",
        )?
        .execute(params![conversation, at_ms.saturating_add(WINDOW_MS)])?;
    Ok(())
}

fn app_seen(
    connection: &Connection,
    change: &Change<'_>,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let Some(number) = &change.event.number else {
        return Ok(());
    };
    let received_ms = change.event.received_ms;
    // A phone with a wrong clock has not been seen tomorrow.
    let at_ms = change.at_ms().min(received_ms);
    recorded.movable.extend(numbers::live_on(
        connection,
        number,
        Sign::App,
        at_ms,
        received_ms,
    )?);
    Ok(())
}

fn message(
    connection: &Connection,
    change: &Change<'_>,
    said: &Message,
    recorded: &mut Recorded,
) -> Result<Option<i64>, StoreError> {
    let Some(conversation) = change.event.conversation else {
        return Ok(None);
    };
    let early = match &said.wamid {
        Some(wamid) => take_early(connection, message_key(change, wamid))?,
        None => None,
    }
    .unwrap_or_default();
    let origin = match said.origin {
        Origin::Live => "live",
        Origin::Echo => "echo",
        Origin::History => "history",
    };
    let media = early.media.or_else(|| said.media.as_ref().map(media_json));
    let status = match (&said.status, early.status) {
        (Some(own), Some(early)) if !status::advance(Some(own), &early) => Some(own.clone()),
        (own, early) => early.or_else(|| own.clone()),
    };
    let id = connection
        .prepare_cached(
            "INSERT INTO messages (conversation, wamid, direction, origin, type, text, at_ms, status, status_error, reply_to, media)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .insert(params![
            conversation,
            said.wamid,
            if said.outgoing { "out" } else { "in" },
            origin,
            early.kind.as_deref().unwrap_or(&said.type_),
            said.text.as_ref().or(early.text.as_ref()),
            change.at_ms(),
            status,
            early.error,
            said.reaction_to.as_ref().or(said.reply_to.as_ref()),
            media
        ])?;
    if media.is_some() {
        expect_media(connection, change, id, recorded)?;
    }
    // A clock that runs ahead neither keeps the window open nor the conversation on top.
    let at_ms = change.at_ms().min(change.event.received_ms);
    connection
        .prepare_cached(
            "UPDATE conversations SET last_ms = max(coalesce(last_ms, 0), ?2) WHERE id = ?1",
        )?
        .execute(params![conversation, at_ms])?;
    if said.opens_window {
        widen(connection, conversation, at_ms)?;
    }
    Ok(Some(id))
}

fn media_json(media: &Media) -> String {
    serde_json::json!({
        "id": media.id, "mime_type": media.mime_type, "sha256": media.sha256, "filename": media.filename,
        "url": media.url,
    })
    .to_string()
}

fn expect_media(
    connection: &Connection,
    change: &Change<'_>,
    message: i64,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let Event {
        history,
        received_ms,
        ..
    } = *change.event;
    recorded.media |= media::expect(connection, message, history, received_ms)?;
    Ok(())
}

/// What came before its message.
#[derive(Default)]
pub(in super::super) struct Early {
    pub(in super::super) status: Option<String>,
    pub(in super::super) error: Option<i64>,
    media: Option<String>,
    kind: Option<String>,
    text: Option<String>,
}

/// What waits for the message with this key, no longer.
pub(in super::super) fn take_early(
    connection: &Connection,
    key: Key,
) -> Result<Option<Early>, StoreError> {
    let early = connection
        .prepare_cached("SELECT status, error, media, type, text FROM early WHERE key = ?1")?
        .query_row([&key.0[..]], |row| {
            Ok(Early {
                status: row.get(0)?,
                error: row.get(1)?,
                media: row.get(2)?,
                kind: row.get(3)?,
                text: row.get(4)?,
            })
        })
        .optional()?;
    if early.is_some() {
        connection
            .prepare_cached("DELETE FROM early WHERE key = ?1")?
            .execute([&key.0[..]])?;
    }
    Ok(early)
}

fn message_key(change: &Change<'_>, wamid: &str) -> Key {
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

fn advance(
    connection: &Connection,
    change: &Change<'_>,
    progress: &Status,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let error = progress.error.as_ref().map(|(code, _)| *code);
    if let Some(opaque) = &progress.opaque {
        let settled = super::super::outbox::settle_in(
            connection,
            opaque,
            progress,
            change.event.received_ms,
        )?;
        recorded.movable.extend(settled);
    }
    let Some(wamid) = &progress.wamid else {
        return Ok(());
    };
    let key = message_key(change, wamid);
    let Some(message) = find(connection, key)? else {
        return keep_early(
            connection,
            change,
            key,
            Some((&progress.status, error)),
            None,
        );
    };
    raise(connection, message, &progress.status, error)
}

/// Brings a message's status forward, never back.
fn raise(
    connection: &Connection,
    message: i64,
    status: &str,
    error: Option<i64>,
) -> Result<(), StoreError> {
    let current: Option<String> = connection
        .prepare_cached("SELECT status FROM messages WHERE id = ?1")?
        .query_row([message], |row| row.get(0))
        .optional()?
        .flatten();
    if status::advance(current.as_deref(), status) {
        connection
            .prepare_cached("UPDATE messages SET status = ?2, status_error = ?3 WHERE id = ?1")?
            .execute(params![message, status, error])?;
    }
    Ok(())
}

fn keep_early(
    connection: &Connection,
    change: &Change<'_>,
    key: Key,
    status: Option<(&str, Option<i64>)>,
    media: Option<(String, &Message)>,
) -> Result<(), StoreError> {
    let current: Option<String> = connection
        .prepare_cached("SELECT status FROM early WHERE key = ?1")?
        .query_row([&key.0[..]], |row| row.get(0))
        .optional()?
        .flatten();
    let status = status.filter(|(new, _)| status::advance(current.as_deref(), new));
    connection
        .prepare_cached(
            "INSERT INTO early (key, status, error, media, type, text, received_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (key) DO UPDATE SET status = coalesce(excluded.status, status),
             error = coalesce(excluded.error, error), media = coalesce(excluded.media, media),
             type = coalesce(excluded.type, type), text = coalesce(excluded.text, text)",
        )?
        .execute(params![
            &key.0[..],
            status.map(|(word, _)| word),
            status.and_then(|(_, error)| error),
            media.as_ref().map(|(json, _)| json),
            media.as_ref().map(|(_, message)| &message.type_),
            media.as_ref().and_then(|(_, message)| message.text.as_ref()),
            change.event.received_ms
        ])?;
    Ok(())
}

/// The media of an earlier placeholder. Joined by id alone: direction and time stay the placeholder's.
fn follow_up(
    connection: &Connection,
    change: &Change<'_>,
    message: &Message,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let (Some(wamid), Some(media)) = (&message.wamid, &message.media) else {
        return Ok(());
    };
    let key = message_key(change, wamid);
    let json = media_json(media);
    let Some(id) = find(connection, key)? else {
        return keep_early(connection, change, key, None, Some((json, message)));
    };
    connection
        .prepare_cached(
            "UPDATE messages SET media = ?2, type = ?3, text = coalesce(text, ?4) WHERE id = ?1",
        )?
        .execute(params![id, json, message.type_, message.text])?;
    expect_media(connection, change, id, recorded)
}

fn edit(
    connection: &Connection,
    change: &Change<'_>,
    edited: &Edit,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    if let Some(id) = find(connection, message_key(change, &edited.original))? {
        let media = edited.media.as_ref().map(media_json);
        connection
            .prepare_cached(
                "UPDATE messages SET edited = 1, text = coalesce(?2, text), media = coalesce(?3, media) WHERE id = ?1",
            )?
            .execute(params![id, edited.text, media])?;
        if media.is_some() {
            expect_media(connection, change, id, recorded)?;
        }
    }
    Ok(())
}

fn revoke(
    connection: &Connection,
    change: &Change<'_>,
    revoked: &Revoke,
) -> Result<(), StoreError> {
    if let Some(id) = find(connection, message_key(change, &revoked.original))? {
        connection
            .prepare_cached("UPDATE messages SET revoked = 1 WHERE id = ?1")?
            .execute([id])?;
    }
    Ok(())
}

/// The phone's address book. Ordered by the phone's own time, so that a late retry resurrects nobody.
fn address_book(
    connection: &Connection,
    change: &Change<'_>,
    entry: &ContactChange,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let at_ms = entry.at_ms.unwrap_or(change.event.received_ms);
    let name = if entry.removed {
        None
    } else {
        saved_name(&change.event.body)
    };
    connection
        .prepare_cached(
            "UPDATE contacts SET saved_name = ?2, saved_ms = ?3 WHERE id = ?1 AND coalesce(saved_ms, 0) <= ?3",
        )?
        .execute(params![change.event.contact, name, at_ms])?;
    set_number(
        connection,
        change,
        "UPDATE numbers SET contacts_state = 'synced' WHERE id = ?1 AND contacts_state <> 'synced'",
    )?;
    app_seen(connection, change, recorded)
}

fn saved_name(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let name = |key: &str| {
        body.pointer(key)
            .and_then(|name| name.as_str())
            .map(str::to_owned)
    };
    name("/contact/full_name").or_else(|| name("/contact/first_name"))
}

fn history(
    connection: &Connection,
    change: &Change<'_>,
    progress: &HistoryProgress,
) -> Result<(), StoreError> {
    let percent = progress.progress.map(|percent| percent.clamp(0, 100));
    connection
        .prepare_cached(
            "UPDATE numbers SET history_progress = max(coalesce(history_progress, 0), coalesce(?2, 0)),
             history_state = CASE WHEN ?2 = 100 OR history_state = 'complete' THEN 'complete' ELSE 'syncing' END
             WHERE id = ?1",
        )?
        .execute(params![change.event.number, percent])?;
    Ok(())
}

fn set_number(connection: &Connection, change: &Change<'_>, sql: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(sql)?
        .execute([&change.event.number])?;
    Ok(())
}

/// Disconnected, suspended, back: by WABA, or by phone in the shape that names no account.
fn account_state(
    connection: &Connection,
    change: &Change<'_>,
    account: &Account,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let reason = account.reason.as_deref();
    let Some(sign) = Sign::of_account(&account.event, reason, account.initiated_by.as_deref())
    else {
        return Ok(());
    };
    let waba = account.waba.as_ref().or(change.event.waba.as_ref());
    for number in numbers::meant(
        connection,
        waba.map(String::as_str),
        account.phone.as_deref(),
    )? {
        let (at_ms, now_ms) = (change.at_ms(), change.event.received_ms);
        recorded
            .movable
            .extend(numbers::live_on(connection, &number, sign, at_ms, now_ms)?);
    }
    Ok(())
}

fn preferences(
    connection: &Connection,
    change: &Change<'_>,
    preference: &Preference,
) -> Result<(), StoreError> {
    let stopped = match preference.value.as_deref() {
        Some("stop") => true,
        Some("resume" | "signup") => false,
        _ => return Ok(()),
    };
    connection
        .prepare_cached("UPDATE contacts SET marketing_stopped = ?2 WHERE id = ?1")?
        .execute(params![change.event.contact, stopped])?;
    Ok(())
}
