//! The message object that a plugin or the API hands over: Meta's own shape without addressee.
//!
//! Promises: what passes has a known type with its body and keeps Meta's documented limits, so that a
//! mistake is told to its author at once; every refusal names the JSON pointer. Keys that nobody here
//! knows are kept and sent, since Meta's payloads grow.

use serde_json::Value;

use super::files::files;

/// Longest message object, bytes of JSON.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

const TEXT_CHARS_MAX: usize = 4096;
const CAPTION_CHARS_MAX: usize = 1024;
const BODY_CHARS_MAX: usize = 4096;
const FOOTER_CHARS_MAX: usize = 60;
const LINK_CHARS_MAX: usize = 2048;
const NAME_CHARS_MAX: usize = 512;
const ID_CHARS_MAX: usize = 512;
const EMOJI_CHARS_MAX: usize = 32;
const CONTACTS_MAX: usize = 257;

/// What the gate must know about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everything that needs an open window; a reaction too.
    FreeForm,
    Template,
    /// `{"status":"read"}`, perhaps with a typing indicator: nothing that the customer reads.
    MarkRead,
}

impl Kind {
    #[must_use]
    pub fn is_free_form(self) -> bool {
        self == Kind::FreeForm
    }
}

/// What is wrong with a message, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message{pointer}: {problem}")]
pub struct Invalid {
    /// JSON pointer into the message; empty for the whole.
    pub pointer: String,
    pub problem: String,
}

/// Reads and validates a message.
///
/// # Errors
/// [`Invalid`] when it is too long, no JSON, or not a message that Meta takes.
pub fn parse(text: &str) -> Result<(Value, Kind), Invalid> {
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(invalid(
            "",
            format!("is longer than {MESSAGE_BYTES_MAX} bytes"),
        ));
    }
    let message =
        serde_json::from_str(text).map_err(|error| invalid("", format!("is not JSON: {error}")))?;
    let kind = validate(&message)?;
    Ok((message, kind))
}

/// What kind of message a stored one is. Anything odd counts as free-form, the kind with most rules.
#[must_use]
pub fn kind(message: &Value) -> Kind {
    match (string(message, "status"), string(message, "type")) {
        (Some("read"), _) => Kind::MarkRead,
        (_, Some("template")) => Kind::Template,
        _ => Kind::FreeForm,
    }
}

/// Checks a message object against Meta's documented shapes and limits.
///
/// # Errors
/// [`Invalid`] names the first problem.
pub fn validate(message: &Value) -> Result<Kind, Invalid> {
    if !message.is_object() {
        return Err(invalid(
            "",
            "must be an object such as {\"type\":\"text\",\"text\":{\"body\":\"Hello\"}}",
        ));
    }
    reserved(message)?;
    if message.get("status").is_some() {
        return mark_read(message);
    }
    let Some(kind) = string(message, "type") else {
        return Err(invalid(
            "/type",
            "is missing; name the message type, for example \"text\"",
        ));
    };
    match kind {
        "text" => text(message)?,
        "image" | "video" => media(message, kind, true)?,
        "document" => document(message)?,
        "audio" | "sticker" => media(message, kind, false)?,
        "location" => location(message)?,
        "contacts" => contacts(message)?,
        "interactive" => interactive(message)?,
        "template" => template(message)?,
        "reaction" => reaction(message)?,
        _ => {
            return Err(invalid(
                "/type",
                "is none of text, image, video, audio, document, sticker, location, contacts, interactive, template, reaction",
            ));
        }
    }
    if let Some(context) = message.get("context") {
        filled(context, "/context", "message_id", ID_CHARS_MAX)?;
    }
    files(message)?;
    Ok(self::kind(message))
}

/// What Duet fills in itself. Whoever set one of them could reach another customer.
pub const RESERVED: [&str; 5] = [
    "to",
    "recipient",
    "recipient_type",
    "messaging_product",
    "biz_opaque_callback_data",
];

