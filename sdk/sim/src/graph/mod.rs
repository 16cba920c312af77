//! Meta's Graph API: takes a call apart, checks the token, lets the mood strike, answers in Meta's shapes and
//! records what happened. The calls themselves: [`messages`], [`media`], [`numbers`], [`templates`],
//! [`subscriptions`], [`sync`], [`history`], [`oauth`].

mod history;
mod media;
mod messages;
mod numbers;
mod oauth;
mod recipient;
mod request;
mod send_body;
mod subscriptions;
mod sync;
mod templates;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rand::Rng;
use serde_json::Value;

use crate::error::GraphError;
use crate::mood::{Deed, Trouble};
use crate::server::HangUp;
use crate::state::{SeenRequest, State, lock};
pub(crate) use media::url as media_url;
use request::Call;
pub(crate) use subscriptions::verify;

/// What a call comes to: Meta's JSON or Meta's error.
type Answer = Result<Value, GraphError>;

/// Answers every path outside the play face.
pub(crate) async fn call(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    if request.uri().path().starts_with(media::DOWNLOADS) {
        return download(&state, &request);
    }
    let asked = format!("{} {}", request.method(), request.uri());
    let (answer, outcome, body, weight) = match request::read(&state, request).await {
        Err(error) => (Err(error), None, Value::Null, 0),
        Ok(call) => {
            let (answer, outcome) = work(&state, &call).await;
            let weight = call.bytes.len();
            (answer, outcome, call.json.unwrap_or_default(), weight)
        }
    };
    let outcome = outcome.unwrap_or(if answer.is_ok() { "ok" } else { "error" });
    record(&state, &asked, outcome, &answer, body, weight);
    match outcome {
        "hang" => std::future::pending().await,
        "lost" | "lost_before_accept" => {
            let mut response = Response::default();
            response.extensions_mut().insert(HangUp);
            response
        }
        _ => match answer {
            Ok(body) => Json(body).into_response(),
            Err(error) => (error.status, Json(error.body())).into_response(),
        },
    }
}

fn record(
    state: &State,
    asked: &str,
    outcome: &'static str,
    answer: &Answer,
    body: Value,
    weight: usize,
) {
    let (method, path) = asked.split_once(' ').unwrap_or_default();
    let error = answer.as_ref().err();
    // A query may hold a secret or a token, which a terminal need not show.
    let bare = path.split_once('?').map_or(path, |(bare, _)| bare);
    tell(state, bare, outcome, error);
    let answered = !matches!(outcome, "lost" | "lost_before_accept" | "hang");
    state
        .requests
        .push(weight + asked.len() + 128, |seq| SeenRequest {
            seq,
            at_ms: state.clock.now_ms(),
            method: method.to_owned(),
            path: path.to_owned(),
            outcome,
            status: answered.then_some(error.map_or(200, |error| error.status.as_u16())),
            code: error.map(|error| error.code),
            body,
        });
}

/// Whoever watches the transcript sees what did not go well.
fn tell(state: &State, path: &str, outcome: &str, error: Option<&GraphError>) {
    match (outcome, error) {
        ("ok", _) => {}
        (_, Some(error)) => state.say("meta", path, format!("[refused] {}", error.message)),
        (outcome, None) => state.say("meta", path, format!("[{}]", outcome.replace('_', " "))),
    }
}

/// The bytes behind a media URL, recorded like every other call.
fn download(state: &State, request: &Request) -> Response {
    let asked = format!("{} {}", request.method(), request.uri());
    let found = media::download(state, request);
    let (answer, outcome) = match &found {
        Ok(_) => (Ok(Value::Null), "ok"),
        Err(error) => (Err(error.clone()), "error"),
    };
    record(state, &asked, outcome, &answer, Value::Null, 0);
    match found {
        Ok((mime_type, bytes)) => ([(CONTENT_TYPE, mime_type)], bytes).into_response(),
        Err(error) => (error.status, Json(error.body())).into_response(),
    }
}

