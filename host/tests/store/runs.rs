//! What a run leaves commits with its place in the lane, or not at all.

use duet::effect::{Effect, Handling, ListRead, Reads, Send, Speaker};
use duet::event::Event;
use duet::store::StoreError;
use duet::store::handling::Keeps;
use duet::store::lanes::{End, Finish, From};
use serde_json::{Value, json};

use super::bodies::{ANA, BEN};
use super::erasure::done;
use super::house::{House, NOW_MS};

fn set(key: &str, value: &str) -> Effect {
    Effect::Set {
        key: key.into(),
        value: value.into(),
        expires_ms: None,
    }
}

fn send(event: &Event, speaker: Speaker) -> Effect {
    let message = json!({"type": "text", "text": {"body": "hi"}});
    Effect::Send(Send {
        conversation: event.conversation.unwrap(),
        speaker,
        agent: None,
        message,
    })
}

async fn value(house: &House, key: &str) -> Option<Vec<u8>> {
    house.store.kv_get("crm", key, NOW_MS).await.unwrap()
}

async fn lanes(house: &House) -> Vec<(String, i64)> {
    let mut lanes: Vec<_> = house
        .store
        .place("crm".into(), String::new(), From::After(0))
        .await
        .unwrap()
        .lanes
        .into_iter()
        .collect();
    lanes.sort();
    lanes
}

#[tokio::test]
async fn effects_and_the_lane_commit_together() {
    let house = House::new();
    house
        .store
        .place("crm".into(), String::new(), From::After(0))
        .await
        .unwrap();
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let effects = vec![
        set("a", "1"),
        set("b", "2"),
        Effect::Delete { key: "a".into() },
        send(&event, Speaker::Automation),
    ];
    let waiting = house
        .store
        .finish(done(&house, &event, effects))
        .await
        .unwrap();
    assert_eq!(waiting.len(), 1);
    let house = house.reopen();
    assert_eq!(
        (value(&house, "a").await, value(&house, "b").await),
        (None, Some(b"2".to_vec()))
    );
    assert_eq!(lanes(&house).await, [(event.lane().to_string(), event.seq)]);
    house.store.advance("crm".into(), event.seq).await.unwrap();
    let place = house
        .store
        .place("crm".into(), String::new(), From::Now)
        .await
        .unwrap();
    assert_eq!((place.watermark, place.lanes.len()), (event.seq, 0));
}

#[tokio::test]
async fn a_run_whose_reads_have_changed_leaves_nothing() {
    let house = House::new();
    let first = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let second = house.deliver(&BEN.writes("3B01", "hello")).await.remove(0);
    let read = |seen: Option<&[u8]>| Reads {
        keys: [("count".to_owned(), Reads::seen(seen))].into(),
        ..Reads::default()
    };
    let listed = |keys: &[&str]| {
        let list = ListRead {
            prefix: "co".into(),
            after: None,
            limit: 10,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        };
        Reads {
            lists: vec![list],
            ..Reads::default()
        }
    };
    let with = |event: &Event, reads: Reads, value: &str| Finish {
        end: End::Done {
            effects: vec![set("count", value)],
            reads,
        },
        ..done(&house, event, vec![])
    };
    house
        .store
        .finish(with(&first, read(None), "1"))
        .await
        .unwrap();
    for stale in [
        read(None),
        read(Some(b"0")),
        listed(&[]),
        listed(&["count", "country"]),
        Reads {
            torn: true,
            ..read(Some(b"1"))
        },
    ] {
        let refused = house.store.finish(with(&second, stale, "2")).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    }
    assert_eq!(value(&house, "count").await, Some(b"1".to_vec()));
    assert_eq!(lanes(&house).await.len(), 1);
    house
        .store
        .finish(with(
            &second,
            Reads {
                lists: listed(&["count"]).lists,
                ..read(Some(b"1"))
            },
            "2",
        ))
        .await
        .unwrap();
    assert_eq!(value(&house, "count").await, Some(b"2".to_vec()));
}

