//! Messages to customers: Meta's message objects, without addressee.

use serde_json::{Value, json};

/// A message; build one of the common kinds, or wrap Meta's JSON with [`Message::from_json`].
#[derive(Debug, Clone, PartialEq)]
pub struct Message(Value);

impl Message {
    /// Plain text; links get a preview.
    pub fn text(body: &str) -> Message {
        Message(json!({ "type": "text", "text": { "body": body, "preview_url": true } }))
    }

    /// A template without variables; add Meta's `components` for those that have some.
    pub fn template(name: &str, language: &str, components: Option<Value>) -> Message {
        let mut template = json!({ "name": name, "language": { "code": language } });
        if let Some(components) = components {
            template["components"] = components;
        }
        Message(json!({ "type": "template", "template": template }))
    }

    /// A question with up to three buttons of (id, title).
    pub fn buttons(body: &str, buttons: &[(&str, &str)]) -> Message {
        let buttons: Vec<Value> = buttons
            .iter()
            .map(|(id, title)| json!({ "type": "reply", "reply": { "id": id, "title": title } }))
            .collect();
        Message(json!({
            "type": "interactive",
            "interactive": { "type": "button", "body": { "text": body }, "action": { "buttons": buttons } },
        }))
    }

    /// A list behind one button, with rows of (id, title).
    pub fn list(body: &str, button: &str, rows: &[(&str, &str)]) -> Message {
        let rows: Vec<Value> = rows
            .iter()
            .map(|(id, title)| json!({ "id": id, "title": title }))
            .collect();
        Message(json!({
            "type": "interactive",
            "interactive": {
                "type": "list",
                "body": { "text": body },
                "action": { "button": button, "sections": [{ "title": button, "rows": rows }] },
            },
        }))
    }

    /// A picture, video, sound, document or sticker that is at Meta already: `kind` is `image`, `video`, `audio`,
    /// `document` or `sticker`.
    pub fn media(kind: &str, media_id: &str, caption: Option<&str>) -> Message {
        let mut media = json!({ "id": media_id });
        if let Some(caption) = caption {
            media["caption"] = caption.into();
        }
        Message(json!({ "type": kind, kind: media }))
    }

    /// A file that the business has: `kind` is as in [`Message::media`], `handle` one of [`media`](crate::media). Duet
    /// uploads it.
    pub fn file(kind: &str, handle: &str, caption: Option<&str>) -> Message {
        let mut media = json!({ "file": handle });
        if let Some(caption) = caption {
            media["caption"] = caption.into();
        }
        Message(json!({ "type": kind, kind: media }))
    }

    /// An emoji on the message with this id of Meta's; an empty one takes it away.
    pub fn reaction(message_id: &str, emoji: &str) -> Message {
        Message(
            json!({ "type": "reaction", "reaction": { "message_id": message_id, "emoji": emoji } }),
        )
    }

    /// Any message that Meta knows: its JSON without `to` and `messaging_product`.
    pub fn from_json(message: Value) -> Message {
        Message(message)
    }

    /// Shows the message as an answer to the one with this id of Meta's.
    pub fn replying_to(mut self, message_id: &str) -> Message {
        self.0["context"] = json!({ "message_id": message_id });
        self
    }
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

pub(crate) fn mark_read(message_id: &str) -> Message {
    Message(json!({ "status": "read", "message_id": message_id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_metas_shape() {
        let expected = [
            (
                Message::buttons("Well?", &[("y", "Yes")]).replying_to("wamid.A"),
                r#"{"context":{"message_id":"wamid.A"},"interactive":{"action":{"buttons":[{"reply":{"id":"y","title":"Yes"},"type":"reply"}]},"body":{"text":"Well?"},"type":"button"},"type":"interactive"}"#,
            ),
            (
                Message::media("image", "123", Some("A cat")),
                r#"{"image":{"caption":"A cat","id":"123"},"type":"image"}"#,
            ),
            (
                Message::file("document", "ab12", None),
                r#"{"document":{"file":"ab12"},"type":"document"}"#,
            ),
            (
                Message::template("hello", "en_US", None),
                r#"{"template":{"language":{"code":"en_US"},"name":"hello"},"type":"template"}"#,
            ),
            (
                mark_read("wamid.A"),
                r#"{"message_id":"wamid.A","status":"read"}"#,
            ),
        ];
        for (message, json) in expected {
            assert_eq!(message.to_string(), json);
        }
    }
}
