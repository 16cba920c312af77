//! A file stands under its name whole, as long as a message has it and no longer.

use std::path::PathBuf;

use duet::store::access::RefusedToken;
use duet::store::media::{Fetch, Fetched, MediaFolder, MessageFile, Skipped};
use duet::store::retention::Retention;
use duet::store::wall::Wall;
use duet_rules::media::{Digest, LIFE_MS};
use duet_rules::sending::Call;
use serde_json::json;

use super::bodies::{ANA, BEN, Person};
use super::house::{House, NOW_MS};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const KEEP: Retention = Retention {
    receipts_older_than_ms: 7 * DAY_MS,
    events_older_than_ms: None,
    media_older_than_ms: None,
};

/// A message with a file arrives; the answer is what there is to fetch.
pub(crate) async fn sends(house: &House, person: &Person, stanza: &str) -> Fetch {
    let mut message = person.writes(stanza, "");
    let value = &mut message["entry"][0]["changes"][0]["value"]["messages"][0];
    value["type"] = json!("image");
    value["image"] = json!({"id": format!("77{stanza}"), "mime_type": "image/jpeg"});
    house.deliver(&message).await;
    let open = house
        .store
        .fetches(Skipped::default(), 10, NOW_MS)
        .await
        .unwrap();
    let wanted = Some(format!("77{stanza}"));
    open.into_iter()
        .find(|fetch| fetch.media_id == wanted)
        .unwrap()
}

/// What the worker does with bytes that it has got.
pub(crate) async fn store(house: &House, fetch: Fetch, bytes: &[u8]) -> Digest {
    let folder = house.store.media_folder();
    let mut arrival = folder.arrival(fetch.message).unwrap();
    arrival.write(bytes).unwrap();
    let (digest, bytes) = folder.place(arrival).unwrap();
    let fetched = Fetched::Stored {
        digest,
        bytes,
        mime_type: None,
    };
    house.store.settle_fetch(fetch, fetched).await.unwrap();
    digest
}

fn file(house: &House, digest: Digest) -> PathBuf {
    let name = digest.to_string();
    house
        .folder
        .path()
        .join("media")
        .join(&name[..2])
        .join(name)
}

async fn kept(house: &House, fetch: &Fetch) -> Option<MessageFile> {
    for conversation in 1..10 {
        let message = format!("m{}", fetch.message);
        let found = house
            .store
            .message_file(Wall::none(), conversation, message)
            .await;
        if let Some(found) = found.unwrap() {
            return Some(found);
        }
    }
    None
}

#[tokio::test]
async fn an_erasure_takes_what_is_just_arriving() {
    let house = House::new();
    let (hers, his) = (
        sends(&house, &ANA, "3A01").await,
        sends(&house, &BEN, "3A02").await,
    );
    let shared = store(&house, his.clone(), b"the same cat").await;
    let folder = house.store.media_folder();
    let mut arrival = folder.arrival(hers.message).unwrap();
    arrival.write(b"half of her secret picture").unwrap();
    assert!(house.holds(b"her secret picture").is_some());

    let contact = house.contact(ANA.phone).await.unwrap();
    house
        .store
        .erase_contact(&house.log, contact)
        .await
        .unwrap();
    assert_eq!(house.holds(b"her secret picture"), None);
    arrival
        .write(b", and the rest of her secret picture")
        .unwrap();
    assert!(folder.place(arrival).is_err(), "it has lost its place");
    // One that was whole just before finds no message any more.
    let late = store(&house, hers, b"her other secret picture").await;
    house.store.sweep_media().await.unwrap();
    assert_eq!(house.holds(b"secret picture"), None);
    assert!(!file(&house, late).exists() && file(&house, shared).exists());
}

