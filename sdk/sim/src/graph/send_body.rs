//! What Meta demands of the body of a send, before it looks at the customer. Pure.

use serde_json::{Map, Value};

use crate::error::GraphError;

type Object = Map<String, Value>;

/// A body that passed.
#[derive(Debug)]
pub(super) struct Checked {
    /// Message type.
    pub(super) kind: String,
    pub(super) opaque: Option<String>,
    /// Media ids that must exist.
    pub(super) media_id: Option<String>,
}

pub(super) fn check(body: &Object) -> Result<Checked, GraphError> {
    product(body)?;
    let recipient_type = body
        .get("recipient_type")
        .and_then(Value::as_str)
        .unwrap_or("individual");
    if recipient_type != "individual" {
        return Err(GraphError::parameter(
            "Param recipient_type must be individual: groups are not available to this number.",
        ));
    }
    let opaque = opaque(body)?;
    if let Some(context) = body.get("context") {
        text(object(context, "context")?, "context", "message_id", 512)?;
    }
    let kind = body.get("type").and_then(Value::as_str).unwrap_or("text");
    let media_id = content(body, kind)?;
    Ok(Checked {
        kind: kind.to_owned(),
        opaque,
        media_id,
    })
}

/// `messaging_product` must be `whatsapp`, in every call with a body.
pub(super) fn product(body: &Object) -> Result<(), GraphError> {
    match body.get("messaging_product").and_then(Value::as_str) {
        None => Err(GraphError::parameter(
            "The parameter messaging_product is required.",
        )),
        Some("whatsapp") => Ok(()),
        Some(_) => Err(GraphError::parameter(
            "Param messaging_product must be one of {WHATSAPP}.",
        )),
    }
}

fn opaque(body: &Object) -> Result<Option<String>, GraphError> {
    match body.get("biz_opaque_callback_data") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(data)) if data.chars().count() <= 512 => Ok(Some(data.clone())),
        Some(_) => Err(GraphError::parameter(
            "Param biz_opaque_callback_data must be a string of at most 512 characters.",
        )),
    }
}

/// Checks the object named like the type; gives a media id when it names one.
fn content(body: &Object, kind: &str) -> Result<Option<String>, GraphError> {
    let known = [
        "text",
        "template",
        "interactive",
        "image",
        "video",
        "audio",
        "document",
        "sticker",
        "reaction",
        "location",
        "contacts",
    ];
    if !known.contains(&kind) {
        return Err(GraphError::of(
            131_051,
            format!("Message type {kind} is not supported."),
        ));
    }
    let value = body.get(kind).ok_or_else(|| {
        GraphError::of(
            131_008,
            format!("Parameter '{kind}' is mandatory for type '{kind}'."),
        )
    })?;
    if kind == "contacts" {
        contacts(value)?;
        return Ok(None);
    }
    let part = object(value, kind)?;
    match kind {
        "text" => text(part, kind, "body", 4096)?,
        "template" => {
            text(part, kind, "name", 512)?;
            let language = part
                .get("language")
                .ok_or_else(|| missing(kind, "language"))?;
            text(
                object(language, "template.language")?,
                "template.language",
                "code",
                64,
            )?;
        }
        "interactive" => interactive(part)?,
        "reaction" => {
            text(part, kind, "message_id", 512)?;
            // An empty emoji takes the reaction back.
            part.get("emoji")
                .and_then(Value::as_str)
                .ok_or_else(|| missing(kind, "emoji"))?;
        }
        "location" => {
            coordinate(part, "latitude", 90.0)?;
            coordinate(part, "longitude", 180.0)?;
        }
        _ => return media(part, kind),
    }
    Ok(None)
}

