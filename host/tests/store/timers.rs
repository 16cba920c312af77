//! A timer is set with its event, becomes one event when it is due, and goes with whom it is about.

use duet::effect::{Effect, Send, Speaker};
use duet::event::{Event, Lane};
use duet::store::StoreError;
use duet::store::lanes::{Finish, From};
use duet::store::outbox::Gate;
use duet::store::retention::Retention;
use duet::store::views::Page;
use duet::store::wall::Wall;
use duet_rules::sending::Limits;
use serde_json::{Value, json};

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

fn set(name: &str, at_ms: i64, conversation: Option<i64>) -> Effect {
    Effect::SetTimer {
        name: name.into(),
        at_ms,
        payload: format!("about {name}"),
        conversation,
    }
}

fn cancel(name: &str) -> Effect {
    Effect::CancelTimer { name: name.into() }
}

async fn commit(house: &House, event: &Event, effects: Vec<Effect>) -> Vec<i64> {
    house
        .store
        .finish(done(house, event, effects))
        .await
        .unwrap()
}

/// Fires what is due, and tells the names and when the next one is due.
async fn fire(house: &House, instance: &str, now_ms: i64) -> (Vec<String>, Option<i64>) {
    let fired = house.store.fire_timers(instance.into(), now_ms).await;
    let fired = fired.unwrap();
    let names = fired.events.iter().map(|event| name(event)).collect();
    (names, fired.next_ms)
}

fn name(event: &Event) -> String {
    let body: Value = serde_json::from_str(&event.body).unwrap();
    body["name"].as_str().unwrap().to_owned()
}

async fn timers(house: &House, instance: &str) -> i64 {
    let troubles = house.store.troubles().await.unwrap();
    troubles.get(instance).map_or(0, |troubles| troubles.timers)
}

#[tokio::test]
async fn what_is_due_becomes_events_in_order_once() {
    let house = house().await;
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let effects = vec![
        set("late", NOW_MS + 50, None),
        set("here", NOW_MS + 20, event.conversation),
        set("old", NOW_MS - DAY_MS, None),
        set("never", NOW_MS, None),
        cancel("never"),
        cancel("unknown"),
        set("moved", NOW_MS, None),
        set("moved", NOW_MS + 60, None),
    ];
    commit(&house, &event, effects).await;
    assert_eq!(timers(&house, "crm").await, 4);
    assert_eq!(
        fire(&house, "crm", NOW_MS - 2 * DAY_MS).await,
        (vec![], Some(NOW_MS - DAY_MS))
    );
    assert_eq!(fire(&house, "other", NOW_MS + DAY_MS).await, (vec![], None));
    let house = house.reopen();
    let fired = house.store.fire_timers("crm".into(), NOW_MS + 20).await;
    let fired = fired.unwrap();
    assert_eq!(fired.next_ms, Some(NOW_MS + 50));
    let [old, here] = fired.events.as_slice() else {
        panic!("{fired:?}")
    };
    assert_eq!((old.seq, here.seq), (event.seq + 1, event.seq + 2));
    assert_eq!((old.lane(), here.lane()), (Lane::Instance, event.lane()));
    assert_ne!(old.id, here.id);
    assert_eq!(here.instance.as_deref(), Some("crm"));
    assert_eq!(
        (here.kind.as_str(), here.number.as_deref(), here.contact),
        ("timer.fired", Some(NUMBER), event.contact)
    );
    // Whom the event was about that has set it: so it goes with her.
    assert_eq!((old.number.as_deref(), old.contact), (None, event.contact));
    assert_eq!(
        (here.at_ms, here.received_ms, here.history),
        (Some(NOW_MS + 20), NOW_MS + 20, false)
    );
    let body: Value = serde_json::from_str(&here.body).unwrap();
    assert_eq!(
        body,
        json!({"name": "here", "payload": "about here", "at_ms": NOW_MS + 20})
    );
    assert_eq!(
        fire(&house, "crm", NOW_MS + 20).await,
        (vec![], Some(NOW_MS + 50))
    );
    let rest = fire(&house, "crm", NOW_MS + DAY_MS).await;
    assert_eq!(rest, (vec!["late".into(), "moved".into()], None));
    let house = house.reopen();
    assert_eq!(house.events().await.len(), 5);
    assert_eq!(timers(&house, "crm").await, 0);
}

