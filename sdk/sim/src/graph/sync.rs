//! `POST /{phone}/smb_app_data`: the one-shot syncs of contacts and history. Each may be asked for once, within
//! 24 hours of onboarding; an accepted request means nothing more than accepted.

use axum::http::StatusCode;
use rand::Rng;
use serde_json::{Value, json};

use super::request::Call;
use super::{Answer, send_body};
use crate::clock::DAY_MS;
use crate::error::GraphError;
use crate::play::{business, contacts, history};
use crate::state::{State, lock};
use crate::world::Standing;

pub(super) fn request(state: &State, number: &str, call: &Call) -> Answer {
    let body = call.object()?;
    send_body::product(body)?;
    let history = match body.get("sync_type").and_then(Value::as_str) {
        Some("smb_app_state_sync") => false,
        Some("history") => true,
        _ => {
            return Err(GraphError::parameter(
                "Param sync_type must be one of {smb_app_state_sync, history}.",
            ));
        }
    };
    claim(state, number, history)?;
    state.say(
        "meta",
        number,
        if history {
            "history sync was asked for"
        } else {
            "contacts sync was asked for"
        },
    );
    let plan = &state.config.history;
    let refused = history && (plan.declined || plan.silent);
    let delivered = match &state.config.business {
        Some(options) if !refused => business::sync(state, number, options, history),
        _ if history => history::run(state, Some(number), plan),
        _ => contacts::sync(state, number),
    };
    delivered.map_err(|error| GraphError::of(131_000, error.to_string()))?;
    let request_id: u64 =
        lock(&state.dice).random_range(1_000_000_000_000_000..9_000_000_000_000_000);
    Ok(json!({"messaging_product": "whatsapp", "request_id": request_id.to_string()}))
}

/// Uses up the one request, or says why there is none.
fn claim(state: &State, number: &str, history: bool) -> Result<(), GraphError> {
    let now_ms = state.clock.now_ms();
    let mut world = lock(&state.world);
    let number = world
        .numbers
        .get_mut(number)
        .ok_or_else(|| GraphError::unknown_object(number))?;
    if !number.number.coexistence || number.standing != Standing::Connected {
        return Err(GraphError::plain(
            StatusCode::BAD_REQUEST,
            100,
            "The number is not on the WhatsApp Business app",
        ));
    }
    let requested = if history {
        &mut number.history_requested
    } else {
        &mut number.contacts_requested
    };
    if *requested {
        return Err(GraphError::of(
            2_593_107,
            "A synchronization of this kind was requested before.",
        ));
    }
    if now_ms.saturating_sub(number.onboarded_ms) > DAY_MS {
        return Err(GraphError::of(
            2_593_108,
            "Synchronization must be requested within 24 hours of onboarding.",
        ));
    }
    *requested = true;
    Ok(())
}
