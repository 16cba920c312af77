//! Effects: what a plugin does while it handles an event. They are buffered during the run and commit
//! in one transaction with "this event is done", or not at all.

use std::collections::BTreeMap;

use duet_rules::annotations::Annotation;
use duet_rules::cases::Case;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// What the caller of a hook is answered.
pub use duet_rules::hooks::Answer;
/// Who speaks in a send, and who has a conversation now.
pub use duet_rules::sending::{Agent, Handling, Speaker};

/// Told which rows of the outbox wait now, or were settled.
pub type Wake = Box<dyn Fn(&[i64]) + std::marker::Send + Sync>;

/// A message to be sent: Meta's message object without addressee (`{"type":"text","text":{…}}`,
/// or `{"status":"read","message_id":…}` to mark read).
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    pub conversation: i64,
    pub speaker: Speaker,
    /// Which person speaks, if that is known.
    pub agent: Option<Agent>,
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
        /// Which person gets it, if that is known.
        agent: Option<Agent>,
        until_ms: Option<i64>,
    },
    /// Takes the place of the instance's timer of this name.
    SetTimer {
        name: String,
        /// When it is due, ms since 1970.
        at_ms: i64,
        payload: String,
        conversation: Option<i64>,
    },
    CancelTimer {
        name: String,
    },
    /// Has the instance told once the file of a message is stored, or will not come.
    AwaitFile {
        conversation: i64,
        /// Meta's id of the message.
        message: String,
    },
    /// Opens a case, or opens it again and changes it.
    OpenCase {
        conversation: i64,
        case: Case,
    },
    ChangeCase {
        case: Case,
    },
    CloseCase {
        key: String,
    },
    /// Notes, labels or assigns a conversation.
    Annotate {
        conversation: i64,
        annotation: Annotation,
    },
    /// The event is a call of a hook, and this is what its caller is answered.
    Answer(Answer),
}

impl Effect {
    /// Whether events may come of it in the transaction that commits it.
    pub fn makes_events(&self) -> bool {
        match self {
            Effect::AwaitFile { .. }
            | Effect::OpenCase { .. }
            | Effect::ChangeCase { .. }
            | Effect::CloseCase { .. }
            | Effect::Annotate { .. } => true,
            Effect::Set { .. }
            | Effect::Delete { .. }
            | Effect::Send(_)
            | Effect::Handle { .. }
            | Effect::SetTimer { .. }
            | Effect::CancelTimer { .. }
            | Effect::Answer(_) => false,
        }
    }
}

/// What was seen under a key: the SHA-256 of its value, or nothing.
pub type Seen = Option<[u8; 32]>;

/// What a run has read from its store. Checked at commit: if it has changed since, the run is repeated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    pub keys: BTreeMap<String, Seen>,
    pub lists: Vec<ListRead>,
    /// The run saw two values under one key: it cannot commit, whatever the store says now.
    pub torn: bool,
}

/// One question for keys and its answer, without the run's own writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRead {
    pub prefix: String,
    pub after: Option<String>,
    pub limit: usize,
    pub keys: Vec<String>,
}

impl Reads {
    /// What [`Reads::keys`] holds for a value.
    pub fn seen(value: Option<&[u8]>) -> Seen {
        digest(&SHA256, value?).as_ref().try_into().ok()
    }

    pub(crate) fn note(&mut self, key: &str, value: Option<&[u8]>) {
        let seen = Reads::seen(value);
        let first = self.keys.entry(key.to_owned()).or_insert(seen);
        self.torn |= *first != seen;
    }
}
