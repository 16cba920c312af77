//! How long a send may wait for its number: what was right to say then may be wrong to say now.
//!
//! | the send waits for | and is as old as `sending.held_hours` |
//! |---|---|
//! | its number: disconnected, moving, not back for sure | cancelled |
//! | a rate | cancelled |
//! | an access token that is taken | cancelled |
//! | the upload of its file | cancelled |
//! | Meta's word on quality, or its limit for a day | goes on waiting: campaigns are made for that |
//! | nothing any more, after one of the first four | cancelled: it is stale |

use super::gate::{Cause, Verdict};
use super::pace::Pace;

const HOUR_MS: u64 = 3_600_000;
/// The causes of holds that must not last for ever.
const IMPATIENT: [Cause; 10] = [
    Cause::NumberDisconnected,
    Cause::NumberOffboarded,
    Cause::NumberReconnecting,
    Cause::PairRate,
    Cause::NumberRate,
    Cause::CampaignRate,
    Cause::TokenMissing,
    Cause::TokenSealed,
    Cause::TokenRefused,
    Cause::FileUploading,
];

/// `sending.held_hours` of `duet.toml`. The default waits for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patience {
    held_ms_max: Option<i64>,
}

/// What the admin's settings allow sends: how fast, and how late.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub pace: Pace,
    pub patience: Patience,
}

/// Since when a send waits, ms since 1970, and what for when it was last looked at.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    pub since_ms: i64,
    pub cause: Option<&'a str>,
}

impl Patience {
    /// 0 hours: for ever.
    #[must_use]
    pub fn new(hours: u64) -> Patience {
        let held_ms = i64::try_from(hours.saturating_mul(HOUR_MS)).unwrap_or(i64::MAX);
        Patience {
            held_ms_max: (hours > 0).then_some(held_ms),
        }
    }

    /// Turns a verdict into the end of a send that has waited for too long.
    #[must_use]
    pub fn judge(self, verdict: Verdict, waiting: Waiting<'_>, now_ms: i64) -> Verdict {
        let waits = match verdict {
            Verdict::Hold { cause, .. } => IMPATIENT.contains(&cause),
            Verdict::Go => IMPATIENT
                .iter()
                .any(|cause| waiting.cause == Some(cause.as_str())),
            Verdict::Cancel { .. } | Verdict::Refuse { .. } => false,
        };
        let waited_ms = now_ms.saturating_sub(waiting.since_ms);
        match self.held_ms_max {
            Some(max) if waits && waited_ms >= max => Verdict::Cancel {
                cause: Cause::HeldTooLong,
            },
            _ => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const STALE: Verdict = Verdict::Cancel {
        cause: Cause::HeldTooLong,
    };

    fn hold(cause: Cause) -> Verdict {
        Verdict::Hold { until_ms: 1, cause }
    }

    #[test]
    fn the_table_of_the_module() {
        let held = Some("number-offboarded");
        for (verdict, cause, stale) in [
            (hold(Cause::NumberDisconnected), None, true),
            (hold(Cause::CampaignRate), None, true),
            (hold(Cause::QualityLow), held, false),
            (hold(Cause::PortfolioLimit), None, false),
            (Verdict::Go, held, true),
            (Verdict::Go, Some("pair-rate"), true),
            (hold(Cause::FileUploading), None, true),
            (Verdict::Go, Some("file-uploading"), true),
            (Verdict::Go, None, false),
            (Verdict::Go, Some("Meta cannot be reached: refused"), false),
            (
                Verdict::Refuse {
                    code: 131_047,
                    cause: Cause::WindowClosed,
                },
                held,
                false,
            ),
        ] {
            let waiting = Waiting { since_ms: 7, cause };
            let judge = |hours, now_ms| Patience::new(hours).judge(verdict, waiting, now_ms);
            assert_eq!(judge(2, 7 + 2 * HOUR - 1), verdict, "{cause:?}");
            assert_eq!(
                judge(2, 7 + 2 * HOUR) == STALE,
                stale,
                "{verdict:?} {cause:?}"
            );
            assert_eq!(judge(0, i64::MAX), verdict, "0 is for ever");
        }
    }
}
