//! `GET /{phone}/message_history` and `GET /{id}/events`: which statuses a message got, and whether their webhooks
//! were delivered. Shapes: Meta's OpenAPI description, v23.0.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::request::Call;
use super::subscriptions::{APP_ID, APP_NAME};
use super::{Answer, numbers};
use crate::error::GraphError;
use crate::state::{State, lock};
use crate::world::{LedgerEntry, LedgerEvent};

const LIMIT: usize = 25;
const LIMIT_MAX: usize = 100;
/// What `events` has when `fields` does not say.
const EVENT_FIELDS: [&str; 3] = ["delivery_status", "timestamp", "webhook_update_state"];

pub(super) fn list(state: &State, number: &str, call: &Call) -> Answer {
    numbers::find(state, number)?;
    let fields = event_fields(call.query.get("fields").map_or("", String::as_str));
    let world = lock(&state.world);
    if let Some(message) = call.query.get("message_id") {
        if !message.starts_with("wamid.") {
            let why = "Invalid parameter: message_id format is invalid";
            return Err(GraphError::plain(StatusCode::BAD_REQUEST, 100, why));
        }
        let found = world
            .ledger
            .of_number(number)
            .find(|entry| entry.message == *message);
        let found = found.ok_or_else(|| {
            let why = "The requested message_id was not found in the message history";
            GraphError::method(StatusCode::UNPROCESSABLE_ENTITY, 100, why)
        })?;
        return Ok(json!({"data": [entry(found, fields.as_deref())]}));
    }
    let all = world.ledger.of_number(number);
    let (page, paging) = page(
        all,
        |entry| entry.id,
        call,
        &format!("{}/{number}/message_history", state.url),
    );
    let data: Vec<_> = page
        .into_iter()
        .map(|found| entry(found, fields.as_deref()))
        .collect();
    Ok(json!({"data": data, "paging": paging}))
}

pub(super) fn events(state: &State, id: &str, call: &Call) -> Answer {
    let world = lock(&state.world);
    let found = id.parse().ok().and_then(|id| world.ledger.get(id));
    let found = found.ok_or_else(|| {
        let why = "WhatsApp Business Message History not found";
        GraphError::method(StatusCode::NOT_FOUND, 803, why)
    })?;
    let wanted = call.query.get("status_filter");
    let events = found
        .events
        .iter()
        .filter(|event| wanted.is_none_or(|wanted| *wanted == event.status));
    let (page, paging) = page(
        events,
        |event| event.id,
        call,
        &format!("{}/{id}/events", state.url),
    );
    let data: Vec<_> = page
        .into_iter()
        .map(|event| {
            let node = json!({
                "id": event.id.to_string(),
                "delivery_status": event.status,
                "occurrence_timestamp": event.seconds,
                "status_timestamp": event.seconds,
                "application": {"id": APP_ID, "name": APP_NAME},
            });
            json!({"cursor": event.id.to_string(), "node": node})
        })
        .collect();
    Ok(json!({"data": data, "paging": paging}))
}

/// The fields inside `events{…}`, or `None` when events are not asked for.
fn event_fields(fields: &str) -> Option<Vec<&str>> {
    let rest = fields.split_once("events")?.1;
    let inner = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    Some(match inner {
        Some((inner, _)) => inner.split(',').map(str::trim).collect(),
        None => EVENT_FIELDS.to_vec(),
    })
}

fn entry(entry: &LedgerEntry, fields: Option<&[&str]>) -> Value {
    let mut shown = json!({"id": entry.id.to_string(), "message_id": entry.message});
    if let (Some(fields), Some(shown)) = (fields, shown.as_object_mut()) {
        let events: Vec<_> = entry.events.iter().map(|one| event(one, fields)).collect();
        shown.insert("events".into(), json!({ "data": events }));
    }
    shown
}

fn event(event: &LedgerEvent, fields: &[&str]) -> Value {
    let mut shown = Map::from_iter([("id".to_owned(), json!(event.id.to_string()))]);
    for field in fields {
        let value = match *field {
            "delivery_status" => json!(event.status),
            "timestamp" => json!(event.seconds),
            "webhook_update_state" => json!(event.webhook.word()),
            "application" => json!({"id": APP_ID}),
            "webhook_uri" => json!(event.uri),
            _ => Value::Null,
        };
        if !value.is_null() {
            shown.insert((*field).to_owned(), value);
        }
    }
    Value::Object(shown)
}

/// The page after a cursor, which is the id of the last element before it; and `paging`.
fn page<'a, T>(
    all: impl Iterator<Item = &'a T>,
    id: impl Fn(&T) -> u64,
    call: &Call,
    path: &str,
) -> (Vec<&'a T>, Value) {
    let limit = call.query.get("limit").and_then(|limit| limit.parse().ok());
    let limit = limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let mut all = all;
    if let Some(after) = call
        .query
        .get("after")
        .and_then(|after| after.parse::<u64>().ok())
    {
        all.by_ref().find(|element| id(element) == after);
    }
    let page: Vec<_> = all.by_ref().take(limit).collect();
    let cursor = |element: Option<&&T>| {
        element
            .map(|element| id(element).to_string())
            .unwrap_or_default()
    };
    let after = cursor(page.last());
    let mut paging = json!({"cursors": {"before": cursor(page.first()), "after": after}});
    if all.next().is_some()
        && let Some(paging) = paging.as_object_mut()
    {
        paging.insert(
            "next".into(),
            json!(format!("{path}?after={after}&limit={limit}")),
        );
    }
    (page, paging)
}
