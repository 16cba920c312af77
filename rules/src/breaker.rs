//! When a system that a plugin calls is left alone for a while because it is down.
//!
//! Promises: nothing less than a few failures in a row begins a pause, unless the system itself asks for one; in a pause
//! no call passes, after it one at a time; each pause is twice as long as the one before, up to a limit; the first call
//! that is answered ends it. A clock that is set back prolongs nothing.

use std::collections::BTreeMap;

use jiff::fmt::rfc2822;

use crate::backoff;

/// So many failures in a row begin a pause.
pub const FAILURES: u32 = 5;
const FIRST_MS: u64 = 1000;
const MAX_MS: u64 = 60_000;
/// What a system may ask for.
const ASKED_MS_MAX: i64 = 3_600_000;
/// Destinations of one instance that are remembered while they fail.
const DESTINATIONS_MAX: usize = 1000;

/// What a call says of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It answers, whatever it says.
    Well,
    Down,
    /// It asks for so long a pause.
    Busy {
        ms: i64,
    },
    /// The call was not made.
    Nothing,
}

impl Heard {
    /// What an answer says; `retry_after` is the text of that header.
    #[must_use]
    pub fn answer(status: u16, retry_after: Option<&str>, now_ms: i64) -> Heard {
        match (status, retry_after.and_then(|text| asked_ms(text, now_ms))) {
            (429 | 503, Some(ms)) => Heard::Busy { ms },
            (502..=504, _) => Heard::Down,
            _ => Heard::Well,
        }
    }

    /// What it says that there was no answer, by the error's word.
    #[must_use]
    pub fn error(code: &str) -> Heard {
        match code {
            "unreachable" | "timeout" | "lost" | "token-unavailable" => Heard::Down,
            "answer-too-long" | "answer-encoded" => Heard::Well,
            _ => Heard::Nothing,
        }
    }

    /// Whether it did not answer as it should.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Heard::Down | Heard::Busy { .. })
    }
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn asked_ms(text: &str, now_ms: i64) -> Option<i64> {
    let text = text.trim();
    let ms = match text.parse::<u32>() {
        Ok(seconds) => i64::from(seconds) * 1000,
        Err(_) => {
            let at = rfc2822::parse(text).ok()?.timestamp();
            at.as_millisecond().saturating_sub(now_ms)
        }
    };
    Some(ms.clamp(0, ASKED_MS_MAX))
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No call passes until this time, ms since 1970; then one does.
    Paused {
        until_ms: i64,
    },
    Over,
}

/// How a destination stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Well,
    /// In a pause.
    Paused,
    /// One call may try it.
    Due,
    /// A call tries it.
    Tried,
}

/// A call that may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Of those that try a destination after a pause, which one; 0 for any other.
    trial: u64,
}

/// All destinations of one instance that do not do well, by scheme, host and port.
#[derive(Debug, Default)]
pub struct Breakers {
    ill: BTreeMap<String, Destination>,
    trials: u64,
}

#[derive(Debug, Default)]
struct Destination {
    /// In a row.
    failures: u32,
    pause: Option<Pause>,
    /// In a row.
    pauses: u32,
    /// The call that tries it.
    trial: Option<Pass>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    begun_ms: i64,
    until_ms: i64,
}

impl Breakers {
    #[must_use]
    pub fn standing(&self, destination: &str, now_ms: i64) -> Standing {
        let found = self.ill.get(destination);
        let Some((found, pause)) = found.and_then(|found| Some((found, found.pause?))) else {
            return Standing::Well;
        };
        if found.trial.is_some() {
            Standing::Tried
        } else if now_ms >= pause.until_ms || now_ms < pause.begun_ms {
            Standing::Due
        } else {
            Standing::Paused
        }
    }

    /// Until when its last pause goes or went, ms since 1970; nothing when it does well.
    #[must_use]
    pub fn until_ms(&self, destination: &str) -> Option<i64> {
        Some(self.ill.get(destination)?.pause?.until_ms)
    }

