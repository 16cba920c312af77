//! Timers that plugins have set: rows that become events of their instance when they are due, in the transaction in
//! which they go. So each fires once, wherever the power is cut.

use std::sync::Arc;

use duet_rules::timers::{FIRED, body};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::lanes::Finish;
use super::own::{Own, make};
use super::{Store, StoreError};
use crate::event::Event;

/// Timers that become events in one transaction: others want the writer, too.
const FIRED_MAX: i64 = 100;

/// What was due.
#[derive(Debug, Default)]
pub struct Fired {
    /// In order of `seq`.
    pub events: Vec<Arc<Event>>,
    /// When the instance's next timer is due, ms since 1970; it may be due already.
    pub next_ms: Option<i64>,
}

/// A timer that an instance asks for.
pub(super) struct Timer<'a> {
    pub(super) name: &'a str,
    pub(super) at_ms: i64,
    pub(super) payload: &'a str,
    pub(super) conversation: Option<i64>,
}

impl Store {
    /// Timers of an instance that are due at `now_ms` become events, the oldest first, as many as a transaction takes.
    pub async fn fire_timers(&self, instance: String, now_ms: i64) -> Result<Fired, StoreError> {
        self.write(move |connection| fire(connection, &instance, now_ms))
            .await
    }
}

fn fire(connection: &Connection, instance: &str, now_ms: i64) -> Result<Fired, StoreError> {
    let due = due(connection, instance, now_ms)?;
    if !due.is_empty() {
        crate::failpoint::hit("timers.due");
    }
    let mut fired = Fired::default();
    for timer in due {
        cancel(connection, instance, &timer.name)?;
        if let Some(event) = timer.become_event(connection, instance, now_ms)? {
            fired.events.push(Arc::new(event));
        }
        crate::failpoint::hit("timers.in_fire");
    }
    fired.next_ms = connection
        .prepare_cached("SELECT min(at_ms) FROM timers WHERE instance = ?1")?
        .query_row([instance], |row| row.get(0))?;
    Ok(fired)
}

/// A timer whose time has come, with what its event needs.
struct Due {
    name: String,
    at_ms: i64,
    payload: String,
    conversation: Option<i64>,
    /// Of the conversation as it stands, else of the event that set it.
    contact: Option<i64>,
    /// Of the conversation; absent when that has gone.
    number: Option<String>,
    business: String,
}

fn due(connection: &Connection, instance: &str, now_ms: i64) -> Result<Vec<Due>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT t.name, t.at_ms, t.payload, t.conversation, coalesce(c.contact, t.contact), c.number,
         coalesce((SELECT business FROM instances WHERE name = t.instance), '')
         FROM timers t LEFT JOIN conversations c ON c.id = t.conversation
         WHERE t.instance = ?1 AND t.at_ms <= ?2 ORDER BY t.at_ms, t.name LIMIT ?3",
    )?;
    let read = |row: &Row<'_>| {
        Ok(Due {
            name: row.get(0)?,
            at_ms: row.get(1)?,
            payload: row.get(2)?,
            conversation: row.get(3)?,
            contact: row.get(4)?,
            number: row.get(5)?,
            business: row.get(6)?,
        })
    };
    let due = statement.query_map(params![instance, now_ms, FIRED_MAX], read)?;
    Ok(due.collect::<Result<_, _>>()?)
}

impl Due {
    /// No event for a conversation that has gone.
    fn become_event(
        self,
        connection: &Connection,
        instance: &str,
        now_ms: i64,
    ) -> Result<Option<Event>, StoreError> {
        if self.conversation.is_some() && self.number.is_none() {
            return Ok(None);
        }
        let own = Own {
            kind: FIRED.to_owned(),
            about: &format!("{instance}/{}", self.name),
            business: self.business,
            instance: Some(instance.to_owned()),
            number: self.number,
            contact: self.contact,
            conversation: self.conversation,
            at_ms: self.at_ms,
            now_ms,
            body: body(&self.name, self.at_ms, &self.payload),
        };
        make(connection, own).map(Some)
    }
}

/// Takes the place of the instance's timer of this name. With its conversation the timer itself has gone.
pub(super) fn set(
    connection: &Connection,
    finish: &Finish,
    timer: &Timer<'_>,
) -> Result<(), StoreError> {
    let set = connection
        .prepare_cached(
            "INSERT INTO timers (instance, name, at_ms, payload, conversation, contact)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE ?5 IS NULL OR EXISTS (SELECT 1 FROM conversations WHERE id = ?5)
             ON CONFLICT (instance, name) DO UPDATE SET at_ms = excluded.at_ms, payload = excluded.payload,
             conversation = excluded.conversation, contact = coalesce(excluded.contact, contact)",
        )?
        .execute(params![
            finish.instance,
            timer.name,
            timer.at_ms,
            timer.payload,
            timer.conversation,
            finish.contact
        ])?;
    if set == 0 {
        cancel(connection, &finish.instance, timer.name)?;
    }
    Ok(())
}

pub(super) fn cancel(
    connection: &Connection,
    instance: &str,
    name: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM timers WHERE instance = ?1 AND name = ?2")?
        .execute([instance, name])?;
    Ok(())
}

/// Refuses what has grown beyond the grant.
pub(super) fn within(connection: &Connection, instance: &str, max: u64) -> Result<(), StoreError> {
    let held: i64 = connection
        .prepare_cached("SELECT timers FROM timer_usage WHERE instance = ?1")?
        .query_row([instance], |row| row.get(0))
        .optional()?
        .unwrap_or_default();
    match u64::try_from(held) {
        Ok(held_now) if held_now > max => Err(StoreError::Bound {
            limit: "timers.max",
            held,
            max,
        }),
        _ => Ok(()),
    }
}
