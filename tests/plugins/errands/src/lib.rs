//! Runs one errand, named by the first word of a text message, and tells how it went.
//!
//! - `ticket <ms>`: the next number that nobody else has; then thinks for so long
//! - `wake <name> <ms>`: a timer in the conversation, so long from now; says `woken <name>` when it fires
//! - `wake-alone <name> <ms>`: one without a conversation; says `woken <name> alone`
//! - `forget <name>`: takes it back
//! - `note <id>`, `noted <id>`: keeps an id of somebody's, tells whether it is there; one of an erased contact is not
//!
//! When a schedule has it called, it counts that under `called/<name>`; `called <name>` tells how often that was.

use duet_sdk::{Conversation, Event, Result, Timer, reject, store, timers};
use std::time::Duration;

duet_sdk::plugin!("manifest.json", handle);

fn handle(event: Event) -> Result {
    if let Some(erased) = event.erased() {
        for id in erased.contacts {
            store::delete(&format!("noted/{id}"));
        }
        return Ok(());
    }
    let told = match (event.timer(), event.schedule()) {
        (Some(timer), _) => Some(woken(&event, timer)?),
        (None, Some(name)) => {
            let called = format!("called/{name}");
            store::set(&called, &(count(&called)? + 1))?;
            None
        }
        (None, None) => run(&event)?,
    };
    match told {
        Some((conversation, text)) => conversation.reply_text(&text).map(|_| ()),
        None => Ok(()),
    }
}

/// Where to tell what.
type Told = (Conversation, String);

fn run(event: &Event) -> Result<Option<Told>> {
    let conversation = event
        .conversation()
        .ok_or_else(|| reject("no conversation"))?;
    let words: Vec<&str> = event
        .text()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    match words.as_slice() {
        ["ticket", ms] => {
            let ticket = next_ticket()?;
            std::thread::sleep(Duration::from_millis(ms.parse()?));
            return Ok(Some((conversation, format!("ticket {ticket}"))));
        }
        ["wake", name, ms] => timers::set(name, later(ms)?, "", Some(conversation))?,
        ["wake-alone", name, ms] => {
            timers::set(name, later(ms)?, &conversation.id.to_string(), None)?;
        }
        ["forget", name] => timers::cancel(name),
        ["note", id] => store::set(&format!("noted/{id}"), &true)?,
        ["noted", id] => {
            let noted: Option<bool> = store::get(&format!("noted/{id}"))?;
            let told = noted.map_or("not noted", |_| "noted");
            return Ok(Some((conversation, told.to_owned())));
        }
        ["called", name] => {
            let times = count(&format!("called/{name}"))?;
            return Ok(Some((conversation, format!("called {times} times"))));
        }
        errand => return Err(reject(format_args!("no such errand: {errand:?}"))),
    }
    Ok(None)
}

/// Reads nothing but what it compares.
fn next_ticket() -> Result<u64> {
    let mut last = None;
    loop {
        let next = last.map_or(1, |last: u64| last + 1);
        if store::compare_and_set("tickets", last.as_ref(), Some(&next))? {
            return Ok(next);
        }
        last = Some(next);
    }
}

fn later(ms: &str) -> Result<u64> {
    Ok(duet_sdk::now_ms().saturating_add(ms.parse()?))
}

fn woken(event: &Event, timer: Timer<'_>) -> Result<Told> {
    Ok(match event.conversation() {
        Some(conversation) => (conversation, format!("woken {}", timer.name)),
        None => {
            let id = timer.payload.parse()?;
            (Conversation { id }, format!("woken {} alone", timer.name))
        }
    })
}

fn count(key: &str) -> Result<u64> {
    Ok(store::get(key)?.unwrap_or_default())
}
