//! To whom a send goes: a phone in `to`, or a business-scoped user id in `recipient`.

use serde_json::{Map, Value};

use crate::error::GraphError;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recipient {
    /// Digits with country code, and the text as it was given.
    Phone {
        digits: String,
        input: String,
    },
    UserId(String),
    /// A user id where a phone belongs: Meta answers 200 and drops the message.
    UserIdAsPhone(String),
}

pub(super) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Reads the recipient; `to` wins over `recipient`.
pub(super) fn of(body: &Map<String, Value>) -> Result<Recipient, GraphError> {
    let text = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim())),
        Some(_) => Err(GraphError::parameter(format!(
            "Param {name} must be a string."
        ))),
    };
    let (to, recipient) = (
        text("to")?.filter(|to| !to.is_empty()),
        text("recipient")?.filter(|id| !id.is_empty()),
    );
    match (to, recipient) {
        (Some(to), _) if is_user_id(to) => Ok(Recipient::UserIdAsPhone(to.to_owned())),
        (Some(to), _) => phone(to),
        (None, Some(id)) if is_user_id(id) => Ok(Recipient::UserId(id.to_owned())),
        (None, Some(_)) => Err(GraphError::of(131_009, "Parameter Invalid: recipient")),
        (None, None) => Err(GraphError::parameter("The parameter to is required.")),
    }
}

fn phone(to: &str) -> Result<Recipient, GraphError> {
    let digits = digits(to);
    let written = to
        .chars()
        .all(|c| c.is_ascii_digit() || "+- ().".contains(c));
    if !written || !(7..=15).contains(&digits.len()) {
        return Err(GraphError::of(
            131_009,
            "Parameter Invalid: to. The recipient phone number is not valid.",
        ));
    }
    Ok(Recipient::Phone {
        digits,
        input: to.to_owned(),
    })
}

/// Country code, dot, up to 128 letters and digits; `ENT.` before them for a parent id.
pub(super) fn is_user_id(text: &str) -> bool {
    let Some((country, rest)) = text.split_once('.') else {
        return false;
    };
    let id = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.chars().all(|c| c.is_ascii_uppercase())
        && (1..=128).contains(&id.len())
        && id.chars().all(|c| c.is_ascii_alphanumeric())
}
