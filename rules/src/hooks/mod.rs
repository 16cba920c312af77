//! Hooks: what a plugin's outside system may call, as the plugin's manifest declares it.
//!
//! - `proof`: how a call proves from whom it comes
//! - `request`: what of a call the plugin sees, when it is a repetition, and whom it is about
//! - `answer`: what a plugin may answer
//! - `rate`: how many calls are taken
//!
//! Deliberately absent: a way for a plugin to see what proves a call.

mod answer;
mod proof;
mod rate;
mod request;

pub use answer::{Answer, check_answer};
pub use proof::{Proof, Scheme, Unproven};
pub use rate::Rate;
pub use request::{Request, Unusable};

use serde::{Deserialize, Serialize};

use crate::schedule::name_is_valid;

/// What stands before the path in the kind of a call's event.
pub const KIND: &str = "hook.";
/// What stands before the instance's name in the path of a call.
pub const PREFIX: &str = "/hooks/";
/// A call whose key was seen is a repetition for so long.
pub const KEY_DAYS: i64 = 30;

/// One address that an outside system calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// `tickets` in `/hooks/<instance>/tickets` and below it; a word of an event's kind.
    pub path: String,
    pub mode: Mode,
    /// Who calls there and why, in words that an admin understands.
    pub reason: String,
    /// How a call proves from whom it comes; without it nobody knows, and the admin has to say so, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Scheme>,
    /// What is the same when a call is repeated; without it each call is a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyPlace>,
    /// Where in a JSON body Duet's id of a conversation stands, as a JSON pointer: the call is handled in its lane then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
}

/// What a caller is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// That the call is stored.
    Event,
    /// What the plugin says.
    Answer,
}

/// Where the key of a call stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPlace {
    /// In this header.
    Header(String),
    /// In a JSON body, where this pointer leads.
    Json(String),
    /// It is the whole body.
    Body,
}

impl Hook {
    /// The kind of its events.
    #[must_use]
    pub fn kind(&self) -> String {
        format!("{KIND}{}", self.path)
    }

    /// Message and remedy for everything that its types alone do not forbid.
    pub(crate) fn refusals(&self) -> Vec<(String, String)> {
        let mut refusals = Vec::new();
        let mut refuse =
            |message: String, remedy: &str| refusals.push((message, remedy.to_owned()));
        let path = &self.path;
        if !name_is_valid(path) {
            refuse(
                format!("a hook has the path {}", crate::toml_file::quoted(path)),
                "use 1 to 32 of a-z, 0-9 and _",
            );
        }
        let pointers = [
            &self.conversation,
            &self.key.as_ref().and_then(KeyPlace::pointer),
        ];
        for pointer in pointers.into_iter().flatten() {
            if !pointer_is_valid(pointer) {
                refuse(
                    format!(
                        "hook {path:?} has {} for a JSON pointer",
                        crate::toml_file::quoted(pointer)
                    ),
                    "write it as /event/id",
                );
            }
        }
        let names = self.signature.iter().flat_map(Scheme::headers);
        for name in names.chain(self.key.iter().filter_map(KeyPlace::header)) {
            if !header_is_valid(name) {
                refuse(
                    format!(
                        "hook {path:?} names the header {}",
                        crate::toml_file::quoted(name)
                    ),
                    "write a name such as x-request-id",
                );
            }
        }
        if let Some(reason) = self.signature.as_ref().and_then(Scheme::refusal) {
            refuse(
                format!("the signature of hook {path:?}: {reason}"),
                "correct it",
            );
        }
        refusals
    }
}

impl KeyPlace {
    fn pointer(&self) -> Option<String> {
        match self {
            KeyPlace::Json(pointer) => Some(pointer.clone()),
            KeyPlace::Header(_) | KeyPlace::Body => None,
        }
    }

    fn header(&self) -> Option<&str> {
        match self {
            KeyPlace::Header(name) => Some(name),
            KeyPlace::Json(_) | KeyPlace::Body => None,
        }
    }
}

