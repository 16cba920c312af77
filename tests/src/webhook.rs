//! Bodies as Meta writes them, no more of them than a test is about.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

pub const WABA: &str = "102290129340398";
/// The sim's first number, so that what is answered can be sent.
pub const NUMBER: &str = "106540352242922";
pub const DISPLAY: &str = "912255500100";

/// Seconds since 1970.
#[must_use]
pub fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

/// A whole body with these changes.
#[must_use]
pub fn body(changes: &[Value]) -> Value {
    json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": WABA, "time": now_s(), "changes": changes}],
    })
}

/// One change of a field; `value` gets the metadata of the number.
#[must_use]
pub fn change(field: &str, mut value: Value) -> Value {
    if let Some(value) = value.as_object_mut() {
        value.insert("messaging_product".into(), json!("whatsapp"));
        value.insert(
            "metadata".into(),
            json!({"display_phone_number": DISPLAY, "phone_number_id": NUMBER}),
        );
    }
    json!({"field": field, "value": value})
}

/// Texts of one customer, as (wamid, text), in one change.
#[must_use]
pub fn texts(from: &str, name: &str, texts: &[(&str, &str)]) -> Value {
    let messages: Vec<_> = texts
        .iter()
        .map(|(id, text)| {
            json!({"from": from, "id": id, "timestamp": now_s().to_string(), "type": "text", "text": {"body": text}})
        })
        .collect();
    let contacts = json!([{"profile": {"name": name}, "wa_id": from}]);
    change(
        "messages",
        json!({"contacts": contacts, "messages": messages}),
    )
}

/// A body with one text.
#[must_use]
pub fn text(from: &str, id: &str, text: &str) -> Value {
    body(&[texts(from, "Asha", &[(id, text)])])
}

/// A text that the person on the phone wrote.
#[must_use]
pub fn echo(to: &str, id: &str, text: &str) -> Value {
    let echo = json!({
        "from": DISPLAY, "to": to, "id": id, "timestamp": now_s().to_string(),
        "type": "text", "text": {"body": text},
    });
    change("smb_message_echoes", json!({"message_echoes": [echo]}))
}

/// A status of a message that the business sent.
#[must_use]
pub fn status(to: &str, id: &str, word: &str) -> Value {
    let status =
        json!({"id": id, "status": word, "timestamp": now_s().to_string(), "recipient_id": to});
    change("messages", json!({"statuses": [status]}))
}
