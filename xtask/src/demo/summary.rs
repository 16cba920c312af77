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
        .len();
    let events = stage.admin.list("/api/v1/events", "events")?.len();
    let sent = stage.sim.list("/sim/sent", "sent")?.len();
    chat::act("What the gateway says happened");
    println!(
        "    received   {received} messages of customers, {by_person} from the phone; {events} events in all"
    );
    println!("    answered   {answered} by the plugins");
    println!(
        "    silenced   {} messages of customers that no plugin answered",
        received.saturating_sub(answered)
    );
    println!("    sent       {sent} accepted by Meta, {dead} dead letters");
    ensure!(
        usize::try_from(answered) == Ok(sent),
        "the gateway counts {answered} answers, Meta {sent}"
    );
    Ok(())
}
