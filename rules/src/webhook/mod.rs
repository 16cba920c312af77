//! Turns the body of a webhook into elements: what happened, to whom, when, and by which key a
//! repetition is recognised.
//!
//! Promises: nothing that Meta sent is dropped, one odd item spoils none of its neighbours, and
//! reading never fails for a shape that nobody has heard of: it becomes `unknown` with its JSON.
//! A body is only *unreadable* when it is no webhook at all or breaks a limit. Deliberately absent:
//! a typed model of Meta's payloads, which change every few weeks.
//!
//! # The table
//!
//! A body is `{"entry": [{"id": WABA, "time"?, "changes": [{"field": F, "value": V}]}]}`. All entries,
//! changes and arrays are walked. Some of Meta's pages print a change or a value without this
//! envelope; both are read as one change without a WABA, and a missing field is inferred from V's
//! members. The elements of one V stand in the order of this table.
//!
//! | in V | kind | the user is | keys |
//! |---|---|---|---|
//! | `errors[]` | `error` | | moment |
//! | `messages[]` | `message.<type>` | `from` | m, s |
//! | `statuses[]` | `status.<status>`; of a call, `call.<status>` | `recipient_id`; in a group, the participant | t; of a call, body |
//! | `message_echoes[]` | `echo.<type>` | `to` | m, s |
//! | `history[].metadata` | `coexistence.history_progress` | | moment |
//! | `history[].errors[]` | `coexistence.history_declined` for code 2593109, else `coexistence.history_error` | | moment |
//! | `history[].threads[].messages[]` | `history.<type>` | the thread, whoever sent | m, s of the thread |
//! | `messages[]`, `message_echoes[]` of field `history` | `history.<type>`, media that follows its placeholder | as above | f |
//! | `state_sync[]` | `contact.added`, `contact.removed` | `contact` | body |
//! | `calls[]` | `call.<event>`, else `call.<status>`, else `call.update` | `from`, or `to` of a call that the business began | body |
//! | `user_preferences[]` | `contact.preference` | `wa_id` | body |
//! | `user_id_update`, one or many, else V of that field | `contact.user_id` | `user_id.current` | moment |
//! | V of `account_update` | `account.<event>` without a leading `account_`, else `account.update` | | moment |
//! | V of the other `account_…` fields, `business_capability_update`, `payment_configuration_update`, `partner_solutions`, `security` | `account.alert`, `.review`, `.settings`, `.capability`, `.payment_configuration`, `.partner_solution`, `.security` | | moment |
//! | V of a template field | `template.status`, `.quality`, `.components`, `.category`, by V's members | | moment |
//! | V of a number's field | `number.name`, `number.quality`, `number.username` | | moment |
//! | V of `flows` | `flow.<event>`, else `flow.update` | | moment |
//! | `groups[]` of a group field, else V | `group.lifecycle`, `.participants`, `.settings`, `.status` | | moment |
//! | `automatic_events[]` of that field | `contact.automatic_event` | `wa_id` or `from` | moment |
//! | `contacts[]` beside no other element | `contact.profile` | itself | moment |
//! | V of a field that nobody has heard of and that gave no element; else an object of the members that no row took | `unknown` | | moment |
//!
//! Words become lower case. A type, status or action that nobody has heard of makes the kind
//! `unknown` and leaves contact, time and keys as they are; the type `unknown` is Meta's older word
//! for `unsupported`. Whatever has the wrong JSON type is an `unknown` of its own. Wherever the table
//! names a phone, the business-scoped user id beside it counts too, and `contacts[]` completes both.
//!
//! The keys, before they are hashed: m = number and message id; f the same for follow-up media;
//! s = number, the user's phone and the stanza inside the id, which stays when Meta spells one
//! message's id in two ways; t = number, id, status, timestamp; body = WABA, number and the JSON;
//! moment = these with field and time of the entry. A message or status without an id has a body key.

mod change;
mod contacts;
mod content;
mod element;
mod entries;
mod fields;
mod history;
mod json;
mod key;
mod kinds;
mod message;
mod outline;
mod rows;
mod statuses;
#[cfg(test)]
mod tests;
mod tree;
mod value;

pub use element::{
    Account, AccountAlert, ContactChange, Edit, Element, HistoryProgress, Meaning, Media, Message,
    NumberQuality, Origin, Preference, Revoke, Status, TemplateChange,
};
pub use entries::{enclose, entries};
pub use key::Key;
pub use kinds::is_unshown;
pub use message::is_by_metas_bot;
pub use outline::Outline;

use thiserror::Error;

/// Which elements of a body are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    All,
    /// Every change except those of the field `history`.
    Live,
    /// Only the changes of the field `history`.
    History,
}

/// Why a body has no elements: a sentence for the admin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Unreadable {
    fn new(reason: String) -> Self {
        Self(reason)
    }
}

/// Reads all elements of a part.
///
/// # Errors
/// [`Unreadable`] when the body is not UTF-8, not JSON, no webhook, or beyond a limit.
pub fn decode(body: &[u8], part: Part) -> Result<Vec<Element>, Unreadable> {
    decode_from(body, part, 0, usize::MAX)
}

/// Reads at most `take` elements of a part from index `skip` on. An index means the same element
/// each time for the same body and part. To read several slices, keep an [`Outline`] instead.
///
/// # Errors
/// As [`decode`].
pub fn decode_from(
    body: &[u8],
    part: Part,
    skip: usize,
    take: usize,
) -> Result<Vec<Element>, Unreadable> {
    let outline = Outline::open(body, part)?;
    let mut elements = Vec::with_capacity(outline.len().saturating_sub(skip).min(take));
    elements.extend(outline.elements(skip, take));
    Ok(elements)
}

/// What a body may hold, by a cheap look that decodes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    pub history: bool,
    /// What may forbid a send that is about to leave: a message that a person sent from the app, a customer's choice.
    pub forbids: bool,
}

/// Looks into a body without decoding it. It may err towards true, for example when a customer writes
/// the quoted word; it never misses a body of Meta's, which escapes no ASCII letter.
#[must_use]
pub fn mentions(body: &[u8]) -> Mentions {
    let has = |word: &[u8]| memchr::memmem::find(body, word).is_some();
    Mentions {
        history: has(b"\"history\""),
        forbids: has(b"\"message_echoes\"") || has(b"\"user_preferences\""),
    }
}
