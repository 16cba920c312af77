//! Sends that cannot leave for hours: their number stays away, or nobody takes its token. How long they may wait is a
//! setting, which some seeds have.

use std::time::Duration;

use serde_json::json;

use crate::log::{Wait, lock};
use crate::story::{HOUR, Story};

/// Looked at so long before the time is over, and so long after it.
const AROUND: Duration = Duration::from_secs(600);
/// What is said is told within this time.
const TOLD_MS: u64 = 15_000;
/// The sender looks up every half minute.
const LOOKED_MS: u64 = 35_000;
const REFUSED_TIMES: u32 = 1000;

/// Open rows behind, or at, a first one that waits for its number or token; a campaign that others pass is not first.
/// What is no text may wait for more.
const WAITING: &str = "SELECT o.id, o.created_ms, o.speaker = 'person', coalesce(c.window_until_ms, 0)
    FROM outbox o JOIN conversations c ON c.id = o.conversation JOIN outbox f ON f.id =
        (SELECT min(f.id) FROM outbox f
         WHERE f.conversation = o.conversation AND f.state IN ('pending', 'sending', 'unknown')
         AND coalesce(f.cause, '') NOT IN ('campaign-rate', 'quality-low', 'account-alert', 'portfolio-limit'))
    WHERE c.number = ?1 AND o.state = 'pending' AND json_extract(o.message, '$.type') = 'text'
    AND f.state = 'pending' AND coalesce(json_extract(f.message, '$.type'), '') <> 'template'
    AND f.cause IN ('number-offboarded', 'number-reconnecting', 'number-disconnected', 'token-refused')
    AND (o.id = f.id OR o.cause IS NULL)";

impl Story {
    /// For longer than anything may wait; nothing is given up before.
    pub(crate) async fn nothing_leaves(&mut self) {
        let number = self.number();
        let text = "will it come today";
        for customer in 0..self.world.customers.len() {
            let from = &self.world.customers[customer];
            let body = json!({"number": number, "from": from, "text": text, "hide_phone": false});
            self.customer_posts(&body, text, &number, customer).await;
        }
        self.wait(TOLD_MS).await;
        let token = self.dice.percent(30);
        if token {
            let trouble = json!({"do": "fail", "code": 190, "times": REFUSED_TIMES});
            self.meta.mood(json!({"troubles": [trouble]})).await;
        } else {
            self.number_leaves(&number).await;
        }
        self.wait(TOLD_MS).await;
        for _ in 0..2 {
            self.agent_writes_to_all(&number).await;
        }
        self.wait(LOOKED_MS).await;
        self.see_who_waits(&number);
        self.pass(HOUR * self.world.held_hours - AROUND).await;
        self.wait(LOOKED_MS).await;
        self.see_nothing_given_up();
        // Too old while it waits still, at the moment at which it could leave, or while the gateway was down.
        let how = self.dice.below(3);
        if how == 2 {
            self.stop().await;
        }
        self.pass(2 * AROUND).await;
        if how == 0 {
            self.wait(LOOKED_MS).await;
        }
        if token {
            self.meta.mood(json!({"troubles": null})).await;
        } else {
            self.number_returns(&number).await;
        }
        if how == 2 {
            self.start().await;
        }
        self.wait(LOOKED_MS).await;
    }

    async fn agent_writes_to_all(&mut self, number: &str) {
        for customer in 0..self.world.customers.len() {
            let token = self.mark("agent");
            let message = json!({"type": "text", "text": {"body": token}});
            self.agent_says(number, customer, &message).await;
        }
    }

    fn see_who_waits(&self, number: &str) {
        let seen_ms = duet::now_ms();
        let waits: Vec<Wait> = {
            let books = self.books.look();
            let mut query = books.prepare_cached(WAITING).expect("an outbox");
            let rows = query.query_map([number], |row| {
                Ok(Wait {
                    row: row.get(0)?,
                    created_ms: row.get(1)?,
                    by_agent: row.get(2)?,
                    window_ms: row.get(3)?,
                    seen_ms,
                })
            });
            let rows = rows.expect("rows");
            rows.map(|row| row.expect("a row")).collect()
        };
        let mut log = lock(&self.log);
        let rows: Vec<i64> = waits.iter().map(|wait| wait.row).collect();
        log.tell(format_args!("waiting are {rows:?}"));
        log.waits.extend(waits);
    }

    /// Nothing is given up that is younger than the settings say.
    fn see_nothing_given_up(&self) {
        let given_up: Vec<i64> = {
            let books = self.books.look();
            let sql =
                "SELECT id FROM outbox WHERE cause = 'held-too-long' AND created_ms + ?1 > ?2";
            let mut query = books.prepare_cached(sql).expect("an outbox");
            let rows = query.query_map([self.world.held_ms(), duet::now_ms()], |row| row.get(0));
            let rows = rows.expect("rows");
            rows.map(|row| row.expect("a row")).collect()
        };
        let wrong = given_up
            .iter()
            .map(|row| format!("row {row} was given up before its time"));
        lock(&self.log).wrong.extend(wrong);
    }
}
