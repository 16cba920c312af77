//! What is old goes, and nothing that is still needed.

use duet::store::intake::Part;
use duet::store::lanes::{End, Finish, From};
use duet::store::retention::Retention;
use serde_json::json;

use super::bodies::{ANA, BEN};
use super::erasure::done;
use super::house::{House, NOW_MS, record};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const LATER_MS: i64 = NOW_MS + 31 * DAY_MS;
const KEEP: Retention = Retention {
    receipts_older_than_ms: 7 * DAY_MS,
    events_older_than_ms: None,
    media_older_than_ms: None,
};

#[tokio::test]
async fn receipts_go_when_they_are_old_and_taken_in() {
    let house = House::new();
    for index in 0..3 {
        house
            .deliver(&ANA.writes(&format!("3A0{index}"), "old"))
            .await;
    }
    let history = house
        .append(
            &ANA.history(
                json!([{"from": ANA.phone, "id": "wamid.h", "timestamp": "1780000000",
        "type": "text", "text": {"body": "long ago"}}]),
            )
            .to_string(),
            NOW_MS,
        )
        .await;
    record(
        &house.store,
        &house.log.get(history).unwrap().unwrap(),
        Part::Live,
    )
    .await;
    let unreadable = house.append("no JSON", NOW_MS).await;
    house.take_in(unreadable).await;
    let young = house
        .append(&BEN.writes("3B01", "young").to_string(), LATER_MS - DAY_MS)
        .await;
    house.take_in(young).await;
    let waiting = house
        .append(&BEN.writes("3B02", "not taken in").to_string(), NOW_MS)
        .await;

    let pruned = house.store.prune(&house.log, KEEP, LATER_MS).await.unwrap();
    assert_eq!(
        (pruned.receipts, pruned.unreadable, pruned.events),
        (4, 1, 0)
    );
    let kept: Vec<i64> = house
        .log
        .read_after(0, false, 1 << 20)
        .unwrap()
        .iter()
        .map(|receipt| receipt.id)
        .collect();
    assert_eq!(kept, [history, young, waiting]);

    record(
        &house.store,
        &house.log.get(history).unwrap().unwrap(),
        Part::History,
    )
    .await;
    assert_eq!(
        house
            .store
            .prune(&house.log, KEEP, LATER_MS)
            .await
            .unwrap()
            .receipts,
        1
    );
    assert_eq!(house.events().await.len(), 6);
}

#[tokio::test]
async fn a_message_is_recognised_as_long_as_it_is_kept_and_other_keys_30_days() {
    let house = House::new();
    let (message, status) = (ANA.is_told("3A01", "hello"), ANA.status("3A01", "sent"));
    house.deliver(&message).await;
    house.deliver(&status).await;
    house.deliver(&ANA.status("3AFF", "read")).await;
    let early = house
        .store
        .prune(&house.log, KEEP, NOW_MS + 29 * DAY_MS)
        .await
        .unwrap();
    assert_eq!((early.keys, early.early), (0, 0));
    let pruned = house.store.prune(&house.log, KEEP, LATER_MS).await.unwrap();
    assert_eq!((pruned.keys, pruned.early), (2, 1));
    assert_eq!(house.deliver_at(&message, LATER_MS).await.len(), 0);
}

#[tokio::test]
async fn an_event_that_something_still_refers_to_stays() {
    let house = House::new();
    let retention = Retention {
        events_older_than_ms: Some(30 * DAY_MS),
        ..KEEP
    };
    house
        .store
        .place("crm".into(), String::new(), From::After(0))
        .await
        .unwrap();
    let mut events = Vec::new();
    for index in 0..5 {
        events.extend(
            house
                .deliver(&ANA.writes(&format!("3A0{index}"), "old"))
                .await,
        );
    }
    let prune = async || {
        house
            .store
            .prune(&house.log, retention, LATER_MS)
            .await
            .unwrap()
            .events
    };
    assert_eq!(prune().await, 0, "nothing is done yet");
    let retry = End::Retry {
        attempt: 1,
        next_ms: NOW_MS,
        cause: "busy".into(),
        waits_for: None,
    };
    let dead = End::Dead {
        attempts: 3,
        cause: "no".into(),
    };
    let send = duet::effect::Effect::Send(duet::effect::Send {
        conversation: events[2].conversation.unwrap(),
        speaker: duet::effect::Speaker::Automation,
        agent: None,
        message: json!({"type": "text"}),
    });
    house
        .store
        .finish(Finish {
            end: retry,
            ..done(&house, &events[0], vec![])
        })
        .await
        .unwrap();
    house
        .store
        .finish(Finish {
            end: dead,
            ..done(&house, &events[1], vec![])
        })
        .await
        .unwrap();
    house
        .store
        .finish(done(&house, &events[2], vec![send]))
        .await
        .unwrap();
    house
        .store
        .advance("crm".into(), events[3].seq)
        .await
        .unwrap();
    assert_eq!(prune().await, 1);
    let kept: Vec<i64> = house.events().await.iter().map(|event| event.seq).collect();
    assert_eq!(
        kept,
        [events[0].seq, events[1].seq, events[2].seq, events[4].seq]
    );
}

#[tokio::test]
async fn expired_entries_go() {
    let house = House::new();
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let set = |key: &str, expires_ms| duet::effect::Effect::Set {
        key: key.into(),
        value: vec![1],
        expires_ms,
    };
    let effects = vec![
        set("gone", Some(NOW_MS + 1)),
        set("young", Some(LATER_MS + 1)),
        set("kept", None),
    ];
    house
        .store
        .finish(done(&house, &event, effects))
        .await
        .unwrap();
    assert_eq!(
        house
            .store
            .prune(&house.log, KEEP, LATER_MS)
            .await
            .unwrap()
            .kv,
        1
    );
    let keys = house
        .store
        .kv_list("crm".into(), String::new(), None, 10, NOW_MS)
        .await
        .unwrap();
    assert_eq!(keys, ["kept", "young"]);
}

#[tokio::test]
async fn an_instance_that_is_gone_holds_events_back_for_a_week() {
    let house = House::new();
    let retention = Retention {
        events_older_than_ms: Some(30 * DAY_MS),
        ..KEEP
    };
    let store = &house.store;
    store
        .place("crm".into(), String::new(), From::After(0))
        .await
        .unwrap();
    house.deliver(&ANA.writes("3A01", "old")).await;
    let pruned = async |now_ms| {
        let pruned = store.prune(&house.log, retention, now_ms).await.unwrap();
        pruned.events
    };
    assert_eq!(pruned(LATER_MS).await, 0, "it has yet to see the event");
    store.keep_instances(Vec::new(), LATER_MS).await.unwrap();
    assert_eq!(pruned(LATER_MS + 6 * DAY_MS).await, 0, "it may come back");
    store
        .keep_instances(vec!["crm".into()], LATER_MS)
        .await
        .unwrap();
    assert_eq!(pruned(LATER_MS + 8 * DAY_MS).await, 0, "it is back");
    store.keep_instances(Vec::new(), LATER_MS).await.unwrap();
    assert_eq!(pruned(LATER_MS + 8 * DAY_MS).await, 1);
}
