//! What an instance is called for by its clock, as long as it is switched on: timers that it has set become events when
//! they are due, and so do the ticks of its schedules.

use duet_rules::schedule::Schedule;

use super::Shared;
use super::instance::Loaded;
use crate::store::StoreError;
use crate::store::schedules::Tick;

/// The store refuses: it is asked again after so long.
const AGAIN_MS: i64 = 1_000;

/// When an instance is to be called, ms since 1970. Too early is fine: then nothing is due yet.
pub(super) struct Clock {
    timer_ms: Option<i64>,
    tick_ms: Option<i64>,
}

impl Clock {
    /// Rings at once where there may be something to ring for: what was due while nobody was there.
    pub(super) fn new(loaded: &Loaded) -> Clock {
        Clock {
            timer_ms: loaded.plugin.instance().grants.timers.map(|_| 0),
            tick_ms: every(loaded).first().map(|_| 0),
        }
    }

    pub(super) fn due_ms(&self) -> Option<i64> {
        [self.timer_ms, self.tick_ms].into_iter().flatten().min()
    }

    /// A timer was set.
    pub(super) fn set(&mut self, at_ms: i64) {
        self.timer_ms = Some(self.timer_ms.map_or(at_ms, |due_ms| due_ms.min(at_ms)));
    }

    /// Makes events of what is due.
    pub(super) async fn ring(&mut self, shared: &Shared, loaded: &Loaded) {
        let now_ms = crate::now_ms();
        let is_due = |due_ms: Option<i64>| due_ms.is_some_and(|due_ms| due_ms <= now_ms);
        if is_due(self.timer_ms) {
            let next_ms = fire(shared, loaded, now_ms).await;
            self.timer_ms = next_ms.unwrap_or_else(|error| again(loaded, &error, now_ms));
        }
        if is_due(self.tick_ms) {
            let next_ms = tick(shared, loaded, now_ms).await;
            self.tick_ms = next_ms.unwrap_or_else(|error| again(loaded, &error, now_ms));
        }
    }
}

/// The answer is when the next timer is due.
async fn fire(shared: &Shared, loaded: &Loaded, now_ms: i64) -> Result<Option<i64>, StoreError> {
    let fired = shared.store.fire_timers(loaded.name().to_owned(), now_ms);
    let fired = fired.await?;
    if !fired.events.is_empty() {
        crate::failpoint::hit("timers.fired");
    }
    shared.feed.publish(fired.events);
    Ok(fired.next_ms)
}

/// The answer is when the next tick comes.
async fn tick(shared: &Shared, loaded: &Loaded, now_ms: i64) -> Result<Option<i64>, StoreError> {
    let newest = |schedule: &Schedule| {
        Some(Tick {
            at_ms: schedule.latest_ms(now_ms)?,
            name: schedule.name.clone(),
        })
    };
    let ticks = every(loaded).iter().filter_map(newest).collect();
    let ticked = shared.store.tick(loaded.name().to_owned(), ticks, now_ms);
    shared.feed.publish(ticked.await?);
    let next = every(loaded).iter().filter_map(|one| one.next_ms(now_ms));
    Ok(next.min())
}

fn every(loaded: &Loaded) -> &[Schedule] {
    &loaded.plugin.instance().every
}

fn again(loaded: &Loaded, error: &StoreError, now_ms: i64) -> Option<i64> {
    tracing::warn!(%error, instance = loaded.name(), "what is due waits for the store");
    Some(now_ms.saturating_add(AGAIN_MS))
}