    /// Lets a call pass or not. What comes of it goes to [`heard`](Self::heard).
    pub fn pass(&mut self, destination: &str, now_ms: i64) -> Option<Pass> {
        match self.standing(destination, now_ms) {
            Standing::Well => Some(Pass { trial: 0 }),
            Standing::Paused | Standing::Tried => None,
            Standing::Due => {
                self.trials += 1;
                let pass = Pass { trial: self.trials };
                self.ill.get_mut(destination)?.trial = Some(pass);
                Some(pass)
            }
        }
    }

    /// What came of a call that passed. `random` is any number.
    pub fn heard(
        &mut self,
        destination: &str,
        pass: Pass,
        heard: Heard,
        now_ms: i64,
        random: u64,
    ) -> Option<Change> {
        if heard == Heard::Well {
            let gone = self.ill.remove(destination)?;
            return gone.pause.map(|_| Change::Over);
        }
        if heard != Heard::Nothing {
            self.make_room(destination);
        }
        let found = self.ill.get_mut(destination)?;
        let tried = found.trial == Some(pass);
        if tried {
            found.trial = None;
        }
        let ms = match heard {
            Heard::Well | Heard::Nothing => return None,
            Heard::Busy { ms } => ms.max(1),
            // What was under way when the pause began tells nothing new.
            Heard::Down if found.pause.is_some() && !tried => return None,
            Heard::Down => {
                found.failures = found.failures.saturating_add(1);
                if found.pause.is_none() && found.failures < FAILURES {
                    return None;
                }
                found.pauses = found.pauses.saturating_add(1);
                let ms = backoff::delay_ms(found.pauses, FIRST_MS, MAX_MS, random);
                i64::try_from(ms).unwrap_or(i64::MAX)
            }
        };
        let until_ms = now_ms.saturating_add(ms);
        found.pause = Some(Pause {
            begun_ms: now_ms,
            until_ms,
        });
        Some(Change::Paused { until_ms })
    }

    /// It was in a pause until then when an earlier process ended.
    pub fn resume(&mut self, destination: &str, now_ms: i64, until_ms: i64) {
        let until_ms = until_ms.min(now_ms.saturating_add(ASKED_MS_MAX));
        let found = self.ill.entry(destination.to_owned()).or_default();
        let pause = found.pause.get_or_insert(Pause {
            begun_ms: now_ms,
            until_ms,
        });
        pause.until_ms = pause.until_ms.max(until_ms);
    }

    /// Something has changed: whatever is in a pause may be tried at once.
    pub fn hurry(&mut self, now_ms: i64) {
        let paused = self.ill.values_mut();
        for pause in paused.filter_map(|found| found.pause.as_mut()) {
            pause.until_ms = pause.until_ms.min(now_ms);
        }
    }

