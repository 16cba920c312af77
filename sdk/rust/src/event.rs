//! An event, with typed views of the common kinds. Meta's payload is in [`Event::json`], whatever the kind.

use crate::bindings::duet::plugin::types;
use crate::{Contact, Conversation, HookCall};
use serde_json::Value;

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// Arrival order over the whole gateway.
    pub seq: u64,
    /// The same however often the event is tried: use it as idempotency key.
    pub id: String,
    /// `message.text`, `echo.text`, `status.delivered`, …: an open set.
    pub kind: String,
    /// Meta's phone_number_id.
    pub number: Option<String>,
    /// The customer.
    pub contact: Option<Contact>,
    /// Meta's time of the event, ms since 1970.
    pub at_ms: Option<u64>,
    /// When Duet received it, ms since 1970.
    pub received_ms: u64,
    /// 1 on the first try.
    pub attempt: u32,
    conversation: Option<u64>,
    body: Value,
}

/// What a customer chose from buttons or a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The id that the plugin gave the button or row.
    pub id: &'a str,
    /// What the customer saw.
    pub title: &'a str,
}

/// What became of a message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// Meta's id of the message.
    pub message_id: &'a str,
    /// `sent`, `delivered`, `read`, `failed`, …
    pub status: &'a str,
    /// Meta's error code, when it failed.
    pub error_code: Option<u64>,
}

/// A timer of the plugin's that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer<'a> {
    /// As it was set.
    pub name: &'a str,
    /// As it was set.
    pub payload: &'a str,
    /// For when it was set, ms since 1970.
    pub at_ms: u64,
}

/// What became of a file that the plugin has awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled<'a> {
    /// Meta's id of the message.
    pub message_id: &'a str,
    /// `stored`, or why there is none: `too-large`, `failed`, `expired`, …
    pub state: &'a str,
    /// When it is stored.
    pub handle: Option<&'a str>,
    /// As its sender calls it.
    pub filename: Option<&'a str>,
}

/// The ids of a person who was erased; nothing leads from them to anybody any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// Several when the person was known under several.
    pub contacts: Vec<u64>,
    /// What was said there is gone.
    pub conversations: Vec<u64>,
}

impl Event {
    /// Meta's JSON of this one element, nothing dropped.
    pub fn json(&self) -> &Value {
        &self.body
    }

    /// The conversation that the event belongs to.
    pub fn conversation(&self) -> Option<Conversation> {
        self.conversation.map(|id| Conversation { id })
    }

    /// Whether a customer wrote, live: not an echo, not history, not a status.
    pub fn is_message(&self) -> bool {
        self.kind.starts_with("message.")
    }

    /// Whether a person wrote from the app on the phone.
    pub fn is_echo(&self) -> bool {
        self.kind.starts_with("echo.")
    }

    /// Meta's id of the message, for messages and echoes.
    pub fn message_id(&self) -> Option<&str> {
        self.str("/id")
    }

    /// What a customer wrote in a text message.
    pub fn text(&self) -> Option<&str> {
        self.of("message.text", "/text/body")
    }

    /// What a person wrote from the app on the phone.
    pub fn echo_text(&self) -> Option<&str> {
        self.of("echo.text", "/text/body")
    }

    /// What a customer chose from the buttons or the list of a message, or from a template's buttons.
    pub fn choice(&self) -> Option<Choice<'_>> {
        let (id, title) = match self.kind.as_str() {
            "message.interactive" => {
                let reply = ["/interactive/button_reply", "/interactive/list_reply"]
                    .into_iter()
                    .find_map(|path| self.body.pointer(path))?;
                (reply.get("id"), reply.get("title"))
            }
            "message.button" => (
                self.body.pointer("/button/payload"),
                self.body.pointer("/button/text"),
            ),
            _ => return None,
        };
        Some(Choice {
            id: id?.as_str()?,
            title: title?.as_str()?,
        })
    }

    /// What became of a message that was sent.
    pub fn status(&self) -> Option<Status<'_>> {
        Some(Status {
            status: self.kind.strip_prefix("status.")?,
            message_id: self.message_id()?,
            error_code: self.body.pointer("/errors/0/code").and_then(Value::as_u64),
        })
    }

    /// The timer that was due.
    pub fn timer(&self) -> Option<Timer<'_>> {
        Some(Timer {
            name: self.of("timer.fired", "/name")?,
            payload: self.str("/payload")?,
            at_ms: self.body.pointer("/at_ms").and_then(Value::as_u64)?,
        })
    }

    /// What became of a file that the plugin has awaited.
    pub fn settled(&self) -> Option<Settled<'_>> {
        Some(Settled {
            message_id: self.of("media.settled", "/message")?,
            state: self.str("/state")?,
            handle: self.str("/handle"),
            filename: self.str("/filename"),
        })
    }

    /// The name of the schedule in `plugins.toml` that has the plugin called.
    pub fn schedule(&self) -> Option<&str> {
        self.kind.strip_prefix("schedule.")
    }

    /// The call of one of the plugin's hooks.
    pub fn hook(&self) -> Option<HookCall<'_>> {
        HookCall::read(self.kind.strip_prefix("hook.")?, &self.body)
    }

    /// Who was erased: what the plugin keeps of them elsewhere has to go.
    pub fn erased(&self) -> Option<Erased> {
        let ids = |path: &str| -> Option<Vec<u64>> {
            let ids = self.body.get(path)?.as_array()?.iter();
            ids.map(Value::as_u64).collect()
        };
        (self.kind == "contact.erased").then_some(())?;
        Some(Erased {
            contacts: ids("contacts")?,
            conversations: ids("conversations")?,
        })
    }

    fn of(&self, kind: &str, path: &str) -> Option<&str> {
        if self.kind == kind {
            self.str(path)
        } else {
            None
        }
    }

    fn str(&self, path: &str) -> Option<&str> {
        self.body.pointer(path)?.as_str()
    }
}

