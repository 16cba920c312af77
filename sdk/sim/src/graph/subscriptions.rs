//! `/{waba}/subscribed_apps`: whether webhooks of a WABA come at all, and an address of its own for them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rand::Rng;
use serde_json::{Value, json};

use super::Answer;
use super::request::Call;
use crate::error::GraphError;
use crate::state::{State, lock};
use crate::world::Subscription;

pub(super) async fn answer(state: &Arc<State>, waba: &str, method: &Method, call: &Call) -> Answer {
    if !lock(&state.world).has_waba(waba) {
        return Err(GraphError::unknown_object(waba));
    }
    match *method {
        Method::GET => Ok(list(state, waba)),
        Method::POST => subscribe(state, waba, call).await,
        Method::DELETE => unsubscribe(state, waba),
        _ => Err(GraphError::unknown_object(waba)),
    }
}

/// The app that the sim knows.
pub(super) const APP_ID: &str = "1234567890123456";
pub(super) const APP_NAME: &str = "Duet";

fn app() -> Value {
    json!({"id": APP_ID, "name": APP_NAME, "link": format!("https://www.facebook.com/games/?app_id={APP_ID}")})
}

fn list(state: &State, waba: &str) -> Value {
    let subscription = lock(&state.world).subscriptions.get(waba).cloned();
    let data: Vec<Value> = subscription
        .into_iter()
        .map(|subscription| match subscription.override_uri {
            Some(uri) => json!({"override_callback_uri": uri, "whatsapp_business_api_data": app()}),
            None => json!({"whatsapp_business_api_data": app()}),
        })
        .collect();
    json!({ "data": data })
}

async fn subscribe(state: &State, waba: &str, call: &Call) -> Answer {
    let text = |name: &str| {
        call.json
            .as_ref()
            .and_then(|body| body.get(name))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let override_uri = text("override_callback_uri");
    if let Some(uri) = &override_uri {
        if uri.len() > 200 || !(uri.starts_with("http://") || uri.starts_with("https://")) {
            return Err(GraphError::plain(
                StatusCode::BAD_REQUEST,
                100,
                "Invalid callback URI format",
            ));
        }
        let token = text("verify_token")
            .ok_or_else(|| GraphError::parameter("The parameter verify_token is required."))?;
        verify(state, uri, &token).await?;
    }
    let own = override_uri.is_some();
    lock(&state.world)
        .subscriptions
        .insert(waba.to_owned(), Subscription { override_uri });
    if !own {
        return Ok(json!({"success": true}));
    }
    let data = list(state, waba).get("data").cloned();
    Ok(json!({"success": true, "data": data}))
}

fn unsubscribe(state: &State, waba: &str) -> Answer {
    if lock(&state.world).subscriptions.remove(waba).is_some() {
        return Ok(json!({"success": true}));
    }
    Err(GraphError::plain(
        StatusCode::NOT_FOUND,
        803,
        "WhatsApp Business Account not found or not subscribed",
    ))
}

/// The handshake: the address must give the challenge back.
pub(crate) async fn verify(state: &State, uri: &str, token: &str) -> Result<(), GraphError> {
    let challenge: u32 = lock(&state.dice).random_range(100_000_000..2_000_000_000);
    let (token, joint) = (
        utf8_percent_encode(token, NON_ALPHANUMERIC),
        if uri.contains('?') { '&' } else { '?' },
    );
    let url = format!(
        "{uri}{joint}hub.mode=subscribe&hub.challenge={challenge}&hub.verify_token={token}"
    );
    let asked = state
        .http
        .get(url)
        .timeout(Duration::from_secs(5))
        .send()
        .await;
    let said = match asked {
        Ok(response) if response.status() == reqwest::StatusCode::OK => {
            response.text().await.unwrap_or_default()
        }
        _ => String::new(),
    };
    if said == challenge.to_string() {
        return Ok(());
    }
    Err(GraphError::plain(
        StatusCode::UNPROCESSABLE_ENTITY,
        100,
        "Webhook callback URL is not reachable or invalid",
    ))
}