    /// Remembers it from its first failure on. When there are too many, those that have only begun to fail are forgotten.
    fn make_room(&mut self, destination: &str) {
        if self.ill.contains_key(destination) {
            return;
        }
        if self.ill.len() >= DESTINATIONS_MAX {
            self.ill.retain(|_, found| found.pause.is_some());
        }
        if self.ill.len() < DESTINATIONS_MAX {
            let begins = Destination::default();
            self.ill.insert(destination.to_owned(), begins);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;
    const CRM: &str = "https://crm.example.com";
    const OTHER: &str = "https://other.example.com";
    /// No trial.
    const PLAIN: Pass = Pass { trial: 0 };

    /// Fails so often that a pause of half a second begins.
    fn paused() -> Breakers {
        let mut breakers = Breakers::default();
        for nth in 1..=FAILURES {
            let pass = breakers.pass(CRM, NOW_MS).unwrap();
            let change = breakers.heard(CRM, pass, Heard::Down, NOW_MS, 0);
            let until_ms = NOW_MS + 500;
            let expect = (nth == FAILURES).then_some(Change::Paused { until_ms });
            assert_eq!(change, expect, "failure {nth}");
        }
        breakers
    }

    #[test]
    fn a_few_failures_in_a_row_pause_it_and_one_answer_ends_that() {
        let mut breakers = paused();
        let (until_ms, later_ms) = (NOW_MS + 500, NOW_MS + 500 + 1000);
        assert_eq!(breakers.pass(CRM, until_ms - 1), None);
        assert_eq!(breakers.pass(OTHER, NOW_MS), Some(PLAIN));
        let trial = breakers.pass(CRM, until_ms).unwrap();
        assert_eq!(breakers.pass(CRM, until_ms), None, "one at a time");
        // Under way since before the pause.
        assert_eq!(breakers.heard(CRM, PLAIN, Heard::Down, until_ms, 0), None);
        assert_eq!(breakers.standing(CRM, until_ms), Standing::Tried);
        let twice = Some(Change::Paused { until_ms: later_ms });
        assert_eq!(breakers.heard(CRM, trial, Heard::Down, until_ms, 0), twice);
        let trial = breakers.pass(CRM, later_ms).unwrap();
        let unmade = breakers.heard(CRM, trial, Heard::Nothing, later_ms, 0);
        assert_eq!(unmade, None);
        let trial = breakers.pass(CRM, later_ms).unwrap();
        let over = breakers.heard(CRM, trial, Heard::Well, later_ms, 0);
        assert_eq!(over, Some(Change::Over));
        assert_eq!(breakers.standing(CRM, later_ms), Standing::Well);
        let anew = breakers.heard(CRM, PLAIN, Heard::Down, later_ms, 0);
        assert_eq!(anew, None, "it is counted anew");
    }

    #[test]
    fn who_asks_for_a_pause_gets_it() {
        let date = "Tue, 14 Nov 2023 22:13:30 GMT";
        for (status, retry_after, expect) in [
            (200, None, Heard::Well),
            (500, Some("7"), Heard::Well),
            (404, None, Heard::Well),
            (429, None, Heard::Well),
            (429, Some("7"), Heard::Busy { ms: 7000 }),
            (503, Some(" 7 "), Heard::Busy { ms: 7000 }),
            (503, Some("soon"), Heard::Down),
            (503, Some("-7"), Heard::Down),
            (503, Some("99999999"), Heard::Busy { ms: 3_600_000 }),
            (503, Some(date), Heard::Busy { ms: 10_000 }),
            (502, None, Heard::Down),
            (504, Some("7"), Heard::Down),
        ] {
            let heard = Heard::answer(status, retry_after, NOW_MS);
            assert_eq!(heard, expect, "{status} {retry_after:?}");
        }
        let mut breakers = Breakers::default();
        let until_ms = NOW_MS + 7000;
        let change = breakers.heard(CRM, PLAIN, Heard::Busy { ms: 7000 }, NOW_MS, 0);
        assert_eq!(change, Some(Change::Paused { until_ms }));
        assert_eq!(breakers.standing(CRM, until_ms - 1), Standing::Paused);
        assert_eq!(breakers.standing(CRM, until_ms), Standing::Due);
        let set_back = breakers.standing(CRM, NOW_MS - 1);
        assert_eq!(set_back, Standing::Due, "the clock was set back");
    }

    #[test]
    fn a_pause_outlives_the_process_and_ends_when_something_changes() {
        let mut breakers = Breakers::default();
        for ms in [3000, 7000, 0] {
            breakers.resume(CRM, NOW_MS, NOW_MS + ms);
        }
        assert_eq!(breakers.standing(CRM, NOW_MS), Standing::Paused);
        assert_eq!(breakers.until_ms(CRM), Some(NOW_MS + 7000));
        breakers.hurry(NOW_MS + 1);
        assert_eq!(breakers.standing(CRM, NOW_MS + 1), Standing::Due);
        breakers.resume(OTHER, NOW_MS, i64::MAX);
        let set_back = breakers.standing(OTHER, NOW_MS + ASKED_MS_MAX);
        assert_eq!(set_back, Standing::Due, "the clock was set back");
    }

    #[test]
    fn no_more_destinations_are_remembered_than_there_is_room_for() {
        let mut breakers = paused();
        for nth in 0..3 * DESTINATIONS_MAX {
            breakers.heard(&nth.to_string(), PLAIN, Heard::Down, NOW_MS, 0);
            assert!(breakers.ill.len() <= DESTINATIONS_MAX);
        }
        assert_ne!(breakers.standing(CRM, NOW_MS), Standing::Well);
    }

    fn heard() -> impl Strategy<Value = Heard> {
        prop_oneof![
            4 => Just(Heard::Down),
            1 => Just(Heard::Well),
            1 => Just(Heard::Nothing),
            1 => (0..5000_i64).prop_map(|ms| Heard::Busy { ms }),
        ]
    }

    proptest! {
        /// Calls begin and end in any order: none passes in a pause, one at a time after it, and every pause has a reason.
        #[test]
        fn calls_pass_while_it_does_well_and_one_at_a_time_after_a_pause(
            steps in prop::collection::vec((0i64..1500, any::<bool>(), any::<prop::sample::Index>(), heard()), 0..300),
            random in any::<u64>(),
        ) {
            let (mut breakers, mut now_ms) = (Breakers::default(), NOW_MS);
            let (mut under_way, mut trial, mut pause_ms, mut failures) = (Vec::new(), None, None, 0);
            for (step_ms, begins, index, heard) in steps {
                now_ms += step_ms;
                if begins || under_way.is_empty() {
                    let pass = breakers.pass(CRM, now_ms);
                    let due = pause_ms.is_none_or(|until_ms| now_ms >= until_ms && trial.is_none());
                    prop_assert_eq!(pass.is_some(), due);
                    trial = trial.or(pass.filter(|_| pause_ms.is_some()));
                    under_way.extend(pass);
                    continue;
                }
                let pass = under_way.remove(index.index(under_way.len()));
                trial = trial.filter(|trial| *trial != pass);
                let fails = heard.is_failure();
                failures = if heard == Heard::Well { 0 } else { failures + u32::from(fails) };
                match breakers.heard(CRM, pass, heard, now_ms, random) {
                    Some(Change::Paused { until_ms }) => {
                        let asked = matches!(heard, Heard::Busy { .. });
                        prop_assert!(fails && (asked || failures >= FAILURES || pause_ms.is_some()));
                        prop_assert!(until_ms > now_ms && until_ms - now_ms <= 60_000);
                        pause_ms = Some(until_ms);
                    }
                    Some(Change::Over) => {
                        prop_assert!(heard == Heard::Well && pause_ms.is_some());
                        (pause_ms, trial) = (None, None);
                    }
                    None => prop_assert!(pause_ms.is_none() || heard != Heard::Well),
                }
            }
        }

        /// A system that is down from the beginning for a while, and is called at each of these times.
        #[test]
        fn few_calls_reach_who_is_down_and_it_is_found_soon_after(
            down_ms in 0i64..900_000, random in any::<u64>(),
            steps_ms in prop::collection::vec(1i64..2000, 1500..2000),
        ) {
            let (mut breakers, mut now_ms, mut lost, mut over_ms) = (Breakers::default(), NOW_MS, 0, None);
            for step_ms in steps_ms {
                now_ms += step_ms;
                let down = now_ms - NOW_MS < down_ms;
                let Some(pass) = breakers.pass(CRM, now_ms) else { continue };
                let heard = if down { Heard::Down } else { Heard::Well };
                lost += u32::from(down);
                breakers.heard(CRM, pass, heard, now_ms, random);
                if !down && over_ms.is_none() {
                    over_ms = Some(now_ms);
                }
            }
            // Pauses of half a second at least, doubling to half a minute at least.
            prop_assert!(lost <= FAILURES + 7 + 30, "{} calls", lost);
            let waited_ms = over_ms.map(|at_ms| at_ms - NOW_MS - down_ms);
            prop_assert!(waited_ms.is_none_or(|ms| ms <= 62_000), "{:?}", waited_ms);
            prop_assert!(over_ms.is_some() || now_ms - NOW_MS < down_ms + 62_000);
        }
    }
}