/// A message goes to its conversation's contact and nowhere else.
fn reserved(message: &Value) -> Result<(), Invalid> {
    for key in RESERVED {
        if message.get(key).is_some() {
            return Err(invalid(
                &format!("/{key}"),
                "is filled in by Duet; leave it out",
            ));
        }
    }
    Ok(())
}

fn mark_read(message: &Value) -> Result<Kind, Invalid> {
    if string(message, "status") != Some("read") {
        return Err(invalid("/status", "can only be \"read\""));
    }
    if message.get("type").is_some() {
        return Err(invalid("/type", "does not go with status \"read\""));
    }
    filled(message, "", "message_id", ID_CHARS_MAX)?;
    Ok(Kind::MarkRead)
}

fn text(message: &Value) -> Result<(), Invalid> {
    let body = part(message, "text")?;
    filled(body, "/text", "body", TEXT_CHARS_MAX)
}

fn media<'a>(message: &'a Value, kind: &str, captioned: bool) -> Result<(), Invalid> {
    let body: &'a Value = part(message, kind)?;
    let pointer = format!("/{kind}");
    match (body.get("id"), body.get("link"), body.get("file")) {
        (Some(_), None, None) => filled(body, &pointer, "id", ID_CHARS_MAX)?,
        (None, Some(_), None) => filled(body, &pointer, "link", LINK_CHARS_MAX)?,
        (None, None, Some(_)) => {}
        _ => {
            return Err(invalid(
                &pointer,
                "needs exactly one of \"file\" (the sha256 of a file that the gateway has), \"id\" (an uploaded media id) and \"link\"",
            ));
        }
    }
    if !captioned && body.get("caption").is_some() {
        return Err(invalid(
            &format!("{pointer}/caption"),
            format!("does not go with {kind}"),
        ));
    }
    optional(body, &pointer, "caption", CAPTION_CHARS_MAX)
}

fn document(message: &Value) -> Result<(), Invalid> {
    media(message, "document", true)?;
    optional(
        part(message, "document")?,
        "/document",
        "filename",
        NAME_CHARS_MAX,
    )
}

fn location(message: &Value) -> Result<(), Invalid> {
    let body = part(message, "location")?;
    for (key, most) in [("latitude", 90.0), ("longitude", 180.0)] {
        // Meta's own examples write both as a string and as a number.
        let degrees = body
            .get(key)
            .and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()));
        if !degrees.is_some_and(|degrees: f64| degrees.abs() <= most) {
            return Err(invalid(
                &format!("/location/{key}"),
                format!("must be degrees from -{most} to {most}"),
            ));
        }
    }
    optional(body, "/location", "name", NAME_CHARS_MAX)?;
    optional(body, "/location", "address", NAME_CHARS_MAX)
}

fn contacts(message: &Value) -> Result<(), Invalid> {
    let list = message.get("contacts").and_then(Value::as_array);
    let Some(list) = list.filter(|list| (1..=CONTACTS_MAX).contains(&list.len())) else {
        return Err(invalid(
            "/contacts",
            format!("must be a list of 1 to {CONTACTS_MAX} contacts"),
        ));
    };
    for (at, contact) in list.iter().enumerate() {
        let pointer = format!("/contacts/{at}/name");
        let name = contact
            .get("name")
            .ok_or_else(|| invalid(&pointer, "is missing"))?;
        filled(name, &pointer, "formatted_name", NAME_CHARS_MAX)?;
    }
    Ok(())
}

fn interactive(message: &Value) -> Result<(), Invalid> {
    let body = part(message, "interactive")?;
    filled(body, "/interactive", "type", NAME_CHARS_MAX)?;
    if !body.get("action").is_some_and(Value::is_object) {
        return Err(invalid(
            "/interactive/action",
            "is missing: the buttons, list, flow or products",
        ));
    }
    if let Some(words) = body.get("body") {
        filled(words, "/interactive/body", "text", BODY_CHARS_MAX)?;
    }
    if let Some(footer) = body.get("footer") {
        filled(footer, "/interactive/footer", "text", FOOTER_CHARS_MAX)?;
    }
    Ok(())
}

