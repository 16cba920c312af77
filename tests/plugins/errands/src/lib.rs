//! Runs one errand, named by the first word of a text message, and tells how it went.
//!
//! - `ticket <ms>`: the next number that nobody else has; then thinks for so long

use duet_sdk::{Event, Result, reject, store};
use std::time::Duration;

duet_sdk::plugin!("manifest.json", handle);

fn handle(event: Event) -> Result {
    let conversation = event
        .conversation()
        .ok_or_else(|| reject("no conversation"))?;
    let mut words = event.text().unwrap_or_default().split_whitespace();
    let told = match words.next() {
        Some("ticket") => {
            let ticket = next_ticket()?;
            let ms = words.next().map_or(Ok(0), str::parse)?;
            std::thread::sleep(Duration::from_millis(ms));
            format!("ticket {ticket}")
        }
        errand => return Err(reject(format_args!("no such errand: {errand:?}"))),
    };
    conversation.reply_text(&told).map(|_| ())
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
