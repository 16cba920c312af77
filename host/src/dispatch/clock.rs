//! What an instance is called for by its clock, as long as it is switched on: timers that it has set become events when
//! they are due, and so do the ticks of its schedules. A plugin that sets a timer whenever one fires gets no further than
//! one batch a second.

use duet_rules::schedule::Schedule;

use super::Shared;
use super::instance::Loaded;
use crate::store::StoreError;
use crate::store::schedules::Tick;

/// Between two batches of timers, and before a store that refuses is asked again.
const PAUSE_MS: i64 = 1_000;

/// When an instance is to be called, ms since 1970. Too early is fine: then nothing is due yet.
pub(super) struct Clock {
    timer_ms: Option<i64>,
    /// When timers fired last.
    fired_ms: i64,
    tick_ms: Option<i64>,
}

impl Clock {
    /// Rings at once where there may be something to ring for: what was due while nobody was there.
    pub(super) fn new(loaded: &Loaded) -> Clock {
        Clock {
            timer_ms: loaded.plugin.instance().grants.timers.map(|_| 0),
            fired_ms: 0,
            tick_ms: every(loaded).first().map(|_| 0),
        }
    }

    /// When it rings next.
    pub(super) fn due_ms(&self) -> Option<i64> {
        let pause_ms = self.fired_ms.saturating_add(PAUSE_MS);
        let timer_ms = self.timer_ms.map(|at_ms| at_ms.max(pause_ms));
        [timer_ms, self.tick_ms].into_iter().flatten().min()
    }

    /// A timer was set.
    pub(super) fn set(&mut self, at_ms: i64) {
        self.timer_ms = Some(self.timer_ms.map_or(at_ms, |due_ms| due_ms.min(at_ms)));
    }

    /// Makes events of what is due.
    pub(super) async fn ring(&mut self, shared: &Shared, loaded: &Loaded) {
        let now_ms = crate::now_ms();
        // The clock was set back.
        self.fired_ms = self.fired_ms.min(now_ms);
        if self.due_ms().is_none_or(|due_ms| due_ms > now_ms) {
            return;
        }
        let is_due = |at_ms: Option<i64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if is_due(self.timer_ms) && self.fired_ms.saturating_add(PAUSE_MS) <= now_ms {
            let next_ms = self.fire(shared, loaded, now_ms).await;
            self.timer_ms = next_ms.unwrap_or_else(|error| again(loaded, &error, now_ms));
        }
        if is_due(self.tick_ms) {
            let next_ms = tick(shared, loaded, now_ms).await;
            self.tick_ms = next_ms.unwrap_or_else(|error| again(loaded, &error, now_ms));
        }
    }

    /// The answer is when the next timer is due.
    async fn fire(
        &mut self,
        shared: &Shared,
        loaded: &Loaded,
        now_ms: i64,
    ) -> Result<Option<i64>, StoreError> {
        let fired = shared.store.fire_timers(loaded.name().to_owned(), now_ms);
        let fired = fired.await?;
        if !fired.events.is_empty() {
            crate::failpoint::hit("timers.fired");
            self.fired_ms = now_ms;
        }
        shared.feed.publish(fired.events);
        Ok(fired.next_ms)
    }
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
    Some(now_ms.saturating_add(PAUSE_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_wait_for_a_pause_and_ticks_do_not() {
        let mut clock = Clock {
            timer_ms: None,
            fired_ms: 10_000,
            tick_ms: None,
        };
        assert_eq!(clock.due_ms(), None);
        clock.set(20_000);
        clock.set(30_000);
        assert_eq!(clock.due_ms(), Some(20_000));
        clock.set(10_001);
        assert_eq!(clock.due_ms(), Some(11_000));
        clock.tick_ms = Some(10_500);
        assert_eq!(clock.due_ms(), Some(10_500));
    }
}
