//! Cases that other systems keep of conversations: tickets, leads, orders. Needs the grant `cases`.
//!
//! A case stands under the other system's own id, so that the plugin finds the conversation when that system calls, and
//! the case when the customer writes. Other plugins get events `case.opened`, `case.reopened`, `case.assigned`,
//! `case.changed` and `case.closed`, if they want them; the one whose case it is does not.

use crate::bindings::duet::plugin::cases as host;
use crate::{Conversation, Result, reject};

pub use host::{Case, Entry};

/// A case with nothing but a key and a title.
pub fn case(key: &str, title: &str) -> Case {
    Case {
        key: key.into(),
        title: Some(title.into()),
        url: None,
        status: None,
        assignee: None,
    }
}

/// Opens a case, or opens it again and changes it.
pub fn open(conversation: Conversation, case: &Case) -> Result {
    host::open(conversation.id, case).map_err(reject)
}

/// Changes a case, which stays open or closed.
pub fn change(case: &Case) -> Result {
    host::change(case).map_err(reject)
}

/// Closes a case; one that is closed is fine.
pub fn close(key: &str) -> Result {
    host::close(key).map_err(reject)
}

/// A case of the plugin's own.
pub fn get(key: &str) -> Option<Entry> {
    host::get(key)
}

/// The cases of a conversation, of all plugins of the business, the newest first.
pub fn of_conversation(conversation: Conversation) -> Vec<Entry> {
    host::of_conversation(conversation.id)
}