impl From<types::Event> for Event {
    fn from(event: types::Event) -> Self {
        Event {
            seq: event.seq,
            id: event.id,
            kind: event.kind,
            number: event.number,
            contact: event.contact.map(Into::into),
            at_ms: event.at_ms,
            received_ms: event.received_ms,
            attempt: event.attempt,
            conversation: event.conversation,
            // Duet stores valid JSON only; Null makes every view answer None.
            body: serde_json::from_str(&event.body).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, body: &str) -> Event {
        types::Event {
            seq: 1,
            id: "e".into(),
            kind: kind.into(),
            number: None,
            conversation: Some(7),
            contact: None,
            at_ms: None,
            received_ms: 0,
            attempt: 1,
            body: body.into(),
        }
        .into()
    }

    #[test]
    fn views_read_metas_payload() {
        let text = event("message.text", r#"{"id":"wamid.A","text":{"body":"Hi"}}"#);
        assert_eq!(
            (text.text(), text.echo_text(), text.message_id()),
            (Some("Hi"), None, Some("wamid.A"))
        );

        let echo = event("echo.text", r#"{"text":{"body":"Hi"}}"#);
        assert_eq!((echo.text(), echo.echo_text()), (None, Some("Hi")));

        let list = r#"{"interactive":{"type":"list_reply","list_reply":{"id":"r1","title":"Red","description":"x"}}}"#;
        assert_eq!(
            event("message.interactive", list).choice(),
            Some(Choice {
                id: "r1",
                title: "Red"
            })
        );

        let button = event(
            "message.button",
            r#"{"button":{"payload":"yes-1","text":"Yes"}}"#,
        );
        assert_eq!(
            button.choice(),
            Some(Choice {
                id: "yes-1",
                title: "Yes"
            })
        );

        let failed = event(
            "status.failed",
            r#"{"id":"wamid.A","status":"failed","errors":[{"code":131047}]}"#,
        );
        let expected = Status {
            message_id: "wamid.A",
            status: "failed",
            error_code: Some(131_047),
        };
        assert_eq!(failed.status(), Some(expected));

        let fired = event(
            "timer.fired",
            r#"{"at_ms":7,"name":"follow-up","payload":"order 17"}"#,
        );
        let expected = Timer {
            name: "follow-up",
            payload: "order 17",
            at_ms: 7,
        };
        assert_eq!((fired.timer(), text.timer()), (Some(expected), None));

        let tick = event("schedule.tidy", r#"{"at_ms":7,"name":"tidy"}"#);
        assert_eq!((tick.schedule(), text.schedule()), (Some("tidy"), None));

        let call = r#"{"method":"POST","path":"/7","query":"a=1","headers":[["x-id","7"]],"body":"{\"n\":1}"}"#;
        let call = event("hook.tickets", call);
        let hook = call.hook().unwrap();
        assert_eq!((hook.name, hook.path, hook.query), ("tickets", "/7", "a=1"));
        assert_eq!((hook.header("X-Id"), hook.header("x")), (Some("7"), None));
        assert_eq!(hook.json::<Value>().unwrap()["n"], 1);
        assert!(text.hook().is_none());
        let bytes = r#"{"method":"PUT","path":"","query":"","headers":[],"body_base64":"/wA="}"#;
        let odd = event("hook.a", bytes);
        assert_eq!(odd.hook().unwrap().body.as_ref(), [255, 0]);

        let erased = event("contact.erased", r#"{"contacts":[7,9],"conversations":[]}"#);
        let expected = Erased {
            contacts: vec![7, 9],
            conversations: vec![],
        };
        assert_eq!((erased.erased(), text.erased()), (Some(expected), None));
    }
}
