//! Business numbers and their WABA: fields, lists, blocked customers, and the two calls that a coexistence
//! number must never see, `register` and `deregister`.

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::Answer;
use super::request::Call;
use crate::error::GraphError;
use crate::state::{State, lock};
use crate::world::{NumberState, Standing};

const DEFAULT_FIELDS: [&str; 5] = [
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
];

pub(super) fn get(state: &State, id: &str, call: &Call) -> Answer {
    let number = find(state, id)?;
    let fields: Vec<&str> = match call.query.get("fields") {
        Some(fields) => fields
            .split(',')
            .map(str::trim)
            .filter(|field| !field.is_empty() && *field != "id")
            .collect(),
        None => DEFAULT_FIELDS.to_vec(),
    };
    let mut answer = Map::from_iter([("id".to_owned(), json!(id))]);
    for field in fields {
        let value = self::field(state, &number, field).ok_or_else(|| {
            GraphError::plain(StatusCode::BAD_REQUEST, 100, format!("Tried accessing nonexisting field ({field}) on node type (WhatsAppBusinessPhoneNumber)"))
        })?;
        answer.insert(field.to_owned(), value);
    }
    Ok(Value::Object(answer))
}

fn field(state: &State, number: &NumberState, field: &str) -> Option<Value> {
    let on_app = number.number.coexistence && number.standing == Standing::Connected;
    Some(match field {
        "display_phone_number" => json!(number.number.display),
        "verified_name" => json!(number.number.name),
        "quality_rating" => json!("GREEN"),
        "code_verification_status" => json!("VERIFIED"),
        "name_status" => json!("APPROVED"),
        "platform_type" => json!(if number.standing == Standing::Removed {
            "NOT_APPLICABLE"
        } else {
            "CLOUD_API"
        }),
        "is_on_biz_app" => json!(on_app),
        "status" => json!(if number.standing == Standing::Connected {
            "CONNECTED"
        } else {
            "DISCONNECTED"
        }),
        "throughput" => json!({"level": "STANDARD"}),
        "account_mode" => json!("LIVE"),
        "messaging_limit_tier" | "whatsapp_business_manager_messaging_limit" => json!("TIER_1K"),
        "is_official_business_account" => json!(false),
        "webhook_configuration" => webhook_configuration(state, number),
        _ => return None,
    })
}

fn webhook_configuration(state: &State, number: &NumberState) -> Value {
    let mut webhooks = Map::new();
    if let Some(url) = &*lock(&state.webhook) {
        webhooks.insert("application".into(), json!(url));
    }
    let subscription = lock(&state.world)
        .subscriptions
        .get(&number.number.waba)
        .cloned();
    if let Some(url) = subscription.and_then(|subscription| subscription.override_uri) {
        webhooks.insert("whatsapp_business_account".into(), json!(url));
    }
    Value::Object(webhooks)
}

pub(super) fn list(state: &State, waba: &str) -> Answer {
    let world = lock(&state.world);
    if !world.has_waba(waba) {
        return Err(GraphError::unknown_object(waba));
    }
    let describe = |number: &NumberState| {
        json!({
            "id": number.number.id,
            "display_phone_number": number.number.display,
            "verified_name": number.number.name,
            "status": "LINKED",
            "quality_rating": "GREEN",
            "code_verification_status": "VERIFIED",
            "platform_type": "CLOUD_API",
        })
    };
    let data: Vec<Value> = world
        .numbers
        .values()
        .filter(|number| number.number.waba == waba)
        .map(describe)
        .collect();
    Ok(json!({"data": data, "paging": {"cursors": {"before": "MAZDZD", "after": "MjQZD"}}}))
}

pub(super) fn waba(state: &State, id: &str) -> Answer {
    let world = lock(&state.world);
    let name = world
        .numbers
        .values()
        .find(|number| number.number.waba == id)
        .map(|number| number.number.name.clone());
    let name = name.ok_or_else(|| GraphError::unknown_object(id))?;
    Ok(
        json!({"id": id, "name": name, "timezone_id": "71", "account_review_status": "APPROVED", "business_verification_status": "VERIFIED"}),
    )
}

/// Meta would answer success and damage the phone's app; the sim answers the same and remembers the call.
pub(super) fn register(state: &State, id: &str) -> Answer {
    let mut world = lock(&state.world);
    let number = world
        .numbers
        .get_mut(id)
        .ok_or_else(|| GraphError::unknown_object(id))?;
    number.register_calls += 1;
    drop(world);
    state.say(
        "meta",
        id,
        "REGISTER was called: on a coexistence number this breaks the app on the phone",
    );
    Ok(json!({"success": true}))
}

pub(super) fn deregister(state: &State, id: &str) -> Answer {
    let number = find(state, id)?;
    if !number.number.coexistence {
        return Ok(json!({"success": true}));
    }
    let message = "Deregister endpoint is not available for API solution for SMB businesses.";
    Err(GraphError::plain(StatusCode::BAD_REQUEST, 100, message))
}

pub(super) fn settings(state: &State, id: &str) -> Answer {
    find(state, id)?;
    Ok(json!({
        "calling": {"status": "disabled", "call_icon_visibility": "default", "callback_permission_status": "disabled"},
        "payload_encryption": {"status": "disabled"},
        "storage_configuration": {"status": "default"},
    }))
}

/// Answers as Meta does; whom a number blocks changes nothing else in the sim.
pub(super) fn block_users(state: &State, id: &str, method: &Method, call: &Call) -> Answer {
    find(state, id)?;
    let list = match *method {
        Method::GET => {
            return Ok(
                json!({"data": [], "paging": {"cursors": {"before": "MAZDZD", "after": "MjQZD"}}}),
            );
        }
        Method::DELETE => "removed_users",
        _ => "added_users",
    };
    let users = call
        .object()?
        .get("block_users")
        .and_then(Value::as_array)
        .filter(|users| !users.is_empty());
    let users =
        users.ok_or_else(|| GraphError::parameter("The parameter block_users is required."))?;
    let inputs = users
        .iter()
        .filter_map(|user| user.get("user").and_then(Value::as_str));
    let users: Vec<Value> = inputs
        .map(|input| json!({"input": input, "wa_id": super::recipient::digits(input)}))
        .collect();
    Ok(json!({"messaging_product": "whatsapp", "block_users": {list: users}}))
}

pub(super) fn find(state: &State, id: &str) -> Result<NumberState, GraphError> {
    lock(&state.world)
        .numbers
        .get(id)
        .cloned()
        .ok_or_else(|| GraphError::unknown_object(id))
}