/// The answer, and the outcome when it is neither plain success nor plain error.
async fn work(state: &Arc<State>, call: &Call) -> (Answer, Option<&'static str>) {
    let to = call
        .json
        .as_ref()
        .and_then(|body| body.get("to"))
        .and_then(Value::as_str);
    let to = to.map(recipient::digits);
    let (latency_ms, expired, struck) = {
        let (mut mood, mut dice) = (lock(&state.mood), lock(&state.dice));
        let jitter_ms = dice.random_range(0..=mood.jitter_ms);
        let struck = mood.strike(call.name(), to.as_deref(), &mut *dice);
        (
            mood.latency_ms.saturating_add(jitter_ms),
            mood.token_expired,
            struck,
        )
    };
    if latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(latency_ms)).await;
    }
    if !oauth::is_open(state, call)
        && let Err(error) = request::check_token(state, call, expired)
    {
        return (Err(error), None);
    }
    let has = |deed: Deed| struck.iter().find(|trouble| trouble.deed == deed);
    if let Some(Trouble { code, http, .. }) = has(Deed::Fail) {
        return (
            Err(GraphError::of(*code, "The sim was asked to fail this call.").with_status(*http)),
            None,
        );
    }
    if has(Deed::LostBeforeAccept).is_some() {
        return (Ok(Value::Null), Some("lost_before_accept"));
    }
    if has(Deed::Hang).is_some() {
        return (Ok(Value::Null), Some("hang"));
    }
    let (answer, swallowed) = dispatch(state, call, &struck).await;
    let outcome = if has(Deed::Lost).is_some() {
        Some("lost")
    } else if has(Deed::HangAfterAccept).is_some() {
        Some("hang")
    } else {
        swallowed.then_some("swallowed")
    };
    (answer, outcome)
}

async fn dispatch(state: &Arc<State>, call: &Call, struck: &[Trouble]) -> (Answer, bool) {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let answer = match (&call.method, segments.as_slice()) {
        (&Method::POST, [number, "messages"]) => {
            return messages::post(state, number, call, struck);
        }
        (&Method::POST, [number, "media"]) => media::upload(state, number, call).await,
        (&Method::POST, [number, "smb_app_data"]) => sync::request(state, number, call),
        (&Method::POST, [number, "register"]) => numbers::register(state, number),
        (&Method::POST, [number, "deregister"]) => numbers::deregister(state, number),
        (&Method::GET, [number, "settings"]) => numbers::settings(state, number),
        (method, [number, "block_users"]) => numbers::block_users(state, number, method, call),
        (&Method::GET | &Method::POST, ["oauth", "access_token"]) => oauth::exchange(state, call),
        (&Method::GET, ["debug_token"]) => oauth::debug(state, call),
        (&Method::GET, [subscriptions::APP_ID, "subscriptions"]) => oauth::subscriptions(state),
        (&Method::GET, [number, "message_history"]) => history::list(state, number, call),
        (&Method::GET, [id, "events"]) => history::events(state, id, call),
        (&Method::GET, [waba, "phone_numbers"]) => numbers::list(state, waba),
        (&Method::GET, [waba, "message_templates"]) => templates::list(state, waba, call),
        (&Method::POST, [waba, "message_templates"]) => templates::create(state, waba, call),
        (method, [waba, "subscribed_apps"]) => {
            subscriptions::answer(state, waba, method, call).await
        }
        (&Method::GET, [id]) => object(state, id, call),
        (&Method::DELETE, [id]) => media::delete(state, id),
        (_, segments) => Err(GraphError::unknown_object(&segments.join("/"))),
    };
    (answer, false)
}

/// `GET /{id}`: the kind of object decides.
fn object(state: &State, id: &str, call: &Call) -> Answer {
    if !id.chars().all(|digit| digit.is_ascii_digit()) {
        return Err(GraphError::plain(
            StatusCode::BAD_REQUEST,
            100,
            "Invalid phone number ID format. Must be numeric.",
        ));
    }
    let (is_number, is_waba) = {
        let world = lock(&state.world);
        (world.numbers.contains_key(id), world.has_waba(id))
    };
    match (is_number, is_waba) {
        (true, _) => numbers::get(state, id, call),
        (_, true) => numbers::waba(state, id),
        _ => media::get(state, id),
    }
}
