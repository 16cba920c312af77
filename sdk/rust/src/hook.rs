//! Calls from the plugin's outside system, and what it is answered.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Result;
use crate::hook_bindings::exports::duet::plugin::on_hook;

/// A call of one of the plugin's hooks. What proves it is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCall<'a> {
    /// The hook's path in the manifest.
    pub name: &'a str,
    /// `POST`, `GET`, …
    pub method: &'a str,
    /// What stands behind the hook's own path.
    pub path: &'a str,
    /// Without the `?`.
    pub query: &'a str,
    /// What the caller sent.
    pub body: Cow<'a, [u8]>,
    headers: &'a Value,
}

impl<'a> HookCall<'a> {
    pub(crate) fn read(name: &'a str, call: &'a Value) -> Option<Self> {
        let text = |key: &str| call.get(key)?.as_str();
        Some(HookCall {
            name,
            method: text("method")?,
            path: text("path")?,
            query: text("query")?,
            body: match text("body") {
                Some(body) => Cow::Borrowed(body.as_bytes()),
                None => Cow::Owned(STANDARD.decode(text("body_base64")?).ok()?),
            },
            headers: call.get("headers")?,
        })
    }

    /// The first header of this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = self.headers.as_array()?.iter();
        let found = headers.find(|header| {
            let header = header.get(0).and_then(Value::as_str);
            header.is_some_and(|header| header.eq_ignore_ascii_case(name))
        });
        found?.get(1)?.as_str()
    }

    /// The body as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// What a caller is answered, and whoever repeats the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// At most 1 MiB.
    pub body: Vec<u8>,
}

impl Response {
    /// A status without more words.
    pub fn status(status: u16) -> Self {
        Response {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A 200 with JSON.
    pub fn json(value: &impl serde::Serialize) -> Result<Self> {
        Ok(Response {
            status: 200,
            headers: vec![("content-type".into(), "application/json".into())],
            body: serde_json::to_vec(value)?,
        })
    }
}

impl From<Response> for on_hook::Response {
    fn from(response: Response) -> Self {
        on_hook::Response {
            status: response.status,
            headers: response.headers,
            body: response.body,
        }
    }
}
