//! Proves order and exactly-once: each text message adds one to its conversation's counter and to a chain of
//! hashes, and gets exactly one reply with both. A lost, repeated or swapped message shows in every later reply.
//!
//! Key `n:<conversation>`, value `{"count", "chain"}`. The chain is FNV-1a (64 bit, hex) over the chain before it
//! and the message's id. The reply is `probe <label> <event id> <count> <chain>`.

use duet_sdk::{Event, Result, reject, settings, store};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

duet_sdk::plugin!("manifest.json", handle);

#[derive(Deserialize)]
#[serde(default)]
struct Settings {
    label: String,
    spin_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            label: "-".into(),
            spin_ms: 0,
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Seen {
    count: u64,
    chain: String,
}

fn handle(event: Event) -> Result {
    let settings: Settings = settings()?;
    let (Some(message_id), Some(conversation)) = (event.message_id(), event.conversation()) else {
        return Err(reject("a message has an id and a conversation"));
    };
    let key = format!("n:{}", conversation.id);
    let mut seen: Seen = store::get(&key)?.unwrap_or_default();
    spin(Duration::from_millis(settings.spin_ms));
    seen.count += 1;
    seen.chain = next(&seen.chain, message_id);
    store::set(&key, &seen)?;
    conversation.reply_text(&format!(
        "probe {} {} {} {}",
        settings.label, event.id, seen.count, seen.chain
    ))?;
    Ok(())
}

fn next(chain: &str, message_id: &str) -> String {
    let hash = chain
        .bytes()
        .chain(message_id.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    format!("{hash:016x}")
}

fn spin(time: Duration) {
    let start = Instant::now();
    while std::hint::black_box(start.elapsed()) < time {}
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn the_chain_depends_on_the_order() {
        assert_eq!(next("", "a"), "af63dc4c8601ec8c");
        assert_ne!(next(&next("", "a"), "b"), next(&next("", "b"), "a"));
    }
}
