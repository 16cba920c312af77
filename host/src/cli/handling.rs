//! `duet number set`: how long a person keeps the conversations of a number, and who speaks beside one.

use anyhow::bail;
use reqwest::Method;
use serde_json::{Map, Value};

use super::place::Gateway;

/// What may be set, and what it is worth.
const KEYS: [&str; 5] = [
    "person_hours",
    "grace_minutes",
    "time_zone",
    "open",
    "speaking",
];

/// Changes what the words name, as `open=mon-fri 09:00-18:00`; nothing behind the `=` takes it back.
pub(super) async fn set(
    gateway: &Gateway,
    number: &str,
    words: &[String],
) -> anyhow::Result<Value> {
    let path = format!("numbers/{number}/handling");
    let now = gateway.call(Method::GET, &path, &[]).await?;
    let kept = KEYS
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), now.get(key)?.clone())));
    let mut settings: Map<String, Value> = kept.collect();
    for word in words {
        let Some((key, text)) = word.split_once('=') else {
            bail!(
                "{word} sets nothing; write key=value, with one of {}",
                KEYS.join(", ")
            );
        };
        let key = key.replace('-', "_");
        settings.insert(key.clone(), value(&key, text.trim())?);
    }
    gateway
        .send(Method::PUT, &path, &Value::Object(settings))
        .await
}

fn value(key: &str, text: &str) -> anyhow::Result<Value> {
    Ok(match key {
        "speaking" => {
            let names = text.split([',', ' ']).filter(|name| !name.is_empty());
            names.collect()
        }
        _ if text.is_empty() => Value::Null,
        "person_hours" | "grace_minutes" => match text.parse::<u64>() {
            Ok(number) => number.into(),
            Err(_) => bail!("{key} is {text}; give a whole number"),
        },
        "time_zone" | "open" => text.into(),
        _ => bail!("there is no {key} to set; known are {}", KEYS.join(", ")),
    })
}

/// The settings in a sentence or two.
pub(super) fn told(handling: &Value) -> String {
    let number = |key: &str| handling.get(key).and_then(Value::as_u64);
    let text = |key: &str| handling.get(key).and_then(Value::as_str);
    let hours = number("person_hours").or(number("usual_person_hours"));
    let mut told = format!(
        "a person keeps a conversation for {} hours",
        hours.unwrap_or(0)
    );
    if let (Some(open), Some(zone)) = (text("open"), text("time_zone")) {
        let grace = number("grace_minutes").unwrap_or(60);
        told += &format!(", but outside of {open} ({zone}) for {grace} minutes");
    }
    let speaking = handling.get("speaking").and_then(Value::as_array);
    let names: Vec<&str> = speaking
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !names.is_empty() {
        told += &format!("; {} may speak beside one", names.join(", "));
    }
    told
}
