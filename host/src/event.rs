//! An event: one thing that happened, numbered by `seq`.

use serde::{Deserialize, Serialize};

/// One stored event, as plugins and the API see it.
#[derive(Debug, Clone)]
pub struct Event {
    /// Arrival order over the whole gateway; given in commit order, so no reader sees past a gap.
    pub seq: i64,
    /// Stable across retries and restarts: 32 hex digits of the element's first dedupe key.
    pub id: String,
    /// `message.text`, `status.delivered`, …: an open set.
    pub kind: String,
    /// Whose it is: its number's business, else its account's; `""` is the gateway's own.
    pub business: String,
    /// The only plugin instance that sees it; absent for what all may see.
    pub instance: Option<String>,
    /// Meta's `phone_number_id`.
    pub number: Option<String>,
    /// Meta's WhatsApp Business Account id.
    pub waba: Option<String>,
    pub contact: Option<i64>,
    pub conversation: Option<i64>,
    /// Meta's time of the element, ms since 1970.
    pub at_ms: Option<i64>,
    /// When the receipt arrived here, ms since 1970.
    pub received_ms: i64,
    pub receipt: i64,
    /// Imported history: never wakes an automation, has a lane of its own.
    pub history: bool,
    /// Meta's JSON of this one element, nothing dropped.
    pub body: String,
    /// Meta's `contacts[]` entry that came with the element, as JSON.
    pub context: Option<String>,
}

/// The customer's side, as plugins see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactView {
    pub id: i64,
    /// The name in the phone's address book, else the one that the customer gave.
    pub name: Option<String>,
    /// Phone number in digits.
    pub wa_id: Option<String>,
    pub user_id: Option<String>,
}

/// The order that an event is handled in: one at a time within a lane, lanes in parallel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    Conversation(i64),
    History(i64),
    Number(String),
    Waba(String),
    Instance,
}

impl Event {
    /// A conversation's lane, else its number's, else its WABA's, else the instance's own.
    pub fn lane(&self) -> Lane {
        match (self.conversation, &self.number, &self.waba) {
            (Some(id), _, _) if self.history => Lane::History(id),
            (Some(id), _, _) => Lane::Conversation(id),
            (None, Some(number), _) => Lane::Number(number.clone()),
            (None, None, Some(waba)) => Lane::Waba(waba.clone()),
            (None, None, None) => Lane::Instance,
        }
    }
}

impl std::fmt::Display for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lane::Conversation(id) => write!(f, "c{id}"),
            Lane::History(id) => write!(f, "h{id}"),
            Lane::Number(number) => write!(f, "n{number}"),
            Lane::Waba(waba) => write!(f, "w{waba}"),
            Lane::Instance => f.write_str("i"),
        }
    }
}
