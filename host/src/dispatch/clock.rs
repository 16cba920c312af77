//! What an instance is called for by its clock: timers that it has set become events when they are due, as long as it
//! is switched on and has the grant.

use super::Shared;
use super::instance::Loaded;

/// The store refuses: it is asked again after so long.
const AGAIN_MS: i64 = 1_000;

/// When an instance is to be called.
pub(super) struct Clock {
    /// Ms since 1970. Too early is fine: then nothing is due yet.
    due_ms: Option<i64>,
}

impl Clock {
    /// Rings at once where there may be something to ring for: what was due while nobody was there.
    pub(super) fn new(loaded: &Loaded) -> Clock {
        let grants = &loaded.plugin.instance().grants;
        Clock {
            due_ms: grants.timers.map(|_| 0),
        }
    }

    pub(super) fn due_ms(&self) -> Option<i64> {
        self.due_ms
    }

    /// A timer was set.
    pub(super) fn set(&mut self, at_ms: i64) {
        self.due_ms = Some(self.due_ms.map_or(at_ms, |due_ms| due_ms.min(at_ms)));
    }

    /// Makes events of what is due.
    pub(super) async fn ring(&mut self, shared: &Shared, loaded: &Loaded) {
        let now_ms = crate::now_ms();
        if self.due_ms.is_none_or(|due_ms| due_ms > now_ms) {
            return;
        }
        let fired = shared.store.fire_timers(loaded.name().to_owned(), now_ms);
        match fired.await {
            Ok(fired) => {
                if !fired.events.is_empty() {
                    crate::failpoint::hit("timers.fired");
                }
                shared.feed.publish(fired.events);
                self.due_ms = fired.next_ms;
            }
            Err(error) => {
                tracing::warn!(%error, instance = loaded.name(), "timers wait for the store");
                self.due_ms = Some(now_ms.saturating_add(AGAIN_MS));
            }
        }
    }
}
