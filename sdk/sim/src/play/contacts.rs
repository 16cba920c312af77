//! The phone's address book.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{PlayError, number};
use crate::state::{State, lock};
use crate::webhook::Change;
use crate::world::{NumberState, user_id};

/// A change of the address book.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContactChange {
    /// Phone number id of the business; the first number if absent.
    pub number: Option<String>,
    /// `add` (added or edited) or `remove`.
    pub action: String,
    /// The contact's phone.
    pub phone: String,
    /// Full name; never sent with `remove`.
    pub full_name: Option<String>,
    /// First name; never sent with `remove`.
    pub first_name: Option<String>,
    /// Seconds since 1970 at which the phone made the change; now if absent. For late and crossing changes.
    pub timestamp: Option<u64>,
}

pub(crate) fn change(state: &State, change: &ContactChange) -> Result<(), PlayError> {
    if !matches!(change.action.as_str(), "add" | "remove") {
        return Err(PlayError("action is add or remove".into()));
    }
    let phone = super::customer::phone(&change.phone)?;
    let number = number(&lock(&state.world), change.number.as_deref())?;
    let seconds = change.timestamp.unwrap_or(state.clock.now_ms() / 1000);
    state.say(
        "phone",
        &phone,
        format!(
            "[contact: {} {}]",
            change.action,
            change.full_name.as_deref().unwrap_or_default()
        ),
    );
    let element = element(
        state,
        &number,
        &change.action,
        &phone,
        (change.full_name.as_deref(), change.first_name.as_deref()),
        seconds,
    );
    post(state, &number, vec![element]);
    Ok(())
}

/// The first sync: the whole address book.
pub(crate) fn sync(state: &State, id: &str) -> Result<(), PlayError> {
    let number = number(&lock(&state.world), Some(id))?;
    let seconds = state.clock.now_ms() / 1000;
    for book in state.config.contacts.chunks(500) {
        let add = |entry: &crate::config::AppContact| {
            let phone = crate::world::digits(&entry.phone);
            element(
                state,
                &number,
                "add",
                &phone,
                (Some(&entry.full_name), Some(&entry.first_name)),
                seconds,
            )
        };
        post(state, &number, book.iter().map(add).collect());
    }
    Ok(())
}

fn element(
    state: &State,
    number: &NumberState,
    action: &str,
    phone: &str,
    (full, first): (Option<&str>, Option<&str>),
    seconds: u64,
) -> Value {
    let mut contact = Map::new();
    if action == "add" {
        contact.extend(full.map(|name| ("full_name".to_owned(), json!(name))));
        contact.extend(first.map(|name| ("first_name".to_owned(), json!(name))));
    }
    contact.insert("phone_number".into(), json!(phone));
    if state.config.user_ids {
        contact.insert("user_id".into(), json!(user_id(&number.number.waba, phone)));
    }
    json!({"type": "contact", "contact": contact, "action": action, "metadata": {"timestamp": seconds.to_string()}})
}

fn post(state: &State, number: &NumberState, elements: Vec<Value>) {
    let value = Map::from_iter([("state_sync".to_owned(), json!(elements))]);
    state.post(
        Change::of(
            number,
            "smb_app_state_sync",
            "contacts",
            state.clock.now_ms(),
            value,
        ),
        0,
    );
}
