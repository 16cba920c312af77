//! The last runs of each instance are kept, in the transaction that ends their event, and go with whom they are about.

use duet::event::Event;
use duet::store::StoreError;
use duet::store::lanes::{End, Finish, From};
use duet::store::retention::Retention;
use duet::store::runs::{Record, Seen, Which};

use super::bodies::{ANA, BEN};
use super::erasure::done;
use super::house::{House, NOW_MS};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A run that has read this.
fn record(read: &str) -> Record {
    Record {
        attempt: 2,
        now_ms: NOW_MS - 1,
        seed: [3; 16],
        settings: [4; 32],
        outcome: "\"done\"".into(),
        effects: "[]".into(),
        seen: Some(Seen {
            reads: "{}".into(),
            read_bytes: read.as_bytes().to_vec(),
            calls: "[]".into(),
            call_bytes: vec![0xff],
        }),
    }
}

fn with(house: &House, event: &Event, runs_max: u64, read: &str) -> Finish {
    Finish {
        runs_max,
        record: Some(record(read)),
        ..done(house, event, vec![])
    }
}

async fn kept(house: &House, which: Which) -> Vec<i64> {
    let runs = house.store.kept_runs("crm".into(), which).await.unwrap();
    runs.iter().map(|run| run.seq).collect()
}

async fn house() -> House {
    let house = House::new();
    let place = house
        .store
        .place("crm".into(), String::new(), From::After(0));
    place.await.unwrap();
    house
}

#[tokio::test]
async fn the_last_runs_are_kept_as_they_were() {
    let house = house().await;
    let mut seqs = Vec::new();
    for stanza in ["3A01", "3A02", "3A03", "3A04"] {
        let event = house.deliver(&ANA.writes(stanza, "hello")).await.remove(0);
        let finish = with(&house, &event, 3, stanza);
        house.store.finish(finish).await.unwrap();
        seqs.push(event.seq);
    }
    assert_eq!(kept(&house, Which::Last(10)).await, seqs[1..]);
    assert_eq!(kept(&house, Which::Last(2)).await, seqs[2..]);
    assert_eq!(kept(&house, Which::Event(seqs[1])).await, [seqs[1]]);
    assert_eq!(kept(&house, Which::Event(seqs[0])).await, [0_i64; 0]);
    let runs = house.store.kept_runs("crm".into(), Which::Last(1));
    let run = runs.await.unwrap().remove(0);
    assert_eq!(
        (run.digest.as_str(), run.record),
        ("d", record("3A04")),
        "as it was"
    );
    let other = house.store.kept_runs("bot".into(), Which::Last(10)).await;
    assert_eq!(other.unwrap(), []);
    house.store.trim_runs("crm".into(), 1).await.unwrap();
    assert_eq!(kept(&house, Which::Last(10)).await, seqs[3..]);
}

#[tokio::test]
async fn what_did_not_end_its_event_is_not_kept() {
    let house = house().await;
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let retry = End::Retry {
        attempt: 1,
        next_ms: NOW_MS,
        cause: "busy".into(),
        waits_for: None,
    };
    let finish = Finish {
        end: retry,
        ..with(&house, &event, 3, "")
    };
    house.store.finish(finish).await.unwrap();
    let stale = Finish {
        epoch: house.store.epoch() - 1,
        ..with(&house, &event, 3, "")
    };
    let refused = house.store.finish(stale).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost(_))));
    assert_eq!(kept(&house, Which::Last(10)).await, [0_i64; 0]);
    let dead = End::Dead {
        attempts: 2,
        cause: "no".into(),
    };
    let finish = Finish {
        end: dead,
        ..with(&house, &event, 3, "")
    };
    house.store.finish(finish).await.unwrap();
    assert_eq!(kept(&house, Which::Last(10)).await, [event.seq]);
}

#[tokio::test]
async fn a_contact_takes_along_the_runs_that_name_it() {
    let house = house().await;
    let ana = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let ben = house.deliver(&BEN.writes("3B01", "hello")).await.remove(0);
    let shared = house.deliver(&BEN.writes("3B02", "hello")).await.remove(0);
    for finish in [
        with(&house, &ana, 10, "Quittenmus"),
        with(&house, &ben, 10, "nothing of hers"),
        with(&house, &shared, 10, "\u{0}call +49 151 1234-0987"),
    ] {
        house.store.finish(finish).await.unwrap();
    }
    let export = house.export(ANA.phone).await;
    assert_eq!(export["runs"].as_array().unwrap().len(), 1, "{export:#}");
    let id = house.contact(ANA.phone).await.unwrap();
    house.store.erase_contact(&house.log, id).await.unwrap();
    assert_eq!(kept(&house, Which::Last(10)).await, [ben.seq]);
    assert_eq!(house.holds(b"Quittenmus"), None);
    assert_eq!(house.holds(b"151 1234-0987"), None);
}

#[tokio::test]
async fn runs_go_with_their_event_and_with_their_plugin() {
    let house = house().await;
    let event = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let finish = with(&house, &event, 10, "");
    house.store.finish(finish).await.unwrap();
    house.store.advance("crm".into(), event.seq).await.unwrap();
    let prune = async |days: Option<i64>, now_ms| {
        let retention = Retention {
            receipts_older_than_ms: i64::MAX,
            events_older_than_ms: days.map(|days| days * DAY_MS),
            media_older_than_ms: None,
        };
        house
            .store
            .prune(&house.log, retention, now_ms)
            .await
            .unwrap();
    };
    prune(Some(2), NOW_MS + DAY_MS).await;
    assert_eq!(kept(&house, Which::Last(10)).await, [event.seq]);
    prune(Some(2), NOW_MS + 3 * DAY_MS).await;
    assert_eq!(kept(&house, Which::Last(10)).await, [0_i64; 0]);

    let event = house.deliver(&ANA.writes("3A02", "hello")).await.remove(0);
    let finish = with(&house, &event, 10, "");
    house.store.finish(finish).await.unwrap();
    house
        .store
        .keep_instances(Vec::new(), NOW_MS)
        .await
        .unwrap();
    prune(None, NOW_MS + 6 * DAY_MS).await;
    assert_eq!(kept(&house, Which::Last(10)).await, [event.seq]);
    prune(None, NOW_MS + 8 * DAY_MS).await;
    assert_eq!(kept(&house, Which::Last(10)).await, [0_i64; 0]);
}
