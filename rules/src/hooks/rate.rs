/// How many calls are taken: a bucket that holds a minute's worth and fills as the minute goes by.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    per_minute: u64,
    /// 60,000 of them are one call: each ms fills in as many as calls a minute are taken.
    drops: u64,
    filled_ms: i64,
}

const DROPS: u64 = 60_000;

impl Rate {
    /// `per_minute` is at least 1.
    #[must_use]
    pub fn new(per_minute: u64, now_ms: i64) -> Rate {
        Rate {
            per_minute,
            drops: per_minute.saturating_mul(DROPS),
            filled_ms: now_ms,
        }
    }

    /// Takes a call, or tells in how many seconds there is room for one.
    ///
    /// # Errors
    /// At least 1.
    pub fn take(&mut self, now_ms: i64) -> Result<(), u64> {
        // A clock that was set back fills nothing in, and takes nothing away.
        let passed_ms = u64::try_from(now_ms.saturating_sub(self.filled_ms)).unwrap_or(0);
        let filled = self
            .drops
            .saturating_add(passed_ms.saturating_mul(self.per_minute));
        self.drops = filled.min(self.per_minute.saturating_mul(DROPS));
        self.filled_ms = now_ms;
        match self.drops.checked_sub(DROPS) {
            Some(left) => {
                self.drops = left;
                Ok(())
            }
            None => {
                let missing_ms = (DROPS - self.drops).div_ceil(self.per_minute.max(1));
                Err(missing_ms.div_ceil(1000).max(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_they_come_one_by_one() {
        let mut rate = Rate::new(3, NOW_MS);
        for _ in 0..3 {
            assert_eq!(rate.take(NOW_MS), Ok(()));
        }
        assert_eq!(rate.take(NOW_MS), Err(20));
        assert_eq!(rate.take(NOW_MS + 19_001), Err(1));
        assert_eq!(rate.take(NOW_MS + 20_000), Ok(()));
        assert_eq!(rate.take(NOW_MS + 20_000), Err(20));
        assert_eq!(rate.take(NOW_MS - 1), Err(20), "the clock was set back");
        for _ in 0..3 {
            assert_eq!(rate.take(NOW_MS + 600_000), Ok(()));
        }
        assert!(rate.take(NOW_MS + 600_000).is_err());
    }

    proptest! {
        #[test]
        fn no_minute_takes_more_than_two_minutes_worth(
            per_minute in 1_u64..100,
            waits in prop::collection::vec(0_i64..3_000, 1..300),
        ) {
            let mut rate = Rate::new(per_minute, NOW_MS);
            let (mut now_ms, mut taken) = (NOW_MS, Vec::new());
            for wait in waits {
                now_ms += wait;
                match rate.take(now_ms) {
                    Ok(()) => taken.push(now_ms),
                    Err(seconds) => prop_assert!((1..=60).contains(&seconds)),
                }
                let within = taken.iter().filter(|at_ms| **at_ms > now_ms - 60_000).count();
                prop_assert!(u64::try_from(within).unwrap() <= 2 * per_minute);
            }
        }
    }
}