#[tokio::test]
async fn many_at_once_come_in_several_transactions() {
    let house = house().await;
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let set = |n: usize| set(&format!("{n:03}"), NOW_MS, None);
    commit(&house, &event, (0..250).map(set).collect()).await;
    let mut fired = Vec::new();
    for (count, next_ms) in [(100, Some(NOW_MS)), (100, Some(NOW_MS)), (50, None)] {
        let (names, next) = fire(&house, "crm", NOW_MS).await;
        assert_eq!((names.len(), next), (count, next_ms));
        fired.extend(names);
    }
    assert!(fired.is_sorted(), "{fired:?}");
}

#[tokio::test]
async fn a_run_that_does_not_commit_sets_and_cancels_nothing() {
    let house = house().await;
    let first = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    commit(&house, &first, vec![set("kept", NOW_MS, None)]).await;
    let second = house.deliver(&ANA.writes("3A02", "hello")).await.remove(0);
    let effects = vec![cancel("kept"), set("new", NOW_MS, None)];
    let stale = Finish {
        epoch: 0,
        ..done(&house, &second, effects)
    };
    assert!(house.store.finish(stale).await.is_err());
    assert_eq!(fire(&house, "crm", NOW_MS).await.0, ["kept"]);
}

#[tokio::test]
async fn a_grant_bounds_how_many_there_are_at_once() {
    let house = house().await;
    let first = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let second = house.deliver(&ANA.writes("3A02", "hello")).await.remove(0);
    let with = |event: &Event, effects| Finish {
        timers_max: Some(2),
        cases_max: None,
        ..done(&house, event, effects)
    };
    let two = vec![set("a", NOW_MS, None), set("b", NOW_MS, None)];
    house.store.finish(with(&first, two)).await.unwrap();
    let third = house
        .store
        .finish(with(&second, vec![set("c", NOW_MS, None)]));
    let refused = third.await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Bound { held: 3, .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("timers.max = 2"), "{refused}");
    // One that takes another's place is none more.
    let effects = vec![
        set("b", NOW_MS + 1, None),
        cancel("a"),
        set("c", NOW_MS, None),
    ];
    house.store.finish(with(&second, effects)).await.unwrap();
    assert_eq!(fire(&house, "crm", NOW_MS + 1).await.0, ["c", "b"]);
}

#[tokio::test]
async fn a_takeover_before_or_after_silences_what_a_timer_says() {
    let house = house().await;
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    // Its window is open.
    assert_eq!(sent_because(&house, &event).await, "go");

    let event = house.deliver(&ANA.writes("3A02", "hello")).await.remove(0);
    commit(&house, &event, vec![set("a", NOW_MS, event.conversation)]).await;
    let fired = house.store.fire_timers("crm".into(), NOW_MS).await.unwrap();
    house.deliver(&ANA.is_told("3A03", "I am here")).await;
    let silent = "person-has-conversation";
    assert_eq!(sent_because(&house, &fired.events[0]).await, silent);

    let event = house.deliver(&ANA.writes("3A04", "hello")).await.remove(0);
    commit(&house, &event, vec![set("b", NOW_MS, event.conversation)]).await;
    let fired = house.store.fire_timers("crm".into(), NOW_MS).await.unwrap();
    assert_eq!(sent_because(&house, &fired.events[0]).await, silent);
}

