//! Times at which the plugin wants to be called. Needs the grant `timers`.
//!
//! At its time, or soon after, a timer becomes an event `timer.fired` for this plugin alone, once; the manifest need not
//! name it, and [`Event::timer`](crate::Event::timer) reads it. One that was due while Duet was down fires at its start.
//! The takeover holds for what a timer says like for any other answer: whoever took the conversation meanwhile keeps it.

use crate::bindings::duet::plugin::timers as host;
use crate::{Conversation, Result, reject};

/// Sets a timer at `at_ms`, ms since 1970, which may have passed; one of this name that is there is replaced.
///
/// With a conversation the event comes in its lane, in order with everything else there; without one in the plugin's own.
/// The name has 1 to 128 bytes, the payload at most 4 KiB, and the time is at most 366 days ahead.
pub fn set(name: &str, at_ms: u64, payload: &str, conversation: Option<Conversation>) -> Result {
    host::set(
        name,
        at_ms,
        payload,
        conversation.map(|conversation| conversation.id),
    )
    .map_err(reject)
}

/// Takes a timer back; one that is not there is fine.
pub fn cancel(name: &str) {
    host::cancel(name);
}
