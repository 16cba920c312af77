//! The sim's clock: the machine's, plus what a test has advanced it by.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[derive(Default)]
pub(crate) struct Clock {
    advanced_ms: AtomicU64,
}

impl Clock {
    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        let machine = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        u64::try_from(machine)
            .unwrap_or(u64::MAX)
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
