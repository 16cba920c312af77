//! What leaves of alarms: when, by which way, and that nobody hears the end of what they never heard begin.

use duet::store::notices::Leaving;
use duet::store::wall::Wall;
use duet_rules::alarm::{Channel, Notice, Said};
use serde_json::json;

use super::bodies::{ANA, DISPLAY, change};
use super::house::{House, NOW_MS};

const WAYS: [Channel; 2] = [Channel::Webhook, Channel::Mail];
const HOUR_MS: i64 = 3_600_000;

/// Meta's word on the number's quality.
async fn quality(house: &House, word: &str, now_ms: i64) {
    let told = json!({"display_phone_number": DISPLAY, "event": word, "current_limit": "TIER_1K"});
    let body = change("phone_number_quality_update", told);
    house.deliver_at(&body, now_ms).await;
}

async fn flagged() -> House {
    let house = House::new();
    house.deliver(&ANA.writes("3A01", "hello")).await;
    quality(&house, "FLAGGED", NOW_MS).await;
    house
}

async fn step(house: &House, now_ms: i64) -> usize {
    let written = house.store.write_notices(WAYS.into(), HOUR_MS, now_ms);
    written.await.unwrap()
}

async fn leaving(house: &House, channel: Channel, now_ms: i64) -> Vec<Leaving> {
    house
        .store
        .leaving_notices(channel, now_ms, 10)
        .await
        .unwrap()
}

fn said(leaving: &Leaving) -> (Said, String) {
    let notice: Notice = serde_json::from_str(&leaving.body).unwrap();
    (notice.said, notice.data.urgency)
}

#[tokio::test]
async fn an_alarm_goes_one_way_further_each_time_and_overtakes_itself() {
    let house = flagged().await;
    assert_eq!(step(&house, NOW_MS).await, 1);
    assert_eq!(step(&house, NOW_MS + HOUR_MS - 1).await, 0, "not yet again");
    let first = leaving(&house, Channel::Webhook, NOW_MS).await;
    assert_eq!(said(&first[0]), (Said::Raised, "notice".into()));
    assert_eq!(leaving(&house, Channel::Mail, NOW_MS).await, []);
    let later_ms = NOW_MS + 2 * HOUR_MS;
    assert!(
        house
            .store
            .begin_notice(first[0].id, later_ms)
            .await
            .unwrap()
    );

    assert_eq!(step(&house, NOW_MS + HOUR_MS).await, 1);
    let waits = leaving(&house, Channel::Webhook, NOW_MS + HOUR_MS).await;
    assert_eq!(waits, [], "the receiver is not asked sooner for that");
    let webhook = leaving(&house, Channel::Webhook, later_ms).await;
    let mail = leaving(&house, Channel::Mail, later_ms).await;
    assert_eq!((webhook.len(), mail.len(), webhook[0].attempt), (1, 1, 1));
    for notice in [&webhook[0], &mail[0]] {
        assert_eq!(said(notice), (Said::Repeated, "warning".into()));
        assert!(!notice.body.contains(ANA.phone));
    }
    assert!(
        !house
            .store
            .begin_notice(first[0].id, later_ms)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn only_who_may_have_heard_of_it_hears_that_it_is_over() {
    let house = flagged().await;
    step(&house, NOW_MS).await;
    step(&house, NOW_MS + HOUR_MS).await;
    let tried = leaving(&house, Channel::Webhook, NOW_MS + HOUR_MS).await;
    let begun = house.store.begin_notice(tried[0].id, NOW_MS + 2 * HOUR_MS);
    assert!(begun.await.unwrap());
    let over_ms = NOW_MS + HOUR_MS + 1;
    quality(&house, "UNFLAGGED", over_ms).await;
    assert_eq!(step(&house, over_ms).await, 1);
    let house = house.reopen();
    let settled = leaving(&house, Channel::Webhook, over_ms).await;
    assert_eq!(settled.len(), 1);
    assert_eq!(said(&settled[0]).0, Said::Settled);
    assert_eq!(leaving(&house, Channel::Mail, i64::MAX).await, []);
    house.store.notice_left(settled[0].id).await.unwrap();
    assert_eq!(step(&house, i64::MAX).await, 0, "that was the last word");
}

#[tokio::test]
async fn who_acknowledges_hears_no_more() {
    let house = flagged().await;
    step(&house, NOW_MS).await;
    assert!(
        house
            .store
            .acknowledge(Wall::none(), 1, NOW_MS + 1)
            .await
            .unwrap()
    );
    assert_eq!(leaving(&house, Channel::Webhook, i64::MAX).await, []);
    quality(&house, "UNFLAGGED", NOW_MS + 2).await;
    assert_eq!(step(&house, i64::MAX).await, 0);
}
