//! Nothing is sent twice, and what the outbox says of a send is what became of it.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use super::wire::Wire;
use crate::story::Story;

pub(super) fn judge(story: &Story, wire: &Wire) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut accepted: HashMap<i64, u32> = HashMap::new();
    let mut tokens: BTreeMap<String, u32> = BTreeMap::new();
    for sent in story.meta.sim.sent() {
        let mark = sent.opaque.unwrap_or_default();
        let row = mark.rsplit(':').next().and_then(|row| row.parse().ok());
        *accepted.entry(row.unwrap_or(0)).or_default() += 1;
        *tokens.entry(token(&sent.body)).or_default() += 1;
    }
    let twice = accepted.iter().filter(|(_, times)| **times > 1);
    wrong.extend(twice.map(|(row, times)| format!("row {row} was sent {times} times")));
    let twice = tokens.iter().filter(|(_, times)| **times > 1);
    wrong.extend(twice.map(|(token, times)| format!("{token} was said {times} times")));
    let told = told(wire);
    let store = story.books.look();
    let mut rows = store
        .prepare("SELECT id, state FROM outbox")
        .expect("an outbox");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    for row in rows.expect("rows") {
        let (id, state): (i64, String) = row.expect("a row");
        let reached = accepted.remove(&id).is_some();
        let fits = match state.as_str() {
            "sent" => reached || is_read_mark(&store, id),
            "refused" | "cancelled" => !reached,
            "failed" | "dead" => true,
            _ => false,
        };
        if !fits {
            wrong.push(format!("row {id} is {state}, and Meta took it: {reached}"));
        }
        if let Some(word) = told.get(&id)
            && state != *word
        {
            wrong.push(format!(
                "row {id} is {state}, and Meta told that it is {word}"
            ));
        }
    }
    wrong.extend(
        accepted
            .keys()
            .map(|row| format!("Meta took row {row}, which nobody knows")),
    );
    wrong
}

fn is_read_mark(store: &Connection, row: i64) -> bool {
    let sql = "SELECT json_extract(message, '$.status') = 'read' FROM outbox WHERE id = ?1";
    store
        .query_row(sql, [row], |row| row.get::<_, Option<bool>>(0))
        .is_ok_and(|is| is == Some(true))
}

/// What the acknowledged statuses say of each row, by the mark that they carry.
fn told(wire: &Wire) -> HashMap<i64, &'static str> {
    let mut told = HashMap::new();
    for status in wire.of_array("statuses") {
        let mark = status.text("biz_opaque_callback_data");
        let Some(row) = mark.rsplit(':').next().and_then(|row| row.parse().ok()) else {
            continue;
        };
        let word = told.entry(row).or_insert("sent");
        if status.text("status") == "failed" {
            *word = "failed";
        }
    }
    told
}

/// What makes a send the same one.
pub(super) fn token(body: &serde_json::Value) -> String {
    let text = body.pointer("/text/body");
    let text = text.or_else(|| body.pointer("/template/components/0/parameters/0/text"));
    text.map(ToString::to_string).unwrap_or_default()
}