/// The instance, the hook and what stands behind it in the path of a call: `crm`, `tickets` and `/7` of
/// `/hooks/crm/tickets/7`.
#[must_use]
pub fn place(path: &str) -> Option<(&str, &str, &str)> {
    let (instance, rest) = path.strip_prefix(PREFIX)?.split_once('/')?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (hook, below) = rest.split_at_checked(end)?;
    Some((instance, hook, below))
}

/// A pointer of RFC 6901 that leads somewhere within the body.
fn pointer_is_valid(pointer: &str) -> bool {
    const BYTES_MAX: usize = 256;
    pointer.starts_with('/') && pointer.len() <= BYTES_MAX
}

fn header_is_valid(name: &str) -> bool {
    const BYTES_MAX: usize = 128;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= BYTES_MAX && name.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refusals(hook: Value) -> Vec<String> {
        let hook: Hook = serde_json::from_value(hook).unwrap();
        let refusals = hook.refusals().into_iter();
        refusals
            .map(|(message, remedy)| format!("{message}; {remedy}"))
            .collect()
    }

    #[test]
    fn a_slip_in_a_declaration_is_told() {
        let none: [&str; 0] = [];
        let hook = |more: Value| {
            let mut hook = json!({"path": "tickets", "mode": "event", "reason": "The CRM tells."});
            for (key, value) in more.as_object().unwrap() {
                hook[key] = value.clone();
            }
            hook
        };
        assert_eq!(refusals(hook(json!({}))), none);
        let whole = json!({"mode": "answer", "key": {"json": "/event/id"}, "conversation": "/talk",
            "signature": {"scheme": "hmac-sha256", "header": "X-Signature", "prefix": "v0=", "encoding": "hex",
                "timestamp": {"header": "x-time", "before": "v0:", "between": ":", "tolerance_seconds": 60}}});
        assert_eq!(refusals(hook(whole)), none);
        for (more, told) in [
            (
                json!({"path": "new-tickets"}),
                "a hook has the path \"new-tickets\"; use 1 to 32 of a-z, 0-9 and _",
            ),
            (
                json!({"key": {"json": "id"}}),
                "hook \"tickets\" has \"id\" for a JSON pointer; write it as /event/id",
            ),
            (
                json!({"conversation": ""}),
                "hook \"tickets\" has \"\" for a JSON pointer; write it as /event/id",
            ),
            (
                json!({"key": {"header": "x id"}}),
                "hook \"tickets\" names the header \"x id\"; write a name such as x-request-id",
            ),
            (
                json!({"signature": {"scheme": "token", "header": ""}}),
                "hook \"tickets\" names the header \"\"; write a name such as x-request-id",
            ),
            (
                json!({"signature": {"scheme": "query-token", "name": ""}}),
                "the signature of hook \"tickets\": its parameter has no name, or one of more than 128 bytes; correct it",
            ),
        ] {
            assert_eq!(refusals(hook(more)), [told]);
        }
        for broken in [
            json!({"key": {"cookie": "id"}}),
            json!({"mode": "later"}),
            json!({"signature": {"scheme": "md5"}}),
            json!({"signature": {"scheme": "token", "header": "a", "secret": "b"}}),
            json!({"secret": "b"}),
        ] {
            assert!(
                serde_json::from_value::<Hook>(hook(broken.clone())).is_err(),
                "{broken}"
            );
        }
    }

    #[test]
    fn a_path_names_the_instance_the_hook_and_what_is_below_it() {
        for (path, expect) in [
            ("/hooks/crm/tickets", Some(("crm", "tickets", ""))),
            ("/hooks/crm/tickets/", Some(("crm", "tickets", "/"))),
            ("/hooks/crm/tickets/7/é", Some(("crm", "tickets", "/7/é"))),
            ("/hooks/crm/", Some(("crm", "", ""))),
            ("/hooks/crm", None),
            ("/hooks/", None),
            ("/webhook", None),
            ("", None),
        ] {
            assert_eq!(place(path), expect, "{path}");
        }
    }
}
