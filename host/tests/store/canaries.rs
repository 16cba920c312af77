//! A version that was withdrawn as a canary is known until it may be tried again.

use duet::store::canaries::Withdrawn;
use duet::store::lanes::From;
use duet::store::retention::Retention;

use super::house::{House, NOW_MS};

fn withdrawn(digest: &str) -> Withdrawn {
    Withdrawn {
        digest: digest.into(),
        version: "1.0.0".into(),
        cause: "trap".into(),
        at_ms: NOW_MS,
    }
}

async fn known(house: &House, instance: &str) -> Option<Withdrawn> {
    house.store.withdrawn(instance).await.unwrap()
}

#[tokio::test]
async fn the_last_one_is_known_until_it_may_be_tried_again() {
    let house = House::new();
    for digest in ["a", "b"] {
        let kept = house.store.withdraw("crm".into(), withdrawn(digest));
        kept.await.unwrap();
    }
    let house = house.reopen();
    assert_eq!(known(&house, "crm").await, Some(withdrawn("b")));
    assert_eq!(known(&house, "bot").await, None);
    house.store.try_again("crm".into()).await.unwrap();
    assert_eq!(known(&house, "crm").await, None);
}

#[tokio::test]
async fn that_of_a_plugin_that_is_gone_goes_after_a_week() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let house = House::new();
    let place = house.store.place("crm".into(), String::new(), From::Now);
    place.await.unwrap();
    let kept = house.store.withdraw("crm".into(), withdrawn("a"));
    kept.await.unwrap();
    let gone = house.store.keep_instances(Vec::new(), NOW_MS);
    gone.await.unwrap();
    let keep = Retention {
        receipts_older_than_ms: i64::MAX,
        events_older_than_ms: None,
        media_older_than_ms: None,
    };
    for (days, is_known) in [(6, true), (8, false)] {
        let now_ms = NOW_MS + days * DAY_MS;
        house.store.prune(&house.log, keep, now_ms).await.unwrap();
        assert_eq!(known(&house, "crm").await.is_some(), is_known, "{days}");
    }
}
