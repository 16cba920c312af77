//! The files of the gateway's own store that a message names, as `"file": "<SHA-256>"` where Meta wants `id` or `link`:
//! `{"type": "image", "image": {"file": "…"}}`, in the message itself and in the headers and cards of templates and
//! interactive messages. Before such a message leaves, each has become the `id` of an upload.

use serde_json::{Map, Value};

use super::message::{Invalid, invalid};
use crate::media::{Digest, SentAs};

/// A carousel has ten cards at most (WhatsApp Cloud API, "Media card carousel templates").
const FILES_MAX: usize = 10;
const KEY: &str = "file";

/// A file that a message names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// JSON pointer to the digest, within the message.
    pub pointer: String,
    pub kind: SentAs,
    pub digest: Digest,
}

/// The files that a message names, in order.
///
/// # Errors
/// [`Invalid`] names the first that is no digest, or has an `id` or a `link` beside it.
pub fn files(message: &Value) -> Result<Vec<NamedFile>, Invalid> {
    let mut found = Vec::new();
    walk(message, "", &mut found)?;
    if found.len() > FILES_MAX {
        return Err(invalid("", format!("names more than {FILES_MAX} files")));
    }
    Ok(found)
}

/// The same message with the ids that Meta has given to its files; a file without one stays as it is.
#[must_use]
pub fn with_ids(mut message: Value, ids: &[(Digest, String)]) -> Value {
    replace(&mut message, ids);
    message
}

