//! A business number as Meta sees it.

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::Number;

#[derive(Clone)]
pub(crate) struct NumberState {
    pub(crate) number: Number,
    pub(crate) standing: Standing,
    /// The sync window of 24 hours starts here.
    pub(crate) onboarded_ms: u64,
    pub(crate) contacts_requested: bool,
    pub(crate) history_requested: bool,
    /// A coexistence number must never be registered; a test can see that it was not.
    pub(crate) register_calls: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    Connected,
    /// The phone changed or registered again; sends are suspended until it is back.
    Offboarded,
    /// The business disconnected in the app.
    Removed,
}

impl NumberState {
    pub(crate) fn new(number: Number, now_ms: u64) -> Self {
        Self {
            number,
            standing: Standing::Connected,
            onboarded_ms: now_ms,
            contacts_requested: false,
            history_requested: false,
            register_calls: 0,
        }
    }

    /// `metadata` of a webhook value.
    pub(crate) fn metadata(&self) -> Value {
        json!({"display_phone_number": self.number.digits, "phone_number_id": self.number.id})
    }
}
