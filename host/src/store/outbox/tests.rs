#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use duet_rules::sending::{Patience, callback};
use duet_rules::webhook::{Key, Status};
use rusqlite::params;
use serde_json::json;

use super::fixture::{NOW, text};
use super::*;

struct House {
    store: Store,
    conversation: i64,
    _folder: tempfile::TempDir,
}

async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let conversation = store.plant_conversation(1).await.unwrap();
    House {
        store,
        conversation,
        _folder: folder,
    }
}

impl House {
    async fn row(&self, body: &str) -> i64 {
        self.store
            .plant(self.conversation, text(body))
            .await
            .unwrap()
    }

    async fn begin(&self, id: i64) -> Gate {
        self.store
            .begin_send(id, Limits::default(), NOW, || 0)
            .await
            .unwrap()
    }

    async fn state(&self, id: i64) -> String {
        self.store.seen(id).await.unwrap().unwrap().state
    }

    async fn status(&self, id: i64, status: &str, error: Option<(i64, String)>) -> Option<i64> {
        let opaque = callback(&self.store.store_id().await.unwrap(), id);
        let status = Status {
            wamid: Some("wamid.A".into()),
            status: status.into(),
            opaque: Some(opaque.clone()),
            error,
        };
        self.store.plant_status(opaque, status, NOW).await.unwrap()
    }

    async fn column(&self, sql: &'static str) -> Vec<String> {
        self.store.column(sql).await.unwrap()
    }
}

const MESSAGES: &str =
    "SELECT wamid || ' ' || text || ' ' || origin || ' ' || status FROM messages";
const DEAD: &str = "SELECT outbox || '' FROM dead_letters";

#[tokio::test]
async fn the_lowest_open_row_goes_first() {
    let house = house().await;
    let (first, second) = (house.row("1").await, house.row("2").await);
    assert_eq!(house.begin(second).await, Gate::Behind);
    let Gate::Go(row) = house.begin(first).await else {
        panic!("first")
    };
    assert_eq!((row.attempt, row.number.as_str()), (1, "1001"));
    assert_eq!(row.to, Addressee::Phone("16505550001".into()));
    assert_eq!(
        house.begin(first).await,
        Gate::Gone,
        "it is sending already"
    );
    assert_eq!(house.begin(second).await, Gate::Behind);
    house
        .store
        .sent(first, Some("wamid.A".into()), NOW)
        .await
        .unwrap();
    assert!(matches!(house.begin(second).await, Gate::Go(_)));
}

#[tokio::test]
async fn a_takeover_after_the_row_was_made_cancels_it_but_not_a_read_mark() {
    let house = house().await;
    let row = house.row("1").await;
    let mark = json!({"status": "read", "message_id": "wamid.X"});
    let mark = house.store.plant(house.conversation, mark).await.unwrap();
    house
        .store
        .change("UPDATE conversations SET handling = 'person', handling_seq = 11")
        .await
        .unwrap();
    let cause = "person-has-conversation".to_owned();
    assert_eq!(house.begin(row).await, Gate::Cancelled { cause });
    assert_eq!(house.state(row).await, "cancelled");
    assert!(matches!(house.begin(mark).await, Gate::Go(_)));
}

#[tokio::test]
async fn what_meta_would_refuse_is_refused_or_held_here() {
    let house = house().await;
    let (first, second) = (house.row("1").await, house.row("2").await);
    house
        .store
        .change("UPDATE conversations SET window_until_ms = 1")
        .await
        .unwrap();
    let refused = Gate::Refused {
        code: Some(131_047),
        cause: "window-closed".into(),
    };
    assert_eq!(house.begin(first).await, refused);
    house
        .store
        .change("UPDATE conversations SET window_until_ms = NULL, window_until_ms = 9000000000000; UPDATE numbers SET state = 'offboarded'")
        .await
        .unwrap();
    let Gate::Held { until_ms, .. } = house.begin(second).await else {
        panic!("held")
    };
    let head = Head {
        id: second,
        conversation: house.conversation,
        open: Open::Pending { next_ms: until_ms },
    };
    assert_eq!(house.store.outbox_heads(0, 10).await.unwrap(), [head]);
}

#[tokio::test]
async fn an_answer_makes_the_message_and_takes_the_status_that_came_before() {
    let house = house().await;
    let row = house.row("hello").await;
    house.begin(row).await;
    let key = Key::of(&["m", "1001", "wamid.A"]);
    house
        .store
        .write(move |connection| {
            let early = "INSERT INTO early (key, status, received_ms) VALUES (?1, 'delivered', 0)";
            Ok(connection.execute(early, params![&key.0[..]])?)
        })
        .await
        .unwrap();
    house
        .store
        .sent(row, Some("wamid.A".into()), NOW)
        .await
        .unwrap();
    assert_eq!(
        house.column(MESSAGES).await,
        ["wamid.A hello duet delivered"]
    );
    assert!(house.column("SELECT status FROM early").await.is_empty());
    assert_eq!(
        house
            .column("SELECT wamid FROM messages JOIN dedupe ON message = id")
            .await,
        ["wamid.A"]
    );
}

