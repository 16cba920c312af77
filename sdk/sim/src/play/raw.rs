//! Bytes: bodies delivered as they are, bodies replayed, files kept for customers to send.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State as Shared};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{PlayError, Played};
use crate::clock::DAY_MS;
use crate::graph::media_url;
use crate::state::{State, lock};
use crate::webhook::{Letter, Signature};

/// A media id that came by webhook lives 7 days.
const INBOUND_MS: u64 = 7 * DAY_MS;

#[derive(Deserialize)]
pub(super) struct RawQuery {
    signature: Option<Signature>,
}

pub(super) async fn raw(
    Shared(state): Shared<Arc<State>>,
    Query(query): Query<RawQuery>,
    body: Bytes,
) -> Played {
    let id = deliver(&state, body, query.signature.unwrap_or(Signature::Right));
    Ok(Json(json!({ "body_id": id })))
}

/// Puts these bytes on their way; gives the number of the body.
pub(crate) fn deliver(state: &State, body: Bytes, signature: Signature) -> u64 {
    let letter = Letter::new(body, "raw".into(), "raw".into(), signature);
    let id = letter.id;
    state.outlet.letter(letter, Duration::ZERO);
    id
}

#[derive(Deserialize)]
pub(super) struct Replay {
    delivery: u64,
}

pub(super) async fn replay(Shared(state): Shared<Arc<State>>, body: Bytes) -> Played {
    let wanted: Replay = super::read(&body)?;
    let found = state
        .deliveries
        .find(|posted| posted.delivery.seq == wanted.delivery);
    let posted =
        found.ok_or_else(|| PlayError(format!("delivery {} is not kept", wanted.delivery)))?;
    let letter = Letter::new(
        posted.body,
        posted.delivery.fields,
        "replay".into(),
        Signature::Right,
    );
    let id = letter.id;
    state.outlet.letter(letter, Duration::ZERO);
    Ok(Json(json!({ "body_id": id })))
}

pub(super) async fn media(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    body: Bytes,
) -> Played {
    let mime_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/octet-stream");
    Ok(Json(json!({"id": keep_media(&state, mime_type, body)})))
}

pub(crate) fn keep_media(state: &State, mime_type: &str, bytes: Bytes) -> String {
    let dies_ms = state.clock.now_ms().saturating_add(INBOUND_MS);
    lock(&state.world).media.add(mime_type, bytes, dies_ms)
}

/// The object of a media message: here `sha256` is base64, as in Meta's webhooks.
pub(super) fn media_object(
    state: &State,
    id: &str,
    caption: Option<&str>,
) -> Result<Value, PlayError> {
    let world = lock(&state.world);
    let file = world
        .media
        .get(id, state.clock.now_ms())
        .ok_or_else(|| PlayError(format!("there is no media {id}; POST /sim/media first")))?;
    let mut object = Map::from_iter([
        ("mime_type".to_owned(), json!(file.mime_type)),
        ("sha256".to_owned(), json!(STANDARD.encode(file.sha256))),
        ("id".to_owned(), json!(id)),
        ("url".to_owned(), json!(media_url(state, id))),
    ]);
    object.extend(caption.map(|caption| ("caption".to_owned(), json!(caption))));
    Ok(Value::Object(object))
}
