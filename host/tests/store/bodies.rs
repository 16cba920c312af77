//! Bodies as Meta sends them: real ones from tests/payloads, and more of their kind.

use base64::Engine as _;
use serde_json::{Value, json};

pub(crate) const NUMBER: &str = "106540352242922";
pub(crate) const DISPLAY: &str = "15550783881";

/// A real body.
pub(crate) fn payload(path: &str) -> Value {
    let path = format!("{}/../tests/payloads/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(&path).expect(&path)).expect(&path)
}

/// A body with one change.
pub(crate) fn change(field: &str, mut value: Value) -> Value {
    value["messaging_product"] = json!("whatsapp");
    value["metadata"] = json!({"display_phone_number": DISPLAY, "phone_number_id": NUMBER});
    json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "time": 1_789_999_999,
        "changes": [{"field": field, "value": value}]}]})
}

/// An id in the shape that Meta gives: it holds the phone and the message's id on the phones.
pub(crate) fn wamid(phone: &str, from_user: bool, stanza: &str) -> String {
    let mut bytes = vec![0x1c, 0x18, u8::try_from(phone.len()).unwrap()];
    bytes.extend_from_slice(phone.as_bytes());
    bytes.extend_from_slice(&[0x15, 2, 0, if from_user { 0x12 } else { 0x11 }, 0x18]);
    bytes.push(u8::try_from(stanza.len()).unwrap());
    bytes.extend_from_slice(stanza.as_bytes());
    bytes.push(0);
    format!(
        "wamid.{}",
        base64::engine::general_purpose::STANDARD.encode(bytes)
    )
}

/// Somebody who writes.
pub(crate) struct Person {
    pub(crate) phone: &'static str,
    pub(crate) name: &'static str,
    pub(crate) user_id: &'static str,
}

pub(crate) const ANA: Person = Person {
    phone: "4915112340987",
    name: "Ana Ungewöhnlich",
    user_id: "DE.83012345678901234567",
};
pub(crate) const BEN: Person = Person {
    phone: "4915119996543",
    name: "Ben Bleibt",
    user_id: "DE.90998877665544332211",
};

impl Person {
    fn profile(&self) -> Value {
        json!({"profile": {"name": self.name}, "wa_id": self.phone, "user_id": self.user_id})
    }

    /// The id of one of this person's messages.
    pub(crate) fn id(&self, stanza: &str) -> String {
        wamid(self.phone, true, stanza)
    }

    /// The id of a message to this person.
    pub(crate) fn id_to(&self, stanza: &str) -> String {
        wamid(self.phone, false, stanza)
    }

    pub(crate) fn message(&self, stanza: &str, text: &str) -> Value {
        json!({"from": self.phone, "from_user_id": self.user_id, "id": self.id(stanza), "timestamp": "1789999990",
            "type": "text", "text": {"body": text}})
    }

    pub(crate) fn writes(&self, stanza: &str, text: &str) -> Value {
        write([(self, self.message(stanza, text))])
    }

    /// A person of the business writes from the app.
    pub(crate) fn is_told(&self, stanza: &str, text: &str) -> Value {
        change(
            "smb_message_echoes",
            json!({"contacts": [self.profile()], "message_echoes": [{"from": DISPLAY,
            "to": self.phone, "id": self.id_to(stanza), "timestamp": "1789999991", "type": "text",
            "text": {"body": text}}]}),
        )
    }

    pub(crate) fn status(&self, stanza: &str, word: &str) -> Value {
        change(
            "messages",
            json!({"statuses": [{"id": self.id_to(stanza), "status": word,
            "timestamp": "1789999995", "recipient_id": self.phone}]}),
        )
    }

    /// A thread of history with this person.
    pub(crate) fn history(&self, messages: Value) -> Value {
        change(
            "history",
            json!({"history": [{"metadata": {"phase": 0, "chunk_order": 1, "progress": 50},
            "threads": [{"id": self.phone, "messages": messages}]}]}),
        )
    }

    /// The media that follow a placeholder in the history.
    pub(crate) fn follow_up(&self, stanza: &str, file: &str) -> Value {
        change(
            "history",
            json!({"contacts": [self.profile()], "messages": [{"from": self.phone,
            "id": self.id(stanza), "timestamp": "1789000000", "type": "document",
            "document": {"id": "2754859441498128", "mime_type": "application/pdf", "filename": file,
                "caption": "as promised"}}]}),
        )
    }
}

/// One webhook with messages of several people.
pub(crate) fn write<const N: usize>(said: [(&Person, Value); N]) -> Value {
    let (contacts, messages): (Vec<Value>, Vec<Value>) = said
        .into_iter()
        .map(|(person, message)| (person.profile(), message))
        .unzip();
    change(
        "messages",
        json!({"contacts": contacts, "messages": messages}),
    )
}
