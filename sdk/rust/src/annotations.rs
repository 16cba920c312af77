//! What people and plugins keep on a conversation among themselves: notes, labels, and to whom it is assigned. Needs the
//! grant `annotations`, with `write = true` for all that changes something.
//!
//! The customer sees none of it. Other plugins get events `conversation.noted`, `conversation.labelled` and
//! `conversation.assigned`, if they want them, and so does this one of what others change: people by the admin API too.

use crate::bindings::duet::plugin::annotations as host;
use crate::{Agent, Conversation, Result, reject};

pub use host::Note;

/// Writes a note.
pub fn add_note(conversation: Conversation, text: &str, agent: Option<&Agent>) -> Result {
    host::add_note(conversation.id, None, text, agent).map_err(reject)
}

/// Writes a note unless this plugin has one under the same key there, whatever that says.
pub fn add_note_once(
    conversation: Conversation,
    key: &str,
    text: &str,
    agent: Option<&Agent>,
) -> Result {
    host::add_note(conversation.id, Some(key), text, agent).map_err(reject)
}

/// The notes of all authors, the newest first: at most 100.
pub fn notes(conversation: Conversation) -> Vec<Note> {
    host::notes(conversation.id)
}

/// Adds a label; one that is there is fine.
pub fn add_label(conversation: Conversation, label: &str) -> Result {
    host::add_label(conversation.id, label).map_err(reject)
}

/// Takes a label off; one that is not there is fine.
pub fn remove_label(conversation: Conversation, label: &str) -> Result {
    host::remove_label(conversation.id, label).map_err(reject)
}

/// The labels, in the order of their bytes.
pub fn labels(conversation: Conversation) -> Vec<String> {
    host::labels(conversation.id)
}

/// Says who is to see to the conversation, or nobody. Automations go on: [`Conversation::hand_over_to`] silences them.
pub fn assign(conversation: Conversation, agent: Option<&Agent>) -> Result {
    host::assign(conversation.id, agent).map_err(reject)
}

/// Who is to see to the conversation.
pub fn assignee(conversation: Conversation) -> Option<Agent> {
    host::assignee(conversation.id)
}
