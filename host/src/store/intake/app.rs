//! What the app on the phone shows: a person wrote, and the phone is alive.

use duet_rules::coexistence::Sign;
use duet_rules::takeover::Cause;
use duet_rules::webhook::is_by_metas_bot;
use rusqlite::Connection;

use super::super::alarms::{self, Alarm};
use super::super::handling::{Handover, Keeps, hand};
use super::super::pace::{self, Passed};
use super::super::{marketing, numbers};
use super::project::Change;
use super::{Recorded, StoreError, Terms};
use crate::effect::Handling;

/// A message that was written in the app.
pub(super) struct Written<'a> {
    pub(super) number: Option<&'a str>,
    pub(super) conversation: Option<i64>,
    pub(super) contact: Option<i64>,
    /// Its place among the events.
    pub(super) seq: i64,
    /// The event that tells of it; the live copy of what the history has is none.
    pub(super) event: Option<i64>,
    /// By Meta's clock, which may run ahead of ours.
    pub(super) at_ms: i64,
    pub(super) received_ms: i64,
    pub(super) body: &'a str,
}

impl<'a> Written<'a> {
    pub(super) fn of(change: &Change<'a>) -> Written<'a> {
        let event = change.event;
        Written {
            number: event.number.as_deref(),
            conversation: event.conversation,
            contact: event.contact,
            seq: event.seq,
            event: Some(event.seq),
            at_ms: change.at_ms(),
            received_ms: event.received_ms,
            body: &event.body,
        }
    }

    fn past_ms(&self) -> i64 {
        self.at_ms.min(self.received_ms)
    }
}

/// A person wrote in the app: the conversation is theirs, and the phone is alive. What Meta's own AI wrote there costs
/// the rates and says nothing else.
pub(super) fn wrote(
    connection: &Connection,
    written: &Written<'_>,
    terms: &Terms,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let used_up = cost(connection, written, terms)?;
    if is_by_metas_bot(written.body) {
        return Ok(());
    }
    if let Some(conversation) = written.conversation {
        let handover = Handover {
            conversation,
            handling: Handling::Person,
            keeps: Keeps::Usual(terms.person_ms),
            seq: written.seq,
            event: written.event,
            at_ms: written.past_ms(),
            cause: Cause::Echo,
            who: None,
            agent: None,
            by: None,
        };
        hand(connection, &handover)?;
        raise(connection, written, conversation, used_up, recorded)?;
    }
    match written.number {
        Some(number) => seen(
            connection,
            number,
            written.past_ms(),
            written.received_ms,
            recorded,
        ),
        None => Ok(()),
    }
}

/// What the app sends costs the rates. True when the number's was used up already.
fn cost(connection: &Connection, written: &Written<'_>, terms: &Terms) -> Result<bool, StoreError> {
    let Some(conversation) = written.conversation else {
        return Ok(false);
    };
    let passed = Passed {
        conversation,
        at_ms: written.at_ms,
        received_ms: written.received_ms,
    };
    pace::app_sent(connection, &terms.pace, passed)
}

/// Nobody asks in the app whether there is room, and whether the customer wants it.
fn raise(
    connection: &Connection,
    written: &Written<'_>,
    conversation: i64,
    used_up: bool,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let alarm = |name, detail| {
        let number = written.number.map(str::to_owned);
        Alarm::new(name, number, detail).because_of(written.event.unwrap_or_default())
    };
    if used_up {
        let detail =
            "the app has used up what the number may send in a second; sends from here wait";
        let alarm = alarm(alarms::APP_USED_UP_RATE, detail);
        recorded.alarm(connection, alarm, written.received_ms)?;
    }
    if marketing::has_stopped(connection, conversation)? {
        let detail = "a person wrote from the app to somebody who has stopped marketing messages";
        let alarm = alarm(alarms::APP_WROTE_TO_OPTED_OUT, detail).about(written.contact);
        recorded.alarm(connection, alarm, written.received_ms)?;
    }
    Ok(())
}

/// The app of a number has shown life.
pub(super) fn seen(
    connection: &Connection,
    number: &str,
    at_ms: i64,
    received_ms: i64,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let moved = numbers::live_on(connection, number, Sign::App, at_ms, received_ms)?;
    recorded.movable.extend(moved.freed);
    Ok(())
}
