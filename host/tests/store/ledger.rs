//! The ledger adds up whatever happens on the usual ways, and names whatever goes missing on another one.

use duet::effect::{Effect, Send, Speaker};
use duet::store::lanes::{End, Finish, From};
use duet::store::retention::Retention;
use duet::store::views::Days;
use duet::store::wall::Wall;
use duet_rules::ledger::{Counts, differences};
use serde_json::json;

use super::bodies::{ANA, BEN, NUMBER};
use super::erasure::done;
use super::house::{House, NOW_MS};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn counts(house: &House) -> Counts {
    let page = house
        .store
        .ledger(Wall::none(), NUMBER.into(), Days::between(None, None))
        .await;
    let page = page.unwrap().unwrap();
    assert_eq!(page.rest, []);
    page.counts
}

/// What does not add up, by its place.
async fn gaps(house: &House) -> Vec<(String, i64)> {
    let gaps = differences(&counts(house).await).into_iter();
    gaps.map(|gap| (gap.place, gap.found - gap.expected))
        .collect()
}

fn sql(house: House, statement: &str) -> House {
    let House { folder, store, log } = house;
    drop((store, log));
    let file = if statement.contains("receipts") {
        "receipts.db"
    } else {
        "duet.db"
    };
    let connection = rusqlite::Connection::open(folder.path().join(file)).unwrap();
    assert_eq!(connection.execute(statement, []).unwrap(), 1, "{statement}");
    drop(connection);
    House::at(folder)
}

/// Ana writes three times and Ben once; the plugin answers, gives up, and leaves one event for later.
async fn story() -> House {
    let house = House::new();
    house
        .deliver(&ANA.writes("3A00", "before the plugin"))
        .await;
    house
        .store
        .place("crm".into(), String::new(), From::Now)
        .await
        .unwrap();
    let mut events = Vec::new();
    for (person, stanza) in [(&ANA, "3A01"), (&ANA, "3A02"), (&BEN, "3B01")] {
        events.push(
            house
                .deliver(&person.writes(stanza, "hello"))
                .await
                .remove(0),
        );
    }
    house.deliver(&ANA.writes("3A02", "hello")).await;
    house.deliver(&ANA.status("3AEE", "delivered")).await;
    let effects = vec![Effect::Send(Send {
        conversation: events[0].conversation.unwrap(),
        speaker: Speaker::Automation,
        agent: None,
        message: json!({"type": "text", "text": {"body": "hi"}}),
    })];
    let end = |event, end| Finish {
        end,
        ..done(&house, event, vec![])
    };
    let dead = |event| {
        end(
            event,
            End::Dead {
                attempts: 3,
                cause: "rejected: no".into(),
            },
        )
    };
    house
        .store
        .finish(done(&house, &events[0], effects))
        .await
        .unwrap();
    house.store.finish(dead(&events[1])).await.unwrap();
    let retry = End::Retry {
        attempt: 1,
        next_ms: NOW_MS,
        cause: "later".into(),
        waits_for: None,
    };
    house.store.finish(end(&events[2], retry)).await.unwrap();
    house
}

#[tokio::test]
async fn every_way_of_an_event_is_counted_and_adds_up() {
    let house = story().await;
    let counts = counts(&house).await;
    assert_eq!(differences(&counts), []);
    assert_eq!((counts.receipts.accepted, counts.arrived.receipts), (6, 6));
    assert_eq!((counts.arrived.elements, counts.arrived.repeated), (6, 1));
    assert_eq!(
        (counts.events.new, counts.events.kept, counts.events.early),
        (5, 5, 1)
    );
    assert_eq!(
        counts.arrived.kinds,
        [("message".into(), 4), ("status.delivered".into(), 1)].into()
    );
    let crm = &counts.plugins[0];
    assert_eq!((crm.before, crm.done, crm.dead, crm.retried), (1, 1, 1, 1));
    // Ben's message waits for another attempt, and nobody has looked at the status.
    assert_eq!(
        (crm.waiting, crm.skipped(&counts.events), crm.letters),
        (2, 0, 1)
    );
    assert_eq!(counts.sends.in_state("pending"), 1);

    let letter = house.store.redrive(1, NOW_MS).await.unwrap();
    assert_eq!(letter, Some(("crm".into(), 3)));
    house.store.advance("crm".into(), 5).await.unwrap();
    assert_eq!(gaps(&house).await, []);
    let ana = house.contact(ANA.phone).await.unwrap();
    let house = House { ..house };
    house.store.erase_contact(&house.log, ana).await.unwrap();
    assert_eq!(gaps(&house).await, []);
    let retention = Retention {
        receipts_older_than_ms: DAY_MS,
        events_older_than_ms: Some(DAY_MS),
        media_older_than_ms: None,
    };
    house
        .store
        .prune(&house.log, retention, NOW_MS + 9 * DAY_MS)
        .await
        .unwrap();
    let house = house.reopen();
    assert_eq!(gaps(&house).await, []);
    let counts = self::counts(&house).await;
    assert_eq!(
        (
            counts.events.erased,
            counts.sends.erased,
            counts.receipts.aged
        ),
        (4, 1, 6)
    );
    // Another day has nothing.
    let tomorrow = Days::between(Some(NOW_MS + DAY_MS), None);
    let page = house
        .store
        .ledger(Wall::none(), NUMBER.into(), tomorrow)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (page.counts.arrived.elements, page.counts.events.kept),
        (0, 0)
    );
    assert!(
        house
            .store
            .ledger(Wall::none(), "0".into(), tomorrow)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn what_is_taken_behind_the_stores_back_is_named() {
    for (statement, place, gap) in [
        ("DELETE FROM receipts WHERE id = 2", "receipts", -1),
        ("DELETE FROM events WHERE seq = 2", "events", -1),
        ("DELETE FROM outbox", "sends", -1),
        ("DELETE FROM dead_letters", "plugin crm, dead letters", -1),
        (
            "UPDATE instances SET watermark = 4",
            "plugin crm, events passed over unseen",
            4 - 1,
        ),
        ("DELETE FROM ledger WHERE item = 'repeated'", "elements", -1),
    ] {
        let house = story().await;
        assert_eq!(gaps(&house).await, []);
        let house = sql(house, statement);
        assert_eq!(gaps(&house).await, [(place.to_owned(), gap)], "{statement}");
    }
}

/// The parts of a body that several numbers share, and one that is taken in by halves.
#[tokio::test]
async fn a_receipt_counts_once_for_each_number() {
    let house = House::new();
    for _ in 0..2 {
        house.deliver(&ANA.writes("3A01", "hello")).await;
    }
    let receipt = house
        .append(&ANA.writes("3A02", "again").to_string(), NOW_MS)
        .await;
    house.take_in(receipt).await;
    house.take_in(receipt).await;
    let counts = counts(&house).await;
    assert_eq!(
        (
            counts.arrived.receipts,
            counts.arrived.elements,
            counts.arrived.repeated
        ),
        (3, 4, 2)
    );
    assert_eq!(differences(&counts), []);
}
