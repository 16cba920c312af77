//! The receipt log keeps bodies in the order in which they were acknowledged.

use duet::store::receipts::{AppendError, ReceiptLog};
use duet::store::views::{Page, ReceiptState};
use duet_rules::webhook::Mentions;

use super::house::{House, NOW_MS};

#[tokio::test]
async fn an_acknowledged_body_can_be_read_back_in_order() {
    let house = House::new();
    assert_eq!(house.log.acknowledged(), 0);
    let newest = house.log.newest();
    let mut ids = Vec::new();
    for body in ["a", "b", "\u{fe}", ""] {
        let id = house
            .log
            .append(
                body.into(),
                NOW_MS,
                Mentions {
                    history: body == "b",
                    forbids: false,
                },
            )
            .await
            .unwrap();
        assert!(house.log.acknowledged() >= id);
        assert_eq!(house.log.get(id).unwrap().unwrap().body, body.as_bytes());
        ids.push(id);
    }
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(newest.get(), ids[3]);
    let house = house.reopen();
    assert_eq!(house.log.acknowledged(), ids[3]);
    let read = |after, history| -> Vec<i64> {
        house
            .log
            .read_after(after, history, 1 << 20)
            .unwrap()
            .iter()
            .map(|receipt| receipt.id)
            .collect()
    };
    assert_eq!(read(0, false), ids);
    assert_eq!(read(ids[1], false), ids[2..]);
    assert_eq!(read(0, true), [ids[1]]);
    assert_eq!(house.log.read_after(0, false, 1).unwrap().len(), 1);
    assert!(house.log.get(ids[3] + 1).unwrap().is_none());
    let next = house
        .log
        .append("z".into(), NOW_MS, Mentions::default())
        .await
        .unwrap();
    assert!(next > ids[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_come_together_all_stand_once() {
    let house = House::new();
    let mut tasks = Vec::new();
    for index in 0..200 {
        let log = house.log.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                // A full queue refuses, and Meta comes again.
                match log
                    .append(format!("body {index}").into(), NOW_MS, Mentions::default())
                    .await
                {
                    Ok(id) => return id,
                    Err(AppendError::Full) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        }));
    }
    let mut ids = Vec::new();
    for task in tasks {
        ids.push(task.await.unwrap());
    }
    ids.sort_unstable();
    let stored = house.log.read_after(0, false, 1 << 20).unwrap();
    assert_eq!(
        stored.iter().map(|receipt| receipt.id).collect::<Vec<_>>(),
        ids
    );
    let mut bodies: Vec<_> = stored.into_iter().map(|receipt| receipt.body).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 200);
}

#[tokio::test]
async fn more_bytes_than_agreed_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = ReceiptLog::open(folder.path(), 4, 10).unwrap();
    let refused = log
        .append("elf Zeichen".into(), NOW_MS, Mentions::default())
        .await;
    assert!(matches!(refused, Err(AppendError::Full)));
    log.append("zehn Bytes".into(), NOW_MS, Mentions::default())
        .await
        .unwrap();
    log.append("zehn Bytes".into(), NOW_MS, Mentions::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn ids_that_intake_has_passed_are_not_given_again() {
    let house = House::new();
    house.log.continue_after(7).await.unwrap();
    let id = house
        .log
        .append("a".into(), NOW_MS, Mentions::default())
        .await
        .unwrap();
    assert_eq!(id, 8);
    house.log.continue_after(3).await.unwrap();
    let house = house.reopen();
    let id = house
        .log
        .append("b".into(), NOW_MS, Mentions::default())
        .await
        .unwrap();
    assert_eq!(id, 9);
}

#[tokio::test]
async fn what_waits_is_found_at_once_in_a_long_log() {
    let house = House::new();
    let folder = house.folder.path();
    let open = |file: &str| rusqlite::Connection::open(folder.join(file)).unwrap();
    open("receipts.db")
        .execute(
            "INSERT INTO receipts (id, received_ms, history, body)
             WITH RECURSIVE ids (id) AS (VALUES (1) UNION ALL SELECT id + 1 FROM ids WHERE id < 12000)
             SELECT id, 0, id IN (3, 11999), x'7b7d' FROM ids",
            [],
        )
        .unwrap();
    open("duet.db")
        .execute("UPDATE intake SET receipt = 11998 WHERE part = 'live'", [])
        .unwrap();
    let waiting = async |after, limit| {
        let page = Page { after, limit };
        let found = house.store.receipts(page, Some(ReceiptState::Waiting));
        let found = found.await.unwrap();
        let ids: Vec<_> = found.receipts.iter().map(|receipt| receipt.id).collect();
        (ids, found.next)
    };
    assert_eq!(waiting(0, 2).await, (vec![3, 11_999], 11_999));
    assert_eq!(waiting(11_999, 2).await, (vec![12_000], 12_000));
    assert_eq!(waiting(12_000, 2).await, (vec![], 12_000));
}

/// What is written to a file that nobody finds any more is lost at the next start.
#[tokio::test]
async fn a_log_whose_file_is_gone_takes_nothing_until_it_is_back() {
    let house = House::new();
    let append = || house.log.append("body".into(), NOW_MS, Mentions::default());
    append().await.unwrap();
    let (here, away) = (
        house.folder.path().join("receipts.db"),
        house.folder.path().join("away.db"),
    );
    std::fs::rename(&here, &away).unwrap();
    let refused = append().await.unwrap_err().to_string();
    assert!(refused.contains("removed or replaced"), "{refused}");
    assert!(!house.log.healthy());
    std::fs::rename(&away, &here).unwrap();
    append().await.unwrap();
    assert!(house.log.healthy());
}
