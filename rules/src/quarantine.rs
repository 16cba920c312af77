//! When a plugin that faults on one event after another is left alone for a while.
//!
//! Promises: one event that faults however often brings no quarantine, and neither do faults that are fewer than half
//! of the last runs; in quarantine one event at a time is tried, each after a pause that doubles; the first that does
//! not fault ends it. Only the runs' ends and the time decide, and a clock that is set back prolongs nothing.

use std::collections::{BTreeSet, VecDeque};

use crate::backoff;

/// The last runs that are looked at.
pub const RECENT: u64 = 20;

/// When it begins and how long it lasts. From `[plugins.<name>.quarantine]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// So many different events among the last runs have faulted.
    pub events: u64,
    /// The pause before the first event is tried; it doubles from there.
    pub first_seconds: u64,
    /// The longest pause.
    pub max_seconds: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            events: 5,
            first_seconds: 30,
            max_seconds: 1800,
        }
    }
}

/// What a run's end has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Until this time, ms since 1970; then one event is tried.
    Begun {
        until_ms: i64,
    },
    Over,
}

/// How one instance stands.
#[derive(Debug, Default)]
pub struct Quarantine {
    /// Events of the last runs, and whether they faulted.
    recent: VecDeque<(i64, bool)>,
    pause: Option<Pause>,
    /// An event is being tried.
    probing: bool,
    /// Pauses in a row without a good while between them.
    pauses: u32,
}

/// Until an event may be tried.
#[derive(Clone, Copy, Debug)]
struct Pause {
    begun_ms: i64,
    until_ms: i64,
}

impl Pause {
    fn is_over(self, now_ms: i64) -> bool {
        now_ms >= self.until_ms || now_ms < self.begun_ms
    }
}

impl Quarantine {
    /// Whether one more run may begin beside `running` others.
    #[must_use]
    pub fn lets_run(&self, running: usize, now_ms: i64) -> bool {
        self.pause
            .is_none_or(|pause| pause.is_over(now_ms) && running == 0)
    }

    /// When an event may be tried, if that is still to come.
    #[must_use]
    pub fn due_ms(&self, now_ms: i64) -> Option<i64> {
        let pause = self.pause.filter(|pause| !pause.is_over(now_ms))?;
        Some(pause.until_ms)
    }

    /// A run begins.
    pub fn begun(&mut self) {
        self.probing = self.pause.is_some();
    }

    /// A run on the event `seq` has ended. `random` is any number.
    pub fn ended(
        &mut self,
        terms: &Terms,
        seq: i64,
        faulted: bool,
        now_ms: i64,
        random: u64,
    ) -> Option<Change> {
        if self.pause.is_some() {
            // What was running when it began tells nothing new.
            return std::mem::take(&mut self.probing)
                .then(|| self.probed(terms, faulted, now_ms, random));
        }
        self.recent.push_back((seq, faulted));
        if self.runs() > RECENT {
            self.recent.pop_front();
        }
        let faults = self.recent.iter().filter(|(_, faulted)| *faulted);
        let events: BTreeSet<i64> = faults.clone().map(|(seq, _)| *seq).collect();
        let many = u64::try_from(events.len()).is_ok_and(|events| events >= terms.events);
        if many && 2 * faults.count() >= self.recent.len() {
            return Some(self.pause(terms, now_ms, random));
        }
        if self.runs() == RECENT {
            self.pauses = 0;
        }
        None
    }

    fn runs(&self) -> u64 {
        u64::try_from(self.recent.len()).unwrap_or(u64::MAX)
    }

    fn probed(&mut self, terms: &Terms, faulted: bool, now_ms: i64, random: u64) -> Change {
        if faulted {
            return self.pause(terms, now_ms, random);
        }
        self.pause = None;
        Change::Over
    }

