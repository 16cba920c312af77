//! Events that the gateway makes itself, beside those that Meta sends.

use duet_rules::webhook::Key;
use rusqlite::{Connection, params};

use super::events::newest;
use super::{StoreError, ledger};
use crate::event::Event;

/// Such an event, without what all of them have in common.
pub(super) struct Own<'a> {
    pub(super) kind: String,
    /// What it is about, so that two of the same kind at the same moment have two ids.
    pub(super) about: &'a str,
    pub(super) business: String,
    /// The only instance that sees it.
    pub(super) instance: Option<String>,
    pub(super) number: Option<String>,
    pub(super) contact: Option<i64>,
    pub(super) conversation: Option<i64>,
    pub(super) at_ms: i64,
    pub(super) now_ms: i64,
    pub(super) body: String,
}

/// Puts it behind all events that are there.
pub(super) fn make(connection: &Connection, own: Own<'_>) -> Result<Event, StoreError> {
    let newest = newest(connection)?.to_string();
    let id = Key::of(&[&own.kind, own.about, &newest, &own.now_ms.to_string()]);
    let seq = connection
        .prepare_cached(
            "INSERT INTO events (id, kind, business, instance, number, contact, conversation, at_ms, received_ms, receipt, history, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, ?10)",
        )?
        .insert(params![
            &id.0[..],
            own.kind,
            own.business,
            own.instance,
            own.number,
            own.contact,
            own.conversation,
            own.at_ms,
            own.now_ms,
            own.body
        ])?;
    let number = own.number.as_deref().unwrap_or_default();
    ledger::count(connection, number, own.now_ms, "", "events.own")?;
    Ok(Event {
        seq,
        id: id.to_string(),
        kind: own.kind,
        business: own.business,
        instance: own.instance,
        number: own.number,
        waba: None,
        contact: own.contact,
        conversation: own.conversation,
        at_ms: Some(own.at_ms),
        received_ms: own.now_ms,
        receipt: 0,
        history: false,
        body: own.body,
        context: None,
    })
}
