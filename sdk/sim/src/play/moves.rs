//! A customer takes another number, and with it another business-scoped user id.

use serde::Deserialize;
use serde_json::json;

use super::customer::{change, phone};
use super::{PlayError, number};
use crate::state::{State, lock};
use crate::wamid::{self, Author};

/// A customer takes another number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Move {
    #[serde(default)]
    pub(crate) number: Option<String>,
    pub(crate) from: String,
    /// The new phone.
    pub(crate) to: String,
}

/// The business-scoped user id changes with the number: a `system` message says so, and the field
/// `user_id_update`.
pub(crate) fn moves(state: &State, wish: &Move) -> Result<(), PlayError> {
    let (from, to) = (phone(&wish.from)?, phone(&wish.to)?);
    let mut world = lock(&state.world);
    let number = number(&world, wish.number.as_deref())?;
    let [old, new] = world
        .customers
        .renumber(&number.number.id, &number.number.waba, &from, &to);
    drop(world);
    let now_ms = state.clock.now_ms();
    let seconds = (now_ms / 1000).to_string();
    let said = format!(
        "User {} changed from {} to {}",
        new.name, old.user_id, new.user_id
    );
    let system = json!({"body": said, "type": "user_changed_user_id", "wa_id": to});
    let id = wamid::new(&from, Author::Customer, &mut *lock(&state.dice));
    let message =
        json!([{"from": from, "id": id, "timestamp": seconds, "type": "system", "system": system}]);
    let update = json!([{
        "wa_id": to,
        "user_id": {"previous": old.user_id, "current": new.user_id},
        "timestamp": seconds,
    }]);
    state.say("customer", &from, format!("[moves to {to}]"));
    for (field, name, elements) in [
        ("messages", "messages", message),
        ("user_id_update", "user_id_update", update),
    ] {
        state.post(change(state, &number, &new, field, name, elements), 0);
    }
    Ok(())
}
