//! Who has a conversation: how long a person keeps it, and the story that is told of it.

use duet::effect::Handling;
use duet::store::handling::Keeps;
use duet::store::intake::{Part, Place, Recorded, Terms};
use duet::store::retention::Retention;
use duet::store::wall::Wall;
use duet_rules::sending::Pace;
use duet_rules::takeover::{Change, Settings};
use serde_json::{Value, json};

use super::bodies::{ANA, BEN, DISPLAY, NUMBER, change, wamid};
use super::house::{House, NOW_MS, PERSON_MS, slice, terms};

/// By Meta's clock, in `is_told`.
const TOLD_MS: i64 = 1_789_999_991_000;
/// The bodies come on a Monday at 16:13 in Berlin.
const HALF_PAST_FOUR_MS: i64 = 1_790_001_000_000;

async fn until_ms(house: &House, conversation: i64) -> Option<i64> {
    let found = house.store.conversation(conversation).await.unwrap();
    found.unwrap().handling_until_ms
}

fn brief(story: &[Change]) -> Vec<(&'static str, Option<&str>, i64, Option<i64>)> {
    let brief = |change: &'_ Change| (change.cause.as_str(), change.at_ms, change.until_ms);
    let who = story.iter().map(|change| change.who.as_deref());
    let brief = story.iter().map(brief).zip(who);
    brief
        .map(|((cause, at, until), who)| (cause, who, at, until))
        .collect()
}

#[tokio::test]
async fn a_number_has_settings_of_its_own_for_what_is_said_from_then_on() {
    let house = House::new();
    let settings = Settings {
        person_hours: Some(12),
        grace_minutes: Some(5),
        time_zone: Some("Europe/Berlin".into()),
        open: Some("mon-fri 09:00-16:30".into()),
        speaking: vec!["order-status".into()],
    };
    let set = |number: &str, settings: &Settings| {
        house
            .store
            .set_handling_settings(Wall::none(), number.into(), settings.clone())
    };
    assert!(!set(NUMBER, &settings).await.unwrap(), "no such number yet");
    let id = house.deliver(&ANA.is_told("3A01", "usual")).await[0]
        .conversation
        .unwrap();
    assert_eq!(until_ms(&house, id).await, Some(TOLD_MS + PERSON_MS));
    assert!(set(NUMBER, &settings).await.unwrap());
    house.deliver(&ANA.is_told("3A02", "by its hours")).await;
    assert_eq!(until_ms(&house, id).await, Some(HALF_PAST_FOUR_MS));
    let house = house.reopen();
    let kept = house
        .store
        .handling_settings(Wall::none(), NUMBER.into())
        .await
        .unwrap();
    assert_eq!(kept, Some(settings));
    let conversation = house.store.conversation(id).await.unwrap().unwrap();
    assert_eq!(conversation.speaking, ["order-status"]);
}

#[tokio::test]
async fn the_story_tells_every_change_and_goes_with_the_contact() {
    let house = House::new();
    let echo = house.deliver(&ANA.is_told("3A01", "first")).await[0].clone();
    let id = echo.conversation.unwrap();
    house.deliver(&ANA.is_told("3A02", "prolongs it")).await;
    let store = &house.store;
    let back = (Handling::Automation, Keeps::Usual(0));
    let person = (Handling::Person, Keeps::Exactly(NOW_MS + 700));
    for (at_ms, (handling, keeps)) in [(NOW_MS + 10, back), (NOW_MS + 20, person)] {
        let set = store.set_handling(id, handling, keeps, at_ms).await;
        assert!(set.unwrap().is_some());
    }
    store
        .speak_as_person(id, "{}".into(), PERSON_MS, NOW_MS + 900)
        .await
        .unwrap();
    let story = store.handling_story(id, NOW_MS + 1000).await.unwrap();
    let (api, told) = (Some("api"), Some(TOLD_MS + PERSON_MS));
    assert_eq!(
        brief(&story),
        [
            ("echo", None, TOLD_MS, told),
            ("api", api, NOW_MS + 10, None),
            ("api", api, NOW_MS + 20, Some(NOW_MS + 700)),
            ("time", None, NOW_MS + 700, None),
            ("agent", api, NOW_MS + 900, Some(NOW_MS + 900 + PERSON_MS)),
        ]
    );
    assert_eq!(story[0].seq, echo.seq);

    let export = house.export(ANA.phone).await;
    assert_eq!(export["handovers"].as_array().unwrap().len(), 4);
    let old = Retention {
        receipts_older_than_ms: i64::MAX,
        events_older_than_ms: Some(1000),
        media_older_than_ms: None,
    };
    let pruned = store.prune(&house.log, old, NOW_MS + 2000).await.unwrap();
    assert_eq!(pruned.handovers, 2, "what may still hold is kept");
    let contact = house.contact(ANA.phone).await.unwrap();
    store.erase_contact(&house.log, contact).await.unwrap();
    let story = store.handling_story(id, NOW_MS).await.unwrap();
    assert_eq!(story, []);
}

