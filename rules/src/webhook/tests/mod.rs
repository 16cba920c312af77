//! Bodies in, elements out. `shapes` holds what Meta documents, `odd` what it should not send,
//! `properties` what must hold for any body.

mod odd;
mod properties;
mod shapes;

use super::*;
use serde_json::{Value, json};

const WABA: &str = "102290129340398";
const NUMBER: &str = "106540352242922";
const BUSINESS: &str = "15550783881";
const USER: &str = "16505551234";
/// Sent by the business to 16467043595, stanza 249A8B9AD84747AB63.
const WAMID: &str = "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBIyNDlBOEI5QUQ4NDc0N0FCNjMA";
const STANZA: &str = "249A8B9AD84747AB63";

fn all(body: &Value) -> Vec<Element> {
    decode(body.to_string().as_bytes(), Part::All).unwrap()
}

/// A body with one change; metadata is added.
fn change(field: &str, value: Value) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [
        {"id": WABA, "time": 1_739_321_024, "changes": [{"value": framed(value), "field": field}]}]})
}

fn framed(mut value: Value) -> Value {
    value["messaging_product"] = "whatsapp".into();
    value["metadata"] =
        json!({"display_phone_number": "+1 555-078-3881", "phone_number_id": NUMBER});
    value
}

fn kinds(elements: &[Element]) -> Vec<&str> {
    elements
        .iter()
        .map(|element| element.kind.as_ref())
        .collect()
}

/// The only element of a body.
fn one(body: &Value) -> Element {
    let mut elements = all(body);
    assert_eq!(elements.len(), 1, "{elements:#?}");
    elements.remove(0)
}

fn message(element: &Element) -> &Message {
    match &element.meaning {
        Meaning::Message(message) => message,
        other => panic!("{other:?} is no message"),
    }
}

fn wa_id(element: &Element) -> Option<&str> {
    element.contact.as_ref()?.wa_id.as_deref()
}
