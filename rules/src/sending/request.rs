//! The body of `POST /{number}/messages`: the message, its addressee and our mark.

use serde_json::{Map, Value};

use super::Kind;

/// Whom a message goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// A phone in digits.
    Phone(String),
    /// A business-scoped user id, of a customer whose phone is not known.
    UserId(String),
}

impl Addressee {
    /// The phone when it is known, since some messages go to phones only, else the user id. What is no
    /// phone never stands in `to`: Meta answers 200 for a user id there and drops the message
    /// (chatwoot/chatwoot#15150).
    #[must_use]
    pub fn of(wa_id: Option<&str>, user_id: Option<&str>) -> Option<Addressee> {
        let phone =
            wa_id.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
        let user = user_id.filter(|id| !id.is_empty());
        phone
            .map(|phone| Addressee::Phone(phone.to_owned()))
            .or_else(|| user.map(|user| Addressee::UserId(user.to_owned())))
    }
}

/// Completes a validated message. A read mark has neither addressee nor mark: it names a message.
#[must_use]
pub fn request(message: &Value, kind: Kind, to: &Addressee, callback: &str) -> Value {
    let mut body: Map<String, Value> = message.as_object().cloned().unwrap_or_default();
    for key in ["to", "recipient"] {
        body.remove(key);
    }
    body.insert("messaging_product".into(), "whatsapp".into());
    if kind != Kind::MarkRead {
        let (key, id) = match to {
            Addressee::Phone(phone) => ("to", phone),
            Addressee::UserId(user) => ("recipient", user),
        };
        body.insert("recipient_type".into(), "individual".into());
        body.insert(key.into(), id.as_str().into());
        body.insert("biz_opaque_callback_data".into(), callback.into());
    }
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_user_id_never_stands_in_to() {
        let phone = Some(Addressee::Phone("16505551234".into()));
        let user = Some(Addressee::UserId("US.1".into()));
        assert_eq!(Addressee::of(Some("16505551234"), Some("US.1")), phone);
        assert_eq!(Addressee::of(None, Some("US.1")), user);
        assert_eq!(Addressee::of(Some("US.1"), Some("US.1")), user);
        assert_eq!(Addressee::of(Some("US.1"), None), None);
        assert_eq!(Addressee::of(Some(""), Some("")), None);
    }

    #[test]
    fn the_request_is_the_message_with_addressee_and_mark() {
        let message = json!({"type": "text", "text": {"body": "Hi"}, "to": "1", "future": 1});
        let body = request(
            &message,
            Kind::FreeForm,
            &Addressee::UserId("US.1".into()),
            "duet:s:1",
        );
        assert_eq!(
            body,
            json!({
                "messaging_product": "whatsapp", "recipient_type": "individual", "recipient": "US.1",
                "type": "text", "text": {"body": "Hi"}, "future": 1, "biz_opaque_callback_data": "duet:s:1"
            })
        );
        let read = json!({"status": "read", "message_id": "wamid.A"});
        let body = request(
            &read,
            Kind::MarkRead,
            &Addressee::Phone("1".into()),
            "duet:s:2",
        );
        assert_eq!(
            body,
            json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.A"})
        );
    }
}
