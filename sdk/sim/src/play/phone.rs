//! The person on the phone: writes, edits, revokes and reacts in the app, which Meta mirrors as echoes.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{PlayError, number};
use crate::state::{State, lock};
use crate::wamid::{self, Author};
use crate::webhook::Change;
use crate::world::{Customer, NumberState};

/// What the person on the phone sends.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PhoneMessage {
    /// Phone number id of the business; the first number if absent.
    pub number: Option<String>,
    /// The customer's phone.
    pub to: String,
    /// A text message, the new text of an edit, or the caption of media.
    pub text: Option<String>,
    /// Message type, with `body` as the object of that name.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Meta's object for the type.
    pub body: Option<Value>,
    /// Media id of the sim; with `type`, or an image.
    pub media: Option<String>,
    /// The wamid of the message that `text` replaces.
    pub edit: Option<String>,
    /// The wamid of the message that is taken back.
    pub revoke: Option<String>,
    /// An emoji for `message`; empty takes the reaction back.
    pub reaction: Option<String>,
    /// The wamid that is reacted to.
    pub message: Option<String>,
    /// The echo comes without `to`, as for a customer with a username.
    pub omit_to: bool,
    /// Further fields of the echo, such as `context`.
    pub extra: Map<String, Value>,
}

impl PhoneMessage {
    /// A text from the first number.
    #[must_use]
    pub fn text(to: &str, text: &str) -> Self {
        Self {
            to: to.to_owned(),
            text: Some(text.to_owned()),
            ..Self::default()
        }
    }
}

pub(crate) fn write(state: &State, message: PhoneMessage) -> Result<String, PlayError> {
    write_after(state, message, 0)
}

/// The echo comes when `delay_ms` have passed.
pub(super) fn write_after(
    state: &State,
    message: PhoneMessage,
    delay_ms: u64,
) -> Result<String, PlayError> {
    let to = super::customer::phone(&message.to)?;
    let mut content = content(state, &message)?;
    let (number, customer) = {
        let world = lock(&state.world);
        let number = number(&world, message.number.as_deref())?;
        let customer = world
            .customers
            .portrait(&number.number.id, &number.number.waba, &to);
        (number, customer)
    };
    let now_ms = state.clock.now_ms().saturating_add(delay_ms);
    let id = wamid::new(&to, Author::Business, &mut *lock(&state.dice));
    let mut echo = Map::from_iter([("from".to_owned(), json!(number.number.digits))]);
    let hidden = message.omit_to || customer.phone_hidden;
    if !hidden {
        echo.insert("to".into(), json!(to));
    }
    let customer = Customer {
        phone_hidden: hidden,
        ..customer
    };
    echo.extend(customer.user_ids(state.config.user_ids, ["to_user_id", "to_parent_user_id"]));
    echo.insert("id".into(), json!(id));
    echo.insert("timestamp".into(), json!((now_ms / 1000).to_string()));
    echo.append(&mut content);
    echo.extend(message.extra);
    state.say("phone", &to, summary(&echo));
    state.post(change(state, &number, &customer, now_ms, echo), delay_ms);
    Ok(id)
}

fn change(
    state: &State,
    number: &NumberState,
    customer: &Customer,
    now_ms: u64,
    echo: Map<String, Value>,
) -> Change {
    let mut value = Map::new();
    if state.config.user_ids {
        value.insert("contacts".into(), json!([customer.contact(true)]));
    }
    value.insert("message_echoes".into(), json!([echo]));
    Change::of(number, "smb_message_echoes", &customer.phone, now_ms, value)
}

fn content(state: &State, message: &PhoneMessage) -> Result<Map<String, Value>, PlayError> {
    let need = |what: &str| PlayError(format!("a message from the phone needs {what}"));
    let (kind, body) = if let Some(original) = &message.revoke {
        ("revoke", json!({"original_message_id": original}))
    } else if let Some(original) = &message.edit {
        let text = message
            .text
            .as_deref()
            .ok_or_else(|| need("the new text for an edit"))?;
        let new = json!({"context": {"id": "M0"}, "type": "text", "text": {"body": text}});
        (
            "edit",
            json!({"original_message_id": original, "message": new}),
        )
    } else if let Some(emoji) = &message.reaction {
        let target = message
            .message
            .as_deref()
            .ok_or_else(|| need("message, the wamid that is reacted to"))?;
        let reaction = if emoji.is_empty() {
            json!({"message_id": target})
        } else {
            json!({"message_id": target, "emoji": emoji})
        };
        ("reaction", reaction)
    } else if let Some(id) = &message.media {
        (
            message.kind.as_deref().unwrap_or("image"),
            super::raw::media_object(state, id, message.text.as_deref())?,
        )
    } else if let Some(body) = &message.body {
        (
            message
                .kind
                .as_deref()
                .ok_or_else(|| need("type beside body"))?,
            body.clone(),
        )
    } else {
        (
            "text",
            json!({"body": message.text.as_deref().ok_or_else(|| need("text"))?}),
        )
    };
    Ok(Map::from_iter([
        ("type".to_owned(), json!(kind)),
        (kind.to_owned(), body),
    ]))
}

/// One line for the transcript.
pub(super) fn summary(message: &Map<String, Value>) -> String {
    let kind = message
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let body = message.get(kind).unwrap_or(&Value::Null);
    let text = |pointer: &str| {
        body.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match kind {
        "text" => text("/body").to_owned(),
        "reaction" => format!("[reaction {}]", text("/emoji")),
        "edit" => format!("[edit] {}", text("/message/text/body")),
        other => format!("[{other}] {}", text("/caption"))
            .trim_end()
            .to_owned(),
    }
}
