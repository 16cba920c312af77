//! What became of the statuses of each message that the business sent through the API: the record behind
//! `message_history`.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

/// One status, and how far its webhook has come.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) id: u64,
    /// Meta's word in upper case, such as `DELIVERED`.
    pub(crate) status: String,
    pub(crate) seconds: u64,
    pub(crate) webhook: WebhookState,
    /// Where the webhook goes.
    pub(crate) uri: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WebhookState {
    Pending,
    Delivered,
    Retrying,
    Failed,
}

/// One message with its events, oldest first.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) number: String,
    pub(crate) message: String,
    pub(crate) events: Vec<Event>,
}

/// A status in a body on its way: message and word.
pub(crate) type Mark = (String, String);

pub(crate) struct Ledger {
    entries: VecDeque<Entry>,
    /// Place of a message, counted from the first that was ever entered.
    places: HashMap<String, usize>,
    gone: usize,
    last: u64,
    max: usize,
}

/// Events of one message at most.
const EVENTS_MAX: usize = 20;

impl Ledger {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            places: HashMap::new(),
            gone: 0,
            last: 1_000_000_000_000_000,
            max: max.max(1),
        }
    }

    /// Enters the statuses of a webhook's value, whose delivery has yet to begin.
    pub(crate) fn enter(&mut self, value: &Value) -> Vec<Mark> {
        let text = |value: &Value, name: &str| {
            let text = value.get(name).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let number = value
            .get("metadata")
            .map(|metadata| text(metadata, "phone_number_id"));
        let statuses = value.get("statuses").and_then(Value::as_array);
        let mut marks = Vec::new();
        for status in statuses.into_iter().flatten() {
            let (message, word) = (text(status, "id"), text(status, "status").to_uppercase());
            let id = self.next();
            let entry = self.entry(&message, number.as_deref().unwrap_or_default());
            if let Some(entry) = entry
                && entry.events.len() < EVENTS_MAX
            {
                entry.events.push(Event {
                    id,
                    status: word.clone(),
                    seconds: text(status, "timestamp").parse().unwrap_or(0),
                    webhook: WebhookState::Pending,
                    uri: None,
                });
                marks.push((message, word));
            }
        }
        marks
    }

    /// An attempt to deliver them was made.
    pub(crate) fn mark(&mut self, marks: &[Mark], webhook: WebhookState, uri: Option<&str>) {
        for (message, word) in marks {
            let place = self
                .places
                .get(message)
                .and_then(|place| place.checked_sub(self.gone));
            let entry = place.and_then(|place| self.entries.get_mut(place));
            let events = entry.into_iter().flat_map(|entry| &mut entry.events);
            // What was delivered once stays delivered, whatever a copy comes to.
            for event in events
                .filter(|event| event.status == *word && event.webhook != WebhookState::Delivered)
            {
                event.webhook = webhook;
                event.uri = uri.map(str::to_owned);
            }
        }
    }

    /// Messages of a number, the newest first.
    pub(crate) fn of_number<'a>(&'a self, number: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .rev()
            .filter(move |entry| entry.number == number)
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn entry(&mut self, message: &str, number: &str) -> Option<&mut Entry> {
        if !self.places.contains_key(message) {
            if self.entries.len() >= self.max
                && let Some(oldest) = self.entries.pop_front()
            {
                self.places.remove(&oldest.message);
                self.gone += 1;
            }
            let id = self.next();
            self.places
                .insert(message.to_owned(), self.gone + self.entries.len());
            self.entries.push_back(Entry {
                id,
                number: number.to_owned(),
                message: message.to_owned(),
                events: Vec::new(),
            });
        }
        let place = self.places.get(message)?.checked_sub(self.gone)?;
        self.entries.get_mut(place)
    }
}

impl WebhookState {
    /// Meta's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Delivered => "DELIVERED",
            Self::Retrying => "RETRYING",
            Self::Failed => "FAILED",
        }
    }
}
