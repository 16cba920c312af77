use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{Hook, KeyPlace, Proof};

/// Longer keys are none.
const KEY_BYTES_MAX: usize = 1024;
/// What proves something to somebody, whatever the scheme.
const HIDDEN: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// A call without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// What stands behind the hook's own path.
    pub path: String,
    /// Without the `?`.
    pub query: String,
    /// The names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Why a call is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key by which a repetition is known is missing")]
pub struct Unusable;

impl Request {
    /// The value of a header; of one that is there twice nobody can say which counts.
    pub(super) fn only(&self, name: &str) -> Option<&[u8]> {
        let mut values = self
            .headers
            .iter()
            .filter(|(header, _)| header.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// What a repetition of the call has in common with it; nothing where each call is a new one.
    ///
    /// # Errors
    /// When it is not there.
    pub fn key(&self, hook: &Hook, body: &[u8]) -> Result<Option<String>, Unusable> {
        let key = match &hook.key {
            None => return Ok(None),
            Some(KeyPlace::Header(name)) => self
                .only(name)
                .map(|value| String::from_utf8_lossy(value).trim().to_owned()),
            Some(KeyPlace::Json(pointer)) => scalar(body, pointer),
            Some(KeyPlace::Body) => Some(hex::encode(digest(&SHA256, body))),
        };
        let fits = |key: &String| (1..=KEY_BYTES_MAX).contains(&key.len());
        key.filter(fits).map(Some).ok_or(Unusable)
    }

    /// Duet's id of the conversation that the call is about.
    #[must_use]
    pub fn conversation(hook: &Hook, body: &[u8]) -> Option<i64> {
        scalar(body, hook.conversation.as_ref()?)?.parse().ok()
    }

    /// The body of the call's event: what the plugin sees. What proves the call is not in it, and where else the secret
    /// stands in it, it is masked.
    #[must_use]
    pub fn event_body(&self, proof: Option<&Proof>, body: &[u8]) -> String {
        let masked = |text: String| match proof {
            Some(proof) => proof.mask().text(text),
            None => text,
        };
        let hidden =
            |name: &str| HIDDEN.contains(&name) || proof.is_some_and(|proof| proof.hides(name));
        let headers = self.headers.iter().filter(|(name, _)| !hidden(name));
        let headers = headers.map(|(name, value)| {
            let value = String::from_utf8_lossy(value).into_owned();
            Value::from(vec![name.clone(), masked(value)])
        });
        let mut seen = Map::new();
        seen.insert("method".into(), self.method.clone().into());
        seen.insert("path".into(), masked(self.path.clone()).into());
        seen.insert("query".into(), masked(self.open_query(proof)).into());
        seen.insert("headers".into(), headers.collect());
        let body = match proof {
            Some(proof) => proof.mask().bytes(body.to_owned()),
            None => body.to_owned(),
        };
        match String::from_utf8(body) {
            Ok(text) if is_plain(&text) => seen.insert("body".into(), text.into()),
            Ok(text) => seen.insert("body_base64".into(), STANDARD.encode(text).into()),
            Err(bytes) => seen.insert(
                "body_base64".into(),
                STANDARD.encode(bytes.as_bytes()).into(),
            ),
        };
        Value::Object(seen).to_string()
    }

    /// The query without what proves the call.
    fn open_query(&self, proof: Option<&Proof>) -> String {
        let hidden = |part: &&str| {
            let name = form_urlencoded::parse(part.as_bytes()).next();
            name.is_some_and(|(name, _)| proof.is_some_and(|proof| proof.hides_parameter(&name)))
        };
        let parts = self.query.split('&').filter(|part| !hidden(part));
        parts.collect::<Vec<_>>().join("&")
    }
}

/// A text or an integer of a JSON body.
fn scalar(body: &[u8], pointer: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    match body.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// JSON writes a control character with six.
fn is_plain(text: &str) -> bool {
    text.chars()
        .all(|char| !char.is_control() || matches!(char, '\t' | '\n' | '\r'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SECRET: &str = "s3cret of the CRM";

    fn hook(more: Value) -> Hook {
        let mut hook = json!({"path": "tickets", "mode": "event", "reason": "x"});
        for (key, value) in more.as_object().unwrap() {
            hook[key] = value.clone();
        }
        serde_json::from_value(hook).unwrap()
    }

    fn request(query: &str, headers: &[(&str, &[u8])]) -> Request {
        Request {
            method: "POST".to_owned(),
            path: "/7".to_owned(),
            query: query.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn a_repetition_is_known_by_its_key() {
        let request = request(
            "",
            &[
                ("x-id", b" 7 "),
                ("x-two", b"1"),
                ("x-two", b"2"),
                ("x-none", b" "),
            ],
        );
        let long = json!({"id": "k".repeat(1025)}).to_string();
        for (place, body, key) in [
            (json!({}), "", Ok(None)),
            (json!({"key": {"header": "X-Id"}}), "", Ok(Some("7"))),
            (json!({"key": {"header": "x-two"}}), "", Err(Unusable)),
            (json!({"key": {"header": "x-none"}}), "", Err(Unusable)),
            (json!({"key": {"header": "x-other"}}), "", Err(Unusable)),
            (
                json!({"key": {"json": "/id"}}),
                r#"{"id": "a"}"#,
                Ok(Some("a")),
            ),
            (
                json!({"key": {"json": "/id"}}),
                r#"{"id": 12}"#,
                Ok(Some("12")),
            ),
            (
                json!({"key": {"json": "/id"}}),
                r#"{"id": ""}"#,
                Err(Unusable),
            ),
            (
                json!({"key": {"json": "/id"}}),
                r#"{"id": {}}"#,
                Err(Unusable),
            ),
            (json!({"key": {"json": "/id"}}), "no JSON", Err(Unusable)),
            (json!({"key": {"json": "/id"}}), &long, Err(Unusable)),
            (
                json!({"key": "body"}),
                "",
                Ok(Some(
                    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                )),
            ),
        ] {
            let told = request.key(&hook(place.clone()), body.as_bytes());
            assert_eq!(
                told,
                key.map(|key| key.map(str::to_owned)),
                "{place} in {body}"
            );
        }
    }

    #[test]
    fn the_conversation_is_named_by_its_id() {
        let hook = hook(json!({"conversation": "/meta/talk"}));
        for (body, id) in [
            (r#"{"meta": {"talk": 12}}"#, Some(12)),
            (r#"{"meta": {"talk": "12"}}"#, Some(12)),
            (r#"{"meta": {"talk": 1.5}}"#, None),
            (r#"{"meta": {"talk": 99999999999999999999}}"#, None),
            (r#"{"meta": {}}"#, None),
            ("", None),
        ] {
            assert_eq!(Request::conversation(&hook, body.as_bytes()), id, "{body}");
        }
    }

    #[test]
    fn the_plugin_sees_all_but_what_proves_the_call() {
        let proof =
            |scheme: Value| Proof::new(&serde_json::from_value(scheme).unwrap(), SECRET).unwrap();
        let token = proof(json!({"scheme": "token", "header": "X-Key"}));
        let call = request(
            "a=1&b",
            &[
                ("x-key", SECRET.as_bytes()),
                ("x-other", SECRET.as_bytes()),
                ("accept", b"\xff*/*"),
                ("authorization", b"Basic abc"),
                ("cookie", b"c"),
            ],
        );
        let body = format!(r#"{{"key": "{SECRET}", "text": "hi"}}"#);
        let seen: Value =
            serde_json::from_str(&call.event_body(Some(&token), body.as_bytes())).unwrap();
        assert_eq!(
            seen,
            json!({"method": "POST", "path": "/7", "query": "a=1&b",
                "headers": [["x-other", "[secret]"], ["accept", "\u{fffd}*/*"]],
                "body": r#"{"key": "[secret]", "text": "hi"}"#})
        );
        let query = proof(json!({"scheme": "query-token", "name": "key"}));
        let call = request("a=%20&key=s3cret+of+the+CRM&%6bey=x&keys=1", &[]);
        let seen: Value =
            serde_json::from_str(&call.event_body(Some(&query), b"\xff\x00")).unwrap();
        assert_eq!(
            seen,
            json!({"method": "POST", "path": "/7", "query": "a=%20&keys=1", "headers": [], "body_base64": "/wA="})
        );
        let seen: Value = serde_json::from_str(&call.event_body(None, b"a\tb\n")).unwrap();
        assert_eq!(
            (&seen["body"], &seen["query"]),
            (&json!("a\tb\n"), &json!(call.query))
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_is_told_within_bounds(
            path in ".{0,20}",
            query in ".{0,40}",
            value: Vec<u8>,
            body: Vec<u8>,
        ) {
            let call = Request { method: "PUT".into(), path, query, headers: vec![("x-a".into(), value)] };
            for hook in [hook(json!({"key": {"json": "/a"}, "conversation": "/a"})), hook(json!({"key": {"header": "x-a"}}))] {
                let _ = call.key(&hook, &body);
                let _ = Request::conversation(&hook, &body);
            }
            let scheme = serde_json::from_value(json!({"scheme": "query-token", "name": "a"})).unwrap();
            let told = call.event_body(Proof::new(&scheme, SECRET).ok().as_ref(), &body);
            prop_assert!(serde_json::from_str::<Value>(&told).is_ok());
            prop_assert!(call.event_body(None, &body).len() <= 2 * body.len() + 4 * 200 + 6 * 200);
        }
    }
}
