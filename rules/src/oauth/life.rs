use crate::backoff;

/// How long a token lives of which that is not said.
const LIFETIME_S: u64 = 3600;
const LIFETIME_S_MAX: u64 = 366 * 24 * 3600;
/// A token is renewed so long before its end, or a tenth of its life.
const MARGIN_MS_MAX: i64 = 60_000;
/// Pauses after no answer: the first, and the longest.
const FAILED_MS: (u64, u64) = (1000, 60_000);
/// Pauses after a refusal, and after a new token that was refused like the old one.
const REFUSED_MS: (u64, u64) = (60_000, 15 * 60_000);

/// What is to be done by somebody who needs the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is there and good.
    Use,
    /// The token URL is asked.
    Ask,
    /// It was asked in vain and is not asked yet: there is no token.
    Pause,
}

/// Why there was no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The answer will be the same until somebody does something.
    Refused,
    Failed,
}

/// When one access token is used, renewed, and not asked for again yet. Whoever has it keeps the token itself.
///
/// Promises: in a pause nothing is asked, each failure doubles it up to a limit, and a clock that is set back prolongs
/// nothing; a token that is about to end is used to its end while there is no other.
#[derive(Debug, Default)]
pub struct Life {
    /// Tokens so far.
    generation: u64,
    held: Option<Span>,
    /// When the token is to be renewed, within `held`.
    renew_ms: i64,
    failures: u32,
    pause: Option<Span>,
    /// Renewals in a row after a refused call that were in vain.
    useless: u32,
    /// No refused call renews the token.
    deaf: Option<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    begun_ms: i64,
    until_ms: i64,
}

impl Span {
    fn new(begun_ms: i64, ms: u64) -> Span {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        Span {
            begun_ms,
            until_ms: begun_ms.saturating_add(ms),
        }
    }

    fn holds(self, now_ms: i64) -> bool {
        (self.begun_ms..self.until_ms).contains(&now_ms)
    }
}

impl Life {
    /// Which token is held, counted from 1.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    #[must_use]
    pub fn step(&self, now_ms: i64) -> Step {
        let held = self.held.filter(|held| held.holds(now_ms));
        if held.is_some() && now_ms < self.renew_ms {
            return Step::Use;
        }
        match (self.pauses(now_ms), held) {
            (false, _) => Step::Ask,
            (true, Some(_)) => Step::Use,
            (true, None) => Step::Pause,
        }
    }

    /// Whether the token URL is not to be asked now.
    #[must_use]
    pub fn pauses(&self, now_ms: i64) -> bool {
        self.pause.is_some_and(|pause| pause.holds(now_ms))
    }

    /// There is a token, which lives so long.
    pub fn granted(&mut self, expires_s: Option<u64>, now_ms: i64) {
        let lifetime_s = expires_s.unwrap_or(LIFETIME_S).min(LIFETIME_S_MAX);
        let held = Span::new(now_ms, lifetime_s.saturating_mul(1000));
        let lifetime_ms = held.until_ms.saturating_sub(now_ms);
        self.renew_ms = held
            .until_ms
            .saturating_sub(MARGIN_MS_MAX.min(lifetime_ms / 10));
        self.held = Some(held);
        self.generation = self.generation.saturating_add(1);
        self.failures = 0;
        self.pause = None;
    }

    /// The token URL was asked in vain. `random` is any number.
    pub fn denied(&mut self, trouble: Trouble, now_ms: i64, random: u64) {
        let (first_ms, max_ms) = match trouble {
            Trouble::Refused => REFUSED_MS,
            Trouble::Failed => FAILED_MS,
        };
        self.failures = self.failures.saturating_add(1);
        let ms = backoff::delay_ms(self.failures, first_ms, max_ms, random);
        self.pause = Some(Span::new(now_ms, ms));
    }

    /// A call was refused under the token of this generation: whether another token is worth a try.
    pub fn doubted(&mut self, generation: u64, now_ms: i64) -> bool {
        if generation < self.generation {
            return true;
        }
        if self.deaf.is_some_and(|deaf| deaf.holds(now_ms)) {
            return false;
        }
        self.renew_ms = now_ms;
        true
    }

