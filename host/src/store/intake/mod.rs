//! Elements become events: each once, by a unique key in the transaction that stores it, together with
//! what it changes in the picture of numbers, contacts, conversations and messages.

mod account;
mod app;
mod bounds;
mod copies;
mod early;
mod messages;
mod person;
mod project;
mod versions;

use std::sync::Arc;

use duet_rules::identity::Identity;
use duet_rules::sending::{OptWords, Pace};
use duet_rules::webhook::{Element, Key, Meaning};
pub(super) use messages::catch_up;
use rusqlite::{Connection, OptionalExtension, params};
pub use versions::Version;

use super::alarms::Alarm;
use super::ledger::{self, Tally};
use super::{Store, StoreError, owner};
use crate::event::Event;

/// Which part of the bodies: history yields to what is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Live,
    History,
}

impl Part {
    pub const ALL: [Part; 2] = [Part::Live, Part::History];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Part::Live => "live",
            Part::History => "history",
        }
    }
}

/// How far intake has come in a part: `receipt` is taken in whole, and of the next one so many elements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub receipt: i64,
    pub element: i64,
}

/// Some or all elements of one receipt.
#[derive(Debug, Clone)]
pub struct Slice {
    pub receipt: i64,
    pub received_ms: i64,
    pub elements: Vec<Element>,
    /// Why the body could not be decoded.
    pub unreadable: Option<String>,
    /// The business whose partner has passed the body on: it speaks of nothing else.
    pub partner_of: Option<String>,
}

impl Slice {
    /// The same receipt, kept as unreadable for the reason given.
    pub fn refused(&self, reason: &StoreError) -> Slice {
        let unreadable = Some(format!("could not be stored: {reason}"));
        Slice {
            elements: Vec::new(),
            unreadable,
            partner_of: self.partner_of.clone(),
            ..*self
        }
    }
}

/// What the admin's settings say about what comes in.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// How long a person keeps a conversation after an echo.
    pub person_ms: i64,
    /// The rates that what comes in takes from.
    pub pace: Pace,
    /// By which customers opt out of marketing, and in again.
    pub opt_words: Arc<OptWords>,
}

/// What a commit of intake has made.
#[derive(Debug, Default)]
pub struct Recorded {
    /// New events in order of `seq`.
    pub events: Vec<Arc<Event>>,
    /// Outbox rows whose conversation may go on: a status has settled them, or their number is back.
    pub movable: Vec<i64>,
    /// Alarms that were not open before.
    pub alarms: Vec<Alarm>,
    /// There are files to fetch.
    pub media: bool,
}

impl Recorded {
    fn alarm(
        &mut self,
        connection: &Connection,
        alarm: Alarm,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        if super::alarms::raise(connection, &alarm, now_ms)? {
            self.alarms.push(alarm);
        }
        Ok(())
    }
}

impl Store {
    /// Where intake of this part goes on.
    pub async fn intake_place(&self, part: Part) -> Result<Place, StoreError> {
        self.read(move |connection| place(connection, part)).await
    }

    /// The next body is taken in from its first element: the one that was taken in part is no longer there.
    pub async fn forget_elements(&self) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute("UPDATE intake SET element = 0", [])?;
            Ok(())
        })
        .await
    }

    /// Stores what the slices hold and goes on to `place`, in one transaction.
    pub async fn record(
        &self,
        part: Part,
        slices: Vec<Slice>,
        place: Place,
        terms: Terms,
    ) -> Result<Recorded, StoreError> {
        self.write(move |connection| {
            let (mut recorded, mut tally) = (Recorded::default(), Tally::default());
            for slice in slices {
                take_in(connection, slice, &terms, &mut recorded, &mut tally)?;
            }
            tally.write(connection, part)?;
            connection
                .prepare_cached("UPDATE intake SET receipt = ?2, element = ?3 WHERE part = ?1")?
                .execute(params![part.as_str(), place.receipt, place.element])?;
            crate::failpoint::hit("intake.recorded");
            Ok(recorded)
        })
        .await
    }
}

/// The conversation of a number with a phone, made if need be.
pub(super) fn conversation_with(
    connection: &Connection,
    number: &str,
    phone: &str,
) -> Result<i64, StoreError> {
    let identity = Identity {
        wa_id: Some(phone.to_owned()),
        ..Identity::default()
    };
    let business = owner::of_number(connection, number)?.unwrap_or_default();
    let contact = person::contact(connection, &business, &identity, &Meaning::Nothing)?;
    project::conversation(connection, number, contact)
}

pub(super) fn place(connection: &Connection, part: Part) -> Result<Place, StoreError> {
    Ok(connection
        .prepare_cached("SELECT receipt, element FROM intake WHERE part = ?1")?
        .query_row([part.as_str()], |row| {
            Ok(Place {
                receipt: row.get(0)?,
                element: row.get(1)?,
            })
        })?)
}

