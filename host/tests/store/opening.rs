//! One process has a data folder, and only one that knows its schema.

use std::process::Command;

use duet::store::intake::Part;
use duet::store::media::Skipped;
use duet::store::receipts::ReceiptLog;
use duet::store::{OpenError, Store};

use super::bodies::ANA;
use super::house::{House, NOW_MS};

/// Set by the case that starts this test again in a second process.
const FOLDER: &str = "DUET_TEST_SECOND_PROCESS";

#[tokio::test]
async fn a_second_process_is_refused() {
    if let Ok(folder) = std::env::var(FOLDER) {
        match Store::open(folder.as_ref()) {
            Err(error) => println!("refused: {error}"),
            Ok(_) => println!("opened"),
        }
        return;
    }
    let house = House::new();
    let second = || {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "opening::a_second_process_is_refused",
                "--nocapture",
            ])
            .env(FOLDER, house.folder.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let answer = second();
    assert!(
        answer.contains("is in use by another duet process; stop it first"),
        "{answer}"
    );
    house.deliver(&ANA.writes("3A01", "hello")).await;
    assert!(matches!(
        Store::open(house.folder.path()),
        Err(OpenError::InUse(_))
    ));
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let house = House::new();
    house.deliver(&ANA.writes("3A01", "hello")).await;
    let House { folder, store, log } = house;
    drop((store, log));
    for file in ["duet.db", "receipts.db"] {
        let path = folder.path().join(file);
        let version = set_version(&path, 99);
        let refused = match file {
            "duet.db" => Store::open(folder.path()).err(),
            _ => ReceiptLog::open(folder.path(), 4, 4096).err(),
        };
        let words = refused.expect(file).to_string();
        assert!(
            words.contains(file)
                && words.contains("schema 99")
                && words.contains("start the newer duet"),
            "{words}"
        );
        set_version(&path, version);
    }
    let house = House::at(folder);
    assert_eq!(house.messages(ANA.phone).await.len(), 1);
}

/// The answer is the version before.
fn set_version(path: &std::path::Path, version: i64) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    let before = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    connection
        .pragma_update(None, "user_version", version)
        .unwrap();
    before.unwrap()
}

#[tokio::test]
async fn an_older_schema_is_brought_up_with_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let old = rusqlite::Connection::open(folder.path().join("duet.db")).unwrap();
    old.execute_batch(include_str!("../../src/store/schema/1.sql"))
        .unwrap();
    old.execute_batch(
        "PRAGMA user_version = 1; INSERT INTO numbers (id, state) VALUES ('1001', 'offboarded');
         INSERT INTO conversations (id, number, contact) VALUES (1, '1001', 1);
         INSERT INTO messages (conversation, direction, origin, type, at_ms, media)
         VALUES (1, 'in', 'live', 'image', 1790000000000, '{\"id\": \"771\", \"url\": null, \"state\": \"remote\"}')",
    )
    .unwrap();
    drop(old);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.open_numbers(10).await.unwrap(), ["1001"]);
    let open = store.fetches(Skipped::default(), 10, NOW_MS).await.unwrap();
    let open: Vec<_> = open
        .iter()
        .map(|fetch| (fetch.media_id.as_deref(), fetch.received_ms))
        .collect();
    assert_eq!(open, [(Some("771"), NOW_MS)]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"not a folder").unwrap();
    let error = Store::open(&file).err().unwrap().to_string();
    assert!(error.contains("file"), "{error}");
    std::fs::write(folder.path().join("duet.db"), vec![b'x'; 8192]).unwrap();
    let error = Store::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("duet.db"), "{error}");
}

/// What was accepted before the end stands after it, and nothing of the old process comes later.
#[tokio::test]
async fn a_store_that_is_let_go_finishes_what_it_has_accepted() {
    let mut house = House::new();
    for round in 0..20 {
        let body = ANA.writes(&format!("3A{round:02}"), "hello");
        let id = house.append(&body.to_string(), NOW_MS).await;
        let store = house.store.clone();
        let receipt = house.log.get(id).unwrap().unwrap();
        let task = tokio::spawn(async move {
            super::house::record(&store, &receipt, duet::store::intake::Part::Live).await;
        });
        tokio::task::yield_now().await;
        task.abort();
        let _ = task.await;
        house = house.reopen();
        house.take_in(id).await;
        assert_eq!(house.events().await.len(), round + 1);
    }
}

/// Replies would be made a second time for whatever is taken in again.
#[tokio::test]
async fn a_lost_duet_db_beside_its_receipts_is_refused() {
    let house = House::new();
    house.deliver(&ANA.writes("3A01", "hello")).await;
    let second = house
        .append(&ANA.writes("3A02", "there").to_string(), NOW_MS)
        .await;
    // One receipt is not taken in yet: that is no reason to refuse.
    let place = house.store.intake_place(Part::Live).await.unwrap().receipt;
    assert_eq!(place + 1, second);
    house.log.note_taken(place).await.unwrap();
    house.log.check_taken(place).unwrap();
    let House { folder, store, log } = house;
    drop((store, log));
    for file in ["duet.db", "duet.db-wal", "duet.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(file));
    }
    let house = House::at(folder);
    let place = house.store.intake_place(Part::Live).await.unwrap().receipt;
    let refused = house.log.check_taken(place).unwrap_err().to_string();
    assert!(
        refused.contains("answered twice") && refused.contains("move receipts.db away"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_file_that_was_put_away_is_whole_by_itself() {
    let house = House::new();
    house.deliver(&ANA.writes("3A01", "hello")).await;
    house.store.fold().await.unwrap();
    house.log.fold().await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in ["duet.db", "receipts.db"] {
        std::fs::copy(house.folder.path().join(file), copy.path().join(file)).unwrap();
    }
    let copied = House::at(copy);
    assert_eq!(copied.messages(ANA.phone).await.len(), 1);
    assert!(copied.log.get(1).unwrap().is_some());
}

#[tokio::test]
async fn a_new_data_folder_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("data");
    let _store = Store::open(&folder).unwrap();
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
