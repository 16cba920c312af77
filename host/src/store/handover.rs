//! What the admin and its agents do to a conversation: give it to a person, give it back, speak as a person.
//! Each is an event like any other, so that what an automation does because of earlier events comes too late.

use std::sync::Arc;

use duet_rules::plugins_toml::API;
use duet_rules::webhook::Key;
use rusqlite::{Connection, params};

use super::conversations::conversation;
use super::events::newest;
use super::lanes::hand;
use super::{Store, StoreError};
use crate::effect::Handling;
use crate::event::Event;

impl Store {
    /// Gives a conversation to a person until `until_ms`, or back to the automations; a person who has it already
    /// keeps it for longer, unless `anew` says that only this word counts. The answer is the event that says so,
    /// unless there is no such conversation.
    pub async fn set_handling(
        &self,
        conversation: i64,
        handling: Handling,
        until_ms: i64,
        anew: bool,
        now_ms: i64,
    ) -> Result<Option<Arc<Event>>, StoreError> {
        self.write(move |connection| {
            let Some(event) = said(connection, conversation, handling, now_ms)? else {
                return Ok(None);
            };
            if anew {
                hand(
                    connection,
                    conversation,
                    Handling::Automation,
                    0,
                    event.seq,
                    None,
                )?;
            }
            hand(
                connection,
                conversation,
                handling,
                until_ms,
                event.seq,
                None,
            )?;
            Ok(Some(Arc::new(event)))
        })
        .await
    }

    /// Puts a person's message into the outbox and gives the conversation to a person until `until_ms`. The
    /// answer is the event and the row, unless there is no such conversation.
    pub async fn speak_as_person(
        &self,
        conversation: i64,
        message: String,
        until_ms: i64,
        now_ms: i64,
    ) -> Result<Option<(Arc<Event>, i64)>, StoreError> {
        self.write(move |connection| {
            let said = said(connection, conversation, Handling::Person, now_ms)?;
            let Some(event) = said else { return Ok(None) };
            hand(connection, conversation, Handling::Person, until_ms, event.seq, None)?;
            let row = connection
                .prepare_cached(
                    "INSERT INTO outbox (instance, digest, seq, conversation, speaker, message, state, next_ms, created_ms)
                     VALUES (?1, '', ?2, ?3, 'person', ?4, 'pending', ?5, ?5)",
                )?
                .insert(params![API, event.seq, conversation, message, now_ms])?;
            Ok(Some((Arc::new(event), row)))
        })
        .await
    }
}

/// The event `conversation.person` or `conversation.automation`.
fn said(
    connection: &Connection,
    id: i64,
    handling: Handling,
    now_ms: i64,
) -> Result<Option<Event>, StoreError> {
    let Some(found) = conversation(connection, id)? else {
        return Ok(None);
    };
    let kind = format!("conversation.{}", handling.as_str());
    let body = serde_json::json!({ "handling": handling.as_str(), "by": API }).to_string();
    let newest = newest(connection)?;
    let key = Key::of(&[
        "conversation",
        &id.to_string(),
        &newest.to_string(),
        &now_ms.to_string(),
    ]);
    let seq = connection
        .prepare_cached(
            "INSERT INTO events (id, kind, number, contact, conversation, at_ms, received_ms, receipt, history, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0, 0, ?7)",
        )?
        .insert(params![&key.0[..], kind, found.number, found.contact, id, now_ms, body])?;
    Ok(Some(Event {
        seq,
        id: key.to_string(),
        kind,
        number: Some(found.number),
        waba: None,
        contact: Some(found.contact),
        conversation: Some(id),
        at_ms: Some(now_ms),
        received_ms: now_ms,
        receipt: 0,
        history: false,
        body,
        context: None,
    }))
}
