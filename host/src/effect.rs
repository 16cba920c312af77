//! Effects: what a plugin does while it handles an event. They are buffered during the run and commit
//! in one transaction with "this event is done", or not at all.

/// Who speaks in a send, and who has a conversation now.
pub use duet_rules::sending::{Handling, Speaker};

/// Told which rows of the outbox wait now, or were settled.
pub type Wake = Box<dyn Fn(&[i64]) + std::marker::Send + Sync>;

/// A message to be sent: Meta's message object without addressee (`{"type":"text","text":{…}}`,
/// or `{"status":"read","message_id":…}` to mark read).
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    pub conversation: i64,
    pub speaker: Speaker,
    pub message: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A write to the instance's own store; `expires_ms` is absolute, ms since 1970.
    Set {
        key: String,
        value: Vec<u8>,
        expires_ms: Option<i64>,
    },
    Delete {
        key: String,
    },
    Send(Send),
    /// Hands a conversation over to a person (until `until_ms`, or the gateway's default) or gives it back.
    Handle {
        conversation: i64,
        handling: Handling,
        until_ms: Option<i64>,
    },
}

/// What a run has read from its store. Checked at commit: if it has changed since, the run is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// The SHA-256 of the value that was seen, or that there was none.
    Key { key: String, seen: Option<[u8; 32]> },
    /// The keys that a listing gave.
    Prefix {
        prefix: String,
        after: Option<String>,
        limit: usize,
        keys: Vec<String>,
    },
}

impl Read {
    /// What `Read::Key` holds for a value.
    pub fn seen(value: Option<&[u8]>) -> Option<[u8; 32]> {
        ring::digest::digest(&ring::digest::SHA256, value?)
            .as_ref()
            .try_into()
            .ok()
    }
}
