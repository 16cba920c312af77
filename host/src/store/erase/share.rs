//! One webhook may bring what several businesses got. Of its body only that goes which is the erased contact's
//! business's; the rest stays as it was.

use duet_rules::webhook::{self, Part};

use super::Subject;

/// What of a receipt's body belongs to the subject's business.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Share {
    Nothing,
    /// Some of it; without that, the body is as given.
    Part(String),
    Whole,
}

impl Share {
    /// The share of the receipt `id`, which names the subject or brought one of its events.
    pub(in super::super) fn of(id: i64, body: &[u8], subject: &Subject) -> Share {
        let brought = subject.receipts.contains(&id);
        if subject.owners.are_all(&subject.business) {
            return Share::Whole;
        }
        let Ok(entries) = webhook::entries(body) else {
            // Nobody can tell whose it is.
            return Share::Whole;
        };
        let (goes, stays): (Vec<String>, Vec<String>) = entries
            .into_iter()
            .partition(|entry| goes(entry, brought, subject));
        match (goes.is_empty(), stays.is_empty()) {
            // The number was given away since, and took along no event.
            (true, _) if brought => Share::Whole,
            (true, _) => Share::Nothing,
            (false, true) => Share::Whole,
            (false, false) => Share::Part(webhook::enclose(&stays)),
        }
    }
}

fn goes(entry: &str, brought: bool, subject: &Subject) -> bool {
    let body = webhook::enclose(&[entry]);
    let elements = webhook::decode(body.as_bytes(), Part::All).unwrap_or_default();
    let is_mine = elements
        .iter()
        .any(|element| subject.owners.of(element) == subject.business);
    is_mine && (brought || subject.traces.are_in(entry.as_bytes()))
}
