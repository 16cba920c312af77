//! What an element changes in the picture of numbers, contacts, conversations and messages.

use duet_rules::history::PHASE_UNKNOWN;
use duet_rules::webhook::{ContactChange, HistoryProgress, Meaning, Message, Origin, Preference};
use rusqlite::{Connection, OptionalExtension, params};

use super::super::pace::Passed;
use super::super::{marketing, openings, templates};
use super::app::{self, Written};
use super::{Recorded, StoreError, Terms, account, messages};
use crate::event::Event;

/// Meta's window for free-form answers after the customer's last message (its page on sending messages).
const WINDOW_MS: i64 = 24 * 60 * 60 * 1000;

/// The event that makes the change.
pub(super) struct Change<'a> {
    pub(super) event: &'a Event,
    /// The only business whose numbers it may mean; `None` for any.
    pub(super) within: Option<&'a str>,
    pub(super) terms: &'a Terms,
}

impl Change<'_> {
    pub(super) fn at_ms(&self) -> i64 {
        self.event.at_ms.unwrap_or(self.event.received_ms)
    }

    /// A clock that runs ahead makes nothing happen tomorrow.
    pub(super) fn past_ms(&self) -> i64 {
        self.at_ms().min(self.event.received_ms)
    }

    /// The message of the event, as the rates look at it.
    pub(super) fn passed(&self, conversation: i64) -> Passed {
        Passed {
            conversation,
            at_ms: self.at_ms(),
            received_ms: self.event.received_ms,
        }
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
        app::wrote(connection, &Written::of(change), change.terms, recorded)?;
    }
    match meaning {
        Meaning::Message(message) if message.follow_up => {
            messages::follow_up(connection, change, message, recorded)?;
        }
        Meaning::Message(said) => {
            return messages::message(connection, change, said, recorded);
        }
        Meaning::Status(progress) => messages::advance(connection, change, progress, recorded)?,
        Meaning::Edit(edited) => messages::edit(connection, change, edited, recorded)?,
        Meaning::Revoke(revoked) => messages::revoke(connection, change, revoked, recorded)?,
        Meaning::Contact(entry) => address_book(connection, change, entry, recorded)?,
        Meaning::HistoryProgress(progress) => history(connection, change, progress)?,
        Meaning::HistoryDeclined => {
            set_number(
                connection,
                change,
                "UPDATE numbers SET history_declined = 1 WHERE id = ?1",
            )?;
        }
        Meaning::Account(account) => account::state(connection, change, account, recorded)?,
        Meaning::Alert(alert) => account::alert(connection, change, alert, recorded)?,
        Meaning::Quality(quality) => account::quality(connection, change, quality, recorded)?,
        Meaning::DailyLimit(max) => {
            if let Some(waba) = &change.event.waba {
                let (at_ms, received_ms) = (change.past_ms(), change.event.received_ms);
                let freed = openings::limit(connection, waba, *max, at_ms, received_ms)?;
                recorded.movable.extend(freed);
            }
        }
        Meaning::Template(template) => {
            if let Some(waba) = &change.event.waba {
                let (at_ms, received_ms) = (change.past_ms(), change.event.received_ms);
                templates::heard(connection, waba, template, at_ms, received_ms)?;
            }
        }
        Meaning::Preference(preference) => preferences(connection, change, preference)?,
        // A new user id is known before its contact is looked up.
        Meaning::UserId { .. } | Meaning::Nothing => {}
    }
    Ok(None)
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

/// Opens the window for free-form answers from the customer's message on.
pub(super) fn widen(
    connection: &Connection,
    conversation: i64,
    at_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE conversations SET window_until_ms = max(coalesce(window_until_ms, 0), ?2) WHERE id = ?1",
        )?
        .execute(params![conversation, at_ms.saturating_add(WINDOW_MS)])?;
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
    let Some(number) = &change.event.number else {
        return Ok(());
    };
    let (at_ms, received_ms) = (change.past_ms(), change.event.received_ms);
    app::seen(connection, number, at_ms, received_ms, recorded)
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
    let Some(number) = &change.event.number else {
        return Ok(());
    };
    connection
        .prepare_cached(
            "INSERT INTO history_chunks (number, phase, chunk, progress, messages, received_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET progress = max(coalesce(excluded.progress, progress), coalesce(progress, excluded.progress)),
             messages = messages + excluded.messages, received_ms = excluded.received_ms",
        )?
        .execute(params![
            number,
            progress.phase.unwrap_or(PHASE_UNKNOWN),
            progress.chunk_order.unwrap_or(0),
            progress.progress,
            i64::try_from(progress.messages).unwrap_or(i64::MAX),
            change.event.received_ms
        ])?;
    Ok(())
}

fn set_number(connection: &Connection, change: &Change<'_>, sql: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(sql)?
        .execute([&change.event.number])?;
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
    match change.event.contact {
        Some(contact) => marketing::stopped(connection, contact, stopped, change.past_ms()),
        None => Ok(()),
    }
}

/// The admin's words for opting out and in, as the whole of what the customer writes or taps.
pub(super) fn opt(
    connection: &Connection,
    terms: &Terms,
    contact: Option<i64>,
    said: &Message,
    at_ms: i64,
) -> Result<(), StoreError> {
    let text = said
        .text
        .as_deref()
        .filter(|_| matches!(said.type_.as_str(), "text" | "button" | "interactive"));
    let stopped = text.and_then(|text| terms.opt_words.said(text));
    match (contact, stopped) {
        (Some(contact), Some(stopped)) => marketing::stopped(connection, contact, stopped, at_ms),
        _ => Ok(()),
    }
}