#[tokio::test]
async fn of_files_that_wait_for_a_token_one_tries_it_first() {
    let house = House::new();
    let first = sends(&house, &ANA, "3A01").await;
    sends(&house, &BEN, "3A02").await;
    let open = async |now_ms| {
        let skipped = Skipped::default();
        let open = house.store.fetches(skipped, 10, now_ms).await.unwrap();
        open.len()
    };
    let token = RefusedToken {
        business: first.business.clone(),
        number: first.number.clone(),
        scope: String::new(),
        set_ms: 0,
        code: 190,
    };
    let (until_ms, _) = house.store.call_refused(token, NOW_MS).await.unwrap();
    assert_eq!(open(until_ms - 1).await, 0, "nobody looks at them");
    assert_eq!(open(until_ms).await, 2);
    let (business, number) = (first.business, first.number);
    let may = house.store.may_call(&business, &number, until_ms).await;
    assert_eq!(may.unwrap(), Call::Trial);
    assert_eq!(open(until_ms).await, 0, "the other one waits for the first");
    // Meta has them no more: that is told.
    let late_ms = NOW_MS + LIFE_MS + DAY_MS;
    let may = house.store.may_call(&business, &number, late_ms).await;
    assert_eq!((may.unwrap(), open(late_ms).await), (Call::Trial, 2));
    house
        .store
        .call_taken(business, number, until_ms)
        .await
        .unwrap();
    assert_eq!(open(until_ms).await, 2, "it has found out for both");
}

#[tokio::test]
async fn who_reads_a_file_that_is_erased_can_tell() {
    let house = House::new();
    let hers = sends(&house, &ANA, "3A01").await;
    let his = sends(&house, &BEN, "3A02").await;
    let hers = store(&house, hers, b"her secret picture").await;
    let his = store(&house, his, b"his picture").await;
    let folder = house.store.media_folder();
    let (mut read_hers, _) = folder.open(hers).unwrap();
    let (mut read_his, _) = folder.open(his).unwrap();
    let contact = house.contact(ANA.phone).await.unwrap();
    let erased = house.store.erase_contact(&house.log, contact).await;
    erased.unwrap();
    // The same bytes come again, under the same name.
    let again = sends(&house, &BEN, "3A03").await;
    assert_eq!(store(&house, again, b"her secret picture").await, hers);
    assert!(!MediaFolder::is_whole(&mut read_hers, hers).unwrap());
    assert!(MediaFolder::is_whole(&mut read_his, his).unwrap());
}

#[tokio::test]
async fn a_file_that_is_too_old_goes_and_its_message_says_so() {
    let house = House::new();
    let fetch = sends(&house, &ANA, "3A01").await;
    let digest = store(&house, fetch.clone(), b"an old picture").await;
    let retention = Retention {
        media_older_than_ms: Some(30 * DAY_MS),
        ..KEEP
    };
    for (days, there) in [(29, true), (31, false)] {
        let now_ms = NOW_MS + days * DAY_MS;
        house
            .store
            .prune(&house.log, retention, now_ms)
            .await
            .unwrap();
        assert_eq!(file(&house, digest).exists(), there, "after {days} days");
    }
    let state = kept(&house, &fetch).await;
    assert!(
        matches!(&state, Some(file) if file.state == "removed"),
        "{state:?}"
    );
    assert_eq!(house.store.media_bytes().await.unwrap(), 0);
}

#[tokio::test]
async fn what_a_crash_left_is_swept_and_what_is_kept_stays() {
    let house = House::new();
    let fetch = sends(&house, &ANA, "3A01").await;
    let stored = store(&house, fetch.clone(), b"kept").await;
    let folder = house.store.media_folder();
    let mut orphan = folder.arrival(98).unwrap();
    orphan.write(b"placed, but not written down").unwrap();
    let (orphan, _) = folder.place(orphan).unwrap();
    let mut half = folder.arrival(99).unwrap();
    half.write(b"half of a file").unwrap();
    // As a crash would: nothing is tidied up.
    std::mem::forget(half);

    let house = house.reopen();
    house.store.sweep_orphans().await.unwrap();
    assert!(file(&house, stored).exists() && !file(&house, orphan).exists());
    assert_eq!(house.holds(b"half of a file"), None);
    assert_eq!(house.store.media_bytes().await.unwrap(), 4);
    assert!(kept(&house, &fetch).await.unwrap().stored.is_some());
}