fn template(message: &Value) -> Result<(), Invalid> {
    let body = part(message, "template")?;
    filled(body, "/template", "name", NAME_CHARS_MAX)?;
    let language = body.get("language").unwrap_or(&Value::Null);
    filled(language, "/template/language", "code", 32)?;
    if body.get("components").is_some_and(|list| !list.is_array()) {
        return Err(invalid("/template/components", "must be a list"));
    }
    Ok(())
}

/// An empty emoji takes a reaction back.
fn reaction(message: &Value) -> Result<(), Invalid> {
    let body = part(message, "reaction")?;
    filled(body, "/reaction", "message_id", ID_CHARS_MAX)?;
    match body.get("emoji").and_then(Value::as_str) {
        Some(emoji) if emoji.chars().count() <= EMOJI_CHARS_MAX => Ok(()),
        _ => Err(invalid(
            "/reaction/emoji",
            "must be one emoji, or \"\" to take the reaction back",
        )),
    }
}

fn part<'a>(message: &'a Value, key: &str) -> Result<&'a Value, Invalid> {
    match message.get(key) {
        Some(body) if body.is_object() => Ok(body),
        _ => Err(invalid(
            &format!("/{key}"),
            "is missing: the object with the message's body",
        )),
    }
}

fn filled(body: &Value, pointer: &str, key: &str, chars_max: usize) -> Result<(), Invalid> {
    match string(body, key) {
        None | Some("") => Err(invalid(
            &format!("{pointer}/{key}"),
            "must be a text that is not empty",
        )),
        Some(text) => short(text, pointer, key, chars_max),
    }
}

fn optional(body: &Value, pointer: &str, key: &str, chars_max: usize) -> Result<(), Invalid> {
    match body.get(key) {
        None => Ok(()),
        Some(Value::String(text)) => short(text, pointer, key, chars_max),
        Some(_) => Err(invalid(&format!("{pointer}/{key}"), "must be a text")),
    }
}

fn short(text: &str, pointer: &str, key: &str, chars_max: usize) -> Result<(), Invalid> {
    if text.chars().nth(chars_max).is_some() {
        return Err(invalid(
            &format!("{pointer}/{key}"),
            format!("is longer than {chars_max} characters"),
        ));
    }
    Ok(())
}

fn string<'a>(body: &'a Value, key: &str) -> Option<&'a str> {
    body.get(key)?.as_str()
}

