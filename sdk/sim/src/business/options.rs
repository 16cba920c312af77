//! What a business is like.

use serde::{Deserialize, Serialize};

/// How large a business is and who its customers are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The same seed gives the same business.
    pub seed: u64,
    /// Entries of the phone's address book; beyond `threads` they never wrote.
    pub contacts: u32,
    /// People with a past.
    pub threads: u32,
    /// Old messages of all threads together; a few people wrote most of them.
    pub messages: u32,
    /// Share of old and live messages that are media.
    pub media_percent: u8,
    /// How far the past reaches, 1 to 6: Meta gives at most 180 days.
    pub months: u8,
    /// What people speak; each person has one of these.
    pub languages: Vec<Language>,
    /// Share of people with a username.
    pub username_percent: u8,
    /// Share of people whom webhooks name by user id and username alone, never by phone.
    pub user_id_only_percent: u8,
    /// Old messages in one chunk at most; 3 MB close it as well.
    pub chunk_messages: u32,
}

/// What somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English as written in India.
    English,
    /// Hindi in Devanagari.
    Hindi,
    /// Hindi in Latin letters, mixed with English.
    Hinglish,
    /// Marathi in Devanagari.
    Marathi,
    /// Tamil in its own letters.
    Tamil,
}

/// People of one business at most.
const PEOPLE_MAX: u32 = 1_000_000;
/// Old messages at most.
const MESSAGES_MAX: u32 = 10_000_000;
/// A body has fewer than 100,000 elements.
const CHUNK_MESSAGES_MAX: u32 = 90_000;

impl Default for Options {
    fn default() -> Self {
        use Language::{English, Hindi, Hinglish, Marathi, Tamil};
        Self {
            seed: 1,
            contacts: 60,
            threads: 40,
            messages: 2000,
            media_percent: 12,
            months: 6,
            languages: vec![English, Hinglish, Hindi, Marathi, Tamil],
            username_percent: 15,
            user_id_only_percent: 3,
            chunk_messages: 2000,
        }
    }
}

impl Options {
    pub(super) fn people(&self) -> u32 {
        self.contacts.max(self.threads)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let percents = [
            ("media_percent", self.media_percent),
            ("username_percent", self.username_percent),
            ("user_id_only_percent", self.user_id_only_percent),
        ];
        if let Some((name, _)) = percents.iter().find(|(_, percent)| *percent > 100) {
            return Err(format!("{name} is 0 to 100"));
        }
        if self.people() > PEOPLE_MAX {
            return Err(format!("contacts and threads are at most {PEOPLE_MAX}"));
        }
        if self.messages > MESSAGES_MAX {
            return Err(format!("messages is at most {MESSAGES_MAX}"));
        }
        if self.messages < self.threads || (self.threads == 0 && self.messages > 0) {
            return Err("every thread needs a message, and every message a thread: messages is at least threads".into());
        }
        if !(1..=6).contains(&self.months) {
            return Err("months is 1 to 6".into());
        }
        if self.languages.is_empty() {
            return Err("languages needs at least one, such as \"english\"".into());
        }
        if !(1..=CHUNK_MESSAGES_MAX).contains(&self.chunk_messages) {
            return Err(format!("chunk_messages is 1 to {CHUNK_MESSAGES_MAX}"));
        }
        Ok(())
    }
}