#[tokio::test]
async fn a_run_of_an_earlier_lease_leaves_nothing() {
    let house = House::new();
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let old = done(&house, &event, vec![set("a", "1")]);
    let house = house.reopen();
    assert_eq!(house.store.epoch(), old.epoch + 1);
    let epoch = old.epoch;
    let refused = house.store.finish(old).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost(lost)) if lost == epoch),
        "{refused:?}"
    );
    assert_eq!(
        (value(&house, "a").await, lanes(&house).await.len()),
        (None, 0)
    );
    house
        .store
        .finish(done(&house, &event, vec![set("a", "1")]))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stale_run_undoes_only_itself() {
    let house = House::new();
    let first = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let second = house.deliver(&BEN.writes("3B01", "hello")).await.remove(0);
    let stale = Finish {
        epoch: 0,
        ..done(&house, &first, vec![set("a", "1")])
    };
    let good = done(&house, &second, vec![set("b", "2")]);
    let (refused, taken) = tokio::join!(house.store.finish(stale), house.store.finish(good));
    assert!(refused.is_err() && taken.is_ok());
    assert_eq!(
        (value(&house, "a").await, value(&house, "b").await),
        (None, Some(b"2".to_vec()))
    );
}

#[tokio::test]
async fn retries_dead_letters_and_redrive() {
    let house = House::new();
    house
        .store
        .place("crm".into(), String::new(), From::After(0))
        .await
        .unwrap();
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let end = |end: End| Finish {
        end,
        ..done(&house, &event, vec![])
    };
    let retry = |attempt| End::Retry {
        attempt,
        next_ms: NOW_MS + i64::from(attempt),
        cause: "busy".into(),
        waits_for: None,
    };
    house.store.finish(end(retry(1))).await.unwrap();
    house.store.finish(end(retry(2))).await.unwrap();
    let place = house
        .store
        .place("crm".into(), String::new(), From::Now)
        .await
        .unwrap();
    assert!(
        place.lanes.is_empty(),
        "the lane waits at an event that is tried again"
    );
    let delivery = &place.deliveries[0];
    assert_eq!(
        (place.deliveries.len(), delivery.seq, delivery.attempt),
        (1, event.seq, 2)
    );
    assert_eq!((delivery.next_ms, delivery.redriven), (NOW_MS + 2, false));

    house
        .store
        .finish(end(End::Dead {
            attempts: 3,
            cause: "rejected: no".into(),
        }))
        .await
        .unwrap();
    let place = house
        .store
        .place("crm".into(), String::new(), From::Now)
        .await
        .unwrap();
    assert_eq!((place.deliveries.len(), place.lanes.len()), (0, 1));
    let letters = house.export(ANA.phone).await["dead_letters"].clone();
    assert_eq!(
        (&letters[0]["cause"], &letters[0]["attempts"]),
        (&json!("rejected: no"), &json!(3))
    );

    let id = letters[0]["id"].as_i64().unwrap();
    let redriven = house.store.redrive(id, NOW_MS).await.unwrap();
    assert_eq!(redriven, Some(("crm".to_owned(), event.seq)));
    assert_eq!(house.store.redrive(id, NOW_MS).await.unwrap(), None);
    let place = house
        .store
        .place("crm".into(), String::new(), From::Now)
        .await
        .unwrap();
    assert_eq!(
        (place.deliveries[0].attempt, place.deliveries[0].redriven),
        (0, true)
    );
    house
        .store
        .finish(end(End::Done {
            effects: vec![],
            reads: Reads::default(),
        }))
        .await
        .unwrap();
    assert!(
        house
            .store
            .place("crm".into(), String::new(), From::Now)
            .await
            .unwrap()
            .deliveries
            .is_empty()
    );
}

#[tokio::test]
async fn only_one_automation_answers_an_event() {
    let house = House::new();
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let by = |instance: &str, speaker| Finish {
        instance: instance.into(),
        ..done(&house, &event, vec![send(&event, speaker)])
    };
    assert_eq!(
        house
            .store
            .finish(by("faq", Speaker::Automation))
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        house
            .store
            .finish(by("bot", Speaker::Automation))
            .await
            .unwrap()
            .len(),
        0
    );
    let outbox = house.export(ANA.phone).await["outbox"].clone();
    assert_eq!(
        (&outbox[0]["state"], &outbox[1]["state"]),
        (&json!("pending"), &json!("cancelled"))
    );
    assert_eq!(outbox[1]["cause"], "answered");
}

