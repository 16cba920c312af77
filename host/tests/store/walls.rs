//! What one business knows is none of another's, also of a person who writes to both.

use duet::store::views::{ContactRow, EventFilter, Page};
use duet::store::wall::Wall;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::bodies::{ANA, BEN, DISPLAY, NUMBER, Person, change};
use super::house::{House, NOW_MS};

const WABA: &str = "102290129340398";
const SHOP: &str = "shop";
const ALL: Page = Page {
    after: 0,
    limit: 1000,
};

/// The same webhook as the shop's number gets it.
fn at_shop(body: &Value) -> Value {
    let text = body.to_string();
    let text = text
        .replace(NUMBER, "206540352242922")
        .replace(WABA, "202290129340398")
        .replace(DISPLAY, "15550783992");
    serde_json::from_str(&text).unwrap()
}

/// Two businesses: the gateway's own, and a shop.
async fn mall() -> House {
    let house = House::new();
    let store = &house.store;
    let made = store.create_business(SHOP.into(), "Shop".into(), NOW_MS);
    made.await.unwrap();
    let given = store.give_account("202290129340398".into(), SHOP.into());
    given.await.unwrap();
    house
}

fn both(one: &Value, other: &Value) -> Value {
    let mut body = one.clone();
    let entries = body["entry"].as_array_mut().unwrap();
    entries.extend(other["entry"].as_array().unwrap().iter().cloned());
    body
}

async fn contacts(house: &House, business: &str) -> Vec<ContactRow> {
    let found = house.store.contacts(Wall::around(business), ALL);
    found.await.unwrap()
}

async fn events(house: &House, business: &str) -> Vec<String> {
    let wall = Wall::around(business);
    let page = house.store.events(wall, ALL, EventFilter::default());
    let events = page.await.unwrap().events;
    events.into_iter().map(|event| event.body).collect()
}

#[tokio::test]
async fn a_person_is_a_contact_of_each_business_that_it_writes_to() {
    let house = mall().await;
    let own = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let shop = house
        .deliver(&at_shop(&ANA.writes("3A02", "STOP")))
        .await
        .remove(0);
    assert_eq!((own.business.as_str(), shop.business.as_str()), ("", SHOP));
    assert_ne!(own.contact, shop.contact);
    assert_ne!(own.conversation, shop.conversation);
    house
        .deliver(&at_shop(&change(
            "user_preferences",
            json!({"user_preferences": [{"wa_id": ANA.phone, "category": "marketing_messages",
                "value": "stop", "timestamp": "1789999995"}]}),
        )))
        .await;
    house
        .deliver(&at_shop(&change(
            "smb_app_state_sync",
            json!({"state_sync": [{"type": "contact", "action": "add",
                "contact": {"full_name": "Ana of the shop", "phone_number": ANA.phone},
                "metadata": {"timestamp": "1789999000"}}]}),
        )))
        .await;
    let (mine, theirs) = (contacts(&house, "").await, contacts(&house, SHOP).await);
    let told = |row: &ContactRow| {
        (
            row.business.clone(),
            row.saved_name.clone(),
            row.marketing_stopped,
        )
    };
    assert_eq!(
        mine.iter().map(told).collect::<Vec<_>>(),
        [("".into(), None, false)]
    );
    assert_eq!(
        theirs.iter().map(told).collect::<Vec<_>>(),
        [(SHOP.into(), Some("Ana of the shop".into()), true)]
    );
    let found = house
        .store
        .find_contacts(Wall::none(), format!("+{}", ANA.phone));
    assert_eq!(found.await.unwrap().len(), 2, "an admin finds both");
    let behind = house.store.contact(SHOP, own.contact.unwrap()).await;
    assert_eq!(behind.unwrap(), None);
}