fn media(part: &Object, kind: &str) -> Result<Option<String>, GraphError> {
    let caption = part
        .get("caption")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if caption.chars().count() > 1024 {
        return Err(GraphError::parameter(format!(
            "Param {kind}['caption'] must be at most 1024 characters long."
        )));
    }
    match (
        part.get("id").and_then(Value::as_str),
        part.get("link").and_then(Value::as_str),
    ) {
        (Some(id), _) => Ok(Some(id.to_owned())),
        (None, Some(link)) if link.starts_with("https://") || link.starts_with("http://") => {
            Ok(None)
        }
        (None, Some(_)) => Err(GraphError::of(
            131_009,
            format!("Parameter Invalid: {kind}.link is not a URL."),
        )),
        (None, None) => Err(GraphError::of(
            131_008,
            format!("Parameter '{kind}.id' or '{kind}.link' is mandatory."),
        )),
    }
}

fn interactive(part: &Object) -> Result<(), GraphError> {
    let name = "interactive";
    text(part, name, "type", 64)?;
    let action = object(
        part.get("action").ok_or_else(|| missing(name, "action"))?,
        "interactive.action",
    )?;
    match part.get("type").and_then(Value::as_str) {
        Some("button") => {
            with_body(part)?;
            list(action, "interactive.action", "buttons", 3)
        }
        Some("list") => {
            with_body(part)?;
            text(action, "interactive.action", "button", 20)?;
            list(action, "interactive.action", "sections", 10)
        }
        _ => Ok(()),
    }
}

fn with_body(part: &Object) -> Result<(), GraphError> {
    let body = part
        .get("body")
        .ok_or_else(|| missing("interactive", "body"))?;
    text(
        object(body, "interactive.body")?,
        "interactive.body",
        "text",
        4096,
    )
}

fn contacts(value: &Value) -> Result<(), GraphError> {
    let cards = value
        .as_array()
        .filter(|cards| !cards.is_empty() && cards.len() <= 257);
    let cards = cards.ok_or_else(|| GraphError::of(131_009, "Parameter Invalid: contacts"))?;
    for card in cards {
        let name = object(card, "contacts")?
            .get("name")
            .ok_or_else(|| missing("contacts", "name"))?;
        text(
            object(name, "contacts.name")?,
            "contacts.name",
            "formatted_name",
            512,
        )?;
    }
    Ok(())
}

fn coordinate(part: &Object, name: &str, limit: f64) -> Result<(), GraphError> {
    let given = part.get(name).ok_or_else(|| missing("location", name))?;
    // Meta takes numbers and numbers in quotes.
    let number = given
        .as_f64()
        .or_else(|| given.as_str().and_then(|text| text.parse().ok()));
    match number {
        Some(number) if number.abs() <= limit => Ok(()),
        _ => Err(GraphError::of(
            131_009,
            format!("Parameter Invalid: location.{name}"),
        )),
    }
}

fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Object, GraphError> {
    value
        .as_object()
        .ok_or_else(|| GraphError::parameter(format!("Param {name} must be a JSON object.")))
}

/// A text that is there, not empty and not too long.
fn text(part: &Object, place: &str, name: &str, chars_max: usize) -> Result<(), GraphError> {
    match part.get(name) {
        None | Some(Value::Null) => Err(missing(place, name)),
        Some(Value::String(text)) if text.trim().is_empty() => Err(missing(place, name)),
        Some(Value::String(text)) if text.chars().count() > chars_max => {
            Err(GraphError::parameter(format!(
                "Param {place}['{name}'] must be at most {chars_max} characters long."
            )))
        }
        Some(Value::String(_)) => Ok(()),
        Some(_) => Err(GraphError::of(
            131_009,
            format!("Parameter Invalid: {place}.{name} must be a string."),
        )),
    }
}

fn list(part: &Object, place: &str, name: &str, entries_max: usize) -> Result<(), GraphError> {
    let entries = part.get(name).ok_or_else(|| missing(place, name))?;
    match entries.as_array().map(Vec::len) {
        Some(1..)
            if entries
                .as_array()
                .is_some_and(|entries| entries.len() <= entries_max) =>
        {
            Ok(())
        }
        _ => Err(GraphError::of(
            131_009,
            format!("Parameter Invalid: {place}.{name} takes 1 to {entries_max} entries."),
        )),
    }
}

fn missing(place: &str, name: &str) -> GraphError {
    GraphError::of(131_008, format!("Parameter '{place}.{name}' is mandatory."))
}
