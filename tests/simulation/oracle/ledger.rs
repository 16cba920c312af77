//! Every thing that Meta was told we have is there, once; messages say what was last said of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::wire::Wire;
use crate::log::Log;
use crate::story::Story;

pub(super) fn judge(story: &Story, log: &Log, wire: &Wire) -> Vec<String> {
    let mut wrong = events(story, wire, log);
    wrong.extend(messages(story, wire, log));
    let store = story.books.look();
    let unreadable: i64 = store
        .query_row("SELECT count(*) FROM unreadable", [], |row| row.get(0))
        .expect("a count");
    if unreadable > 0 {
        wrong.push(format!("{unreadable} webhooks are unreadable"));
    }
    wrong
}

/// A message by whichever of its spellings.
fn one<'a>(log: &'a Log, id: &'a str) -> &'a str {
    log.copies.get(id).map_or(id, String::as_str)
}

/// Whether it stood in a post that got no answer: that may be on disk all the same, and Meta gives up after days.
fn is_given_up(log: &Log, id: &str) -> bool {
    let mut unanswered = log.posts.iter().filter(|post| post.acked_ms.is_none());
    unanswered.any(|post| post.text.contains(id))
}

/// Statuses and messages against events.
fn events(story: &Story, wire: &Wire, log: &Log) -> Vec<String> {
    let store = story.books.look();
    let mut query = store
        .prepare("SELECT kind, number, body, history FROM events WHERE receipt > 0")
        .expect("events");
    let rows = query.query_map([], |row| {
        Ok((
            row.get(0)?,
            row.get::<_, Option<String>>(1)?,
            row.get(2)?,
            row.get(3)?,
        ))
    });
    let mut kept: BTreeMap<String, u32> = BTreeMap::new();
    for row in rows.expect("rows") {
        let (kind, number, body, history): (String, _, String, bool) = row.expect("a row");
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        let Some(id) = body["id"].as_str() else {
            continue;
        };
        let status = match () {
            () if kind.starts_with("status.") => body["status"].as_str(),
            () if history && body.get("history_context").is_none() => Some("media"),
            () => None,
        };
        let (id, number) = (one(log, id), number.unwrap_or_default());
        *kept
            .entry(format!("{number} {id} {}", status.unwrap_or_default()))
            .or_default() += 1;
    }
    let mut told = BTreeSet::new();
    for thing in wire
        .told
        .values()
        .filter(|thing| thing.array != "user_preferences")
    {
        let status = match thing.array.as_str() {
            "statuses" => thing.text("status"),
            "follow_ups" => "media",
            _ => "",
        };
        told.insert(format!(
            "{} {} {status}",
            thing.number,
            one(log, thing.id())
        ));
    }
    let twice = kept.iter().filter(|(_, times)| **times > 1);
    let mut wrong: Vec<String> = twice
        .map(|(what, times)| format!("{what} is {times} events"))
        .collect();
    wrong.extend(
        told.iter()
            .filter(|what| !kept.contains_key(*what))
            .map(|what| format!("{what} is lost")),
    );
    wrong.extend(
        kept.keys()
            .filter(|what| {
                let id = what.split(' ').nth(1);
                !told.contains(*what) && !id.is_some_and(|id| is_given_up(log, id))
            })
            .map(|what| format!("{what} was never told")),
    );
    wrong
}

struct Kept {
    status: Option<String>,
    text: Option<String>,
    revoked: bool,
    times: u32,
}

fn messages(story: &Story, wire: &Wire, log: &Log) -> Vec<String> {
    let kept = kept(story, log);
    let mut wrong = Vec::new();
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    for thing in wire.told.values() {
        let is_message = match thing.array.as_str() {
            "messages" | "history" => true,
            "message_echoes" => !["edit", "revoke"].contains(&thing.text("type")),
            _ => false,
        };
        if is_message && thing.text("type") != "system" {
            wanted.insert(one(log, thing.id()).to_owned());
        }
    }
    for id in &wanted {
        match kept.get(id) {
            None => wrong.push(format!("message {id} is lost")),
            Some(message) if message.times > 1 => {
                wrong.push(format!("message {id} stands {} times", message.times))
            }
            Some(_) => {}
        }
    }
    let sent: BTreeSet<String> = story
        .meta
        .sim
        .sent()
        .into_iter()
        .map(|sent| sent.id)
        .collect();
    let strange = kept
        .keys()
        .filter(|id| !wanted.contains(*id) && !sent.contains(*id) && !is_given_up(log, id));
    wrong.extend(strange.map(|id| format!("nobody wrote message {id}")));
    for (id, text) in &log.changed {
        let Some(message) = kept.get(id) else {
            continue;
        };
        if text.is_none() != message.revoked || (text.is_some() && *text != message.text) {
            wrong.push(format!(
                "message {id} was changed to {text:?}, and says {:?}",
                message.text
            ));
        }
    }
    wrong.extend(statuses(wire, &kept));
    wrong
}

/// The furthest that was told.
fn statuses(wire: &Wire, kept: &HashMap<String, Kept>) -> Vec<String> {
    let order = ["sent", "delivered", "read", "failed"];
    let rank = |status: &str| order.iter().position(|word| *word == status);
    let mut furthest: BTreeMap<&str, &str> = BTreeMap::new();
    for status in wire.of_array("statuses") {
        let best = furthest.entry(status.id()).or_insert(status.text("status"));
        if rank(status.text("status")) > rank(best) {
            *best = status.text("status");
        }
    }
    let behind = furthest.iter().filter_map(|(id, status)| {
        let is = kept.get(*id).and_then(|message| message.status.as_deref());
        (is != Some(status)).then(|| format!("message {id} is {is:?}, told {status}"))
    });
    behind.collect()
}

fn kept(story: &Story, log: &Log) -> HashMap<String, Kept> {
    let store = story.books.look();
    let mut query = store
        .prepare("SELECT wamid, status, text, revoked FROM messages WHERE wamid IS NOT NULL")
        .expect("messages");
    let rows = query.query_map([], |row| {
        let message = Kept {
            status: row.get(1)?,
            text: row.get(2)?,
            revoked: row.get(3)?,
            times: 1,
        };
        Ok((row.get::<_, String>(0)?, message))
    });
    let mut kept: HashMap<String, Kept> = HashMap::new();
    for row in rows.expect("rows") {
        let (id, message) = row.expect("a row");
        let times = kept.get(one(log, &id)).map_or(0, |known| known.times);
        let times = times + 1;
        kept.insert(one(log, &id).to_owned(), Kept { times, ..message });
    }
    kept
}
