//! What the gateway's own list of messages shows of a sent one.

use serde_json::Value;

/// The words of a sent message that a person would read in its place, and its type.
#[must_use]
pub fn readable(message: &Value) -> (&str, Option<&str>) {
    let kind = message
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("unknown");
    let pointers: &[&str] = match kind {
        "text" => &["/text/body"],
        "image" => &["/image/caption"],
        "video" => &["/video/caption"],
        "document" => &["/document/caption", "/document/filename"],
        "location" => &["/location/name", "/location/address"],
        "contacts" => &["/contacts/0/name/formatted_name"],
        "interactive" => &["/interactive/body/text"],
        "template" => &["/template/name"],
        "reaction" => &["/reaction/emoji"],
        _ => &[],
    };
    let words = pointers
        .iter()
        .find_map(|pointer| message.pointer(pointer)?.as_str());
    (kind, words)
}

/// The message that this one answers or reacts to.
#[must_use]
pub fn reply_to(message: &Value) -> Option<&str> {
    let pointer = ["/context/message_id", "/reaction/message_id"];
    pointer
        .iter()
        .find_map(|pointer| message.pointer(pointer)?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_readable_words_are_found() {
        let text = json!({"type":"text","text":{"body":"Hi"},"context":{"message_id":"wamid.A"}});
        assert_eq!(readable(&text), ("text", Some("Hi")));
        assert_eq!(reply_to(&text), Some("wamid.A"));
        let document = json!({"type":"document","document":{"id":"1","filename":"a.pdf"}});
        assert_eq!(readable(&document), ("document", Some("a.pdf")));
        assert_eq!(
            readable(&json!({"type":"sticker","sticker":{"id":"1"}})),
            ("sticker", None)
        );
    }
}
