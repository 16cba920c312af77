//! The sim's clock: the machine's, or tokio's from a given moment on, plus what a test has advanced it by.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[derive(Default)]
pub(crate) struct Clock {
    /// Where it began, when it goes with tokio's clock, which a test may pause.
    begun: Option<(u64, Instant)>,
    advanced_ms: AtomicU64,
}

impl Clock {
    /// Begins at `begun_ms` and goes with tokio's clock; without it, the machine's.
    pub(crate) fn new(begun_ms: Option<u64>) -> Self {
        Self {
            begun: begun_ms.map(|begun_ms| (begun_ms, Instant::now())),
            advanced_ms: AtomicU64::default(),
        }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        let (begun_ms, passed) = match self.begun {
            Some((begun_ms, begun)) => (begun_ms, begun.elapsed()),
            None => (
                0,
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
            ),
        };
        u64::try_from(passed.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(begun_ms)
            .saturating_add(self.advanced_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, ms: u64) {
        // A hundred years in all, so that sums never run over.
        let added = self
            .advanced_ms
            .load(Ordering::Relaxed)
            .saturating_add(ms)
            .min(36_500 * DAY_MS);
        self.advanced_ms.store(added, Ordering::Relaxed);
    }
}