#[tokio::test]
async fn speaking_as_a_person_takes_over_and_handing_back_returns_it() {
    let house = House::new();
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let id = event.conversation.unwrap();
    house
        .store
        .finish(done(&house, &event, vec![send(&event, Speaker::Person)]))
        .await
        .unwrap();
    let taken = house.store.conversation(id).await.unwrap().unwrap();
    assert_eq!(
        (taken.handling, taken.handling_by.as_deref()),
        (Handling::Person, Some("crm"))
    );
    let back = Effect::Handle {
        conversation: id,
        handling: Handling::Automation,
        agent: None,
        until_ms: None,
    };
    let later = house
        .deliver(&ANA.writes("3A02", "and now?"))
        .await
        .remove(0);
    house
        .store
        .finish(done(&house, &later, vec![back]))
        .await
        .unwrap();
    assert_eq!(
        house
            .store
            .conversation(id)
            .await
            .unwrap()
            .unwrap()
            .handling,
        Handling::Automation
    );
}

/// By phone a person has her, by user id a plugin calls one: once both are known to be her, it has no leave to speak.
#[tokio::test]
async fn a_plugin_that_called_a_person_is_silent_beside_one_who_was_there() {
    let house = House::new();
    let without = |mut body: Value, [contact, message]: [&str; 2]| {
        let value = &mut body["entry"][0]["changes"][0]["value"];
        value["contacts"][0][contact].take();
        value["messages"][0][message].take();
        body
    };
    let by_phone = without(ANA.writes("3A01", "hello"), ["user_id", "from_user_id"]);
    let known = house.deliver(&by_phone).await[0].conversation.unwrap();
    let hour = Keeps::Exactly(NOW_MS + 3_600_000);
    let given = house
        .store
        .set_handling(known, Handling::Person, hour, NOW_MS);
    given.await.unwrap();
    let by_user_id = without(ANA.writes("3A02", "hello?"), ["wa_id", "from"]);
    let event = house.deliver(&by_user_id).await.remove(0);
    let other = event.conversation.unwrap();
    assert_ne!(other, known);
    let call = Effect::Handle {
        conversation: other,
        handling: Handling::Person,
        agent: None,
        until_ms: None,
    };
    let run = done(&house, &event, vec![call]);
    house.store.finish(run).await.unwrap();
    let by = async |id| {
        let found = house.store.conversation(id).await.unwrap().unwrap();
        (found.handling, found.handling_by)
    };
    assert_eq!(by(other).await, (Handling::Person, Some("crm".to_owned())));
    house.deliver(&ANA.writes("3A03", "it is me")).await;
    for id in [known, other] {
        assert_eq!(by(id).await, (Handling::Person, None));
    }
}

#[tokio::test]
async fn keys_are_listed_by_prefix_in_order_behind_a_key() {
    let house = House::new();
    house
        .store
        .place("crm".into(), String::new(), From::After(0))
        .await
        .unwrap();
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let keys = ["a", "ab", "ab/1", "ab/2", "ac", "ä"];
    let effects = keys.map(|key| set(key, "1")).into();
    house
        .store
        .finish(done(&house, &event, effects))
        .await
        .unwrap();
    let list = async |prefix: &str, after: Option<&str>, limit| {
        let after = after.map(str::to_owned);
        house
            .store
            .kv_list("crm".into(), prefix.into(), after, limit, NOW_MS)
            .await
            .unwrap()
    };
    assert_eq!(list("", None, 10).await, keys);
    assert_eq!(list("ab", None, 10).await, ["ab", "ab/1", "ab/2"]);
    assert_eq!(list("ab", Some("ab"), 1).await, ["ab/1"]);
    assert_eq!(list("ab", Some("a"), 1).await, ["ab"]);
    assert!(list("ab", Some("ac"), 10).await.is_empty());
    assert_eq!(list("ä", None, 10).await, ["ä"]);
}
