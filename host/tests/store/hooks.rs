//! A hook's call is an event of its instance, once for each key; its answer is kept for whoever repeats it, and goes with
//! whom it is about.

use duet::effect::{Answer, Effect};
use duet::event::{Event, Lane};
use duet::store::hooks::{Answered, HookCall, Taken};
use duet::store::lanes::{End, Finish, From};
use duet::store::retention::Retention;

use super::bodies::{ANA, BEN, NUMBER};
use super::erasure::done;
use super::house::{House, NOW_MS};

const DAY_MS: i64 = 24 * 3_600_000;

async fn house() -> House {
    let house = House::new();
    place(&house, "crm").await;
    house
}

async fn place(house: &House, instance: &str) {
    let place = house
        .store
        .place(instance.into(), String::new(), From::After(0));
    place.await.unwrap();
}

fn call(key: Option<&str>, conversation: Option<i64>) -> HookCall {
    HookCall {
        instance: "crm".into(),
        kind: "hook.tickets".into(),
        key: key.map(str::to_owned),
        conversation,
        now_ms: NOW_MS,
        body: r#"{"body":"a ticket"}"#.into(),
    }
}

async fn take(house: &House, call: HookCall) -> Taken {
    house.store.take_hook(call).await.unwrap()
}

/// Takes a call that is a new one.
async fn new(house: &House, call: HookCall) -> Event {
    match take(house, call).await {
        Taken::New(event) => Event::clone(&event),
        other => panic!("{other:?}"),
    }
}

fn answer(body: &str) -> Answer {
    Answer {
        status: 201,
        headers: vec![("x-a".into(), "b".into())],
        body: body.into(),
    }
}

async fn answered_with(house: &House, event: &Event, body: &str) {
    let effects = vec![Effect::Answer(answer(body))];
    let finish = done(house, event, effects);
    house.store.finish(finish).await.unwrap();
}

#[tokio::test]
async fn a_key_makes_one_event_for_each_hook() {
    let house = house().await;
    let said = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let event = new(&house, call(Some("1"), said.conversation)).await;
    assert_eq!(
        (event.kind.as_str(), event.seq),
        ("hook.tickets", said.seq + 1)
    );
    assert_eq!(event.instance.as_deref(), Some("crm"));
    assert_eq!((event.lane(), event.contact), (said.lane(), said.contact));
    assert_eq!(event.number.as_deref(), Some(NUMBER));
    let house = house.reopen();
    let again = take(&house, call(Some("1"), None)).await;
    assert!(
        matches!(again, Taken::Again(seq) if seq == event.seq),
        "{again:?}"
    );
    // Another hook, another instance and no key at all.
    let other = HookCall {
        kind: "hook.other".into(),
        ..call(Some("1"), None)
    };
    let other = new(&house, other).await;
    assert_eq!((other.lane(), other.number), (Lane::Instance, None));
    place(&house, "shop").await;
    let shop = || HookCall {
        instance: "shop".into(),
        ..call(Some("1"), None)
    };
    new(&house, shop()).await;
    assert!(matches!(take(&house, shop()).await, Taken::Again(_)));
    let one = new(&house, call(None, None)).await;
    let two = new(&house, call(None, None)).await;
    assert_ne!((one.seq, &one.id), (two.seq, &two.id));
    let nobody = HookCall {
        instance: "nobody".into(),
        ..call(Some("1"), None)
    };
    assert!(matches!(take(&house, nobody).await, Taken::NotYet));
    assert_eq!(house.events().await.len(), 6);
}

#[tokio::test]
async fn a_conversation_of_another_business_is_none() {
    let house = House::new();
    let made = house
        .store
        .create_business("shop".into(), "Shop".into(), NOW_MS);
    made.await.unwrap();
    let shop = house
        .store
        .place("crm".into(), "shop".into(), From::After(0));
    shop.await.unwrap();
    let said = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let event = new(&house, call(Some("1"), said.conversation)).await;
    assert_eq!(event.business, "shop");
    assert_eq!((event.lane(), event.contact), (Lane::Instance, None));
}

#[tokio::test]
async fn an_answer_stays_and_goes_with_whom_it_is_about() {
    let house = house().await;
    let ana = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    house.deliver(&BEN.writes("3B01", "hello")).await;
    let about = new(&house, call(Some("about"), ana.conversation)).await;
    let names = new(&house, call(Some("names"), None)).await;
    let other = new(&house, call(Some("other"), None)).await;
    let waits = new(&house, call(Some("waits"), ana.conversation)).await;
    let told = |event: &Event| house.store.hook_answer(event.seq).unwrap();
    assert_eq!(told(&about), Answered::NotYet);
    answered_with(&house, &about, "what she asked for").await;
    answered_with(&house, &names, &format!("call {}", ANA.phone)).await;
    answered_with(&house, &other, "a secret of nobody").await;
    assert_eq!(told(&about), Answered::With(answer("what she asked for")));
    assert_eq!(told(&waits), Answered::NotYet);
    let export = house.export(ANA.phone).await;
    assert_eq!(
        export["hooks"].as_array().map(Vec::len),
        Some(2),
        "{export}"
    );
    let contact = house.contact(ANA.phone).await.unwrap();
    house
        .store
        .erase_contact(&house.log, contact)
        .await
        .unwrap();
    for event in [&about, &names, &waits] {
        assert_eq!(told(event), Answered::Gone);
    }
    assert_eq!(told(&other), Answered::With(answer("a secret of nobody")));
    assert_eq!(house.holds(b"what she asked for"), None);
    assert_eq!(house.holds(ANA.phone.as_bytes()), None);
    // The key stays, so that a repetition does not bring the data back.
    assert!(matches!(
        take(&house, call(Some("about"), None)).await,
        Taken::Again(_)
    ));
}

#[tokio::test]
async fn what_will_not_be_answered_is_told_so_until_it_is() {
    let house = house().await;
    let event = new(&house, call(Some("1"), None)).await;
    let dead = Finish {
        end: End::Dead {
            attempts: 1,
            cause: "rejected: no".into(),
        },
        ..done(&house, &event, Vec::new())
    };
    house.store.finish(dead).await.unwrap();
    let failed = Answer {
        status: 500,
        headers: Vec::new(),
        body: Vec::new(),
    };
    let told = || house.store.hook_answer(event.seq).unwrap();
    assert_eq!(told(), Answered::With(failed));
    let letters = house.store.redrive(1, NOW_MS).await.unwrap();
    assert_eq!(letters, Some(("crm".into(), event.seq)));
    answered_with(&house, &event, "after all").await;
    assert_eq!(told(), Answered::With(answer("after all")));
}

#[tokio::test]
async fn a_key_is_known_for_thirty_days() {
    let house = house().await;
    new(&house, call(Some("1"), None)).await;
    let keep = Retention {
        receipts_older_than_ms: i64::MAX,
        events_older_than_ms: None,
        media_older_than_ms: None,
    };
    for (days, gone) in [(30, 0), (31, 1)] {
        let pruned = house
            .store
            .prune(&house.log, keep, NOW_MS + days * DAY_MS)
            .await
            .unwrap();
        assert_eq!(pruned.keys, gone, "after {days} days");
    }
    new(&house, call(Some("1"), None)).await;
}
