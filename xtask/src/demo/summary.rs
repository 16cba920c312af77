//! What happened, as the gateway's own API tells it.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::chat;
use super::stage::Stage;

/// Messages of all conversations by what they were.
#[derive(Default)]
struct Tally {
    received: u64,
    by_person: u64,
    answered: u64,
}

impl Tally {
    fn add(&mut self, message: &Value) {
        let word = |name: &str| {
            message
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        match (word("direction"), word("origin")) {
            ("in", _) => self.received += 1,
            (_, "echo") => self.by_person += 1,
            (_, "duet") => self.answered += 1,
            _ => {}
        }
    }
}

/// Prints the summary and compares it with what the local Meta saw.
pub(super) fn print(stage: &Stage) -> Result<()> {
    let mut tally = Tally::default();
    for conversation in stage.admin.list("/api/v1/conversations", "conversations")? {
        let id = conversation.get("id").unwrap_or(&Value::Null);
        let messages = stage
            .admin
            .list(&format!("/api/v1/conversations/{id}/messages"), "messages")?;
        messages.iter().for_each(|message| tally.add(message));
    }
    let Tally {
        received,
        by_person,
        answered,
    } = tally;
    let dead = stage
        .admin
        .list("/api/v1/dead-letters", "dead-letters")?
        .len() as u64;
    let events = stage.admin.list("/api/v1/events", "events")?.len() as u64;
    let sent = stage.sim.list("/sim/sent", "sent")?.len();
    chat::act("What the gateway says happened");
    println!(
        "    received   {} of customers, {by_person} from the phone; {} in all",
        several(received, "message"),
        several(events, "event")
    );
    println!("    answered   {answered} by the plugins");
    println!(
        "    silenced   {} of customers that no plugin answered",
        several(received.saturating_sub(answered), "message")
    );
    println!(
        "    sent       {sent} accepted by Meta, {}",
        several(dead, "dead letter")
    );
    ensure!(
        usize::try_from(answered) == Ok(sent),
        "the gateway counts {answered} answers, Meta {sent}"
    );
    Ok(())
}

/// `1 message`, `2 messages`
fn several(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}