pub(super) fn invalid(pointer: &str, problem: impl Into<String>) -> Invalid {
    Invalid {
        pointer: pointer.to_owned(),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn takes_every_type_in_metas_shape() {
        for (message, kind) in [
            (
                json!({"type":"text","text":{"body":"Hi","preview_url":true},"context":{"message_id":"wamid.A"}}),
                Kind::FreeForm,
            ),
            (
                json!({"type":"image","image":{"id":"1","caption":"c"}}),
                Kind::FreeForm,
            ),
            (
                json!({"type":"video","video":{"link":"https://example.com/v.mp4"}}),
                Kind::FreeForm,
            ),
            (
                json!({"type":"audio","audio":{"id":"1","voice":true}}),
                Kind::FreeForm,
            ),
            (
                json!({"type":"document","document":{"id":"1","filename":"a.pdf"}}),
                Kind::FreeForm,
            ),
            (
                json!({"type":"sticker","sticker":{"id":"1"}}),
                Kind::FreeForm,
            ),
            (
                json!({"type":"sticker","sticker":{"file":"49f227634806293b0995459bc310b593e1400f41591efcf07e9bced335f41942"}}),
                Kind::FreeForm,
            ),
            (
                json!({"type":"location","location":{"latitude":"37.4","longitude":-122.1}}),
                Kind::FreeForm,
            ),
            (
                json!({"type":"contacts","contacts":[{"name":{"formatted_name":"Ana","first_name":"Ana"}}]}),
                Kind::FreeForm,
            ),
            (
                json!({"type":"interactive","interactive":{"type":"button","body":{"text":"?"},"action":{"buttons":[]}}}),
                Kind::FreeForm,
            ),
            (
                json!({"type":"reaction","reaction":{"message_id":"wamid.A","emoji":""}}),
                Kind::FreeForm,
            ),
            (
                json!({"type":"template","template":{"name":"hello","language":{"code":"en_US"},"future":1},"new_key":{}}),
                Kind::Template,
            ),
            (
                json!({"status":"read","message_id":"wamid.A","typing_indicator":{"type":"text"}}),
                Kind::MarkRead,
            ),
        ] {
            assert_eq!(validate(&message), Ok(kind), "{message}");
            assert_eq!(self::kind(&message), kind);
        }
    }

    #[test]
    fn every_refusal_names_the_place() {
        for (message, pointer) in [
            (json!(["text"]), ""),
            (json!({"text":{"body":"Hi"}}), "/type"),
            (json!({"type":"poll","poll":{}}), "/type"),
            (json!({"type":"text","text":"Hi"}), "/text"),
            (json!({"type":"text","text":{"body":""}}), "/text/body"),
            (
                json!({"type":"text","text":{"body":"Hi"},"to":"16505551234"}),
                "/to",
            ),
            (
                json!({"type":"text","text":{"body":"Hi"},"recipient":"US.1"}),
                "/recipient",
            ),
            (
                json!({"type":"text","text":{"body":"Hi"},"recipient_type":"group"}),
                "/recipient_type",
            ),
            (
                json!({"type":"text","text":{"body":"Hi"},"biz_opaque_callback_data":"x"}),
                "/biz_opaque_callback_data",
            ),
            (
                json!({"type":"text","text":{"body":"Hi"},"context":{"id":"wamid.A"}}),
                "/context/message_id",
            ),
            (
                json!({"type":"image","image":{"id":"1","link":"https://e.com"}}),
                "/image",
            ),
            (
                json!({"type":"image","image":{"file":"cat.jpg"}}),
                "/image/file",
            ),
            (
                json!({"type":"audio","audio":{"id":"1","caption":"c"}}),
                "/audio/caption",
            ),
            (
                json!({"type":"location","location":{"latitude":91,"longitude":0}}),
                "/location/latitude",
            ),
            (json!({"type":"contacts","contacts":[]}), "/contacts"),
            (
                json!({"type":"contacts","contacts":[{"name":{}}]}),
                "/contacts/0/name/formatted_name",
            ),
            (
                json!({"type":"interactive","interactive":{"type":"button"}}),
                "/interactive/action",
            ),
            (
                json!({"type":"template","template":{"name":"hello"}}),
                "/template/language/code",
            ),
            (
                json!({"type":"reaction","reaction":{"message_id":"wamid.A"}}),
                "/reaction/emoji",
            ),
            (
                json!({"status":"delivered","message_id":"wamid.A"}),
                "/status",
            ),
            (json!({"status":"read"}), "/message_id"),
            (
                json!({"status":"read","message_id":"wamid.A","type":"text"}),
                "/type",
            ),
        ] {
            assert_eq!(
                validate(&message).unwrap_err().pointer,
                pointer,
                "{message}"
            );
        }
    }

    #[test]
    fn a_text_may_have_4096_characters_whatever_their_bytes() {
        let message = |chars: usize| json!({"type":"text","text":{"body":"ñ".repeat(chars)}});
        assert!(validate(&message(4096)).is_ok());
        let refused = validate(&message(4097)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "message/text/body: is longer than 4096 characters"
        );
    }

    #[test]
    fn a_message_too_long_for_the_outbox_is_refused_unread() {
        let text = format!(
            "{{\"type\":\"text\",\"text\":{{\"body\":\"a\"}},\"x\":\"{}\"}}",
            "x".repeat(MESSAGE_BYTES_MAX)
        );
        assert_eq!(parse(&text).unwrap_err().pointer, "");
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,60}", kind in "(text|image|location|contacts|template|reaction)") {
            let _ = parse(&text);
            let _ = parse(&format!("{{\"type\":\"{kind}\",\"{kind}\":{text}}}"));
        }
    }
}
