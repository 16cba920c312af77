//! Reading JSON that somebody else shaped: borrowed, tolerant, one level at a time.
//!
//! Promises: a wrong type is `None` and never an error, a repeated key means its last value, a
//! number may stand where a string is documented and the other way round. Deliberately absent: a
//! tree of owned values, which would cost more than all the rest of intake.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A key, borrowed unless it is escaped.
#[derive(Deserialize)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The members of one JSON object, in their order, values unread.
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    pub(super) fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// The raw value, unless it is absent or null.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().rfind(|(key, _)| key == name)?;
        Some(value.get()).filter(|json| *json != "null")
    }

    pub(super) fn object(&self, name: &str) -> Option<Object<'a>> {
        Object::read(self.get(name)?)
    }

    pub(super) fn list(&self, name: &str) -> Option<Vec<&'a str>> {
        list(self.get(name)?)
    }

    /// A non-empty string, or a number as it is written.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        text(self.get(name)?)
    }

    pub(super) fn string(&self, name: &str) -> Option<String> {
        self.text(name).map(Cow::into_owned)
    }

    pub(super) fn lower(&self, name: &str) -> Option<String> {
        self.text(name).map(|text| text.to_ascii_lowercase())
    }

    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The items of a JSON array, unread.
pub(super) fn list(json: &str) -> Option<Vec<&str>> {
    let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    Some(items.into_iter().map(RawValue::get).collect())
}

/// A non-empty string, or a number as it is written.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => Some(unquoted(json)?).filter(|text| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(json)),
        _ => None,
    }
}

fn unquoted(json: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', json.as_bytes()).is_none() {
        return json.get(1..json.len().checked_sub(1)?).map(Cow::Borrowed);
    }
    match serde_json::from_str::<String>(json) {
        Ok(text) => Some(Cow::Owned(text)),
        // Half of an emoji, cut off by somebody's length limit, must not cost the whole text.
        Err(_) => serde_json::from_str::<Bytes>(json)
            .ok()
            .map(|bytes| Cow::Owned(String::from_utf8_lossy(&bytes.0).into_owned())),
    }
}

/// A JSON string as bytes: the one way in which serde_json lets a lone surrogate pass.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Any)
    }
}

/// Milliseconds since 1970 of a timestamp in seconds; a value from 1e12 on is milliseconds already.
/// `None` outside of the years 1970 to 9999.
pub(super) fn time_ms(timestamp: &str) -> Option<i64> {
    const MS_MAX: i64 = 253_402_300_799_999;
    let timestamp = timestamp.trim();
    let whole = timestamp
        .split_once('.')
        .map_or(timestamp, |(whole, _)| whole);
    let value: i64 = whole.parse().ok()?;
    let ms = if value >= 1_000_000_000_000 {
        value
    } else {
        value.checked_mul(1000)?
    };
    (1..=MS_MAX).contains(&ms).then_some(ms)
}

/// True when the JSON nests deeper than `depth_max`. Counting brackets is enough for nearly every
/// element; only what has many of them is looked at with strings in mind.
pub(super) fn deeper_than(json: &str, depth_max: usize) -> bool {
    let brackets = json
        .bytes()
        .filter(|byte| matches!(byte, b'{' | b'['))
        .count();
    if brackets <= depth_max {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
