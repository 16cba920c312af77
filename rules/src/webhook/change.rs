//! What the elements of one change have in common, and whose contact is whose.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Key;
use super::json::{Object, list, text, time_ms};
use super::tree::Branch;
use crate::identity::{Identity, digits};

/// Where an element stands: the entry's id and time, the field, the value's metadata and contacts.
#[derive(Default)]
pub(super) struct Change<'a> {
    pub(super) waba: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    pub(super) field: Cow<'a, str>,
    pub(super) number: Option<Cow<'a, str>>,
    pub(super) display: Option<String>,
    contacts: Vec<Contact<'a>>,
    by_wa_id: HashMap<String, usize>,
    by_user_id: HashMap<String, usize>,
}

/// One entry of `contacts[]`.
pub(super) struct Contact<'a> {
    pub(super) json: &'a str,
    pub(super) identity: Identity,
}

impl<'a> Change<'a> {
    /// `waba` and `time` are the entry's `id` and `time`, as JSON.
    pub(super) fn new(waba: Option<&'a str>, time: Option<&'a str>, field: Cow<'a, str>) -> Self {
        let (waba, time) = (waba.and_then(text), time.and_then(text));
        Change {
            waba,
            time,
            field,
            ..Change::default()
        }
    }

    pub(super) fn read_value(&mut self, value: &Branch<'a>) {
        if let Some(metadata) = value.leaf("metadata").and_then(Object::read) {
            self.number = metadata.text("phone_number_id");
            self.display = metadata
                .text("display_phone_number")
                .map(|phone| digits(&phone));
        }
        for json in value.leaf("contacts").and_then(list).unwrap_or_default() {
            let Some(contact) = Object::read(json) else {
                continue;
            };
            let identity = profile(&contact);
            let place = self.contacts.len();
            if let Some(wa_id) = &identity.wa_id {
                self.by_wa_id.entry(wa_id.clone()).or_insert(place);
            }
            if let Some(user_id) = &identity.user_id {
                self.by_user_id.entry(user_id.clone()).or_insert(place);
            }
            self.contacts.push(Contact { json, identity });
        }
    }

    /// The contact with this phone, else with this user id; a sole contact fits somebody who is
    /// named by neither.
    pub(super) fn contact_of(&self, somebody: &Identity) -> Option<&Contact<'a>> {
        if somebody.is_nobody() {
            return self.contacts.first().filter(|_| self.contacts.len() == 1);
        }
        let by_phone = || self.by_wa_id.get(somebody.wa_id.as_ref()?);
        let by_user = || self.by_user_id.get(somebody.user_id.as_ref()?);
        self.contacts.get(*by_phone().or_else(by_user)?)
    }

    /// The time of an element: its own, else the entry's.
    pub(super) fn at_ms(&self, timestamp: Option<Cow<'_, str>>) -> Option<i64> {
        let own = timestamp.and_then(|timestamp| time_ms(&timestamp));
        own.or_else(|| time_ms(self.time.as_deref()?))
    }

    pub(super) fn waba(&self) -> &str {
        self.waba.as_deref().unwrap_or_default()
    }

    pub(super) fn number(&self) -> &str {
        self.number.as_deref().unwrap_or_default()
    }

    /// For elements whose own JSON tells one occurrence from the next.
    pub(super) fn key_of_body(&self, row: &str, json: &str) -> Key {
        Key::of(&["body", row, self.waba(), self.number(), json])
    }

    /// For elements that may happen twice with the same JSON: the entry's time tells them apart.
    pub(super) fn key_of_moment(&self, row: &str, json: &str) -> Key {
        let time = self.time.as_deref().unwrap_or_default();
        Key::of(&[
            "moment",
            row,
            self.waba(),
            self.number(),
            &self.field,
            time,
            json,
        ])
    }
}

/// Reads one entry of `contacts[]`.
pub(super) fn profile(contact: &Object<'_>) -> Identity {
    let profile = contact.object("profile");
    let of_profile = |name| profile.as_ref().and_then(|profile| profile.string(name));
    Identity {
        wa_id: contact.text("wa_id").map(|phone| digits(&phone)),
        user_id: contact.string("user_id"),
        parent_user_id: contact.string("parent_user_id"),
        name: of_profile("name"),
        username: of_profile("username").or_else(|| contact.string("username")),
    }
}

/// Reads the identity that an element names by members such as `from`, `from_user_id` and
/// `from_parent_user_id`, in this order.
pub(super) fn named(element: &Object<'_>, members: [&str; 3]) -> Identity {
    let [phone, user_id, parent_user_id] = members;
    Identity {
        wa_id: element.text(phone).map(|phone| digits(&phone)),
        user_id: element.string(user_id),
        parent_user_id: element.string(parent_user_id),
        ..Identity::default()
    }
}
