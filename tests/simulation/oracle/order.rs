//! Each automation sees each event to its end, once, in order within its lane; sends leave in the order in which they
//! were made.

use std::collections::{BTreeSet, HashMap};

use rusqlite::params;

use crate::automation::COUNT;
use crate::log::Log;
use crate::story::Story;

/// A lost answer holds its conversation for a minute.
const HELD_MS: i64 = 59_000;

pub(super) fn judge(story: &Story, log: &Log) -> Vec<String> {
    let mut wrong = lanes(log);
    wrong.extend(attempts(log));
    for instance in ["faq", "crm", "mirror"] {
        wrong.extend(once(story, log, instance));
    }
    wrong.extend(sends(story, log));
    wrong.extend(held(story, log));
    wrong
}

/// Within a life no lane goes back.
fn lanes(log: &Log) -> Vec<String> {
    let mut at: HashMap<(u32, &str, &str), i64> = HashMap::new();
    let mut wrong = Vec::new();
    for run in &log.runs {
        let last = at
            .entry((run.life, &run.instance, &run.lane))
            .or_insert(run.seq);
        if run.seq < *last {
            wrong.push(format!(
                "{} runs {} after {last} in {}",
                run.instance, run.seq, run.lane
            ));
        }
        *last = run.seq;
    }
    wrong
}

/// What was tried is remembered, whatever comes in between.
fn attempts(log: &Log) -> Vec<String> {
    let mut tried: HashMap<(&str, i64), u32> = HashMap::new();
    let mut wrong = Vec::new();
    for run in &log.runs {
        let last = tried.entry((&run.instance, run.seq)).or_default();
        if run.attempt < *last {
            wrong.push(format!(
                "{} runs {} for the {}. time after the {last}.",
                run.instance, run.seq, run.attempt
            ));
        }
        *last = run.attempt;
    }
    wrong
}

/// What it counted is what it was given, without what has become a dead letter.
fn once(story: &Story, log: &Log, instance: &str) -> Option<String> {
    let store = story.books.look();
    let seen: BTreeSet<i64> = log
        .runs
        .iter()
        .filter(|run| run.instance == instance)
        .map(|run| run.seq)
        .collect();
    let number = |sql: &str| -> i64 {
        store
            .query_row(sql, params![instance], |row| row.get(0))
            .expect(sql)
    };
    let dead = number("SELECT count(*) FROM dead_letters WHERE instance = ?1 AND outbox IS NULL");
    let counted: i64 = store
        .query_row(
            "SELECT coalesce((SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM kv WHERE instance = ?1 AND key = ?2), 0)",
            params![instance, COUNT],
            |row| row.get(0),
        )
        .expect("a count");
    let live = number("SELECT count(*) FROM events WHERE history = 0 AND ?1 <> ''");
    let live_seen = seen.len() as i64;
    if counted + dead != live_seen {
        return Some(format!(
            "{instance} counted {counted}, and {dead} are dead, of {live_seen}"
        ));
    }
    (live_seen < live && instance == "mirror")
        .then(|| format!("mirror saw {live_seen} of {live} events"))
}

/// What Meta took of a conversation came in the order of its rows; a campaign that was held may come later.
fn sends(story: &Story, log: &Log) -> Vec<String> {
    let store = story.books.look();
    let mut query = store
        .prepare("SELECT conversation FROM outbox WHERE id = ?1")
        .expect("an outbox");
    let mut last: HashMap<i64, i64> = HashMap::new();
    let mut wrong = Vec::new();
    let taken = log
        .calls
        .iter()
        .filter(|call| call.code.is_none() && call.body["type"] != "template");
    for call in taken {
        let conversation: i64 = query.query_row([call.row], |row| row.get(0)).unwrap_or(0);
        let before = last.entry(conversation).or_insert(call.row);
        if call.row < *before {
            wrong.push(format!("row {} left after row {before}", call.row));
        }
        *before = call.row;
    }
    wrong
}

/// While nobody knows what came of a send, nothing else leaves to the same customer for a while.
fn held(story: &Story, log: &Log) -> Vec<String> {
    let told = |row: i64, by_ms: i64| {
        let mark = format!(":{row}\"");
        let of_row = log.posts.iter().filter(|post| post.text.contains(&mark));
        of_row.map(|post| post.begun_ms).any(|at_ms| at_ms <= by_ms)
    };
    let store = story.books.look();
    let conversation = |row: i64| -> Option<i64> {
        let sql = "SELECT conversation FROM outbox WHERE id = ?1";
        let mut query = store.prepare_cached(sql).ok()?;
        query.query_row([row], |row| row.get(0)).ok()
    };
    let lost = log.calls.iter().filter(|call| call.lost);
    let after = lost.filter_map(|call| {
        let next = log.calls.iter().find(|next| {
            next.gate_ms > call.answered_ms
                && next.gate_ms < call.answered_ms + HELD_MS
                && conversation(next.row) == conversation(call.row)
        })?;
        (!told(call.row, next.gate_ms)).then(|| {
            format!(
                "row {} left while it was open what came of row {}",
                next.row, call.row
            )
        })
    });
    after.collect()
}