#[tokio::test]
async fn a_status_before_the_answer_makes_one_message_not_two() {
    let house = house().await;
    let row = house.row("hello").await;
    house.begin(row).await;
    assert_eq!(house.status(row, "sent", None).await, Some(row));
    house
        .store
        .sent(row, Some("wamid.A".into()), NOW)
        .await
        .unwrap();
    assert!(!house.store.send_lost(row, NOW).await.unwrap());
    assert_eq!(house.state(row).await, "sent");
    assert_eq!(
        house.column(MESSAGES).await,
        ["wamid.A hello duet accepted"]
    );
}

#[tokio::test]
async fn a_lost_answer_dies_visibly_and_a_late_status_corrects_it() {
    let house = house().await;
    let row = house.row("hello").await;
    house.begin(row).await;
    assert!(house.store.send_lost(row, NOW).await.unwrap());
    assert!(!house.store.expire_unknown(row, NOW + 59, 60).await.unwrap());
    assert!(house.store.expire_unknown(row, NOW + 60, 60).await.unwrap());
    assert_eq!(house.column(DEAD).await, [row.to_string()]);
    assert_eq!(house.begin(row).await, Gate::Gone);
    assert_eq!(house.status(row, "delivered", None).await, Some(row));
    assert_eq!(house.state(row).await, "sent");
    assert!(house.column(DEAD).await.is_empty());
    assert_eq!(
        house.column(MESSAGES).await,
        ["wamid.A hello duet accepted"]
    );
}

#[tokio::test]
async fn a_failed_status_settles_once_and_yields_to_proof_that_it_was_read() {
    let house = house().await;
    let row = house.row("hello").await;
    house.begin(row).await;
    house.store.send_lost(row, NOW).await.unwrap();
    for _ in 0..2 {
        assert_eq!(
            house
                .status(row, "failed", Some((131_026, "no".into())))
                .await,
            Some(row)
        );
        let seen = house.store.seen(row).await.unwrap().unwrap();
        assert_eq!((seen.state.as_str(), seen.code), ("failed", Some(131_026)));
    }
    house
        .store
        .sent(row, Some("wamid.A".into()), NOW)
        .await
        .unwrap();
    assert_eq!(
        house.state(row).await,
        "failed",
        "an answer that was overtaken changes nothing"
    );
    house
        .store
        .change("UPDATE messages SET status = 'failed'")
        .await
        .unwrap();
    house.status(row, "sent", None).await;
    assert_eq!(
        house.state(row).await,
        "failed",
        "a late step below it changes nothing"
    );
    house.status(row, "read", None).await;
    assert_eq!(house.state(row).await, "sent");
    house
        .store
        .change("UPDATE messages SET status = 'read'")
        .await
        .unwrap();
    house
        .status(row, "failed", Some((131_026, "no".into())))
        .await;
    assert_eq!(house.state(row).await, "sent");
}

#[tokio::test]
async fn only_our_own_mark_on_a_row_that_left_settles() {
    let house = house().await;
    let row = house.row("hello").await;
    assert_eq!(house.status(row, "sent", None).await, None, "it never left");
    house.begin(row).await;
    let status = Status {
        wamid: None,
        status: "sent".into(),
        opaque: None,
        error: None,
    };
    for opaque in [
        callback("0000000000000000", row),
        format!("duet:{row}"),
        "order 7".into(),
    ] {
        assert_eq!(
            house
                .store
                .plant_status(opaque, status.clone(), NOW)
                .await
                .unwrap(),
            None
        );
    }
    assert_eq!(house.state(row).await, "sending");
}

