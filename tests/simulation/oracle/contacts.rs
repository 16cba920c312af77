//! The address book says what the phone said last, by the phone's own clock.

use std::collections::BTreeMap;

use serde_json::Value;

use super::wire::{Wire, rows, values};
use crate::log::Log;
use crate::story::Story;

pub(super) fn judge(story: &Story, log: &Log, wire: &Wire) -> Vec<String> {
    let mut last: BTreeMap<&str, (i64, Option<&str>)> = BTreeMap::new();
    let told = log.posts.iter().filter(|post| post.acked_ms.is_some());
    for (ids, at, name) in told.flat_map(|post| entries(&post.body)) {
        let is = |phone: &&String| wire.same(&ids, &[(*phone).clone()], i64::MAX);
        let Some(phone) = story.world.customers.iter().find(is) else {
            continue;
        };
        let known = last.entry(phone).or_insert((at, name));
        if at >= known.0 {
            *known = (at, name);
        }
    }
    let books = story.books.look();
    let wrong = last.into_iter().filter_map(|(phone, (_, name))| {
        // What was saved of a person before two contacts were found to be one stays with the one that it was said of.
        let sql = "SELECT saved_name FROM contacts WHERE wa_id = ?1 AND same_as IS NULL
             AND NOT EXISTS (SELECT 1 FROM contacts k WHERE k.same_as = contacts.id)";
        let kept: Option<String> = books.query_row(sql, [phone], |row| row.get(0)).ok()?;
        (kept.as_deref() != name)
            .then(|| format!("{phone} is saved as {kept:?}, and the phone has {name:?}"))
    });
    wrong.collect()
}

/// Ids, time in seconds, and name of each entry; none of one that was removed.
fn entries(body: &Value) -> Vec<(Vec<String>, i64, Option<&str>)> {
    let values = values(body).into_iter().map(|(_, value)| value);
    let entries = values.flat_map(|value| rows(value, "state_sync"));
    entries
        .map(|entry| {
            let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
            let ids = ["/contact/phone_number", "/contact/user_id"].into_iter();
            let ids = ids.filter_map(text).map(str::to_owned).collect();
            let at = text("/metadata/timestamp").and_then(|at| at.parse().ok());
            (ids, at.unwrap_or(0), text("/contact/full_name"))
        })
        .collect()
}