#[tokio::test]
async fn the_story_of_a_conversation_has_an_end() {
    let house = House::new();
    let id = house.deliver(&ANA.is_told("3A01", "first")).await[0]
        .conversation
        .unwrap();
    for turn in 0..210 {
        let handling = [Handling::Automation, Handling::Person][turn % 2];
        let keeps = Keeps::Exactly(i64::MAX);
        let set = house.store.set_handling(id, handling, keeps, NOW_MS).await;
        assert!(set.unwrap().is_some());
    }
    let story = house.store.handling_story(id, NOW_MS).await.unwrap();
    assert_eq!(story.len(), 200);
    assert_eq!(story[199].handling, Handling::Person, "the newest are kept");
}

#[tokio::test]
async fn what_metas_own_bot_writes_is_no_persons_word() {
    let house = House::new();
    let mut body = ANA.is_told("3A01", "I am an AI");
    let echo = &mut body["entry"][0]["changes"][0]["value"]["message_echoes"][0];
    echo["message_creation_type"] = "created_by_1p_bot".into();
    let id = house.deliver(&body).await[0].conversation.unwrap();
    let conversation = house.store.conversation(id).await.unwrap().unwrap();
    assert_eq!(
        (conversation.handling, conversation.handling_seq),
        (Handling::Automation, 0)
    );
    assert_eq!(house.store.handling_story(id, NOW_MS).await.unwrap(), []);
    assert_eq!(house.message(ANA.phone).await["origin"], "echo");
}

/// The sync brings what is written at the same time, and may be faster than the live copy.
#[tokio::test]
async fn a_live_copy_behind_the_history_costs_and_warns_like_any_echo() {
    let house = House::new();
    let stop = json!({"contacts": [{"wa_id": ANA.phone, "profile": {"name": ANA.name}}], "user_preferences": [
        {"wa_id": ANA.phone, "category": "marketing_messages", "value": "stop", "timestamp": 1_789_999_980}]});
    house.deliver(&change("user_preferences", stop)).await;
    let history = ANA.history(json!([past("3A01"), past("3A02")]));
    house.deliver(&history).await;
    let mut raised: Vec<String> = Vec::new();
    for stanza in ["3A01", "3A02"] {
        let recorded = live(&house, &ANA.is_told(stanza, "hello")).await;
        assert!(recorded.events.is_empty(), "it is the same message");
        raised.extend(recorded.alarms.iter().map(|alarm| alarm.name.to_owned()));
    }
    raised.sort_unstable();
    assert_eq!(raised, ["app-used-up-rate", "app-wrote-to-opted-out"]);
}

