//! Calls of plugins' hooks: each becomes an event of its instance in the transaction that stores it, and is known again by
//! its key. What a plugin answers is kept here for whoever repeats the call.

use std::sync::Arc;

use duet_rules::hooks::Answer;
use duet_rules::webhook::Key;
use rusqlite::{Connection, OptionalExtension, params};

use super::own::{Own, make};
use super::{Store, StoreError};
use crate::event::Event;

/// A call that has proven from whom it comes.
#[derive(Debug)]
pub struct HookCall {
    pub instance: String,
    /// `hook.tickets`
    pub kind: String,
    /// What a repetition has in common with it; `None` when each call is a new one.
    pub key: Option<String>,
    /// Duet's id of the conversation that it names.
    pub conversation: Option<i64>,
    pub now_ms: i64,
    /// Of the event.
    pub body: String,
}

/// What became of a call.
#[derive(Debug)]
pub enum Taken {
    New(Arc<Event>),
    /// It was taken before, as this event.
    Again(i64),
    /// The instance has no place yet: what is stored now it would never see.
    NotYet,
}

/// What a call has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    NotYet,
    /// There was an answer, or would have been.
    Gone,
    With(Answer),
}

impl Store {
    /// Makes an event of a call, once.
    pub async fn take_hook(&self, call: HookCall) -> Result<Taken, StoreError> {
        self.write(move |connection| take(connection, call)).await
    }

    /// What the caller of an event is answered.
    pub fn hook_answer(&self, seq: i64) -> Result<Answered, StoreError> {
        self.peek(|connection| answered(connection, seq))
    }
}

fn take(connection: &Connection, call: HookCall) -> Result<Taken, StoreError> {
    let business: Option<String> = connection
        .prepare_cached("SELECT business FROM instances WHERE name = ?1")?
        .query_row([&call.instance], |row| row.get(0))
        .optional()?;
    let Some(business) = business else {
        return Ok(Taken::NotYet);
    };
    let key = call.key.as_ref().map(|key| Key::of(&[&call.kind, key]));
    if let Some(key) = &key {
        let seq: Option<i64> = connection
            .prepare_cached("SELECT seq FROM hooks WHERE instance = ?1 AND key = ?2")?
            .query_row(params![call.instance, &key.0[..]], |row| row.get(0))
            .optional()?;
        if let Some(seq) = seq {
            return Ok(Taken::Again(seq));
        }
    }
    let talk = match call.conversation {
        Some(id) => super::conversations::conversation(connection, id)?
            .filter(|conversation| conversation.business == business)
            .map(|conversation| (id, conversation)),
        None => None,
    };
    let own = Own {
        kind: call.kind,
        about: &call.instance,
        business,
        instance: Some(call.instance.clone()),
        number: talk.as_ref().map(|(_, talk)| talk.number.clone()),
        contact: talk.as_ref().map(|(_, talk)| talk.contact),
        conversation: talk.as_ref().map(|(id, _)| *id),
        at_ms: call.now_ms,
        now_ms: call.now_ms,
        body: call.body,
    };
    let event = make(connection, own)?;
    connection
        .prepare_cached(
            "INSERT INTO hooks (instance, key, seq, received_ms) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            call.instance,
            key.as_ref().map(|key| &key.0[..]),
            event.seq,
            call.now_ms
        ])?;
    crate::failpoint::hit("hooks.in_take");
    Ok(Taken::New(Arc::new(event)))
}

fn answered(connection: &Connection, seq: i64) -> Result<Answered, StoreError> {
    type Row = (Option<u16>, Option<String>, Option<Vec<u8>>);
    let row: Option<Row> = connection
        .prepare_cached("SELECT status, headers, body FROM hooks WHERE seq = ?1")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(match row {
        Some((None, _, _)) => Answered::NotYet,
        Some((Some(status), Some(headers), body)) => Answered::With(Answer {
            status,
            headers: serde_json::from_str(&headers).unwrap_or_default(),
            body: body.unwrap_or_default(),
        }),
        Some((Some(_), None, _)) | None => Answered::Gone,
    })
}

/// What the caller of an event is answered, now and when it repeats the call.
pub(super) fn answer(connection: &Connection, seq: i64, answer: &Answer) -> Result<(), StoreError> {
    let headers = serde_json::json!(answer.headers).to_string();
    connection
        .prepare_cached("UPDATE hooks SET status = ?2, headers = ?3, body = ?4 WHERE seq = ?1")?
        .execute(params![seq, answer.status, headers, answer.body])?;
    Ok(())
}

/// The plugin has not handled the call, and will not unless an admin gives it another try.
pub(super) fn fail(connection: &Connection, seq: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE hooks SET status = 500, headers = '[]' WHERE seq = ?1 AND status IS NULL",
        )?
        .execute([seq])?;
    Ok(())
}