#[tokio::test]
async fn a_new_process_does_not_trust_what_an_earlier_one_left_sending() {
    let house = house().await;
    let row = house.row("hello").await;
    house.begin(row).await;
    let other = house.store.plant_conversation(2).await.unwrap();
    let mark = house
        .store
        .plant(other, json!({"status": "read", "message_id": "wamid.X"}))
        .await
        .unwrap();
    house.begin(mark).await;
    assert_eq!(house.store.outbox_take_over(NOW + 5).await.unwrap(), 2);
    assert_eq!(house.state(mark).await, "pending");
    let heads = house.store.outbox_heads(0, 10).await.unwrap();
    let unknown = Head {
        id: row,
        conversation: house.conversation,
        open: Open::Unknown { since_ms: NOW + 5 },
    };
    assert_eq!(heads.first(), Some(&unknown));
    assert_eq!(
        house
            .store
            .outbox_heads(house.conversation, 10)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn an_attempt_that_never_left_does_not_count() {
    let house = house().await;
    let row = house.row("hello").await;
    let after = |after| {
        house
            .store
            .send_failed(row, Some(4), "c".into(), after, NOW)
    };
    house.begin(row).await;
    assert!(after(After::Unsent { at_ms: 0 }).await.unwrap());
    assert_eq!(house.store.seen(row).await.unwrap().unwrap().attempt, 0);
    house.begin(row).await;
    assert!(after(After::Retry { at_ms: 0 }).await.unwrap());
    house.begin(row).await;
    assert!(after(After::Dead).await.unwrap());
    let seen = house.store.seen(row).await.unwrap().unwrap();
    assert_eq!(
        (seen.state.as_str(), seen.attempt, seen.code),
        ("dead", 2, Some(4))
    );
    assert_eq!(
        house
            .column("SELECT attempts || ' ' || cause FROM dead_letters")
            .await,
        ["2 c"]
    );
    assert!(
        !after(After::Failed).await.unwrap(),
        "it is no longer sending"
    );
}

#[tokio::test]
async fn what_has_waited_for_its_number_for_too_long_is_closed_and_the_rest_goes_in_order() {
    let house = house().await;
    let limits = Limits {
        patience: Patience::new(24),
        ..Limits::default()
    };
    let begin = async |id, now_ms| {
        let begun = house.store.begin_send(id, limits, now_ms, || 0);
        begun.await.unwrap()
    };
    let ids = [
        house.row("1").await,
        house.row("2").await,
        house.row("3").await,
    ];
    let [stale, second, third] = ids;
    let day_ms = 24 * 3_600_000;
    house
        .store
        .change(
            "UPDATE outbox SET created_ms = 1700000000000; UPDATE numbers SET state = 'offboarded'",
        )
        .await
        .unwrap();
    let held = begin(stale, NOW + 5).await;
    assert!(matches!(held, Gate::Held { .. }), "{held:?}");
    // The number is back at the very moment; the clock has the last word.
    house.store.change("UPDATE outbox SET next_ms = 0; UPDATE outbox SET created_ms = created_ms + 1000 WHERE id > 1; UPDATE numbers SET state = 'live'").await.unwrap();
    let cause = "held-too-long".to_owned();
    assert_eq!(begin(stale, NOW + day_ms).await, Gate::Cancelled { cause });
    assert_eq!(begin(third, NOW + day_ms).await, Gate::Behind);
    let next = begin(second, NOW + day_ms).await;
    assert!(matches!(next, Gate::Go(_)), "{next:?}");
    let told = house.store.seen(stale).await.unwrap().unwrap();
    assert_eq!((told.state.as_str(), told.attempt), ("cancelled", 0));
}

#[tokio::test]
async fn what_stands_behind_a_send_that_waited_for_too_long_is_as_stale() {
    let house = house().await;
    let limits = Limits {
        patience: Patience::new(24),
        ..Limits::default()
    };
    let begin = async |id, now_ms| {
        let begun = house.store.begin_send(id, limits, now_ms, || 0);
        begun.await.unwrap()
    };
    let (first, second) = (house.row("1").await, house.row("2").await);
    house
        .store
        .change(
            "UPDATE outbox SET created_ms = 1700000000000; UPDATE numbers SET state = 'offboarded'",
        )
        .await
        .unwrap();
    let held = begin(first, NOW + 5).await;
    assert!(matches!(held, Gate::Held { .. }), "{held:?}");
    let back = "UPDATE outbox SET next_ms = 0; UPDATE numbers SET state = 'live'";
    house.store.change(back).await.unwrap();
    let late_ms = NOW + 25 * 3_600_000;
    for id in [first, second] {
        let cause = "held-too-long".to_owned();
        assert_eq!(begin(id, late_ms).await, Gate::Cancelled { cause });
    }
    // Also behind one that left in time.
    let (first, second) = (house.row("3").await, house.row("4").await);
    let held =
        "UPDATE outbox SET created_ms = 1700000000000; UPDATE numbers SET state = 'offboarded'";
    house.store.change(held).await.unwrap();
    let held = begin(first, NOW + 5).await;
    assert!(matches!(held, Gate::Held { .. }), "{held:?}");
    house.store.change(back).await.unwrap();
    let left = begin(first, NOW + 10).await;
    assert!(matches!(left, Gate::Go(_)), "{left:?}");
    house.store.sent(first, None, NOW + 20).await.unwrap();
    let cause = "held-too-long".to_owned();
    assert_eq!(begin(second, late_ms).await, Gate::Cancelled { cause });
}
