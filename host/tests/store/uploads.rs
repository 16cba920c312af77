//! Files that are sent: kept while something needs them, and their ids at Meta's no longer than Meta keeps those.

use duet::store::media::{Upload, Uploaded};
use duet::store::retention::Retention;
use duet_rules::media::{Digest, REUSE_MS, Sendable};

use super::house::{House, NOW_MS};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What the admin API does with a file that it gets.
async fn give(house: &House, nth: u64, bytes: &[u8], now_ms: i64) -> Digest {
    let folder = house.store.media_folder();
    let mut arrival = folder.deposit(nth).unwrap();
    arrival.write(bytes).unwrap();
    let (digest, bytes) = folder.place(arrival).unwrap();
    let file = Sendable {
        mime_type: "image/png".into(),
        bytes,
        animated: None,
    };
    let kept = house
        .store
        .keep_given(String::new(), digest, file, now_ms)
        .await;
    kept.unwrap();
    digest
}

fn upload(digest: Digest) -> Upload {
    Upload {
        outbox: 0,
        business: String::new(),
        number: "1".into(),
        digest,
        mime_type: "image/png".into(),
        bytes: 3,
    }
}

async fn uploaded(house: &House, digest: Digest) {
    let done = Uploaded::Done {
        media_id: "4490".into(),
    };
    let settled = house.store.settle_upload(upload(digest), done, NOW_MS);
    settled.await.unwrap();
}

async fn known(house: &House, upload: Upload, now_ms: i64) -> Option<String> {
    house.store.upload_of(upload, now_ms).await.unwrap()
}

#[tokio::test]
async fn an_id_serves_its_number_bytes_and_type_as_long_as_meta_keeps_it() {
    let house = House::new();
    let digest = give(&house, 1, b"cat", NOW_MS).await;
    let other = give(&house, 2, b"dog", NOW_MS).await;
    uploaded(&house, digest).await;
    let id = Some("4490".to_owned());
    assert_eq!(known(&house, upload(digest), NOW_MS).await, id);
    assert_eq!(
        known(&house, upload(digest), NOW_MS + REUSE_MS - 1).await,
        id
    );
    assert_eq!(
        known(&house, upload(digest), NOW_MS + REUSE_MS).await,
        None,
        "before Meta forgets it"
    );
    for another in [
        upload(other),
        Upload {
            number: "2".into(),
            ..upload(digest)
        },
        Upload {
            mime_type: "image/jpeg".into(),
            ..upload(digest)
        },
    ] {
        assert_eq!(
            known(&house, another.clone(), NOW_MS).await,
            None,
            "{another:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_sent_goes_with_its_time_and_its_id_with_it() {
    let house = House::new();
    let old = give(&house, 1, b"the winter menu", NOW_MS).await;
    let young = give(&house, 2, b"the spring menu", NOW_MS + 20 * DAY_MS).await;
    uploaded(&house, old).await;
    let mut retention = Retention {
        receipts_older_than_ms: 7 * DAY_MS,
        events_older_than_ms: None,
        media_older_than_ms: None,
    };
    let later_ms = NOW_MS + 21 * DAY_MS;
    let pruned = house.store.prune(&house.log, retention, later_ms).await;
    assert_eq!(
        pruned.unwrap().given,
        0,
        "kept for ever unless somebody says"
    );
    assert!(house.holds(b"the winter menu").is_some());

    retention.media_older_than_ms = Some(10 * DAY_MS);
    let pruned = house.store.prune(&house.log, retention, later_ms).await;
    assert_eq!(pruned.unwrap().given, 1);
    assert_eq!(house.holds(b"the winter menu"), None);
    assert!(house.holds(b"the spring menu").is_some());
    assert_eq!(known(&house, upload(old), later_ms).await, None);
    assert_eq!(house.store.media_folder().open(young).unwrap().1, 15);
    assert_eq!(house.store.media_bytes().await.unwrap(), 15);
}
