//! `account_update`: the business connects, disconnects, moves to another phone.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{PlayError, number};
use crate::state::{State, lock};
use crate::webhook::Change;
use crate::world::Standing;

/// An event of the account.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountEvent {
    /// Phone number id of the business; the first number if absent.
    pub number: Option<String>,
    /// `PARTNER_ADDED`, `PARTNER_REMOVED`, `ACCOUNT_OFFBOARDED`, `ACCOUNT_RECONNECTED`, or any other with `extra`.
    pub event: String,
    /// The shape of `PARTNER_REMOVED`: `waba` (reference page, the default) or `phone` (onboarding page).
    pub shape: Option<String>,
    /// `disconnection_info.reason`, such as `PRIMARY_INACTIVITY`.
    pub reason: Option<String>,
    /// `disconnection_info.initiated_by`: `USER` or `SYSTEM`.
    pub initiated_by: Option<String>,
    /// `entry.time` in seconds; now if absent. Meta's own samples have RECONNECTED before OFFBOARDED.
    pub time: Option<u64>,
    /// Further fields of `value`.
    pub extra: Map<String, Value>,
}

pub(crate) fn happen(state: &State, event: &AccountEvent) -> Result<(), PlayError> {
    if event.event.is_empty() {
        return Err(PlayError(
            "event is missing, for example PARTNER_REMOVED".into(),
        ));
    }
    let now_ms = state.clock.now_ms();
    let mut world = lock(&state.world);
    let mut number = number(&world, event.number.as_deref())?;
    match event.event.as_str() {
        "PARTNER_REMOVED" => number.standing = Standing::Removed,
        "ACCOUNT_OFFBOARDED" => number.standing = Standing::Offboarded,
        "ACCOUNT_RECONNECTED" => number.standing = Standing::Connected,
        "PARTNER_ADDED" => {
            number = crate::world::NumberState {
                register_calls: number.register_calls,
                ..crate::world::NumberState::new(number.number, now_ms)
            };
        }
        _ => {}
    }
    world
        .numbers
        .insert(number.number.id.clone(), number.clone());
    drop(world);

    let number = number.number;
    let mut value = Map::from_iter([("event".to_owned(), json!(event.event))]);
    if matches!(event.event.as_str(), "PARTNER_ADDED" | "PARTNER_REMOVED") {
        if event.shape.as_deref() == Some("phone") {
            value.insert("phone_number".into(), json!(number.digits));
        } else {
            value.insert(
                "waba_info".into(),
                json!({"waba_id": number.waba, "owner_business_id": "2329417887457253"}),
            );
        }
    }
    if event.reason.is_some() || event.initiated_by.is_some() {
        let reason = event.reason.as_deref().unwrap_or("ACCOUNT_DISCONNECTED");
        value.insert("disconnection_info".into(), json!({"reason": reason, "initiated_by": event.initiated_by.as_deref().unwrap_or("USER")}));
    }
    value.extend(event.extra.clone());
    state.say("meta", &number.id, format!("[account: {}]", event.event));
    let lane = format!("{}/account", number.waba);
    let time = Some(event.time.unwrap_or(now_ms / 1000));
    state.post(
        Change {
            time,
            ..Change::of_waba(&number, "account_update", lane, Value::Object(value))
        },
        0,
    );
    Ok(())
}