/// What was asked before it was not asked of the automations alone, and later words come from the same customer.
#[tokio::test]
async fn a_live_copy_behind_the_history_comes_after_what_is_there_and_names_its_customer() {
    let house = House::new();
    house.deliver(&ANA.history(json!([past("3A01")]))).await;
    let asked = house.deliver(&BEN.writes("3B01", "a question")).await;
    house.deliver(&ANA.is_told("3A01", "hello")).await;
    let mut hidden = ANA.writes("3A02", "it is me");
    let value = &mut hidden["entry"][0]["changes"][0]["value"];
    value["contacts"][0]["wa_id"].take();
    value["messages"][0]["from"].take();
    let said = house.deliver(&hidden).await;
    assert_eq!(said[0].contact, house.contact(ANA.phone).await);
    let conversation = house
        .store
        .conversation(said[0].conversation.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert!(conversation.handling_seq > asked[0].seq);
    assert_eq!(conversation.handling, Handling::Person);
}

/// The history knows her phone, the echo her user id: whoever got that one message is one person.
#[tokio::test]
async fn copies_that_name_their_customer_differently_are_of_one_person() {
    for history_first in [true, false] {
        let house = House::new();
        let history = ANA.history(json!([past("3A01")]));
        let mut echo = ANA.is_told("3A01", "hello");
        let value = &mut echo["entry"][0]["changes"][0]["value"];
        value["contacts"][0]["wa_id"].take();
        value["message_echoes"][0]["to"].take();
        let bodies = [history, echo];
        let order = if history_first { [0, 1] } else { [1, 0] };
        for turn in order {
            house.deliver(&bodies[turn]).await;
        }
        let by_phone = {
            let mut body = ANA.writes("3A02", "it is me");
            let value = &mut body["entry"][0]["changes"][0]["value"];
            value["contacts"][0]["user_id"].take();
            value["messages"][0]["from_user_id"].take();
            body
        };
        let by_user_id = {
            let mut body = ANA.writes("3A03", "me again");
            let value = &mut body["entry"][0]["changes"][0]["value"];
            value["contacts"][0]["wa_id"].take();
            value["messages"][0]["from"].take();
            body
        };
        for body in [by_phone, by_user_id] {
            let said = house.deliver(&body).await;
            let id = said[0].conversation.unwrap();
            let conversation = house.store.conversation(id).await.unwrap().unwrap();
            assert_eq!(
                conversation.handling,
                Handling::Person,
                "history first: {history_first}, {body}"
            );
        }
    }
}

/// It is no event: it has a place of its own behind those that are there, whatever was erased since.
#[tokio::test]
async fn a_live_copy_behind_the_history_is_told_as_no_event_and_never_comes_too_late() {
    let house = House::new();
    let stop = json!({"contacts": [{"wa_id": ANA.phone, "profile": {"name": ANA.name}}], "user_preferences": [
        {"wa_id": ANA.phone, "category": "marketing_messages", "value": "stop", "timestamp": 1_789_999_980}]});
    house.deliver(&change("user_preferences", stop)).await;
    let history = ANA.history(json!([past("3A01"), past("3A02")]));
    let past = house.deliver(&history).await;
    let id = past.iter().find_map(|event| event.conversation).unwrap();
    house.deliver(&BEN.writes("3B01", "hello")).await;
    let newest = house.deliver(&BEN.writes("3B02", "hello?")).await[0].seq;
    let raised = live(&house, &ANA.is_told("3A01", "hello")).await.alarms;
    assert!(!raised.is_empty() && raised.iter().all(|alarm| alarm.seq == 0));
    let store = &house.store;
    let place = async || store.conversation(id).await.unwrap().unwrap().handling_seq;
    let first = place().await;
    assert!(first > newest);
    let story = store.handling_story(id, NOW_MS).await.unwrap();
    let told: Vec<_> = story
        .iter()
        .map(|one| (one.cause.as_str(), one.seq))
        .collect();
    assert_eq!(told.first(), Some(&("echo", 0)));

    let ben = house.contact(BEN.phone).await.unwrap();
    store.erase_contact(&house.log, ben).await.unwrap();
    house.deliver(&ANA.is_told("3A02", "hello")).await;
    let second = place().await;
    assert!(second > first, "the newest events are gone");
    let given = store.set_handling(id, Handling::Automation, Keeps::Usual(0), NOW_MS);
    let given = given.await.unwrap().unwrap().seq;
    assert!(given > second, "a place is nobody else's");
}

/// A message from the app, as the history has it.
fn past(stanza: &str) -> Value {
    json!({"from": DISPLAY, "to": ANA.phone, "id": wamid(DISPLAY, false, stanza), "timestamp": "1789999991",
        "type": "text", "text": {"body": "hello"}, "history_context": {"status": "read", "from_me": true}})
}

/// Taken in under a rate of one message a second.
async fn live(house: &House, body: &Value) -> Recorded {
    let id = house.append(&body.to_string(), NOW_MS).await;
    let receipt = house.log.get(id).unwrap().unwrap();
    let terms = Terms {
        pace: Pace::new(1, 60, 1, 0),
        ..terms()
    };
    let place = Place {
        receipt: id,
        element: 0,
    };
    let slices = vec![slice(&receipt, Part::Live)];
    let recorded = house.store.record(Part::Live, slices, place, terms).await;
    recorded.unwrap()
}
