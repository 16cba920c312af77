//! `GET /oauth/access_token`: the code that Embedded Signup gave becomes a token, once and within 30 seconds.
//! `GET /debug_token`: what a token may do.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Answer;
use super::request::{self, Call};
use super::subscriptions::{APP_ID, APP_NAME};
use crate::error::GraphError;
use crate::state::{State, lock};

const SCOPES: [&str; 2] = [
    "whatsapp_business_management",
    "whatsapp_business_messaging",
];

/// A parameter from the query, or from a JSON body.
fn parameter<'a>(call: &'a Call, name: &str) -> Result<&'a str, GraphError> {
    let json = || call.json.as_ref()?.get(name)?.as_str();
    let given = call.query.get(name).map(String::as_str).or_else(json);
    given
        .filter(|given| !given.is_empty())
        .ok_or_else(|| refused(&format!("Missing {name} parameter.")))
}

fn refused(why: &str) -> GraphError {
    GraphError::plain(StatusCode::BAD_REQUEST, 100, why)
}

/// True for calls that bring other credentials than a token of the business: the app's own.
pub(super) fn is_open(state: &State, call: &Call) -> bool {
    let is_app = || {
        let own = format!("{APP_ID}|{}", state.config.app_secret);
        let given = call
            .token()
            .map(|given| given.strip_prefix("Bearer ").unwrap_or(given));
        given == Some(own.as_str())
    };
    match call.segments.as_slice() {
        [oauth, edge] if oauth == "oauth" => edge == "access_token",
        [debug] if debug == "debug_token" => is_app(),
        [app, edge] if app == APP_ID && edge == "subscriptions" => is_app(),
        _ => false,
    }
}

/// `GET /{app}/subscriptions`: the webhook fields, for the app's own token.
pub(super) fn subscriptions(state: &State) -> Answer {
    let field = |name: &String| json!({"name": name, "version": "v23.0"});
    let fields: Vec<Value> = state.config.fields.iter().map(field).collect();
    let callback = lock(&state.webhook).clone();
    Ok(json!({"data": [{
        "object": "whatsapp_business_account",
        "callback_url": callback,
        "active": true,
        "fields": fields,
    }]}))
}

pub(super) fn exchange(state: &State, call: &Call) -> Answer {
    let (app, secret) = (
        parameter(call, "client_id")?,
        parameter(call, "client_secret")?,
    );
    let code = parameter(call, "code")?;
    if app != APP_ID {
        let why =
            "Error validating application. Cannot get application info due to a system error.";
        return Err(GraphError::plain(StatusCode::BAD_REQUEST, 101, why));
    }
    if secret != state.config.app_secret {
        let why = "Error validating client secret.";
        return Err(GraphError::plain(StatusCode::BAD_REQUEST, 1, why));
    }
    let now_ms = state.clock.now_ms();
    let mut world = lock(&state.world);
    let known = world.codes.iter_mut().find(|known| known.code == code);
    let known = known.ok_or_else(|| refused("Invalid verification code format."))?;
    if known.used {
        return Err(refused("This authorization code has been used."));
    }
    if now_ms >= known.dies_ms {
        return Err(refused("This authorization code has expired."));
    }
    known.used = true;
    Ok(json!({"access_token": state.config.token, "token_type": "bearer"}))
}

/// A wrong or expired token is no error here: `is_valid` is false and `error` says why.
pub(super) fn debug(state: &State, call: &Call) -> Answer {
    let token = parameter(call, "input_token")?;
    let expired = lock(&state.mood).token_expired;
    if let Err(error) = request::check_bearer(state, Some(token), expired) {
        let error = json!({"code": error.code, "message": error.message});
        return Ok(
            json!({"data": {"app_id": APP_ID, "error": error, "is_valid": false, "scopes": []}}),
        );
    }
    let wabas: Vec<String> = {
        let world = lock(&state.world);
        let mut wabas: Vec<_> = world
            .numbers
            .values()
            .map(|number| number.number.waba.clone())
            .collect();
        wabas.sort_unstable();
        wabas.dedup();
        wabas
    };
    let granular: Vec<Value> = SCOPES
        .iter()
        .map(|scope| match state.config.token_names_accounts {
            true => json!({"scope": scope, "target_ids": wabas}),
            false => json!({"scope": scope}),
        })
        .collect();
    Ok(json!({"data": {
        "app_id": APP_ID,
        "type": "SYSTEM_USER",
        "application": APP_NAME,
        "data_access_expires_at": 0,
        "expires_at": 0,
        "is_valid": true,
        "issued_at": state.clock.now_ms() / 1000,
        "scopes": SCOPES,
        "granular_scopes": granular,
        "user_id": "122101234567890123",
    }}))
}
