//! What the acknowledged webhooks say, taken apart anew: the first acknowledgement of each thing counts.

use std::collections::{BTreeMap, HashMap};

use duet_rules::wamid;
use serde_json::Value;

use crate::log::Log;

/// When what got no answer is told.
const NEVER_MS: i64 = i64::MAX;

/// One thing that Meta has told.
pub(super) struct Told {
    /// Before this moment nobody at the gateway could know.
    pub(super) begun_ms: i64,
    pub(super) acked_ms: i64,
    pub(super) number: String,
    /// `messages`, `message_echoes`, `statuses`, …
    pub(super) array: String,
    /// The customer of a message of the history.
    thread: String,
    pub(super) body: Value,
}

impl Told {
    pub(super) fn text(&self, key: &str) -> &str {
        self.body
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn id(&self) -> &str {
        self.text("id")
    }

    /// The phone and the user id of the customer, as far as it names them.
    pub(super) fn ids(&self) -> Vec<String> {
        let keys = if self.array == "message_echoes" {
            ["to", "to_user_id"]
        } else {
            ["from", "from_user_id"]
        };
        let ids = keys.map(|key| self.text(key).to_owned());
        ids.into_iter().filter(|id| !id.is_empty()).collect()
    }

    pub(super) fn at_ms(&self) -> i64 {
        self.text("timestamp").parse::<i64>().unwrap_or(0) * 1000
    }
}

pub(super) struct Wire {
    /// Each thing once, by what makes it the same.
    pub(super) told: BTreeMap<String, Told>,
    /// Ids of one person that were named together, and since when.
    links: Vec<Link>,
    /// Those that the live copy and the history's of one message name.
    copied: Vec<Link>,
}

type Link = (i64, String, String);

impl Wire {
    pub(super) fn of(log: &Log) -> Wire {
        let mut wire = Wire {
            told: BTreeMap::new(),
            links: Vec::new(),
            copied: Vec::new(),
        };
        for post in &log.posts {
            let lost_ms = post.lost.then_some(NEVER_MS);
            let Some(acked_ms) = post.acked_ms.or(lost_ms) else {
                continue;
            };
            for (field, value) in values(&post.body) {
                wire.take(field, value, post.begun_ms, acked_ms);
            }
        }
        wire.told.retain(|_, told| told.acked_ms < NEVER_MS);
        wire.copied = copied(wire.told.values());
        wire
    }

    fn take(&mut self, field: &str, value: &Value, begun_ms: i64, acked_ms: i64) {
        let number = value
            .pointer("/metadata/phone_number_id")
            .and_then(Value::as_str);
        let number = number.unwrap_or_default().to_owned();
        let told = |array: &str, body: &Value| Told {
            begun_ms,
            acked_ms,
            number: number.clone(),
            array: array.to_owned(),
            thread: String::new(),
            body: body.clone(),
        };
        for array in ["messages", "message_echoes", "statuses", "user_preferences"] {
            for element in rows(value, array) {
                // Media that came over apart from their messages.
                let array = if field == "history" {
                    "follow_ups"
                } else {
                    array
                };
                self.keep(told(array, element));
            }
        }
        for chunk in rows(value, "history") {
            for thread in rows(chunk, "threads") {
                for message in rows(thread, "messages") {
                    let thread = thread["id"].as_str().unwrap_or_default();
                    self.keep(Told {
                        thread: thread.to_owned(),
                        ..told("history", message)
                    });
                }
            }
        }
        for contact in rows(value, "contacts") {
            self.link(acked_ms, contact, ["wa_id", "user_id"]);
        }
        for change in rows(value, "state_sync") {
            self.link(acked_ms, &change["contact"], ["phone_number", "user_id"]);
        }
    }

    fn keep(&mut self, told: Told) {
        for keys in [
            ["from", "from_user_id"],
            ["to", "to_user_id"],
            ["recipient_id", "recipient_user_id"],
        ] {
            self.link(told.acked_ms, &told.body, keys);
        }
        // A preference has no id.
        let id = match told.id() {
            "" => told.body.to_string(),
            id => id.to_owned(),
        };
        let status = told.text("status");
        let key = format!("{} {} {id} {status}", told.array, told.number);
        let begun_ms = match self.told.get_mut(&key) {
            Some(known) => {
                known.begun_ms = known.begun_ms.min(told.begun_ms);
                if known.acked_ms <= told.acked_ms {
                    return;
                }
                known.begun_ms
            }
            None => told.begun_ms,
        };
        self.told.insert(key, Told { begun_ms, ..told });
    }

    fn link(&mut self, acked_ms: i64, body: &Value, keys: [&str; 2]) {
        let [one, other] = keys.map(|key| body.get(key).and_then(Value::as_str));
        if let (Some(one), Some(other)) = (one, other) {
            self.links
                .push((acked_ms, one.to_owned(), other.to_owned()));
        }
    }

    /// Whether the gateway had been told before `by_ms` that these are ids of one person.
    pub(super) fn same(&self, ones: &[String], others: &[String], by_ms: i64) -> bool {
        same(&self.links, ones, others, by_ms)
    }

    /// The same, or might have found it out by two copies of one message.
    pub(super) fn might_be_same(&self, ones: &[String], others: &[String], by_ms: i64) -> bool {
        let links = [self.links.clone(), self.copied.clone()].concat();
        same(&links, ones, others, by_ms)
    }

    pub(super) fn of_array<'a>(&'a self, array: &'a str) -> impl Iterator<Item = &'a Told> {
        self.told.values().filter(move |told| told.array == array)
    }

    pub(super) fn by_id(&self, array: &str) -> HashMap<&str, &Told> {
        let of_array = self.told.values().filter(|told| told.array == array);
        of_array.map(|told| (told.id(), told)).collect()
    }
}

fn same(links: &[Link], ones: &[String], others: &[String], by_ms: i64) -> bool {
    let mut known: Vec<&String> = ones.iter().collect();
    let mut at = 0;
    while let Some(id) = known.get(at).copied() {
        for (acked_ms, one, other) in links {
            let next = if one == id { other } else { one };
            if *acked_ms < by_ms && (one == id || other == id) && !known.contains(&next) {
                known.push(next);
            }
        }
        at += 1;
    }
    others.iter().any(|id| known.contains(&id))
}

/// Whom the history's copy of a message names, with whom its other copies name.
fn copied<'a>(told: impl Iterator<Item = &'a Told>) -> Vec<Link> {
    let mut copies: HashMap<(&str, String), Vec<&Told>> = HashMap::new();
    for told in told {
        if let Some(inside) = wamid::decode(told.id()) {
            let copy = (told.number.as_str(), inside.stanza);
            copies.entry(copy).or_default().push(told);
        }
    }
    let mut links = Vec::new();
    for copies in copies.values() {
        let (old, live): (Vec<&Told>, Vec<&Told>) =
            copies.iter().partition(|told| told.array == "history");
        for (old, live) in old
            .iter()
            .flat_map(|old| live.iter().map(move |live| (old, live)))
        {
            let since_ms = old.acked_ms.max(live.acked_ms);
            let ids = live.ids().into_iter();
            links.extend(ids.map(|id| (since_ms, old.thread.clone(), id)));
        }
    }
    links
}

pub(super) fn values(body: &Value) -> Vec<(&str, &Value)> {
    let changes = rows(body, "entry").flat_map(|entry| rows(entry, "changes"));
    changes
        .filter_map(|change| Some((change.get("field")?.as_str()?, change.get("value")?)))
        .collect()
}

pub(super) fn rows<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
