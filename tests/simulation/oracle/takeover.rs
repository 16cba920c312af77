//! No automation speaks after a person, and no two of them about one thing.

use std::collections::{HashMap, HashSet};

use super::sends::token;
use super::wire::{Told, Wire};
use crate::log::{Call, Log};
use crate::process::PERSON_MS;
use crate::story::Story;

/// What was answered 200 is an event within so long.
const TAKEN_IN_MS: i64 = 2500;

/// A word that the conversation is a person's, or no longer.
struct Word {
    begun_ms: i64,
    acked_ms: i64,
    /// An agent's word comes before a message that is still taken in.
    doubt_ms: i64,
    /// None: it is given back.
    until_ms: Option<i64>,
    /// The gateway has to know of it, and who it is about.
    sure: bool,
    what: String,
}

pub(super) fn judge(story: &Story, log: &Log, wire: &Wire) -> Vec<String> {
    let events = events(story);
    let messages = wire.by_id("messages");
    let mut wrong = Vec::new();
    let failed = failed(story);
    let mut spoke: HashMap<&str, &str> = HashMap::new();
    for call in &log.calls {
        let said = token(&call.body);
        let mut parts = said.trim_matches('"').split('/');
        let (Some(instance), Some(event)) = (parts.next(), parts.next()) else {
            continue;
        };
        let Some((event, wamid)) = events.get_key_value(event) else {
            wrong.push(format!(
                "row {} answers {event}, which never came",
                call.row
            ));
            continue;
        };
        if let Some(cause) = messages.get(wamid.as_str()) {
            let words = words(story, log, wire, cause, call);
            wrong.extend(broken(call, cause, &words));
        }
        // What came to nothing leaves the word to the other.
        if call.code.is_some() || failed.contains(&call.row) {
            continue;
        }
        let first =
            *spoke
                .entry(event.as_str())
                .or_insert(if instance == "faq" { "faq" } else { "crm" });
        if first != instance {
            wrong.push(format!(
                "row {}: {instance} speaks about {wamid} after {first}",
                call.row
            ));
        }
    }
    wrong
}

/// What must have silenced this call.
fn broken(call: &Call, cause: &Told, words: &[Word]) -> Option<String> {
    let later = words
        .iter()
        .find(|word| word.sure && word.begun_ms > cause.acked_ms + word.doubt_ms);
    let back_ms = words
        .iter()
        .filter(|word| word.until_ms.is_none())
        .map(|word| word.acked_ms)
        .max();
    let lasting = words.iter().find(|word| {
        word.until_ms
            .is_some_and(|until_ms| until_ms > call.gate_ms + 1000)
            && back_ms.is_none_or(|back_ms| word.begun_ms > back_ms)
    });
    let word = later.or(lasting)?;
    Some(format!(
        "row {} passed the gate at {}, though {} was told at {}",
        call.row, call.gate_ms, word.what, word.acked_ms
    ))
}

/// All that was said before the gate about who has the conversation.
fn words(story: &Story, log: &Log, wire: &Wire, cause: &Told, call: &Call) -> Vec<Word> {
    let gate_ms = call.gate_ms;
    let echoes = wire.of_array("message_echoes").filter(|echo| {
        echo.acked_ms < gate_ms
            && echo.number == cause.number
            && wire.same(&cause.ids(), &echo.ids(), gate_ms)
    });
    let mut words: Vec<Word> = echoes
        .map(|echo| Word {
            begun_ms: echo.begun_ms,
            acked_ms: echo.acked_ms,
            doubt_ms: 0,
            until_ms: Some(echo.at_ms() + PERSON_MS),
            sure: true,
            what: format!("echo {}", echo.id()),
        })
        .collect();
    let given = log.given.iter().filter_map(|given| {
        let (ids, phone) = (cause.ids(), [story.world.customers[given.customer].clone()]);
        let sure = given.at_ms < gate_ms && wire.same(&ids, &phone, gate_ms);
        // What gives it back lifts also what it might have been known to lift.
        let maybe = !given.to_person
            && given.begun_ms <= gate_ms
            && wire.might_be_same(&ids, &phone, gate_ms);
        (given.number == cause.number && (sure || maybe)).then(|| Word {
            begun_ms: given.begun_ms,
            acked_ms: given.at_ms,
            doubt_ms: TAKEN_IN_MS,
            until_ms: given.to_person.then(|| given.begun_ms + PERSON_MS),
            sure,
            what: format!("an agent's word (to a person: {})", given.to_person),
        })
    });
    words.extend(given);
    words
}

fn failed(story: &Story) -> HashSet<i64> {
    let store = story.books.look();
    let mut query = store
        .prepare("SELECT id FROM outbox WHERE state = 'failed'")
        .expect("an outbox");
    let rows = query.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

/// The wamid of each event, by the event's id.
fn events(story: &Story) -> HashMap<String, String> {
    let store = story.books.look();
    let sql = "SELECT lower(hex(id)), json_extract(body, '$.id') FROM events WHERE body LIKE '{%'";
    let mut query = store.prepare(sql).expect("events");
    let rows = query.query_map([], |row| {
        Ok((row.get(0)?, row.get::<_, Option<String>>(1)?))
    });
    let rows = rows.expect("rows").map(|row| row.expect("a row"));
    rows.filter_map(|(id, wamid)| Some((id, wamid?))).collect()
}
