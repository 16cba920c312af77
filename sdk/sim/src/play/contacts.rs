//! The phone's address book.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{PlayError, number};
use crate::state::{State, lock};
use crate::webhook::Change;
use crate::world::{Customer, NumberState};

/// Contacts in one webhook at most.
pub(crate) const BOOK_MAX: usize = 500;

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
    /// Username, also without a phone in the address book.
    pub username: Option<String>,
    /// The webhook names the user id alone, as for a contact with a username.
    pub hide_phone: bool,
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
    let entry = Entry {
        full_name: change.full_name.as_deref(),
        first_name: change.first_name.as_deref(),
        removed: change.action == "remove",
        seconds,
    };
    let known =
        lock(&state.world)
            .customers
            .portrait(&number.number.id, &number.number.waba, &phone);
    let customer = Customer {
        phone_hidden: change.hide_phone || known.phone_hidden,
        username: change.username.clone().or(known.username.clone()),
        ..known
    };
    let element = entry.element(&customer, state.config.user_ids);
    post(state, &number, vec![element]);
    Ok(())
}

/// The first sync: the whole address book.
pub(crate) fn sync(state: &State, id: &str) -> Result<(), PlayError> {
    let number = number(&lock(&state.world), Some(id))?;
    let seconds = state.clock.now_ms() / 1000;
    for book in state.config.contacts.chunks(BOOK_MAX) {
        let add = |entry: &crate::config::AppContact| {
            let phone = crate::world::digits(&entry.phone);
            let world = lock(&state.world);
            let customers = &world.customers;
            let customer = customers.portrait(&number.number.id, &number.number.waba, &phone);
            let entry = Entry {
                full_name: Some(&entry.full_name),
                first_name: Some(&entry.first_name),
                removed: false,
                seconds,
            };
            entry.element(&customer, state.config.user_ids)
        };
        post(state, &number, book.iter().map(add).collect());
    }
    Ok(())
}

/// What the phone's address book says about a customer.
pub(crate) struct Entry<'a> {
    pub(crate) full_name: Option<&'a str>,
    pub(crate) first_name: Option<&'a str>,
    pub(crate) removed: bool,
    /// When the phone made the change.
    pub(crate) seconds: u64,
}

impl Entry<'_> {
    /// An element of `state_sync`; a removed contact has no names.
    pub(crate) fn element(&self, customer: &Customer, user_ids: bool) -> Value {
        let mut contact = Map::new();
        if !self.removed {
            contact.extend(
                self.full_name
                    .map(|name| ("full_name".to_owned(), json!(name))),
            );
            contact.extend(
                self.first_name
                    .map(|name| ("first_name".to_owned(), json!(name))),
            );
            contact.extend(
                customer
                    .username
                    .as_ref()
                    .map(|name| ("username".to_owned(), json!(name))),
            );
        }
        if !customer.phone_hidden {
            contact.insert("phone_number".into(), json!(customer.phone));
        }
        contact.extend(customer.user_ids(user_ids, ["user_id", "parent_user_id"]));
        let action = if self.removed { "remove" } else { "add" };
        json!({"type": "contact", "contact": contact, "action": action, "metadata": {"timestamp": self.seconds.to_string()}})
    }
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
