//! When a fetch that did not succeed is tried again.

use crate::backoff;

/// A media id of a webhook lives 7 days (WhatsApp Cloud API, "Media").
pub const LIFE_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Answers that speak against the file itself, and then it is given up.
const STRIKES_MAX: u32 = 5;
const PAUSE_FIRST_MS: u64 = 2000;
const PAUSE_MAX_MS: u64 = 15 * 60 * 1000;

/// What kept a file from being stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Something on the way or at Meta's; the file itself may be all right.
    Passing,
    /// Meta does not know it, or gave other bytes than it announced.
    Strike,
    /// It is larger than the settings allow.
    TooLarge,
    /// It can be asked for nowhere.
    Unreachable,
}

/// How often a file was tried before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    pub attempt: u32,
    /// Of those, the ones that ended with [`Trouble::Strike`].
    pub strikes: u32,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is tried again at this time.
    Again {
        at_ms: i64,
        tries: Tries,
    },
    TooLarge,
    Failed,
    /// Meta no longer has it.
    Expired,
}

impl Next {
    /// The state of a file that is not tried again.
    #[must_use]
    pub fn end(self) -> Option<&'static str> {
        match self {
            Next::Again { .. } => None,
            Next::TooLarge => Some("too-large"),
            Next::Failed => Some("failed"),
            Next::Expired => Some("expired"),
        }
    }
}

/// After a trouble at `now_ms` with a file whose webhook came at `received_ms`. `random` spreads the tries.
#[must_use]
pub fn after(trouble: Trouble, tries: Tries, received_ms: i64, now_ms: i64, random: u64) -> Next {
    let tries = Tries {
        attempt: tries.attempt.saturating_add(1),
        strikes: tries
            .strikes
            .saturating_add(u32::from(trouble == Trouble::Strike)),
    };
    match trouble {
        Trouble::TooLarge => return Next::TooLarge,
        Trouble::Unreachable => return Next::Failed,
        Trouble::Strike if tries.strikes >= STRIKES_MAX => return Next::Failed,
        Trouble::Strike | Trouble::Passing => {}
    }
    let pause_ms = backoff::delay_ms(tries.attempt, PAUSE_FIRST_MS, PAUSE_MAX_MS, random);
    let at_ms = now_ms.saturating_add(i64::try_from(pause_ms).unwrap_or(i64::MAX));
    if at_ms >= received_ms.saturating_add(LIFE_MS) {
        return Next::Expired;
    }
    Next::Again { at_ms, tries }
}

/// A file that waits for something else than itself until `until_ms`; the try does not count.
#[must_use]
pub fn waits(tries: Tries, received_ms: i64, until_ms: i64) -> Next {
    if until_ms >= received_ms.saturating_add(LIFE_MS) {
        return Next::Expired;
    }
    Next::Again {
        at_ms: until_ms,
        tries,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_trouble_has_its_end() {
        let (fresh, struck) = (
            Tries::default(),
            Tries {
                attempt: 4,
                strikes: 4,
            },
        );
        let cases = [
            (Trouble::TooLarge, fresh, 0, Next::TooLarge),
            (Trouble::Unreachable, fresh, 0, Next::Failed),
            (Trouble::Strike, struck, 0, Next::Failed),
            (Trouble::Strike, struck, LIFE_MS, Next::Failed),
            (Trouble::Passing, struck, LIFE_MS, Next::Expired),
            (Trouble::Passing, fresh, LIFE_MS - 1, Next::Expired),
            (
                Trouble::Passing,
                fresh,
                0,
                Next::Again {
                    at_ms: 1000,
                    tries: Tries {
                        attempt: 1,
                        strikes: 0,
                    },
                },
            ),
            (
                Trouble::Strike,
                fresh,
                0,
                Next::Again {
                    at_ms: 1000,
                    tries: Tries {
                        attempt: 1,
                        strikes: 1,
                    },
                },
            ),
        ];
        for (trouble, tries, now_ms, next) in cases {
            assert_eq!(
                after(trouble, tries, 0, now_ms, 0),
                next,
                "{trouble:?} {now_ms}"
            );
        }
    }

    proptest! {
        /// It goes on, later each time, and ends by itself within Meta's seven days.
        #[test]
        fn a_fetch_ends(strikes in prop::collection::vec(any::<bool>(), 2000), random: u64) {
            let (mut tries, mut now_ms) = (Tries::default(), 0);
            for strike in strikes {
                let trouble = if strike { Trouble::Strike } else { Trouble::Passing };
                match after(trouble, tries, 0, now_ms, random) {
                    Next::Again { at_ms, tries: next } => {
                        prop_assert!(at_ms > now_ms && at_ms < LIFE_MS && next.attempt > tries.attempt);
                        (now_ms, tries) = (at_ms, next);
                    }
                    Next::Expired | Next::Failed => return Ok(()),
                    Next::TooLarge => prop_assert!(false),
                }
            }
            prop_assert!(false, "still not ended after 2000 tries, at {now_ms}");
        }
    }
}
