//! What was sent, so that an oracle can compare.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Part, Webhook};

/// Counts over the webhooks of a plan that were delivered, or are on their way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Entries of the address book.
    pub contacts: u64,
    /// People with an old message.
    pub threads: u64,
    /// Old messages, placeholders of media among them.
    pub messages: u64,
    /// Placeholders among them.
    pub media: u64,
    /// Old media that came in a webhook of their own.
    pub follow_ups: u64,
    /// Chunks of each phase that has any.
    pub chunks: BTreeMap<u8, u64>,
    /// Messages of each phase that has any.
    pub phase_messages: BTreeMap<u8, u64>,
    /// Live messages of customers.
    pub live_messages: u64,
    /// Live messages of the person on the phone.
    pub echoes: u64,
    /// Statuses of another program's messages.
    pub statuses: u64,
    /// Webhooks of all kinds.
    pub webhooks: u64,
    #[serde(skip)]
    seen: std::collections::HashSet<u32>,
}

impl Report {
    /// Counts a webhook.
    pub fn add(&mut self, webhook: &Webhook) {
        self.webhooks += 1;
        let messages = webhook.messages as u64;
        match webhook.part {
            Part::Contacts => self.contacts += webhook.people.len() as u64,
            Part::History(phase) => {
                self.messages += messages;
                self.media += webhook.media as u64;
                *self.chunks.entry(phase).or_default() += 1;
                *self.phase_messages.entry(phase).or_default() += messages;
                // A thread goes on in other chunks.
                self.seen.extend(&webhook.people);
                self.threads = self.seen.len() as u64;
            }
            Part::FollowUp => self.follow_ups += 1,
            Part::Message => self.live_messages += 1,
            Part::Echo => self.echoes += 1,
            Part::Status => self.statuses += 1,
        }
    }
}