#[tokio::test]
async fn erasing_a_contact_of_one_business_takes_nothing_from_another() {
    let house = mall().await;
    let write = |stanza: &str, text: &str| ANA.writes(stanza, text);
    let first = both(
        &write("3A01", "Quittenmus"),
        &at_shop(&write("3A02", "Sauerkirsche")),
    );
    house.deliver(&first).await;
    house.deliver(&at_shop(&write("3A03", "Holunder"))).await;
    house
        .deliver(&at_shop(&BEN.writes("3A04", "call 4915112340987")))
        .await;
    house
        .deliver(&BEN.writes("3A05", "call 4915112340987 or not"))
        .await;
    let before = events(&house, SHOP).await;
    let own = contacts(&house, "").await;
    let ana = own
        .iter()
        .find(|row| row.wa_id.as_deref() == Some(ANA.phone))
        .unwrap()
        .id;

    let erased = house.store.erase_contact(&house.log, ana).await.unwrap();

    assert_eq!(
        (erased.contacts, erased.messages, erased.receipts),
        (1, 1, 2)
    );
    assert_eq!(house.holds(b"Quittenmus"), None);
    assert_eq!(house.holds(b"or not"), None, "the event that names her");
    for kept in ["Sauerkirsche", "Holunder"] {
        assert!(
            house.holds(kept.as_bytes()).is_some(),
            "{kept} is the shop's"
        );
    }
    assert_eq!(events(&house, SHOP).await, before);
    let shared = house.log.get(1).unwrap().unwrap().body;
    let rest = at_shop(&write("3A02", "Sauerkirsche"));
    assert_eq!(serde_json::from_slice::<Value>(&shared).unwrap(), rest);

    let theirs = contacts(&house, SHOP).await[0].id;
    let export = house.store.export_contact(&house.log, theirs).await;
    let export = export.unwrap().unwrap();
    assert_eq!(export["messages"].as_array().unwrap().len(), 2);
    house.store.erase_contact(&house.log, theirs).await.unwrap();
    for gone in ["Sauerkirsche", "Holunder", ANA.name, ANA.user_id] {
        assert_eq!(house.holds(gone.as_bytes()), None, "{gone}");
    }
}

#[tokio::test]
async fn an_export_gives_nothing_of_another_business() {
    let house = mall().await;
    let first = both(
        &ANA.writes("3A01", "Quittenmus"),
        &at_shop(&ANA.writes("3A02", "Sauerkirsche")),
    );
    house.deliver(&first).await;
    house
        .deliver(&at_shop(&ANA.writes("3A03", "Holunder")))
        .await;
    let ana = contacts(&house, "").await[0].id;
    let export = house.store.export_contact(&house.log, ana).await;
    let export = export.unwrap().unwrap();
    let text = export.to_string();
    assert!(text.contains("Quittenmus"));
    assert!(
        !text.contains("Sauerkirsche") && !text.contains("Holunder"),
        "{text}"
    );
    assert_eq!(export["receipts"].as_array().unwrap().len(), 1);
}

/// What may happen to somebody at a business.
#[derive(Debug, Clone)]
struct Happening {
    at_shop: bool,
    ben: bool,
    what: u8,
    stanza: u8,
}

impl Happening {
    fn body(&self) -> Value {
        let who: &Person = if self.ben { &BEN } else { &ANA };
        let stanza = format!("3A{:02X}", self.stanza);
        let body = match self.what {
            0 => who.writes(&stanza, "hello"),
            1 => who.is_told(&stanza, "we are here"),
            2 => who.status(&stanza, "read"),
            3 => who.history(json!([{"from": who.phone, "id": who.id(&stanza), "timestamp": "1780000000",
                "type": "text", "text": {"body": "long ago"}, "history_context": {"status": "READ"}}])),
            4 => change("messages", json!({"messages": [{"from": who.phone, "id": who.id(&stanza),
                "timestamp": "1789999990", "type": "text", "text": {"body": "by phone"}}]})),
            5 => change("messages", json!({"contacts": [{"profile": {"name": who.name}, "user_id": who.user_id}],
                "messages": [{"from_user_id": who.user_id, "id": format!("wamid.{stanza}"),
                    "timestamp": "1789999990", "type": "text", "text": {"body": "by id"}}]})),
            6 => change("user_preferences", json!({"user_preferences": [{"wa_id": who.phone,
                "category": "marketing_messages", "value": if self.stanza.is_multiple_of(2) { "stop" } else { "resume" },
                "timestamp": (1_789_999_900 + i64::from(self.stanza)).to_string()}]})),
            _ => change("smb_app_state_sync", json!({"state_sync": [{"type": "contact", "action": "add",
                "contact": {"full_name": format!("saved {stanza}"), "phone_number": who.phone},
                "metadata": {"timestamp": (1_789_999_000 + i64::from(self.stanza)).to_string()}}]})),
        };
        if self.at_shop { at_shop(&body) } else { body }
    }
}

