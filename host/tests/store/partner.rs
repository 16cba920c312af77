//! Bodies that a partner has passed on: its business's alone, and reachable by contact like all others.

use duet::store::receipts::Partner;
use duet::store::wall::Wall;
use duet_rules::provider::Provider;
use duet_rules::webhook;
use serde_json::{Value, json};

use super::bodies::{ANA, NUMBER};
use super::house::{House, NOW_MS};

const TEA_NUMBER: &str = "2001";
const TEA_WABA: &str = "2000";

async fn house() -> House {
    let house = House::new();
    let made = house
        .store
        .create_business("tea".into(), "Tea".into(), NOW_MS);
    made.await.unwrap();
    house
}

/// The partner of the tea house passes a body on; the answer is its receipt.
async fn pass_on(house: &House, body: &Value) -> i64 {
    let text = body.to_string();
    let mentions = webhook::mentions(text.as_bytes());
    let partner = Partner {
        provider: Provider::Dialog360,
        business: "tea".into(),
    };
    let appended = house
        .log
        .append_of(Some(partner), text.into(), NOW_MS, mentions);
    appended.await.unwrap()
}

/// History with Ana, as it comes to the partner account's address.
fn history(text: &str) -> Value {
    json!({"id": "e1", "event": "history", "data": {"id": TEA_WABA, "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "912255500200", "phone_number_id": TEA_NUMBER},
        "history": [{"metadata": {"phase": 0, "chunk_order": 1, "progress": 100}, "threads": [{"id": ANA.phone,
            "messages": [{"from": ANA.phone, "id": "wamid.h", "timestamp": "1789000000", "type": "text",
                "text": {"body": text}, "history_context": {"status": "READ"}}]}]}]}})
}

async fn ana(house: &House, business: &str) -> i64 {
    let found = house
        .store
        .find_contacts(Wall::around(business), ANA.phone.to_owned());
    found.await.unwrap().remove(0).id
}

#[tokio::test]
async fn what_came_in_a_partners_envelope_is_exported_and_goes_with_its_contact_alone() {
    let house = house().await;
    house.deliver(&ANA.writes("3A01", "Quittenmus")).await;
    let receipt = pass_on(&house, &history("Zitronentee")).await;
    let events = house.take_in(receipt).await;
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.business == "tea"));
    let tea = ana(&house, "tea").await;
    let export = house.store.export_contact(&house.log, tea).await;
    let export = export.unwrap().unwrap().to_string();
    assert!(export.contains("Zitronentee") && !export.contains("Quittenmus"));

    let erased = house.store.erase_contact(&house.log, tea).await;
    erased.unwrap();
    assert_eq!(house.holds(b"Zitronentee"), None);
    assert!(house.holds(b"Quittenmus").is_some());
}

#[tokio::test]
async fn a_mark_on_a_send_of_another_number_settles_nothing() {
    let house = house().await;
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let text = json!({"type": "text", "text": {"body": "yes"}});
    let said = house
        .store
        .speak_as_person(event.conversation.unwrap(), text, 1000, NOW_MS);
    let (_, row) = said.await.unwrap().unwrap();
    let mark = format!("duet:{}:{row}", house.store.store_id().await.unwrap());
    let status = |number: &str, waba: &str| {
        json!({"object": "whatsapp_business_account", "entry": [{"id": waba, "changes": [{"field": "messages",
            "value": {"messaging_product": "whatsapp", "metadata": {"phone_number_id": number},
                "statuses": [{"id": "wamid.x", "status": "failed", "timestamp": "1789999999",
                    "recipient_id": ANA.phone, "biz_opaque_callback_data": mark}]}}]}]})
    };
    let begun = house
        .store
        .begin_send(row, duet_rules::sending::Limits::default(), NOW_MS, || 0);
    begun.await.unwrap();
    let receipt = pass_on(&house, &status(TEA_NUMBER, TEA_WABA)).await;
    house.take_in(receipt).await;
    let state = || async {
        let page = duet::store::views::Page {
            after: 0,
            limit: 10,
        };
        let rows = house.store.outbox(Wall::none(), page, Default::default());
        rows.await.unwrap().remove(0).state
    };
    assert_eq!(state().await, "sending");
    house.deliver(&status(NUMBER, "102290129340398")).await;
    assert_eq!(state().await, "failed", "the number's own status does");
}
