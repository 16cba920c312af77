//! A schedule's ticks come once each, one for all that were missed, and none beside one that waits.

use duet::event::{Event, Lane};
use duet::store::lanes::From;
use duet::store::retention::Retention;
use duet::store::schedules::Tick;
use serde_json::{Value, json};

use super::erasure::done;
use super::house::{House, NOW_MS};

const DAY_MS: i64 = 24 * 3_600_000;

async fn house() -> House {
    let house = House::new();
    let place = house.store.place("crm".into(), String::new(), From::Now);
    place.await.unwrap();
    house
}

/// Tells the ticks that have become events.
async fn tick(house: &House, ticks: &[(&str, i64)], now_ms: i64) -> Vec<(String, i64)> {
    let newest = |(name, at_ms): &(&str, i64)| Tick {
        name: (*name).to_owned(),
        at_ms: *at_ms,
    };
    let ticks = ticks.iter().map(newest).collect();
    let events = house.store.tick("crm".into(), ticks, now_ms).await;
    let brief = |event: &Event| (event.kind.clone(), event.at_ms.unwrap());
    events.unwrap().iter().map(|event| brief(event)).collect()
}

async fn finish_all(house: &House) {
    for event in house.events().await {
        let finish = done(house, &event, vec![]);
        house.store.finish(finish).await.unwrap();
    }
}

#[tokio::test]
async fn a_tick_comes_once_and_the_newest_stands_for_all_that_were_missed() {
    let house = house().await;
    let none: [(String, i64); 0] = [];
    let tidy = |at_ms| [("tidy", at_ms)];
    assert_eq!(tick(&house, &tidy(100), 105).await, none, "it begins now");
    assert_eq!(tick(&house, &tidy(100), 109).await, none);
    let came = tick(&house, &tidy(110), 110).await;
    assert_eq!(came, [("schedule.tidy".to_owned(), 110)]);
    assert_eq!(tick(&house, &tidy(110), 111).await, none);

    let house = house.reopen();
    let event = house.events().await.remove(0);
    assert_eq!(
        (event.lane(), event.instance.as_deref()),
        (Lane::Instance, Some("crm"))
    );
    let body: Value = serde_json::from_str(&event.body).unwrap();
    assert_eq!(body, json!({"name": "tidy", "at_ms": 110}));
    // It waits: another one would stand behind it and tell nothing new.
    assert_eq!(tick(&house, &tidy(120), 120).await, none);
    finish_all(&house).await;
    assert_eq!(tick(&house, &tidy(120), 121).await, none, "it has passed");
    assert_eq!(tick(&house, &tidy(990), 995).await.len(), 1);
    house
        .store
        .advance("crm".into(), event.seq + 1)
        .await
        .unwrap();
    assert_eq!(tick(&house, &tidy(1000), 1000).await.len(), 1);
}

#[tokio::test]
async fn what_was_taken_out_of_the_file_begins_anew() {
    let house = house().await;
    tick(&house, &[("tidy", 100), ("report", 50)], 105).await;
    let both = tick(&house, &[("tidy", 110), ("report", 60)], 110).await;
    assert_eq!(both.len(), 2, "each for itself: {both:?}");
    finish_all(&house).await;
    assert_eq!(tick(&house, &[("report", 70)], 120).await.len(), 1);
    assert_eq!(tick(&house, &[("tidy", 120)], 125).await.len(), 0);
    finish_all(&house).await;
    let both = tick(&house, &[("tidy", 130), ("report", 80)], 130).await;
    assert_eq!(both, [("schedule.tidy".to_owned(), 130)]);
}

#[tokio::test]
async fn a_clock_that_was_set_back_silences_nothing() {
    let house = house().await;
    tick(&house, &[("tidy", 1_000_000)], 1_000_000).await;
    assert_eq!(tick(&house, &[("tidy", 100)], 105).await.len(), 0);
    assert_eq!(tick(&house, &[("tidy", 110)], 110).await.len(), 1);
}

#[tokio::test]
async fn those_of_an_instance_that_is_gone_for_a_week_go() {
    let house = house().await;
    tick(&house, &[("tidy", NOW_MS)], NOW_MS).await;
    let store = &house.store;
    store.keep_instances(Vec::new(), NOW_MS).await.unwrap();
    let keep = Retention {
        receipts_older_than_ms: i64::MAX,
        events_older_than_ms: None,
        media_older_than_ms: None,
    };
    let later_ms = NOW_MS + 7 * DAY_MS;
    store.prune(&house.log, keep, later_ms).await.unwrap();
    let anew = tick(&house, &[("tidy", later_ms)], later_ms).await;
    assert_eq!(anew.len(), 0, "it begins anew");
}
