//! How an instance fares, for the admin: counted since the start of the process.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::attempt::Ended;
use super::call::Tally;

/// Counters and state of one instance; it outlives replacements of the plugin.
#[derive(Debug, Default)]
pub struct Status {
    pub done: AtomicU64,
    pub retried: AtomicU64,
    pub faults: AtomicU64,
    /// Events that are seen and not done.
    pub depth: AtomicUsize,
    pub calls: Tally,
    standing: Mutex<Standing>,
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
    /// What came of the last version that had to be run over kept runs before it took over.
    pub shadow: Option<Shadow>,
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

    /// The word in the API.
    pub fn word(&self) -> &'static str {
        match self.state {
            State::Loading => "loading",
            State::Ready if self.quarantine.is_some() => "quarantined",
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

    pub(super) fn count(&self, ended: &Ended) {
        match ended {
            Ended::Done { .. } => self.done.fetch_add(1, Ordering::Relaxed),
            Ended::Retry { .. } => self.retried.fetch_add(1, Ordering::Relaxed),
            // The store counts the dead letters.
            Ended::Dead { .. } | Ended::LeaseLost => 0,
        };
        let fault = ended.fault().is_some();
        self.faults.fetch_add(u64::from(fault), Ordering::Relaxed);
    }

    pub(super) fn set_depth(&self, depth: usize) {
        self.depth.store(depth, Ordering::Relaxed);
    }
}