fn walk(value: &Value, pointer: &str, found: &mut Vec<NamedFile>) -> Result<(), Invalid> {
    match value {
        Value::Object(object) => {
            if let Some((kind, body)) = medium(object) {
                found.extend(named(kind, body, &format!("{pointer}/{}", kind.as_str()))?);
            }
            for (key, inner) in object {
                if inner.is_object() || inner.is_array() {
                    walk(inner, &format!("{pointer}/{key}"), found)?;
                }
            }
            Ok(())
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .try_for_each(|(at, inner)| walk(inner, &format!("{pointer}/{at}"), found)),
        _ => Ok(()),
    }
}

/// The medium that an object is or carries.
fn medium(object: &Map<String, Value>) -> Option<(SentAs, &Map<String, Value>)> {
    let kind = SentAs::from_word(object.get("type")?.as_str()?)?;
    Some((kind, object.get(kind.as_str())?.as_object()?))
}

fn named(
    kind: SentAs,
    body: &Map<String, Value>,
    pointer: &str,
) -> Result<Option<NamedFile>, Invalid> {
    let Some(name) = body.get(KEY) else {
        return Ok(None);
    };
    if let Some(other) = ["id", "link"].iter().find(|key| body.contains_key(**key)) {
        return Err(invalid(
            &format!("{pointer}/{other}"),
            "does not go with \"file\"; leave one of them out",
        ));
    }
    let pointer = format!("{pointer}/{KEY}");
    let Some(digest) = name.as_str().and_then(Digest::read) else {
        return Err(invalid(
            &pointer,
            "must be the sha256 of a file, as POST /api/v1/media answers it or as it stands with a message",
        ));
    };
    Ok(Some(NamedFile {
        pointer,
        kind,
        digest,
    }))
}

fn replace(value: &mut Value, ids: &[(Digest, String)]) {
    match value {
        Value::Object(object) => {
            let kind = medium(object).map(|(kind, _)| kind.as_str());
            if let Some(body) = kind
                .and_then(|kind| object.get_mut(kind))
                .and_then(Value::as_object_mut)
            {
                use_id(body, ids);
            }
            object.values_mut().for_each(|inner| replace(inner, ids));
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| replace(inner, ids)),
        _ => {}
    }
}

fn use_id(body: &mut Map<String, Value>, ids: &[(Digest, String)]) {
    let digest = body.get(KEY).and_then(Value::as_str).and_then(Digest::read);
    let id = digest.and_then(|digest| ids.iter().find(|(known, _)| *known == digest));
    if let Some((_, id)) = id {
        body.remove(KEY);
        body.insert("id".into(), id.as_str().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const ONE: &str = "49f227634806293b0995459bc310b593e1400f41591efcf07e9bced335f41942";
    /// The same in Meta's spelling.
    const ONE_BASE64: &str = "SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI=";

    fn template() -> Value {
        json!({"type": "template", "template": {"name": "offer", "language": {"code": "en"}, "components": [
            {"type": "header", "parameters": [{"type": "image", "image": {"file": ONE}}]},
            {"type": "body", "parameters": [{"type": "text", "text": "file"}]}
        ]}})
    }

    #[test]
    fn a_file_is_found_wherever_meta_takes_an_id() {
        for (message, pointer, kind) in [
            (
                json!({"type": "image", "image": {"file": ONE, "caption": "c"}}),
                "/image/file",
                SentAs::Image,
            ),
            (
                json!({"type": "document", "document": {"file": ONE_BASE64}}),
                "/document/file",
                SentAs::Document,
            ),
            (
                template(),
                "/template/components/0/parameters/0/image/file",
                SentAs::Image,
            ),
            (
                json!({"type": "interactive", "interactive": {"type": "button", "header": {"type": "video", "video": {"file": ONE}}, "action": {}}}),
                "/interactive/header/video/file",
                SentAs::Video,
            ),
        ] {
            let digest = Digest::read(ONE).unwrap();
            let pointer = pointer.to_owned();
            let named = NamedFile {
                pointer,
                kind,
                digest,
            };
            assert_eq!(files(&message), Ok(vec![named]), "{message}");
        }
        for message in [
            json!({"type": "image", "image": {"id": "1"}}),
            json!({"type": "text", "text": {"body": ONE, "file": ONE}}),
            json!({"type": "text", "image": {"file": ONE}}),
        ] {
            assert_eq!(files(&message), Ok(Vec::new()), "{message}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_told_with_its_place() {
        for (body, pointer) in [
            (json!({"file": "cat.jpg"}), "/image/file"),
            (json!({"file": 7}), "/image/file"),
            (json!({"file": ONE, "id": "1"}), "/image/id"),
            (json!({"file": ONE, "link": "https://e.com"}), "/image/link"),
        ] {
            let refused = files(&json!({"type": "image", "image": body})).unwrap_err();
            assert_eq!(refused.pointer, pointer, "{body}");
        }
        let card = json!({"type": "image", "image": {"file": ONE}});
        assert!(files(&json!(vec![card.clone(); 10])).is_ok());
        assert!(files(&json!(vec![card; 11])).is_err());
    }

    #[test]
    fn an_upload_takes_the_place_of_its_file() {
        let ids = [(Digest::read(ONE).unwrap(), "4490".to_owned())];
        let message = json!({"type": "image", "image": {"file": ONE_BASE64, "caption": "c"}});
        assert_eq!(
            with_ids(message, &ids),
            json!({"type": "image", "image": {"id": "4490", "caption": "c"}})
        );
        let sent = with_ids(template(), &ids);
        assert_eq!(
            sent.pointer("/template/components/0/parameters/0/image"),
            Some(&json!({"id": "4490"}))
        );
        assert_eq!(with_ids(template(), &[]), template());
    }

    proptest! {
        /// With an id for each nothing is left, and nothing else changes.
        #[test]
        fn all_are_replaced(count in 0..10_usize, byte: u8) {
            let digest = Digest([byte; 32]);
            let card = json!({"type": "video", "video": {"file": digest.to_string(), "caption": "c"}});
            let message = json!({"type": "text", "cards": vec![card; count]});
            prop_assert_eq!(files(&message).unwrap().len(), count);
            let sent = with_ids(message, &[(digest, "1".to_owned())]);
            prop_assert_eq!(files(&sent).unwrap().len(), 0);
            let left = json!({"type": "video", "video": {"id": "1", "caption": "c"}});
            prop_assert_eq!(sent, json!({"type": "text", "cards": vec![left; count]}));
        }
    }
}