    fn pause(&mut self, terms: &Terms, now_ms: i64, random: u64) -> Change {
        self.recent.clear();
        self.pauses = self.pauses.saturating_add(1);
        let delay_ms = backoff::delay_ms(
            self.pauses,
            terms.first_seconds.saturating_mul(1000),
            terms.max_seconds.saturating_mul(1000),
            random,
        );
        let until_ms = now_ms.saturating_add(i64::try_from(delay_ms).unwrap_or(i64::MAX));
        self.pause = Some(Pause {
            begun_ms: now_ms,
            until_ms,
        });
        Change::Begun { until_ms }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of the seconds between half of a pause and the whole of it, the random number takes so many: all of the first.
    const WHOLE: u64 = 15_000;

    fn ends(quarantine: &mut Quarantine, seq: i64, faulted: bool, now_ms: i64) -> Option<Change> {
        quarantine.begun();
        quarantine.ended(&Terms::default(), seq, faulted, now_ms, WHOLE)
    }

    fn until(change: Option<Change>) -> i64 {
        match change {
            Some(Change::Begun { until_ms }) => until_ms,
            other => panic!("no quarantine: {other:?}"),
        }
    }

    #[test]
    fn many_events_that_fault_are_left_alone_and_one_that_does_not_ends_it() {
        let mut quarantine = Quarantine::default();
        for seq in 1..5 {
            assert_eq!(ends(&mut quarantine, seq, true, 0), None);
            assert!(quarantine.lets_run(7, 0));
        }
        assert_eq!(until(ends(&mut quarantine, 5, true, 0)), 30_000);
        assert!(!quarantine.lets_run(0, 29_999));
        assert_eq!(quarantine.due_ms(29_999), Some(30_000));
        assert!(quarantine.lets_run(0, 30_000));
        assert_eq!(quarantine.due_ms(30_000), None);
        assert!(!quarantine.lets_run(1, 30_000), "one at a time");
        // Half of the doubled pause, and what the random number adds.
        let later = ends(&mut quarantine, 1, true, 30_000);
        assert_eq!(until(later), 30_000 + 30_000 + 15_000);
        assert_eq!(ends(&mut quarantine, 2, false, 75_000), Some(Change::Over));
        assert!(quarantine.lets_run(7, 75_000));
    }

    #[test]
    fn what_was_running_already_prolongs_and_ends_nothing() {
        let mut quarantine = Quarantine::default();
        let begun = (1..6).find_map(|seq| ends(&mut quarantine, seq, true, 0));
        assert_eq!(until(begun), 30_000);
        for faulted in [true, false] {
            let ended = quarantine.ended(&Terms::default(), 9, faulted, 5, WHOLE);
            assert_eq!(ended, None);
        }
        assert_eq!(quarantine.due_ms(5), Some(30_000));
    }

    #[test]
    fn after_a_good_while_the_next_pause_is_short_again() {
        let mut quarantine = Quarantine::default();
        let mut now_ms = 0;
        let mut pauses_ms = Vec::new();
        for _ in 0..9 {
            let begun = (1..6).find_map(|seq| ends(&mut quarantine, seq, true, now_ms));
            pauses_ms.push(until(begun) - now_ms);
            now_ms = until(begun);
            assert_eq!(ends(&mut quarantine, 9, false, now_ms), Some(Change::Over));
        }
        let longest_ms = 900_000 + 15_000;
        assert_eq!(pauses_ms[..3], [30_000, 45_000, 75_000]);
        assert_eq!(pauses_ms[7..], [longest_ms; 2]);
        for seq in 10..40 {
            assert_eq!(ends(&mut quarantine, seq, false, now_ms), None);
        }
        let begun = (40..70).find_map(|seq| ends(&mut quarantine, seq, true, now_ms));
        assert_eq!(until(begun) - now_ms, 30_000);
    }

    #[test]
    fn a_clock_that_is_set_back_prolongs_nothing() {
        let mut quarantine = Quarantine::default();
        let day_ms = 86_400_000;
        let begun = (1..6).find_map(|seq| ends(&mut quarantine, seq, true, day_ms));
        assert_eq!(until(begun), day_ms + 30_000);
        assert!(!quarantine.lets_run(0, day_ms));
        assert!(quarantine.lets_run(0, day_ms - 1));
        assert_eq!(quarantine.due_ms(day_ms - 1), None);
    }

    proptest! {
        #[test]
        fn one_event_that_faults_for_ever_brings_no_quarantine(times in 1_usize..200) {
            let mut quarantine = Quarantine::default();
            for _ in 0..times {
                prop_assert_eq!(ends(&mut quarantine, 7, true, 0), None);
            }
        }

        #[test]
        fn a_plugin_that_mostly_works_is_never_in_quarantine(good in 1_i64..6, rounds in 1_i64..60) {
            let mut quarantine = Quarantine::default();
            for round in 0..rounds {
                for seq in 0..=good {
                    let faulted = seq == good && round % 2 == 0;
                    prop_assert_eq!(ends(&mut quarantine, round * 10 + seq, faulted, round), None);
                }
            }
        }
    }
}
