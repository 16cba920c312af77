//! What the sender has done since the start.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counted while the sender works; read with [`Counters::now`].
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) dead: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken by Meta.
    pub sent: u64,
    /// Refused for good, by the gate or by Meta.
    pub refused: u64,
    /// Put back to be tried again, whatever the reason.
    pub retried: u64,
    /// Answers that were lost.
    pub lost: u64,
    /// Silenced by the gate.
    pub cancelled: u64,
    /// Became dead letters.
    pub dead: u64,
}

impl Counters {
    #[must_use]
    pub fn now(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            sent: read(&self.sent),
            refused: read(&self.refused),
            retried: read(&self.retried),
            lost: read(&self.lost),
            cancelled: read(&self.cancelled),
            dead: read(&self.dead),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
