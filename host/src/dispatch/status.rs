//! How an instance fares, for the admin: counted since the start of the process.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::attempt::Ended;
use super::breakers::Breakers;
use super::call::Tally;
use crate::outbound::Egress;

/// Counters and state of one instance; it outlives replacements of the plugin.
#[derive(Debug, Default)]
pub struct Status {
    /// What its canary has done, too.
    pub counts: Counts,
    /// Events that are seen and not done.
    pub depth: AtomicUsize,
    /// The systems that it calls.
    pub(super) breakers: Breakers,
    standing: Mutex<Standing>,
}

/// What runs have come to.
#[derive(Debug, Default)]
pub struct Counts {
    pub done: AtomicU64,
    pub retried: AtomicU64,
    pub faults: AtomicU64,
    pub calls: Tally,
}

/// What a canary's runs have come to.
#[derive(Debug, Default)]
pub struct CanaryCounts {
    pub counts: Counts,
    /// Events that it could not do, and that the live version got.
    pub left: AtomicU64,
}

/// What runs now, and what the last change came to.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Whose plugin it is; `""` is the gateway's own.
    pub business: String,
    pub state: State,
    pub version: Option<String>,
    /// SHA-256 of the component, hex.
    pub digest: Option<String>,
    /// Why it does not run, or why the last change was not taken.
    pub cause: Option<String>,
    /// The cause is one of the whole file: it may name what is other businesses'.
    pub of_file: bool,
    pub quarantine: Option<Quarantined>,
    /// What its calls go through.
    pub egress: Option<Arc<Egress>>,
    /// The systems that are down and that events wait for.
    pub waiting: Vec<Waiting>,
    /// What came of the last version that had to be run over kept runs before it took over.
    pub shadow: Option<Shadow>,
    /// The canary that plugins.toml asks for.
    pub canary: Option<CanaryStanding>,
}

/// How a canary stands.
#[derive(Debug, Clone)]
pub struct CanaryStanding {
    pub state: CanaryState,
    /// Of the conversations.
    pub percent: u8,
    pub version: Option<String>,
    /// SHA-256 of the component, hex.
    pub digest: Option<String>,
    /// Why it has no conversations, or why the last change was not taken.
    pub cause: Option<String>,
    pub counts: Arc<CanaryCounts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryState {
    Running,
    /// Its component is the live one.
    Same,
    /// It could not do what the live version could, or an admin has said so.
    Withdrawn,
    /// It could not be loaded.
    Refused,
}

impl CanaryStanding {
    pub(super) fn is_of(&self, digest: &str) -> bool {
        self.digest.as_deref() == Some(digest)
    }
}

impl CanaryState {
    /// The word in the API.
    pub fn word(self) -> &'static str {
        match self {
            CanaryState::Running => "running",
            CanaryState::Same => "same",
            CanaryState::Withdrawn => "withdrawn",
            CanaryState::Refused => "refused",
        }
    }
}

/// What came of running a version over kept runs, as numbers of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// When, ms since 1970.
    pub at_ms: i64,
    pub version: String,
    /// SHA-256 of the component, hex.
    pub digest: String,
    pub same: usize,
    pub differs: usize,
    /// With one of these it does not take over.
    pub faults: usize,
    pub skipped: usize,
}

/// It has faulted on many events and gets none for a while.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// When one event is tried, ms since 1970.
    pub until_ms: i64,
    /// What the last fault was.
    pub cause: String,
}

/// A system that it calls is down: events that need it wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Scheme, host and port.
    pub destination: String,
    /// When it is tried, ms since 1970.
    pub until_ms: i64,
    /// What the last call met, in a word or two.
    pub cause: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Loading,
    Ready,
    Disabled,
    /// It could not be loaded; its events wait.
    Rejected,
}

impl Standing {
    /// Its quarantine, while it would run otherwise.
    pub fn quarantined(&self) -> Option<&Quarantined> {
        let runs = self.state == State::Ready;
        self.quarantine.as_ref().filter(|_| runs)
    }

    /// Why its calls get no token, with the remedy, while it runs.
    pub fn token_refusal(&self) -> Option<String> {
        let runs = self.state == State::Ready;
        self.egress.as_ref().filter(|_| runs)?.refusal()
    }

    /// What it waits for, while it runs otherwise, and when the first of that is tried, ms since 1970.
    pub fn waits(&self) -> Option<(String, i64)> {
        let runs = self.state == State::Ready && self.quarantine.is_none();
        let waiting = Some(&self.waiting).filter(|_| runs)?;
        let until_ms = waiting.iter().map(|waiting| waiting.until_ms).min()?;
        let each = waiting.iter().map(|waiting| {
            format!(
                "{} is down ({}), and events that need it wait",
                waiting.destination, waiting.cause
            )
        });
        Some((each.collect::<Vec<_>>().join("\n"), until_ms))
    }

    /// The word in the API.
    pub fn word(&self) -> &'static str {
        match self.state {
            State::Loading => "loading",
            State::Ready if self.quarantine.is_some() => "quarantined",
            State::Ready if !self.waiting.is_empty() => "waiting",
            State::Ready => "ready",
            State::Disabled => "disabled",
            State::Rejected => "rejected",
        }
    }
}

impl Status {
    pub fn standing(&self) -> Standing {
        self.standing
            .lock()
            .map(|standing| standing.clone())
            .unwrap_or_default()
    }

    pub(super) fn stand(&self, change: impl FnOnce(&mut Standing)) {
        if let Ok(mut standing) = self.standing.lock() {
            change(&mut standing);
        }
    }

    pub(super) fn set_depth(&self, depth: usize) {
        self.depth.store(depth, Ordering::Relaxed);
    }
}

impl Counts {
    pub(super) fn count(&self, ended: &Ended) {
        match ended {
            Ended::Done { .. } => self.done.fetch_add(1, Ordering::Relaxed),
            Ended::Retry { .. } => self.retried.fetch_add(1, Ordering::Relaxed),
            // The store counts the dead letters.
            Ended::Dead { .. } | Ended::Waits { .. } | Ended::LeaseLost => 0,
        };
        self.count_fault(ended);
    }

    pub(super) fn count_fault(&self, ended: &Ended) {
        let fault = ended.fault().is_some();
        self.faults.fetch_add(u64::from(fault), Ordering::Relaxed);
    }
}
