//! One row of the table for each place where Meta puts an element; each reads its own JSON.

use std::borrow::Cow;

use super::change::Change;
use super::element::{Element, Meaning};
use super::history::{self, Thread};
use super::json::Object;
use super::message::{self, Place};
use super::{Key, contacts, fields, statuses};
use crate::identity::Identity;

/// Where an element stands in its body.
#[derive(Clone, Copy)]
pub(super) enum Row {
    Message,
    Echo,
    HistoryItem,
    HistoryMessage {
        thread: usize,
    },
    FollowUp,
    FollowUpEcho,
    HistoryProgress {
        messages: usize,
    },
    HistoryError,
    Status,
    Contact,
    Call,
    Preference,
    Error,
    Profile,
    UserId,
    AutomaticEvent,
    Group,
    /// The whole value of a field that is no array.
    Field,
    Unknown,
}

/// What a row found out; the change knows the rest.
pub(super) struct Draft<'a> {
    pub(super) kind: Cow<'static, str>,
    pub(super) contact: Option<Identity>,
    pub(super) at_ms: Option<i64>,
    pub(super) group: bool,
    pub(super) keys: Vec<Key>,
    pub(super) context: Option<&'a str>,
    pub(super) meaning: Meaning,
}

impl<'c> Draft<'c> {
    /// An `unknown` element, to be made known by its row.
    pub(super) fn new(key: Key, at_ms: Option<i64>) -> Self {
        Draft::with(vec![key], at_ms)
    }

    fn with(keys: Vec<Key>, at_ms: Option<i64>) -> Self {
        Draft {
            kind: "unknown".into(),
            contact: None,
            at_ms,
            group: false,
            keys,
            context: None,
            meaning: Meaning::Nothing,
        }
    }

    /// The same for an element about `user`, whom the entry of `contacts[]` completes.
    pub(super) fn of_user(
        change: &'c Change<'_>,
        keys: Vec<Key>,
        user: Identity,
        object: &Object<'_>,
    ) -> Self {
        let contact = change.contact_of(&user);
        let user = match contact {
            Some(contact) => user.or(&contact.identity),
            None => user,
        };
        Draft {
            contact: (user != Identity::default()).then_some(user),
            context: contact.map(|contact| contact.json),
            ..Draft::with(keys, change.at_ms(object.text("timestamp")))
        }
    }
}

/// Reads one element.
pub(super) fn read(row: Row, change: &Change<'_>, threads: &[Thread], json: &str) -> Element {
    let draft = Object::read(json)
        .and_then(|object| draft(row, change, threads, json, &object))
        .unwrap_or_else(|| Draft::new(change.key_of_moment("unknown", json), change.at_ms(None)));
    Element {
        kind: draft.kind,
        waba: change.waba.as_deref().map(str::to_owned),
        number: change.number.as_deref().map(str::to_owned),
        display: change.display.clone(),
        contact: draft.contact,
        at_ms: draft.at_ms,
        history: change.field == fields::HISTORY,
        group: draft.group,
        keys: draft.keys,
        body: json.to_owned(),
        context: draft.context.map(str::to_owned),
        meaning: draft.meaning,
    }
}

fn draft<'c>(
    row: Row,
    change: &'c Change<'_>,
    threads: &'c [Thread],
    json: &str,
    object: &Object<'_>,
) -> Option<Draft<'c>> {
    let place = match row {
        Row::Message => Place::Live,
        Row::Echo => Place::Echo,
        Row::FollowUp => Place::FollowUp,
        Row::FollowUpEcho => Place::FollowUpEcho,
        Row::HistoryMessage { thread } => Place::History(threads.get(thread)?),
        Row::HistoryProgress { messages } => {
            return Some(history::progress(change, json, object, messages));
        }
        Row::HistoryError => return Some(history::error(change, json, object)),
        Row::Status => return Some(statuses::status(change, json, object)),
        Row::Call => return Some(statuses::call(change, json, object)),
        Row::Contact => return Some(contacts::state_sync(change, json, object)),
        Row::Preference => return Some(contacts::preference(change, json, object)),
        Row::Profile => return Some(contacts::lonely(change, json, object)),
        Row::UserId => return Some(contacts::user_id(change, json, object)),
        Row::AutomaticEvent => return Some(contacts::automatic_event(change, json, object)),
        Row::Error => return Some(fields::error(change, json)),
        Row::Group => return Some(fields::group(change, json, object)),
        Row::Field => return Some(fields::field(change, json, object)),
        Row::HistoryItem | Row::Unknown => return None,
    };
    Some(message::read(&place, change, json, object))
}
