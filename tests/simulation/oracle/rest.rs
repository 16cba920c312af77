//! When the troubles are over, everything comes to its end: no webhook on its way, no send open, no event unhandled.

use std::time::Duration;

use serde_json::json;

use crate::log::lock;
use crate::story::Story;

const ROUNDS_MAX: u32 = 60;

pub(super) async fn come_to_rest(story: &mut Story) {
    story.meta.heal().await;
    quiet(story).await;
    story.lift_all().await;
    super::numbers::judge(story).await;
    for number in story.world.numbers.clone() {
        story.account(&number, "PARTNER_ADDED").await;
    }
    for round in 0..ROUNDS_MAX {
        quiet(story).await;
        let open = open(story);
        if open.is_empty() {
            return;
        }
        if round + 1 == ROUNDS_MAX {
            lock(&story.log)
                .wrong
                .push(format!("never at rest: {open}"));
        }
        // What waits for hours waits for them now; the sender looks up every half minute.
        story
            .pass(Duration::from_secs(if round < 10 { 30 } else { 3600 }))
            .await;
        tokio::time::sleep(Duration::from_secs(if round < 10 { 0 } else { 30 })).await;
    }
}

pub(super) async fn quiet(story: &Story) {
    let _ = story.meta.sim.wait_quiet(Duration::from_secs(300)).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
}

/// What is still to be done, by the store's own words: that they are true is judged elsewhere.
fn open(story: &Story) -> String {
    let Some(process) = story.process() else {
        return "the gateway is down".into();
    };
    let store = story.books.look();
    let count = |sql: &str| -> i64 { store.query_row(sql, [], |row| row.get(0)).expect(sql) };
    let open = json!({
        "sends": count("SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending', 'unknown')"),
        "receipts": process.log.acknowledged() - count("SELECT receipt FROM intake WHERE part = 'live'"),
        "retries": count("SELECT count(*) FROM deliveries"),
        "behind": count("SELECT count(*) FROM instances WHERE watermark < (SELECT coalesce(max(seq), 0) FROM events)"),
    });
    let rows = "SELECT coalesce(group_concat(o.id || ' ' || o.state || ' ' || coalesce(o.cause, '') || ', number ' || n.id || ' ' || n.state || ' since ' || n.state_since_ms, '; '), '')
        FROM outbox o JOIN conversations c ON c.id = o.conversation JOIN numbers n ON n.id = c.number
        WHERE o.state IN ('pending', 'sending', 'unknown')";
    let rows: String = store.query_row(rows, [], |row| row.get(0)).expect("rows");
    let done = open
        .as_object()
        .is_some_and(|open| open.values().all(|value| value == 0));
    if done {
        String::new()
    } else {
        format!("{open} {rows}")
    }
}
