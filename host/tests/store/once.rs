//! An element becomes an event once, however and in whatever order it comes.

use duet::store::intake::{Part, Place};
use serde_json::{Value, json};

use super::bodies::{ANA, BEN, change, payload, write};
use super::house::{House, NOW_MS, record, slice, terms};

#[tokio::test]
async fn repeated_and_reordered_elements_are_stored_once() {
    let house = House::new();
    let real = payload("meta-openapi-webhooks/text_message.json");
    let both = write([
        (&ANA, ANA.message("3A01", "one")),
        (&BEN, BEN.message("3B01", "two")),
    ]);
    let swapped = write([
        (&BEN, BEN.message("3B01", "two")),
        (&ANA, ANA.message("3A01", "one")),
    ]);
    let more = write([
        (&ANA, ANA.message("3A02", "three")),
        (&ANA, ANA.message("3A01", "one")),
    ]);
    assert_eq!(house.deliver(&real).await.len(), 1);
    assert_eq!(house.deliver(&both).await.len(), 2);
    for again in [&real, &both, &swapped] {
        assert_eq!(house.deliver(again).await.len(), 0);
    }
    assert_eq!(house.deliver(&more).await.len(), 1);
    let events = house.events().await;
    assert_eq!(events.len(), 4);
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert_eq!(
        events[0].body,
        real["entry"][0]["changes"][0]["value"]["messages"][0].to_string()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_deliveries_are_stored_once() {
    let house = House::new();
    let mut receipts = Vec::new();
    for _ in 0..2 {
        for index in 0..50 {
            let body = ANA.writes(&format!("3A{index:02}"), "once").to_string();
            let id = house.append(&body, NOW_MS).await;
            receipts.push(house.log.get(id).unwrap().unwrap());
        }
    }
    let (first, second) = receipts.split_at(50);
    let task = |receipts: &[duet::store::receipts::Receipt]| {
        let (store, receipts) = (house.store.clone(), receipts.to_vec());
        tokio::spawn(async move {
            let mut count = 0;
            for receipt in &receipts {
                count += record(&store, receipt, Part::Live).await.events.len();
            }
            count
        })
    };
    let (first, second) = (task(first), task(second));
    assert_eq!(first.await.unwrap() + second.await.unwrap(), 50);
    assert_eq!(house.events().await.len(), 50);
    assert_eq!(house.messages(ANA.phone).await.len(), 50);
}

#[tokio::test]
async fn the_copy_in_the_history_and_the_live_one_are_one_message() {
    // In history the id of a sent message may hold the business's own number: only the stanza is the same.
    let own = super::bodies::wamid(super::bodies::DISPLAY, false, "3A02");
    let history = ANA.history(json!([
        {"from": super::bodies::DISPLAY, "to": ANA.phone, "id": own, "timestamp": "1789999991", "type": "text",
            "text": {"body": "told"}, "history_context": {"status": "read", "from_me": true}},
    ]));
    let live = ANA.is_told("3A02", "told");
    for bodies in [[&history, &live], [&live, &history]] {
        let house = House::new();
        for body in bodies {
            house.deliver(body).await;
        }
        let message = house.message(ANA.phone).await;
        assert_eq!(
            (&message["text"], &message["direction"]),
            (&json!("told"), &json!("out"))
        );
        let told = house
            .events()
            .await
            .iter()
            .filter(|event| event.kind.ends_with(".text"))
            .count();
        assert_eq!(told, 1);
        house.deliver(&ANA.status("3A02", "played")).await;
        assert_eq!(house.message(ANA.phone).await["status"], "played");
    }
}

/// A status for the live id, while only the copy in the history is known, is applied when the live copy comes.
#[tokio::test]
async fn a_status_finds_a_message_whose_other_id_was_known_first() {
    let house = House::new();
    let own = super::bodies::wamid(super::bodies::DISPLAY, false, "3A02");
    house.deliver(&ANA.history(json!([
        {"from": super::bodies::DISPLAY, "to": ANA.phone, "id": own, "timestamp": "1789999991", "type": "text",
            "text": {"body": "told"}, "history_context": {"status": "sent", "from_me": true}},
    ]))).await;
    house.deliver(&ANA.status("3A02", "read")).await;
    house.deliver(&ANA.is_told("3A02", "told")).await;
    assert_eq!(house.message(ANA.phone).await["status"], "read");
}

#[tokio::test]
async fn elements_and_the_place_of_intake_commit_together() {
    let house = House::new();
    let id = house
        .append(&ANA.writes("3A01", "one").to_string(), NOW_MS)
        .await;
    let next = house
        .append(&ANA.writes("3A02", "two").to_string(), NOW_MS)
        .await;
    record(
        &house.store,
        &house.log.get(id).unwrap().unwrap(),
        Part::Live,
    )
    .await;
    // The caller goes away in the middle: the commit stands as a whole or not at all.
    let receipt = house.log.get(next).unwrap().unwrap();
    let place = Place {
        receipt: next,
        element: 0,
    };
    let store = house.store.clone();
    let lost = tokio::spawn(async move {
        store
            .record(
                Part::Live,
                vec![slice(&receipt, Part::Live)],
                place,
                terms(),
            )
            .await
    });
    tokio::task::yield_now().await;
    lost.abort();
    let _ = lost.await;
    let house = house.reopen();
    let taken = house.store.intake_place(Part::Live).await.unwrap();
    let events = house.events().await;
    assert_eq!(
        events.iter().map(|event| event.receipt).max(),
        Some(taken.receipt)
    );
    assert_eq!(events.len(), if taken.receipt == next { 2 } else { 1 });
    house.take_in(next).await;
    assert_eq!(house.events().await.len(), 2);
}

#[tokio::test]
async fn a_place_within_a_receipt_is_remembered() {
    let house = House::new();
    let body = write([
        (&ANA, ANA.message("3A01", "one")),
        (&BEN, BEN.message("3B01", "two")),
    ]);
    let id = house.append(&body.to_string(), NOW_MS).await;
    let mut half = slice(&house.log.get(id).unwrap().unwrap(), Part::Live);
    half.elements.truncate(1);
    let place = Place {
        receipt: id - 1,
        element: 1,
    };
    house
        .store
        .record(Part::Live, vec![half], place, terms())
        .await
        .unwrap();
    let house = house.reopen();
    assert_eq!(house.store.intake_place(Part::Live).await.unwrap(), place);
    assert_eq!(
        house.store.intake_place(Part::History).await.unwrap(),
        Place::default()
    );
    assert_eq!(house.take_in(id).await.len(), 1);
}

#[tokio::test]
async fn every_real_body_leaves_its_elements_byte_for_byte() {
    let table = include_str!("../../../tests/payloads/elements.tsv");
    let mut files: Vec<&str> = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .collect();
    files.dedup();
    assert!(files.len() > 150);
    for file in files {
        let house = House::new();
        let body: Value = payload(file);
        let stored = house.deliver(&body).await;
        assert!(!stored.is_empty(), "{file}");
        let read = house.events().await;
        let bodies = |events: &[std::sync::Arc<duet::event::Event>]| -> Vec<String> {
            events.iter().map(|event| format!("{event:?}")).collect()
        };
        assert_eq!(bodies(&stored), bodies(&read), "{file}");
    }
}

#[tokio::test]
async fn a_body_that_nobody_understands_is_kept() {
    let house = House::new();
    let id = house.append("{\"entry\": [", NOW_MS).await;
    assert!(house.take_in(id).await.is_empty());
    assert_eq!(
        house.store.intake_place(Part::Live).await.unwrap().receipt,
        id
    );
    assert_eq!(house.log.get(id).unwrap().unwrap().body, b"{\"entry\": [");
    let odd = house
        .deliver(&change("tomorrow", json!({"anything": [1, 2]})))
        .await;
    assert_eq!(odd[0].kind, "unknown");
}
