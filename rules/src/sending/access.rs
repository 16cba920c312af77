//! Whether the API takes the token of a number: what it does not take waits until it does.

use super::gate::{Cause, Verdict};

/// A token that is set anew frees what it held; this only bounds the wait should that word be lost.
const MISSING_RECHECK_MS: i64 = 300_000;
/// A refused token is tried again by one send after so long: the longer it has been refused, the later.
const RETRY_FIRST_MS: i64 = 30_000;
const RETRY_MAX_MS: i64 = 600_000;

/// What is known of a number's token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    #[default]
    Open,
    /// There is none.
    Missing,
    /// It is stored, and no master key opens it.
    Sealed,
    /// The API refuses it; one send may try it at `next_ms`, ms since 1970.
    Refused { next_ms: i64 },
}

/// Whether a call beside the sends may be made under a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Free,
    /// The token is refused: this call tries it.
    Trial,
    Wait {
        until_ms: i64,
    },
}

impl Access {
    /// What stands against a call that is no send.
    #[must_use]
    pub fn call(self, now_ms: i64) -> Call {
        match (self, self.judge(now_ms)) {
            (_, Some(Verdict::Hold { until_ms, .. })) => Call::Wait { until_ms },
            (Access::Refused { .. }, _) => Call::Trial,
            _ => Call::Free,
        }
    }

    /// What stands against a send now.
    #[must_use]
    pub fn judge(self, now_ms: i64) -> Option<Verdict> {
        let (until_ms, cause) = match self {
            Access::Open => return None,
            Access::Missing => (
                now_ms.saturating_add(MISSING_RECHECK_MS),
                Cause::TokenMissing,
            ),
            Access::Sealed => (
                now_ms.saturating_add(MISSING_RECHECK_MS),
                Cause::TokenSealed,
            ),
            Access::Refused { next_ms } if next_ms <= now_ms => return None,
            Access::Refused { next_ms } => (next_ms, Cause::TokenRefused),
        };
        Some(Verdict::Hold { until_ms, cause })
    }

    /// When a token that has been refused since `since_ms` is tried again.
    #[must_use]
    pub fn retry_ms(since_ms: i64, now_ms: i64) -> i64 {
        let refused_ms = now_ms.saturating_sub(since_ms);
        now_ms.saturating_add(refused_ms.clamp(RETRY_FIRST_MS, RETRY_MAX_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waits_as_a_send_does() {
        let refused = Access::Refused { next_ms: 100 };
        for (access, now_ms, call) in [
            (Access::Open, 0, Call::Free),
            (refused, 99, Call::Wait { until_ms: 100 }),
            (refused, 100, Call::Trial),
            (
                Access::Missing,
                0,
                Call::Wait {
                    until_ms: MISSING_RECHECK_MS,
                },
            ),
            (
                Access::Sealed,
                0,
                Call::Wait {
                    until_ms: MISSING_RECHECK_MS,
                },
            ),
        ] {
            assert_eq!(access.call(now_ms), call, "{access:?} at {now_ms}");
        }
    }

    #[test]
    fn a_token_that_is_not_taken_holds_and_one_send_tries_it_again() {
        let refused = Access::Refused { next_ms: 100 };
        for (access, now_ms, verdict) in [
            (Access::Open, 0, None),
            (Access::Missing, 7, Some((300_007, Cause::TokenMissing))),
            (Access::Sealed, 7, Some((300_007, Cause::TokenSealed))),
            (refused, 99, Some((100, Cause::TokenRefused))),
            (refused, 100, None),
        ] {
            let verdict = verdict.map(|(until_ms, cause)| Verdict::Hold { until_ms, cause });
            assert_eq!(access.judge(now_ms), verdict, "{access:?} at {now_ms}");
        }
    }

    #[test]
    fn the_longer_it_is_refused_the_later_it_is_tried() {
        for (refused_ms, pause_ms) in [
            (-5, 30_000),
            (0, 30_000),
            (30_000, 30_000),
            (60_000, 60_000),
            (9_000_000, 600_000),
        ] {
            let now_ms = 10_000_000;
            let retry_ms = Access::retry_ms(now_ms - refused_ms, now_ms);
            assert_eq!(retry_ms - now_ms, pause_ms, "after {refused_ms}");
        }
    }
}
