//! Meta's own record of a number, `GET /{phone}/message_history`: each message with its events, and whether the
//! webhook of each event was delivered (`webhook_update_state`). Shapes: Meta's OpenAPI description, v23.0.

use serde_json::Value;

/// Refusals that mean "not for this number": no permission (10, 200), no such edge or parameter (100), not linked (3).
pub const NOT_OFFERED_CODES: [i64; 4] = [3, 10, 100, 200];

/// A message in Meta's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub wamid: String,
    /// The worst of its webhooks' states: `failed` or `retrying`; else none.
    pub webhook: Option<&'static str>,
}

/// What a comparison has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// Meta does not give the record of this number; why, in its words.
    NotOffered(String),
    /// Meta could not be asked now; why.
    Unknown(String),
    Read {
        /// Messages that were looked at.
        messages: i64,
        /// Meta has more than were looked at.
        more: bool,
        /// Ids that Duet does not know.
        missing: Vec<String>,
        /// Messages with a webhook that Meta could not deliver, with its state.
        undelivered: Vec<(String, &'static str)>,
    },
}

impl Compared {
    /// Messages that Meta knows and Duet does not.
    #[must_use]
    pub fn lost(&self) -> usize {
        match self {
            Compared::Read { missing, .. } => missing.len(),
            Compared::NotOffered(_) | Compared::Unknown(_) => 0,
        }
    }

    pub(super) fn undelivered(&self) -> i64 {
        match self {
            Compared::Read { undelivered, .. } => {
                i64::try_from(undelivered.len()).unwrap_or(i64::MAX)
            }
            Compared::NotOffered(_) | Compared::Unknown(_) => 0,
        }
    }
}

/// A message of Meta's record; `None` without its id.
#[must_use]
pub fn entry(entry: &Value) -> Option<Entry> {
    let wamid = entry.get("message_id")?.as_str()?.to_owned();
    let events = entry.pointer("/events/data").and_then(Value::as_array);
    let states = events.into_iter().flatten().filter_map(|event| {
        let state = event.get("webhook_update_state")?.as_str()?;
        match state.to_ascii_uppercase().as_str() {
            "FAILED" => Some("failed"),
            "RETRYING" => Some("retrying"),
            _ => None,
        }
    });
    // `failed` comes before `retrying` in the alphabet, too.
    Some(Entry {
        wamid,
        webhook: states.min(),
    })
}

/// `known` says of each entry whether Duet has its message; `more`, whether Meta has more of them.
#[must_use]
pub fn compare(entries: &[Entry], known: &[bool], more: bool) -> Compared {
    let missing = entries.iter().zip(known).filter(|(_, known)| !**known);
    let undelivered = entries
        .iter()
        .filter_map(|entry| Some((entry.wamid.clone(), entry.webhook?)));
    Compared::Read {
        messages: i64::try_from(entries.len()).unwrap_or(i64::MAX),
        more,
        missing: missing.map(|(entry, _)| entry.wamid.clone()).collect(),
        undelivered: undelivered.collect(),
    }
}
