//! Of each plugin the version that is live and the one before it are known.

use duet::store::lanes::From;
use duet::store::retention::Retention;
use duet::store::versions::Version;

use super::house::{House, NOW_MS};

async fn went_live(house: &House, instance: &str, digest: &str) -> Vec<String> {
    let version = Version {
        digest: digest.into(),
        version: "1.0.0".into(),
        // The clock stands still, and the order is known all the same.
        live_ms: NOW_MS,
    };
    let digests = house.store.went_live(instance.into(), version).await;
    digests.unwrap().into_iter().collect()
}

async fn known(house: &House, instance: &str) -> Vec<String> {
    let versions = house.store.versions(instance).await.unwrap();
    versions.into_iter().map(|version| version.digest).collect()
}

#[tokio::test]
async fn two_versions_are_known_and_the_newest_comes_first() {
    let house = House::new();
    assert_eq!(known(&house, "crm").await, [""; 0]);
    assert_eq!(went_live(&house, "crm", "a").await, ["a"]);
    assert_eq!(went_live(&house, "crm", "b").await, ["a", "b"]);
    assert_eq!(known(&house, "crm").await, ["b", "a"]);
    // Back again.
    went_live(&house, "crm", "a").await;
    assert_eq!(known(&house, "crm").await, ["a", "b"]);
    assert_eq!(went_live(&house, "bot", "b").await, ["a", "b"]);
    // Another one takes the older one's place here, and not there.
    assert_eq!(went_live(&house, "crm", "c").await, ["a", "b", "c"]);
    let house = house.reopen();
    assert_eq!(known(&house, "crm").await, ["c", "a"]);
    assert_eq!(known(&house, "bot").await, ["b"]);
}

#[tokio::test]
async fn those_of_a_plugin_that_is_gone_go_after_a_week() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let house = House::new();
    let place = house.store.place("crm".into(), String::new(), From::Now);
    place.await.unwrap();
    went_live(&house, "crm", "a").await;
    house
        .store
        .keep_instances(Vec::new(), NOW_MS)
        .await
        .unwrap();
    let keep = Retention {
        receipts_older_than_ms: i64::MAX,
        events_older_than_ms: None,
        media_older_than_ms: None,
    };
    for (days, versions) in [(6, 1), (8, 0)] {
        let now_ms = NOW_MS + days * DAY_MS;
        house.store.prune(&house.log, keep, now_ms).await.unwrap();
        assert_eq!(known(&house, "crm").await.len(), versions, "{days}");
    }
}
