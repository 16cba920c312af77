//! Meta's envelope: `object`, `entry[]`, `changes[]`, and the values of the fields that a sim sends.

use serde_json::{Map, Value, json};

use crate::config::Number;
use crate::mood::WebhookMood;
use crate::world::NumberState;

/// One change, and the conversation or number whose order it keeps.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) waba: String,
    pub(crate) field: &'static str,
    pub(crate) value: Value,
    pub(crate) lane: String,
    /// `entry.time` in seconds; `messages` come without.
    pub(crate) time: Option<u64>,
}

impl Change {
    /// A change of a number: `value` gets `messaging_product` and `metadata`.
    pub(crate) fn of(
        number: &NumberState,
        field: &'static str,
        peer: &str,
        now_ms: u64,
        value: Map<String, Value>,
    ) -> Self {
        let mut whole = Map::from_iter([
            ("messaging_product".to_owned(), json!("whatsapp")),
            ("metadata".to_owned(), number.metadata()),
        ]);
        whole.extend(value);
        Self {
            time: (field != "messages").then_some(now_ms / 1000),
            ..Self::of_waba(
                &number.number,
                field,
                format!("{}/{peer}", number.number.id),
                Value::Object(whole),
            )
        }
    }

    /// A change without metadata, such as `account_update`.
    pub(crate) fn of_waba(
        number: &Number,
        field: &'static str,
        lane: String,
        value: Value,
    ) -> Self {
        Self {
            waba: number.waba.clone(),
            field,
            value,
            lane,
            time: None,
        }
    }
}

/// `field` and `value` of the changes of one entry.
type Fields = Vec<(&'static str, Value)>;

/// One body for all of these. Changes of one WABA share an entry unless the mood gives each its own; with
/// `merge`, messages and statuses of one number share a value as well.
pub(crate) fn body(changes: Vec<Change>, mood: &WebhookMood) -> Value {
    let mut entries: Vec<(String, Option<u64>, Fields)> = Vec::new();
    for change in changes {
        let entry = entries
            .iter_mut()
            .find(|(waba, time, _)| !mood.entries && *waba == change.waba && *time == change.time);
        let Some((.., same)) = entry else {
            entries.push((change.waba, change.time, vec![(change.field, change.value)]));
            continue;
        };
        let twin = same.iter_mut().find(|(field, value)| {
            mood.merge
                && *field == change.field
                && value.get("metadata").is_some()
                && value.get("metadata") == change.value.get("metadata")
        });
        match twin {
            Some((_, value)) => join(value, change.value),
            None => same.push((change.field, change.value)),
        }
    }
    let entries: Vec<_> = entries
        .into_iter()
        .map(|(waba, time, changes)| entry(&waba, time, changes))
        .collect();
    json!({"object": "whatsapp_business_account", "entry": entries})
}

fn entry(waba: &str, time: Option<u64>, changes: Fields) -> Value {
    let changes: Vec<_> = changes
        .into_iter()
        .map(|(field, value)| json!({"value": value, "field": field}))
        .collect();
    let mut entry = Map::from_iter([("id".to_owned(), json!(waba))]);
    if let Some(time) = time {
        entry.insert("time".into(), json!(time));
    }
    entry.insert("changes".into(), json!(changes));
    Value::Object(entry)
}

/// Appends the arrays of `more` to those of `value`; equal contacts are not repeated.
fn join(value: &mut Value, more: Value) {
    let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) else {
        return;
    };
    for (name, part) in more {
        match (value.get_mut(&name), part) {
            (Some(Value::Array(have)), Value::Array(part)) => {
                for element in part {
                    if name != "contacts" || !have.contains(&element) {
                        have.push(element);
                    }
                }
            }
            (Some(_), _) => {}
            (None, part) => {
                value.insert(name, part);
            }
        }
    }
}