/// What the gate says of an automation's send because of an event.
async fn sent_because(house: &House, event: &Event) -> String {
    let send = Effect::Send(Send {
        conversation: event.conversation.unwrap(),
        speaker: Speaker::Automation,
        agent: None,
        message: json!({"type": "text", "text": {"body": "hi"}}),
    });
    let rows = commit(house, event, vec![send]).await;
    let gate = house
        .store
        .begin_send(rows[0], Limits::default(), NOW_MS, || 0);
    match gate.await.unwrap() {
        Gate::Go(outgoing) => {
            let sent = house
                .store
                .sent(outgoing.id, Some("wamid.sent".into()), NOW_MS);
            sent.await.unwrap();
            "go".into()
        }
        Gate::Cancelled { cause } => cause,
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn they_go_with_whom_they_are_about() {
    let house = house().await;
    place(&house, "shop").await;
    let ana = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let ben = house.deliver(&BEN.writes("3B01", "hello")).await.remove(0);
    let hers = vec![
        set("in hers", NOW_MS, ana.conversation),
        set("in his", NOW_MS, ben.conversation),
        set("alone", NOW_MS, None),
        set("fired", 0, None),
    ];
    commit(&house, &ana, hers).await;
    let names_her = Effect::SetTimer {
        name: "call".into(),
        at_ms: NOW_MS,
        payload: format!("call +{}", ANA.phone),
        conversation: ben.conversation,
    };
    let his = vec![
        set("his in hers", NOW_MS, ana.conversation),
        set("his", NOW_MS, ben.conversation),
        names_her,
    ];
    commit(&house, &ben, his).await;
    assert_eq!(fire(&house, "crm", 1).await.0, ["fired"]);
    let export = house.export(ANA.phone).await;
    let listed = |export: &Value| -> Vec<Value> {
        let timers = export["timers"].as_array().unwrap();
        let pair = |timer: &Value| json!([timer["name"], timer["payload"]]);
        timers.iter().map(pair).collect()
    };
    assert_eq!(
        listed(&export),
        [
            json!(["alone", "about alone"]),
            json!(["his in hers", "about his in hers"]),
            json!(["in hers", "about in hers"]),
            json!(["in his", "about in his"]),
            json!(["call", null]),
        ]
    );

    let contact = ana.contact.unwrap();
    let erased = house.store.erase_contact(&house.log, contact).await;
    assert_eq!(erased.unwrap().timers, 5);
    for bytes in [ANA.phone, "about alone", "about fired", "about in his"] {
        assert_eq!(house.holds(bytes.as_bytes()), None, "{bytes}");
    }
    // Set too late for somebody who has left.
    let again = house.deliver(&BEN.writes("3B02", "hello")).await.remove(0);
    let late = vec![
        set("late", NOW_MS, ana.conversation),
        set("his", NOW_MS, ana.conversation),
        set("still", NOW_MS, None),
    ];
    commit(&house, &again, late).await;
    assert_eq!(
        fire(&house, "crm", NOW_MS).await,
        (vec!["still".into()], None)
    );
}

#[tokio::test]
async fn those_of_an_instance_that_is_gone_are_kept_for_a_week() {
    let house = house().await;
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    commit(&house, &event, vec![set("a", NOW_MS, None)]).await;
    let store = &house.store;
    let keep = Retention {
        receipts_older_than_ms: i64::MAX,
        events_older_than_ms: None,
        media_older_than_ms: None,
    };
    let pruned = async |now_ms| {
        let pruned = store.prune(&house.log, keep, now_ms).await.unwrap();
        pruned.timers
    };
    assert_eq!(pruned(NOW_MS + 30 * DAY_MS).await, 0);
    store.keep_instances(Vec::new(), NOW_MS).await.unwrap();
    assert_eq!(pruned(NOW_MS + 6 * DAY_MS).await, 0, "it may come back");
    assert_eq!(pruned(NOW_MS + 7 * DAY_MS).await, 1);
    assert_eq!(timers(&house, "crm").await, 0);
}

#[tokio::test]
async fn the_ledger_adds_up_and_the_api_shows_whose_event_it_is() {
    let house = house().await;
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let effects = vec![set("a", NOW_MS, event.conversation), set("b", NOW_MS, None)];
    commit(&house, &event, effects).await;
    fire(&house, "crm", NOW_MS).await;
    let days = duet::store::views::Days::between(None, None);
    let page = house.store.ledger(Wall::none(), NUMBER.into(), days).await;
    let page = page.unwrap().unwrap();
    assert_eq!((page.counts.events.new, page.counts.events.own), (1, 1));
    assert_eq!(duet_rules::ledger::differences(&page.counts), []);
    assert_eq!(page.rest, []);
    let page = Page {
        after: 0,
        limit: 10,
    };
    let filter = duet::store::views::EventFilter::default();
    let events = house.store.events(Wall::none(), page, filter).await;
    let seen = |event: &Event| (event.kind.clone(), event.instance.clone());
    let seen: Vec<_> = events.unwrap().events.iter().map(seen).collect();
    let fired = ("timer.fired".to_owned(), Some("crm".to_owned()));
    assert_eq!(seen, [("message.text".into(), None), fired.clone(), fired]);
}
