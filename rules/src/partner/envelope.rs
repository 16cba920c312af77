use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

/// Meta's fields that come in the partner's envelope; whatever else has that shape is the partner's own word.
const FIELDS: [&str; 3] = ["history", "smb_app_state_sync", "smb_message_echoes"];
const WORD_CHARS_MAX: usize = 64;

/// A word of the partner's about itself, such as `channel_created`: there is nothing of Meta's in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the partner's own word {0:?}, which tells nothing of messages; nothing was taken from it")]
pub struct OwnWord(String);

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The body in Meta's envelope. What is in no envelope of the partner's stays as it is.
///
/// # Errors
/// [`OwnWord`].
pub fn metas(body: &[u8]) -> Result<Cow<'_, [u8]>, OwnWord> {
    let Ok(Wrapped { event, data }) = serde_json::from_slice(body) else {
        return Ok(Cow::Borrowed(body));
    };
    if !FIELDS.contains(&event.as_ref()) {
        return Err(OwnWord(event.chars().take(WORD_CHARS_MAX).collect()));
    }
    let Ok(mut value) = serde_json::from_str::<BTreeMap<String, &RawValue>>(data.get()) else {
        return Ok(Cow::Borrowed(body));
    };
    // The account's id stands in the value, and the entry's there is none.
    let account = value.remove("id").map_or("null", RawValue::get);
    let members: Vec<String> = value
        .iter()
        .map(|(name, member)| format!("{}:{member}", serde_json::Value::from(name.as_str())))
        .collect();
    let whole = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":{account},"changes":[{{"field":"{event}","value":{{{}}}}}]}}]}}"#,
        members.join(",")
    );
    Ok(Cow::Owned(whole.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{Part, decode};
    use proptest::prelude::*;

    const HISTORY: &[u8] = br#"{"id":"e1","event":"history","data":{"id":"2000","messaging_product":"whatsapp",
        "metadata":{"display_phone_number":"912255500200","phone_number_id":"2001"},
        "history":[{"metadata":{"phase":"0","chunk_order":1,"progress":"100"},"threads":[{"id":"919800000001",
        "messages":[{"from":"919800000001","id":"wamid.1","timestamp":"1739230955","type":"text",
        "text":{"body":"hello"},"history_context":{"status":"READ"}}]}]}]}}"#;

    fn kinds(body: &[u8]) -> Vec<String> {
        let elements = decode(&metas(body).unwrap(), Part::All).unwrap();
        for element in &elements {
            assert_eq!(element.waba.as_deref(), Some("2000"));
            assert_eq!(element.number.as_deref(), Some("2001"));
        }
        let kinds = elements.iter().map(|element| element.kind.to_string());
        kinds.collect()
    }

    #[test]
    fn what_comes_in_the_partners_envelope_is_what_meta_said() {
        assert_eq!(
            kinds(HISTORY),
            ["coexistence.history_progress", "history.text"]
        );
        let declined =
            br#"{"id":"e1","event":"history","data":{"id":"2000","messaging_product":"whatsapp",
            "metadata":{"display_phone_number":"912255500200","phone_number_id":"2001"},
            "history":[{"errors":[{"code":2593109,"title":"declined"}]}]}}"#;
        assert_eq!(kinds(declined), ["coexistence.history_declined"]);
        let contact = br#"{"id":"e1","event":"smb_app_state_sync","data":{"id":"2000","messaging_product":"whatsapp",
            "metadata":{"display_phone_number":"912255500200","phone_number_id":"2001"},
            "state_sync":[{"type":"contact","contact":{"full_name":"Asha","phone_number":"919800000001"},
            "action":"add","metadata":{"timestamp":"1739321024"}}]}}"#;
        assert_eq!(kinds(contact), ["contact.added"]);
    }

    #[test]
    fn any_other_body_stays_as_it_is() {
        for body in [
            &br#"{"entry":[{"id":"1","changes":[]}]}"#[..],
            br#"{"event":"history","event":"history","data":{}}"#,
            br#"{"event":"history"}"#,
            b"no JSON",
        ] {
            assert_eq!(metas(body).unwrap().as_ref(), body);
        }
    }

    #[test]
    fn the_partners_own_words_are_none_of_metas() {
        let error = metas(br#"{"id":"e1","event":"channel_created","data":{"id":"7"}}"#);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("channel_created"), "{error}");
        let long = format!(r#"{{"event":"{}","data":1}}"#, "x".repeat(5000));
        assert!(metas(long.as_bytes()).unwrap_err().to_string().len() < 200);
    }

    proptest! {
        /// Nothing of a body breaks out of the envelope.
        #[test]
        fn what_is_wrapped_is_one_change(id in ".{0,20}", name in "[^i].{0,9}", text in ".{0,40}") {
            let body = serde_json::json!({"event": "history", "data": {"id": id, &name: text}}).to_string();
            let whole: serde_json::Value = serde_json::from_slice(&metas(body.as_bytes()).unwrap()).unwrap();
            let entries = whole["entry"].as_array().unwrap();
            prop_assert_eq!(entries.len(), 1);
            prop_assert_eq!(&entries[0]["id"], &id);
            prop_assert_eq!(entries[0]["changes"].as_array().unwrap().len(), 1);
            prop_assert_eq!(&entries[0]["changes"][0]["value"][&name], &text);
        }
    }
}
