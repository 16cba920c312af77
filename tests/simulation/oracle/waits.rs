//! What was seen to wait for its number or its token until it was too old never leaves, and says why; where sends may
//! wait for ever nothing is given up.

use crate::log::{Call, Log, Wait};
use crate::story::Story;

/// The wait is over at the next look, unless the gateway is down.
const SEEN_MS: i64 = 3_600_000;
/// Meta's codes for a token that it does not take: they leave a send waiting.
const OF_TOKENS: [i64; 2] = [10, 190];

pub(super) fn judge(story: &Story, log: &Log) -> Vec<String> {
    let held_ms = story.world.held_ms();
    if held_ms == 0 {
        return given_up(story);
    }
    let wrong = log
        .waits
        .iter()
        .filter_map(|wait| broken(story, log, wait, wait.created_ms + held_ms));
    wrong.collect()
}

fn broken(story: &Story, log: &Log, wait: &Wait, stale_ms: i64) -> Option<String> {
    let (row, seen_ms) = (wait.row, wait.seen_ms);
    let since = move |call: &&Call| call.row == row && call.gate_ms >= seen_ms;
    let calls = || log.calls.iter().filter(since);
    // It could leave in time, and what has come of that is no longer a wait.
    if calls().any(|call| call.gate_ms < stale_ms && !is_about_token(call)) {
        return None;
    }
    if let Some(call) = calls().find(|call| call.gate_ms >= stale_ms) {
        return Some(format!(
            "row {row} passed the gate at {}, and had waited for too long at {stale_ms}",
            call.gate_ms
        ));
    }
    let (state, cause) = end(story, row);
    let says_why = match (state.as_str(), cause.as_str()) {
        ("cancelled", "held-too-long") => true,
        ("cancelled", "person-has-conversation") => !wait.by_agent,
        ("refused", "window-closed") => wait.window_ms < stale_ms + SEEN_MS,
        _ => false,
    };
    (!says_why)
        .then(|| format!("row {row} waited for too long at {stale_ms}, and is {state}: {cause}"))
}

fn is_about_token(call: &Call) -> bool {
    call.code.is_some_and(|code| OF_TOKENS.contains(&code))
}

/// What has become of a row, and why.
fn end(story: &Story, row: i64) -> (String, String) {
    let sql = "SELECT state, coalesce(cause, '') FROM outbox WHERE id = ?1";
    let books = story.books.look();
    let end = books.query_row(sql, [row], |row| Ok((row.get(0)?, row.get(1)?)));
    end.expect("a row")
}

fn given_up(story: &Story) -> Vec<String> {
    let books = story.books.look();
    let mut query = books
        .prepare("SELECT id FROM outbox WHERE cause = 'held-too-long'")
        .expect("an outbox");
    let rows = query.query_map([], |row| row.get::<_, i64>(0));
    let rows = rows.expect("rows").map(|row| row.expect("a row"));
    rows.map(|row| format!("row {row} was given up, and may wait for ever"))
        .collect()
}