/// One webhook with all of them.
fn webhook<'a>(happenings: impl Iterator<Item = &'a Happening>) -> Option<Value> {
    let bodies = happenings.map(Happening::body);
    bodies.reduce(|one, other| both(&one, &other))
}

fn happening() -> impl Strategy<Value = Happening> {
    (any::<bool>(), any::<bool>(), 0..8_u8, 0..5_u8).prop_map(|(at_shop, ben, what, stanza)| {
        Happening {
            at_shop,
            ben,
            what,
            stanza,
        }
    })
}

/// All that a business can see, with its ids counted from its own first row.
async fn sight(house: &House, business: &str) -> Vec<String> {
    let wall = Wall::around(business);
    let contacts = contacts(house, business).await;
    let conversations = house
        .store
        .conversations(wall.clone(), ALL, Default::default(), NOW_MS);
    let conversations = conversations.await.unwrap();
    let page = house.store.events(wall, ALL, EventFilter::default());
    let contact = |id: Option<i64>| contacts.iter().position(|row| Some(row.id) == id);
    let conversation = |id: Option<i64>| conversations.iter().position(|row| Some(row.id) == id);
    let mut seen = Vec::new();
    for row in &contacts {
        seen.push(format!(
            "{:?} {:?} {:?} {:?} {} {:?}",
            row.wa_id,
            row.user_id,
            row.name,
            row.saved_name,
            row.marketing_stopped,
            contact(row.same_as)
        ));
    }
    for row in &conversations {
        seen.push(format!(
            "{} {:?} {:?} {:?} {:?}",
            row.number,
            contact(Some(row.contact.id)),
            row.handling,
            row.window_until_ms,
            row.last_ms
        ));
        for said in house.store.messages(row.id, None, 1000).await.unwrap() {
            seen.push(format!(
                "{:?} {:?} {} {:?} {}",
                said.wamid, said.text, said.origin, said.status, said.at_ms
            ));
        }
    }
    for event in page.await.unwrap().events {
        let (who, talk) = (contact(event.contact), conversation(event.conversation));
        seen.push(format!("{} {who:?} {talk:?} {}", event.kind, event.body));
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever two businesses get in whatever order, also in one body: each sees what it would see alone.
    #[test]
    fn each_business_lives_as_if_it_were_alone(happenings in prop::collection::vec(happening(), 1..24), joined: bool) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let together = mall().await;
            // What comes in one body comes in one body to each alone, too: history is taken in last.
            let hooks: Vec<_> = happenings.chunks(if joined { 2 } else { 1 }).collect();
            for hook in &hooks {
                together.deliver(&webhook(hook.iter()).unwrap()).await;
            }
            for (business, is_shop) in [("", false), (SHOP, true)] {
                let alone = mall().await;
                for hook in &hooks {
                    if let Some(body) = webhook(hook.iter().filter(|its| its.at_shop == is_shop)) {
                        alone.deliver(&body).await;
                    }
                }
                prop_assert_eq!(sight(&together, business).await, sight(&alone, business).await);
            }
            Ok(())
        })?;
    }
}
