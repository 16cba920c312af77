//! What happens to contacts: the phone's address book, preferences, new user ids.

use super::change::{Change, named, profile};
use super::element::{ContactChange, Meaning, Preference};
use super::json::Object;
use super::rows::Draft;
use crate::identity::Identity;

const PERSON: [&str; 3] = ["wa_id", "user_id", "parent_user_id"];

/// One item of `value.state_sync[]`: `add` means added or edited, `remove` carries no names.
pub(super) fn state_sync<'c>(change: &'c Change<'_>, json: &str, object: &Object<'_>) -> Draft<'c> {
    let person = object.object("contact");
    let identity = person.map(|person| Identity {
        name: person
            .string("full_name")
            .or_else(|| person.string("first_name")),
        username: person.string("username"),
        ..named(&person, ["phone_number", "user_id", "parent_user_id"])
    });
    let time = object
        .object("metadata")
        .and_then(|metadata| metadata.text("timestamp"));
    let at_ms = change.at_ms(time);
    let (kind, meaning) = match object.lower("action").as_deref() {
        Some("add") => (
            "contact.added",
            Meaning::Contact(ContactChange {
                removed: false,
                at_ms,
            }),
        ),
        Some("remove") => (
            "contact.removed",
            Meaning::Contact(ContactChange {
                removed: true,
                at_ms,
            }),
        ),
        _ => ("unknown", Meaning::Nothing),
    };
    Draft {
        kind: kind.into(),
        contact: identity.filter(|identity| *identity != Identity::default()),
        meaning,
        ..Draft::new(change.key_of_body("state_sync", json), at_ms)
    }
}

/// One item of `value.user_preferences[]`.
pub(super) fn preference<'c>(change: &'c Change<'_>, json: &str, object: &Object<'_>) -> Draft<'c> {
    let preference = Preference {
        category: object.string("category"),
        value: object.lower("value"),
    };
    Draft {
        kind: "contact.preference".into(),
        meaning: Meaning::Preference(preference),
        ..Draft::of_user(
            change,
            vec![change.key_of_body("preference", json)],
            named(object, PERSON),
            object,
        )
    }
}

/// One item of `value.contacts[]` that describes nobody else's element.
pub(super) fn lonely<'c>(change: &'c Change<'_>, json: &str, object: &Object<'_>) -> Draft<'c> {
    let identity = profile(object);
    Draft {
        kind: "contact.profile".into(),
        contact: (identity != Identity::default()).then_some(identity),
        ..Draft::new(change.key_of_moment("profile", json), change.at_ms(None))
    }
}

/// `value.user_id_update`, or the value itself: `{wa_id?, user_id: {previous, current}}`.
pub(super) fn user_id<'c>(change: &'c Change<'_>, json: &str, object: &Object<'_>) -> Draft<'c> {
    let ids = object.object("user_id");
    let of_ids = |name| ids.as_ref().and_then(|ids| ids.string(name));
    let (previous, current) = (of_ids("previous"), of_ids("current"));
    let parent = object
        .object("parent_user_id")
        .and_then(|ids| ids.string("current"));
    let mut user = named(object, PERSON);
    user.user_id = current.clone().or(user.user_id);
    user.parent_user_id = parent.or(user.parent_user_id);
    Draft {
        kind: "contact.user_id".into(),
        meaning: Meaning::UserId { previous, current },
        ..Draft::of_user(
            change,
            vec![change.key_of_moment("user_id", json)],
            user,
            object,
        )
    }
}

/// One item of `value.automatic_events[]`.
pub(super) fn automatic_event<'c>(
    change: &'c Change<'_>,
    json: &str,
    object: &Object<'_>,
) -> Draft<'c> {
    let sender = named(object, ["from", "from_user_id", "from_parent_user_id"]);
    let user = named(object, PERSON).or(&sender);
    Draft {
        kind: "contact.automatic_event".into(),
        ..Draft::of_user(
            change,
            vec![change.key_of_moment("automatic_event", json)],
            user,
            object,
        )
    }
}
