//! The play face: what customers, the person on the phone and Meta do when a test or a user says so. The HTTP
//! side here only reads and answers; what happens stands in one file for each player.

pub(crate) mod account;
pub(crate) mod business;
pub(crate) mod contacts;
pub(crate) mod customer;
pub(crate) mod history;
pub(crate) mod moves;
pub(crate) mod phone;
pub(crate) mod raw;
pub(crate) mod signup;
mod template;
pub(crate) mod views;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use account::AccountEvent;
pub use business::BusinessPlay;
pub use contacts::ContactChange;
pub use customer::{CustomerMessage, Read};
pub use phone::PhoneMessage;
pub use signup::Signup;

use crate::state::{State, lock};
use crate::world::{NumberState, World};

/// A wish that the play face cannot fulfil; says what to change.
#[derive(Clone, Debug)]
pub struct PlayError(pub(crate) String);

impl std::fmt::Display for PlayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PlayError {}

impl IntoResponse for PlayError {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({"error": self.0}))).into_response()
    }
}

type Played = Result<Json<Value>, PlayError>;

/// Bodies, media and raw webhooks among them, have at most `body_bytes_max` bytes.
pub(crate) fn router(body_bytes_max: usize) -> Router<Arc<State>> {
    let play = Router::new()
        .route("/customer", post(customer_wrote))
        .route(
            "/read",
            post(|state, body| did(state, body, customer::read)),
        )
        .route("/move", post(|state, body| did(state, body, moves::moves)))
        .route(
            "/phone",
            post(|state, body| wrote(state, body, phone::write)),
        )
        .route(
            "/contact",
            post(|state, body| did(state, body, contacts::change)),
        )
        .route("/history", post(history_ran))
        .route("/signup", post(signed_up))
        .route("/business", post(business_delivered))
        .route(
            "/account",
            post(|state, body| did(state, body, account::happen)),
        )
        .route(
            "/template",
            post(|state, body| did(state, body, template::change)),
        )
        .route("/media", post(raw::media))
        .route("/raw", post(raw::raw))
        .route("/replay", post(raw::replay))
        .route(
            "/mood",
            post(mood_changed)
                .get(async |Shared(state): Shared<Arc<State>>| Json(json!(*lock(&state.mood)))),
        )
        .route("/webhook", post(webhook_set))
        .route("/clock", post(clock_advanced))
        .route(
            "/reset",
            post(async |Shared(state): Shared<Arc<State>>| {
                state.reset();
                Json(json!({}))
            }),
        )
        .route("/sent", get(views::sent))
        .route("/requests", get(views::requests))
        .route("/deliveries", get(views::deliveries))
        .route("/transcript", get(views::transcript))
        .route(
            "/state",
            get(async |Shared(state): Shared<Arc<State>>| Json(views::state(&state))),
        )
        .fallback(async || {
            PlayError("no such play; the list stands in the documentation of duet-sim".into())
        });
    Router::new().nest("/sim", play.layer(DefaultBodyLimit::max(body_bytes_max)))
}

/// The first number, or the one that is named.
fn number(world: &World, id: Option<&str>) -> Result<NumberState, PlayError> {
    let found = match id {
        Some(id) => world.numbers.get(id),
        None => world.numbers.values().next(),
    };
    found
        .cloned()
        .ok_or_else(|| PlayError(format!("the sim has no number {}", id.unwrap_or("at all"))))
}

/// An empty body means the defaults.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, PlayError> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| PlayError(format!("the body does not fit: {error}")))
}

async fn did<T: DeserializeOwned>(
    Shared(state): Shared<Arc<State>>,
    body: Bytes,
    play: fn(&State, &T) -> Result<(), PlayError>,
) -> Played {
    play(&state, &read(&body)?)?;
    Ok(Json(json!({})))
}

async fn wrote<T: DeserializeOwned>(
    Shared(state): Shared<Arc<State>>,
    body: Bytes,
    play: fn(&State, T) -> Result<String, PlayError>,
) -> Played {
    let id = play(&state, read(&body)?)?;
    Ok(Json(json!({ "id": id })))
}

async fn customer_wrote(Shared(state): Shared<Arc<State>>, body: Bytes) -> Played {
    let body: Value = read(&body)?;
    if body.get("preference").is_some() {
        customer::prefer(&state, &from_value(body)?)?;
        return Ok(Json(json!({})));
    }
    let id = customer::write(&state, from_value(body)?)?;
    Ok(Json(json!({ "id": id })))
}

async fn history_ran(Shared(state): Shared<Arc<State>>, body: Bytes) -> Played {
    let mut plan: Value = read(&body)?;
    let number = plan.as_object_mut().and_then(|plan| plan.remove("number"));
    history::run(
        &state,
        number.as_ref().and_then(Value::as_str),
        &from_value(plan)?,
    )?;
    Ok(Json(json!({})))
}

async fn signed_up(Shared(state): Shared<Arc<State>>, body: Bytes) -> Played {
    Ok(Json(signup::finish(&state, &read(&body)?)?))
}

async fn business_delivered(Shared(state): Shared<Arc<State>>, body: Bytes) -> Played {
    let report = business::deliver(&state, read(&body)?).await?;
    Ok(Json(json!(report)))
}

async fn mood_changed(Shared(state): Shared<Arc<State>>, body: Bytes) -> Played {
    let patch = read(&body)?;
    let mut mood = lock(&state.mood);
    let changed = mood
        .patched(patch)
        .map_err(|error| PlayError(format!("the mood does not fit: {error}")))?;
    *mood = changed;
    Ok(Json(json!(*mood)))
}

async fn webhook_set(Shared(state): Shared<Arc<State>>, body: Bytes) -> Played {
    let body: Value = read(&body)?;
    let url = body
        .get("url")
        .and_then(Value::as_str)
        .ok_or_else(|| PlayError("url is missing".into()))?;
    *lock(&state.webhook) = Some(url.to_owned());
    Ok(Json(json!({})))
}

async fn clock_advanced(Shared(state): Shared<Arc<State>>, body: Bytes) -> Played {
    let body: Value = read(&body)?;
    let ms = body
        .get("advance_ms")
        .and_then(Value::as_u64)
        .ok_or_else(|| PlayError("advance_ms is missing".into()))?;
    state.advance(ms);
    Ok(Json(json!({"at_ms": state.clock.now_ms()})))
}

fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, PlayError> {
    serde_json::from_value(value)
        .map_err(|error| PlayError(format!("the body does not fit: {error}")))
}
