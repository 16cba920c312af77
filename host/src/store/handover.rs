//! What the admin and its agents do to a conversation: give it to a person, give it back, speak as a person.
//! Each is an event like any other, so that what an automation does because of earlier events comes too late.

use std::sync::Arc;

use duet_rules::plugins_toml::API;
use duet_rules::takeover::Cause;
use rusqlite::{Connection, params};
use serde_json::Value;

use super::conversations::conversation;
use super::handling::{Handover, Keeps, hand};
use super::ledger;
use super::media::{hold, sendable};
use super::own::{Own, make};
use super::{Store, StoreError};
use crate::effect::Handling;
use crate::event::Event;

impl Store {
    /// Gives a conversation to a person, or back to the automations. The answer is the event that says so, unless
    /// there is no such conversation.
    pub async fn set_handling(
        &self,
        conversation: i64,
        handling: Handling,
        keeps: Keeps,
        now_ms: i64,
    ) -> Result<Option<Arc<Event>>, StoreError> {
        self.write(move |connection| {
            let Some(event) = said(connection, conversation, handling, now_ms)? else {
                return Ok(None);
            };
            let handover = Handover {
                handling,
                keeps,
                ..by_api(conversation, Cause::Api, event.seq, now_ms)
            };
            hand(connection, &handover)?;
            Ok(Some(Arc::new(event)))
        })
        .await
    }

    /// Puts a person's message into the outbox and gives the conversation to a person, for `usual_ms` where the
    /// number's settings say nothing. The answer is the event and the row, unless there is no such conversation.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a file that the message names has just gone, beside the others.
    pub async fn speak_as_person(
        &self,
        conversation: i64,
        message: Value,
        usual_ms: i64,
        now_ms: i64,
    ) -> Result<Option<(Arc<Event>, i64)>, StoreError> {
        self.write(move |connection| {
            let said = said(connection, conversation, Handling::Person, now_ms)?;
            let Some(event) = said else { return Ok(None) };
            let Ok(files) = sendable(connection, conversation, &message)? else {
                return Err(StoreError::Conflict);
            };
            let handover = Handover {
                keeps: Keeps::Usual(usual_ms),
                ..by_api(conversation, Cause::Agent, event.seq, now_ms)
            };
            hand(connection, &handover)?;
            let row = connection
                .prepare_cached(
                    "INSERT INTO outbox (instance, digest, seq, conversation, speaker, message, state, next_ms, created_ms)
                     VALUES (?1, '', ?2, ?3, 'person', ?4, 'pending', ?5, ?5)",
                )?
                .insert(params![API, event.seq, conversation, message.to_string(), now_ms])?;
            hold(connection, row, &files, now_ms)?;
            ledger::said(connection, row, "sends")?;
            Ok(Some((Arc::new(event), row)))
        })
        .await
    }
}

fn by_api(conversation: i64, cause: Cause, seq: i64, at_ms: i64) -> Handover<'static> {
    Handover {
        conversation,
        handling: Handling::Person,
        keeps: Keeps::Usual(0),
        seq,
        event: Some(seq),
        at_ms,
        cause,
        who: Some(API),
        agent: None,
        by: None,
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
    let own = Own {
        kind: format!("conversation.{}", handling.as_str()),
        about: &id.to_string(),
        business: found.business,
        instance: None,
        number: Some(found.number),
        contact: Some(found.contact),
        conversation: Some(id),
        at_ms: now_ms,
        now_ms,
        body: serde_json::json!({ "handling": handling.as_str(), "by": API }).to_string(),
    };
    make(connection, own).map(Some)
}