    /// What came of the same call under a renewed token.
    pub fn repeated(&mut self, refused: bool, now_ms: i64, random: u64) {
        if !refused {
            self.useless = 0;
            return;
        }
        let (first_ms, max_ms) = REFUSED_MS;
        self.useless = self.useless.saturating_add(1);
        let ms = backoff::delay_ms(self.useless, first_ms, max_ms, random);
        self.deaf = Some(Span::new(now_ms, ms));
    }

    /// What it was asked with has changed: it is asked anew at once.
    pub fn begin_anew(&mut self) {
        *self = Life {
            generation: self.generation,
            ..Life::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn granted(expires_s: Option<u64>) -> Life {
        let mut life = Life::default();
        life.granted(expires_s, NOW_MS);
        life
    }

    #[test]
    fn a_token_is_renewed_shortly_before_it_ends() {
        assert_eq!(Life::default().step(NOW_MS), Step::Ask);
        for (expires_s, renew_s) in [
            (Some(3600), 3540),
            (Some(10), 9),
            (None, 3540),
            (Some(0), 0),
        ] {
            let life = granted(expires_s);
            let renew_ms = NOW_MS + renew_s * 1000;
            assert_eq!(life.step(renew_ms), Step::Ask, "{expires_s:?}");
            assert!(
                renew_s == 0 || life.step(renew_ms - 1) == Step::Use,
                "{expires_s:?}"
            );
        }
        let back = granted(None).step(NOW_MS - 1);
        assert_eq!(back, Step::Ask, "the clock was set back");
    }

    #[test]
    fn a_token_is_used_to_its_end_while_there_is_no_other() {
        let mut life = granted(Some(3600));
        let last_ms = NOW_MS + 3_599_999;
        life.denied(Trouble::Refused, last_ms, 0);
        assert_eq!(life.step(last_ms), Step::Use);
        assert_eq!(life.step(last_ms + 1), Step::Pause);
        assert_eq!(life.step(last_ms + 60_000), Step::Ask);
        assert_eq!(life.step(last_ms - 1), Step::Ask, "the clock was set back");
        life.begin_anew();
        assert_eq!((life.step(last_ms), life.generation()), (Step::Ask, 1));
    }

    #[test]
    fn a_refused_call_renews_once_and_not_again_when_that_was_in_vain() {
        let mut life = granted(Some(3600));
        assert!(life.doubted(1, NOW_MS));
        assert_eq!(life.step(NOW_MS), Step::Ask);
        life.granted(Some(3600), NOW_MS);
        assert!(life.doubted(1, NOW_MS), "there is another one already");
        assert_eq!(life.step(NOW_MS), Step::Use);
        life.repeated(true, NOW_MS, 0);
        assert!(!life.doubted(2, NOW_MS + 29_999));
        assert_eq!(life.step(NOW_MS + 29_999), Step::Use);
        assert!(life.doubted(2, NOW_MS + 60_000));
        life.repeated(false, NOW_MS + 60_000, 0);
        assert!(life.doubted(2, NOW_MS + 60_000));
    }

    proptest! {
        /// An hour in which the token URL gives nothing, and somebody needs the token at each of these times.
        #[test]
        fn whoever_gives_nothing_is_seldom_asked(
            refused in any::<bool>(), random in any::<u64>(), steps_ms in prop::collection::vec(0i64..5000, 1..2000),
        ) {
            let (trouble, most) = match refused {
                true => (Trouble::Refused, 12),
                false => (Trouble::Failed, 130),
            };
            let (mut life, mut now_ms, mut asked) = (Life::default(), NOW_MS, 0);
            for step_ms in steps_ms {
                now_ms += step_ms;
                if now_ms - NOW_MS > 3_600_000 {
                    break;
                }
                match life.step(now_ms) {
                    Step::Ask => {
                        asked += 1;
                        life.denied(trouble, now_ms, random);
                        prop_assert_eq!(life.step(now_ms), Step::Pause);
                    }
                    step => prop_assert_eq!(step, Step::Pause),
                }
            }
            prop_assert!(asked <= most, "asked {asked} times");
            life.granted(Some(60), now_ms);
            prop_assert_eq!(life.step(now_ms), Step::Use);
        }
    }
}
