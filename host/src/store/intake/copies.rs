//! Another copy of a message that stands already: the history has what came live, or the other way round.

use duet_rules::webhook::{Element, Meaning, Message};
use rusqlite::{Connection, OptionalExtension, params};

use super::super::events::take_place;
use super::super::owner;
use super::super::pace::{self, Passed};
use super::app::{self, Written};
use super::project::{opt, widen};
use super::{Arrival, Recorded, StoreError, person};

pub(super) fn other_copy(
    connection: &Connection,
    element: &Element,
    message: Option<i64>,
    arrival: &Arrival<'_>,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let (Some(message), Meaning::Message(said)) = (message, &element.meaning) else {
        return Ok(());
    };
    same_person(connection, element, message)?;
    match said.phase {
        Some(phase) => {
            connection
                .prepare_cached("UPDATE messages SET phase = ?2 WHERE id = ?1 AND phase IS NULL")?
                .execute(params![message, phase])?;
            Ok(())
        }
        None if element.history => Ok(()),
        None => live_copy(connection, element, said, message, arrival, recorded),
    }
}

/// Both copies are of one message, so whoever they name is one person, though the one says the phone and the other the
/// user id alone.
fn same_person(connection: &Connection, element: &Element, message: i64) -> Result<(), StoreError> {
    let Some(identity) = element.contact.as_ref().filter(|who| !who.is_nobody()) else {
        return Ok(());
    };
    let known: Option<i64> = connection
        .prepare_cached(
            "SELECT c.contact FROM messages m JOIN conversations c ON c.id = m.conversation WHERE m.id = ?1",
        )?
        .query_row([message], |row| row.get(0))
        .optional()?;
    let business = owner::of(connection, element)?;
    let named = person::contact(connection, &business, identity, &element.meaning)?;
    known.map_or(Ok(()), |known| person::match_up(connection, known, named))
}

/// The live copy of a message that came with the history before. It is the same message, but only now is it known
/// to be live: what it means for handling, window and rates happens now. Once.
fn live_copy(
    connection: &Connection,
    element: &Element,
    said: &Message,
    message: i64,
    arrival: &Arrival<'_>,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
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
    let contact: Option<i64> = connection
        .prepare_cached("SELECT contact FROM conversations WHERE id = ?1")?
        .query_row([conversation], |row| row.get(0))
        .optional()?;
    let at_ms = element.at_ms.unwrap_or(arrival.received_ms);
    if said.outgoing {
        let written = Written {
            number: element.number.as_deref(),
            conversation: Some(conversation),
            contact,
            // It is no event of its own, and comes after all that are there.
            seq: take_place(connection)?,
            event: None,
            at_ms,
            received_ms: arrival.received_ms,
            body: &element.body,
        };
        return app::wrote(connection, &written, arrival.terms, recorded);
    }
    let passed = Passed {
        conversation,
        at_ms,
        received_ms: arrival.received_ms,
    };
    pace::came_in(connection, &arrival.terms.pace, passed)?;
    let past_ms = at_ms.min(arrival.received_ms);
    if said.opens_window {
        widen(connection, conversation, past_ms)?;
    }
    opt(connection, arrival.terms, contact, said, past_ms)
}