fn take_in(
    connection: &Connection,
    mut slice: Slice,
    terms: &Terms,
    recorded: &mut Recorded,
    tally: &mut Tally,
) -> Result<(), StoreError> {
    let foreign = bounds::keep(connection, &mut slice, recorded)?;
    let place = (slice.receipt, slice.received_ms);
    if let Some(reason) = slice.unreadable.or(foreign) {
        connection
            .prepare_cached("INSERT OR IGNORE INTO unreadable VALUES (?1, ?2, ?3)")?
            .execute(params![slice.receipt, slice.received_ms, reason])?;
    }
    for element in slice.elements {
        let arrival = Arrival {
            receipt: slice.receipt,
            received_ms: slice.received_ms,
            partner_of: slice.partner_of.as_deref(),
            terms,
        };
        if is_of_erased(connection, &element)? {
            tally.element(element.number.as_deref(), place, &ledger::Element::Repeated);
            continue;
        }
        match known(connection, &element.keys, slice.received_ms, recorded)? {
            Some(message) => {
                tally.element(element.number.as_deref(), place, &ledger::Element::Repeated);
                copies::other_copy(connection, &element, message, &arrival, recorded)?;
            }
            None => {
                let event = store(connection, element, &arrival, recorded)?;
                let new = ledger::Element::New(&event.kind);
                tally.element(event.number.as_deref(), place, &new);
                recorded.events.push(Arc::new(event));
            }
        }
    }
    Ok(())
}

/// When and with which receipt an element came.
struct Arrival<'a> {
    receipt: i64,
    received_ms: i64,
    partner_of: Option<&'a str>,
    terms: &'a Terms,
}

/// Whether any of the keys stands already, and with which message. The others then come to stand beside it, so that the copy in the
/// history and the live one are one message in whatever order they come.
fn known(
    connection: &Connection,
    keys: &[Key],
    received_ms: i64,
    recorded: &mut Recorded,
) -> Result<Option<Option<i64>>, StoreError> {
    for key in keys {
        let message: Option<Option<i64>> = connection
            .prepare_cached("SELECT message FROM dedupe WHERE key = ?1")?
            .query_row([&key.0[..]], |row| row.get(0))
            .optional()?;
        if let Some(message) = message {
            if keys.len() > 1 {
                register(connection, keys, message, received_ms)?;
                if let Some(message) = message {
                    recorded.media |= messages::catch_up(connection, message, keys, received_ms)?;
                }
            }
            return Ok(Some(message));
        }
    }
    Ok(None)
}

pub(super) fn register(
    connection: &Connection,
    keys: &[Key],
    message: Option<i64>,
    received_ms: i64,
) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO dedupe (key, message, received_ms) VALUES (?1, ?2, ?3)",
    )?;
    for key in keys {
        insert.execute(params![&key.0[..], message, received_ms])?;
    }
    Ok(())
}

fn store(
    connection: &Connection,
    element: Element,
    arrival: &Arrival<'_>,
    recorded: &mut Recorded,
) -> Result<Event, StoreError> {
    if let Some(number) = &element.number {
        super::numbers::complete(
            connection,
            number,
            element.display.as_deref(),
            element.waba.as_deref(),
        )?;
    }
    let business = owner::of(connection, &element)?;
    person::rename_user(connection, &business, &element.meaning)?;
    let contact = match &element.contact {
        Some(identity) if !identity.is_nobody() => Some(person::contact(
            connection,
            &business,
            identity,
            &element.meaning,
        )?),
        _ => None,
    };
    let conversation = match (&element.number, contact) {
        (Some(number), Some(contact)) if talks(&element) => {
            Some(project::conversation(connection, number, contact)?)
        }
        _ => None,
    };
    let id = element
        .keys
        .first()
        .copied()
        .unwrap_or_else(|| Key::of(&[&element.body]));
    let event = Event {
        seq: insert(
            connection,
            &element,
            id,
            &business,
            contact,
            conversation,
            arrival,
        )?,
        id: id.to_string(),
        kind: element.kind.into_owned(),
        business,
        instance: None,
        number: element.number,
        waba: element.waba,
        contact,
        conversation,
        at_ms: element.at_ms,
        received_ms: arrival.received_ms,
        receipt: arrival.receipt,
        history: element.history,
        body: element.body,
        context: element.context,
    };
    let change = project::Change {
        event: &event,
        within: arrival.partner_of,
        terms: arrival.terms,
    };
    let message = project::apply(connection, &change, &element.meaning, recorded)?;
    register(connection, &element.keys, message, arrival.received_ms)?;
    Ok(event)
}

/// Whether it is the late status of a message that was erased: it would bring back whom it tells of.
fn is_of_erased(connection: &Connection, element: &Element) -> Result<bool, StoreError> {
    let (Meaning::Status(told), Some(number)) = (&element.meaning, &element.number) else {
        return Ok(false);
    };
    // A message of a group was never kept, so that its key stands alone without an erasure.
    let Some(wamid) = told.wamid.as_ref().filter(|_| !element.group) else {
        return Ok(false);
    };
    let erased = connection
        .prepare_cached(
            "SELECT 1 FROM dedupe WHERE key = ?1
             AND (message IS NULL OR NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = message))",
        )?
        .query_row([&Key::message(number, wamid).0[..]], |_| Ok(()))
        .optional()?;
    Ok(erased.is_some())
}

/// Whether the element belongs into a conversation: an address book entry or a group message does not.
fn talks(element: &Element) -> bool {
    !element.group && !matches!(element.meaning, Meaning::Contact(_))
}

fn insert(
    connection: &Connection,
    element: &Element,
    id: Key,
    business: &str,
    contact: Option<i64>,
    conversation: Option<i64>,
    arrival: &Arrival<'_>,
) -> Result<i64, StoreError> {
    let seq = connection
        .prepare_cached(
            "INSERT INTO events (id, kind, number, waba, contact, conversation, at_ms, received_ms, receipt, history, body, context, business)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .insert(params![
            &id.0[..],
            element.kind.as_ref(),
            element.number,
            element.waba,
            contact,
            conversation,
            element.at_ms,
            arrival.received_ms,
            arrival.receipt,
            element.history,
            element.body,
            element.context,
            business
        ])?;
    Ok(seq)
}
