//! Bodies that a partner has passed on: its business's alone, and reachable by contact like all others.

use duet::store::receipts::Partner;
use duet::store::secrets::{NewAccess, Route};
use duet::store::views::Page;
use duet::store::wall::Wall;
use duet_rules::provider::Provider;
use duet_rules::webhook;
use serde_json::{Value, json};

use super::bodies::{ANA, NUMBER, change};
use super::house::{House, NOW_MS};

const TEA_NUMBER: &str = "2001";
const TEA_WABA: &str = "2000";

async fn house() -> House {
    let house = House::new();
    make(&house, "tea").await;
    house
}

async fn make(house: &House, business: &str) {
    make_at(house, business, NOW_MS).await;
}

async fn make_at(house: &House, business: &str, now_ms: i64) {
    let made = house
        .store
        .create_business(business.into(), business.into(), now_ms);
    made.await.unwrap();
}

/// The partner of the tea house passes a body on; the answer is its receipt.
async fn pass_on(house: &House, body: &Value) -> i64 {
    pass_on_of(house, "tea", body).await
}

async fn pass_on_of(house: &House, business: &str, body: &Value) -> i64 {
    let text = body.to_string();
    let mentions = webhook::mentions(text.as_bytes());
    let partner = Partner {
        provider: Provider::Dialog360,
        business: business.into(),
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
async fn a_partner_cannot_take_the_ids_of_all_that_are_to_come() {
    let house = house().await;
    // Each names the partner's own number, and an account that nobody has yet.
    let entry = |account: u32| {
        json!({"id": account.to_string(), "changes": [{"field": "messages",
            "value": {"messaging_product": "whatsapp", "metadata": {"phone_number_id": TEA_NUMBER},
                "statuses": [{"id": format!("wamid.{account}"), "status": "sent", "timestamp": "1789999999",
                    "recipient_id": ANA.phone}]}}]})
    };
    let accounts = 10_000..11_200;
    let entries: Vec<Value> = accounts.map(entry).collect();
    let body = json!({"object": "whatsapp_business_account", "entry": entries});
    let receipt = pass_on(&house, &body).await;
    assert_eq!(house.take_in(receipt).await.len(), 1000);
    let tea = house.store.business("tea".into()).await.unwrap().unwrap();
    assert_eq!((tea.numbers, tea.accounts), (1, 1000));

    // What it has goes on.
    let body = json!({"object": "whatsapp_business_account", "entry": [entry(10_000), {"id": "10001", "changes": [{
        "field": "messages", "value": {"metadata": {"phone_number_id": TEA_NUMBER}, "messages": [{"from": ANA.phone,
            "id": "wamid.new", "timestamp": "1789999999", "type": "text", "text": {"body": "tea?"}}]}}]}]});
    let receipt = pass_on(&house, &body).await;
    assert_eq!(house.take_in(receipt).await.len(), 1);
}

/// The number becomes the business's; from now on it is at the partner.
async fn at_a_partner(house: &House, business: &str, number: &str) {
    let access = NewAccess {
        business: business.into(),
        number: number.into(),
        route: Some(Route {
            provider: Provider::Dialog360,
            base: None,
        }),
        token: None,
        webhook: None,
        webhook_before: None,
    };
    house.store.set_access(access, NOW_MS).await.unwrap();
}

async fn alarms(house: &House, wall: Wall) -> Vec<(Option<String>, i64)> {
    let page = Page {
        after: 0,
        limit: 10,
    };
    let rows = house
        .store
        .alarms(wall, page, Some(true), None)
        .await
        .unwrap();
    assert!(rows.iter().all(|row| row.name == "foreign-webhook"));
    rows.into_iter()
        .map(|row| (row.business, row.times))
        .collect()
}

#[tokio::test]
async fn a_webhook_about_others_is_an_alarm_of_its_partners_business_which_sees_it_behind_its_wall()
{
    let house = house().await;
    make(&house, "books").await;
    house.deliver(&ANA.writes("3A01", "hello")).await;
    let foreign = ANA.writes("3A02", "not yours");
    for business in ["tea", "books", "tea"] {
        let receipt = pass_on_of(&house, business, &foreign).await;
        assert!(house.take_in(receipt).await.is_empty());
    }
    // Meta speaks of a number that the books have at their partner.
    at_a_partner(&house, "books", "3001").await;
    let of_books = json!({"object": "whatsapp_business_account", "entry": [{"id": "3000", "changes": [{"field": "messages",
        "value": {"metadata": {"phone_number_id": "3001"}, "messages": [{"from": ANA.phone, "id": "wamid.b",
            "timestamp": "1789999999", "type": "text", "text": {"body": "books?"}}]}}]}]});
    assert!(house.deliver(&of_books).await.is_empty());

    let (tea, books) = (Some("tea".to_owned()), Some("books".to_owned()));
    let of = |business: &str| Wall::around(business);
    assert_eq!(alarms(&house, of("tea")).await, [(tea.clone(), 2)]);
    assert_eq!(alarms(&house, of("books")).await, [(books.clone(), 2)]);
    assert_eq!(alarms(&house, of("")).await, []);
    assert_eq!(alarms(&house, Wall::none()).await, [(tea, 2), (books, 2)]);
}

/// The account is the tea house's, and a number of it was given to the books.
#[tokio::test]
async fn words_about_an_account_that_two_businesses_share_are_taken_in_from_neither_side() {
    const WABA: &str = "102290129340398";
    let house = house().await;
    make(&house, "books").await;
    let contact = json!({"state_sync": [{"type": "contact", "action": "add",
        "contact": {"full_name": "Asha", "phone_number": "919800000001"}}]});
    house.deliver(&change("smb_app_state_sync", contact)).await;
    let given = house.store.give_account(WABA.into(), "tea".into());
    given.await.unwrap();
    at_a_partner(&house, "tea", TEA_NUMBER).await;
    let word = |waba: &str| {
        json!({"object": "whatsapp_business_account", "entry": [{"id": waba, "changes": [{"field": "account_update",
            "value": {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}}]}]})
    };
    let taken = async |business: &str, waba: &str| {
        let receipt = pass_on_of(&house, business, &word(waba)).await;
        house.take_in(receipt).await.len()
    };
    assert_eq!(taken("tea", WABA).await, 1, "nobody shares it yet");

    at_a_partner(&house, "books", NUMBER).await;
    assert_eq!(
        taken("tea", WABA).await,
        0,
        "it would stop the books' number"
    );
    assert_eq!(
        taken("books", WABA).await,
        0,
        "it would stop the tea house's"
    );
    assert!(house.deliver(&word(WABA)).await.is_empty());
    assert_eq!(taken("tea", TEA_WABA).await, 1, "what it has alone goes on");
}

#[tokio::test]
async fn what_waited_while_its_business_was_removed_becomes_nobodys() {
    // Somebody else may get the id before or after the body is looked at.
    for made_again_before in [false, true] {
        let house = house().await;
        let receipt = pass_on(&house, &history("Zitronentee")).await;
        house.store.remove_business("tea".into()).await.unwrap();
        if made_again_before {
            make_at(&house, "tea", NOW_MS + 1).await;
        }
        assert_eq!(house.take_in(receipt).await.len(), 0);
        let page = Page {
            after: 0,
            limit: 10,
        };
        let raised = house
            .store
            .alarms(Wall::none(), page, None, None)
            .await
            .unwrap();
        let told: Vec<&str> = raised.iter().map(|alarm| alarm.detail.as_str()).collect();
        assert!(
            told.len() == 1 && told[0].contains("was removed while a webhook"),
            "{told:?}"
        );

        if !made_again_before {
            make_at(&house, "tea", NOW_MS + 1).await;
        }
        let tea = house.store.business("tea".into()).await.unwrap().unwrap();
        assert_eq!((tea.numbers, tea.accounts), (0, 0));
        let wall = Wall::around("tea");
        let found = house.store.find_contacts(wall, ANA.phone.to_owned()).await;
        assert!(found.unwrap().is_empty());
        assert_eq!(alarms(&house, Wall::around("tea")).await, []);
    }
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
        let page = Page {
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
