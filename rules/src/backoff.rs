//! How long to wait before the next try: doubles with each attempt up to a limit, with jitter.
//!
//! Promises: a delay lies between half of the attempt's ceiling and the ceiling, so that many rows that
//! failed together spread out and none comes back at once; the ceiling never falls from one attempt to
//! the next and never passes the limit. Randomness is an argument, so that a run can be repeated.

/// Meta's wait after the pair limit starts at 4^0 s and ends here at 4^6 s (68 minutes).
const PAIR_STEPS_MAX: u32 = 6;

/// Delay in ms before the next try, after `attempt` tries have failed (the first is 1).
///
/// `first_ms` is the ceiling after the first failure, `max_ms` the ceiling for ever; `random` is any
/// number, each value equally likely.
#[must_use]
pub fn delay_ms(attempt: u32, first_ms: u64, max_ms: u64, random: u64) -> u64 {
    let ceiling = ceiling_ms(attempt, first_ms, max_ms);
    let floor = ceiling / 2;
    // At most `ceiling`, so the sum cannot overflow.
    floor + random % (ceiling - floor).saturating_add(1)
}

/// The longest delay after `attempt` failed tries, ms.
#[must_use]
pub fn ceiling_ms(attempt: u32, first_ms: u64, max_ms: u64) -> u64 {
    let doublings = attempt.saturating_sub(1);
    2_u64
        .checked_pow(doublings)
        .map_or(max_ms, |factor| first_ms.saturating_mul(factor).min(max_ms))
}

/// Delay in ms after error 131056 (too many messages to one user): 4^X s, where X counts the failures
/// from 0 (WhatsApp Cloud API, "Pair rate limits"). Up to a quarter more, since Meta's wait is a minimum.
#[must_use]
pub fn pair_delay_ms(attempt: u32, random: u64) -> u64 {
    let least = 1000 * 4_u64.pow(attempt.saturating_sub(1).min(PAIR_STEPS_MAX));
    least + random % (least / 4 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubles_up_to_the_limit() {
        let ceilings: Vec<u64> = (0..8).map(|n| ceiling_ms(n, 1000, 20_000)).collect();
        assert_eq!(
            ceilings,
            [1000, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]
        );
        assert_eq!(delay_ms(1, 1000, 20_000, 0), 500);
        assert_eq!(delay_ms(1, 1000, 20_000, 500), 1000);
        assert_eq!(delay_ms(1, 1000, 20_000, 501), 500);
    }

    #[test]
    fn pair_limit_waits_four_to_the_x_seconds() {
        let waits: Vec<u64> = (1..5).map(|n| pair_delay_ms(n, 0)).collect();
        assert_eq!(waits, [1000, 4000, 16_000, 64_000]);
        assert_eq!(pair_delay_ms(u32::MAX, 0), 4_096_000);
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds(attempt: u32, first: u64, max: u64, random: u64) {
            let ceiling = ceiling_ms(attempt, first, max);
            let delay = delay_ms(attempt, first, max, random);
            prop_assert!(ceiling <= max);
            prop_assert!(delay >= ceiling / 2 && delay <= ceiling);
        }

        #[test]
        fn ceiling_never_falls(attempt in 0_u32..200, first: u64, max: u64) {
            prop_assert!(ceiling_ms(attempt, first, max) <= ceiling_ms(attempt + 1, first, max));
        }

        #[test]
        fn pair_wait_is_at_least_what_meta_asks(attempt in 1_u32..7, random: u64) {
            let least = 1000 * 4_u64.pow(attempt - 1);
            let delay = pair_delay_ms(attempt, random);
            prop_assert!(delay >= least && delay <= least + least / 4);
        }
    }
}
