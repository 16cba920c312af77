//! What happened, as the world outside of Duet saw it: who said what, which webhooks were acknowledged, which requests
//! reached Meta. The oracle judges by this, and never by what Duet has written down.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::rulings::Ruling;

/// Shared by all who take part.
pub(crate) type Shared = Arc<Mutex<Log>>;

#[derive(Default)]
pub(crate) struct Log {
    /// The story, for whoever looks into a failure; unless it is wanted nobody writes it.
    pub(crate) lines: Option<Vec<String>>,
    pub(crate) posts: Vec<Post>,
    pub(crate) calls: Vec<Call>,
    /// By wamid.
    pub(crate) said: HashMap<String, Said>,
    pub(crate) words: Vec<Word>,
    /// A message of the phone's that was changed: its new text, or none when it was taken back.
    pub(crate) changed: HashMap<String, Option<String>>,
    /// Another spelling of a wamid, as the history has it.
    pub(crate) copies: HashMap<String, String>,
    pub(crate) runs: Vec<Run>,
    pub(crate) given: Vec<Given>,
    pub(crate) standings: Vec<Standing>,
    pub(crate) rulings: Vec<Ruling>,
    /// When Meta was asked for its templates.
    pub(crate) listed_ms: Vec<i64>,
    /// When Meta took a read mark.
    pub(crate) marked_ms: Vec<i64>,
    /// Sends that were seen to wait for their number or its token.
    pub(crate) waits: Vec<Wait>,
    /// When the clocks went forward.
    pub(crate) leapt_ms: Vec<i64>,
    /// What went wrong while it ran.
    pub(crate) wrong: Vec<String>,
}

/// A webhook that was posted.
pub(crate) struct Post {
    pub(crate) begun_ms: i64,
    /// When Meta got its 200.
    pub(crate) acked_ms: Option<i64>,
    /// Nobody got an answer: what it says may be kept all the same.
    pub(crate) lost: bool,
    pub(crate) body: Value,
    pub(crate) text: String,
}

/// A request that reached Meta's `/messages`.
pub(crate) struct Call {
    pub(crate) at_ms: i64,
    pub(crate) answered_ms: i64,
    /// Nobody knows what came of it: there was no answer.
    pub(crate) lost: bool,
    /// When the gate let it go.
    pub(crate) gate_ms: i64,
    /// The row of the outbox, by the mark that it carries.
    pub(crate) row: i64,
    pub(crate) number: String,
    pub(crate) body: Value,
    /// Meta's error code; none when it was accepted or nobody knows.
    pub(crate) code: Option<i64>,
    /// Meta refused it by its own rules, and not because the seed wanted trouble.
    pub(crate) by_rule: bool,
}

/// Something that was said, by whom.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) number: String,
    pub(crate) customer: usize,
    pub(crate) by_phone: bool,
    pub(crate) at_ms: i64,
}

/// A send that waits, as whoever looks at the outbox sees it.
pub(crate) struct Wait {
    pub(crate) row: i64,
    pub(crate) created_ms: i64,
    pub(crate) by_agent: bool,
    /// Until when the customer's window is open at least.
    pub(crate) window_ms: i64,
    pub(crate) seen_ms: i64,
}

/// A customer's word about marketing.
pub(crate) struct Word {
    pub(crate) number: String,
    pub(crate) customer: usize,
    pub(crate) stop: bool,
    pub(crate) at_ms: i64,
    /// What the webhook that tells of it holds.
    pub(crate) mark: String,
}

/// An automation at work.
pub(crate) struct Run {
    pub(crate) life: u32,
    pub(crate) instance: String,
    pub(crate) lane: String,
    pub(crate) seq: i64,
    pub(crate) attempt: u32,
    pub(crate) ended: bool,
}

/// An agent gave a conversation to somebody.
pub(crate) struct Given {
    pub(crate) number: String,
    pub(crate) customer: usize,
    pub(crate) to_person: bool,
    pub(crate) begun_ms: i64,
    pub(crate) at_ms: i64,
}

/// What Meta has made of a number.
pub(crate) struct Standing {
    pub(crate) number: String,
    pub(crate) event: String,
    /// By Meta's clock, in seconds.
    pub(crate) time: i64,
    pub(crate) at_ms: i64,
}

pub(crate) fn lock(log: &Shared) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Standing {
    /// When the gateway had it.
    pub(crate) fn told_ms(&self, log: &Log) -> i64 {
        let time = format!("\"time\":{}", self.time);
        let words = |post: &&Post| post.text.contains(&self.event) && post.text.contains(&time);
        let told = log
            .posts
            .iter()
            .filter(|post| post.begun_ms >= self.at_ms)
            .filter(words);
        told.filter_map(|post| post.acked_ms)
            .min()
            .unwrap_or(i64::MAX)
    }
}

impl Log {
    /// The clocks are about to go forward.
    pub(crate) fn passes(&mut self, by: Duration) {
        self.tell(format_args!("{} minutes pass", by.as_secs() / 60));
        self.leapt_ms.push(duet::now_ms());
    }

    pub(crate) fn tell(&mut self, line: impl Display) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} {line}", duet::now_ms()));
        }
    }
}
