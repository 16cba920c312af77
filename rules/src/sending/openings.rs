//! To how many different customers a business may write first in 24 hours (WhatsApp Business Platform, "Messaging
//! limits": counted per portfolio; where Meta has not told the portfolio, by the account).

use super::gate::{Cause, Verdict};

/// A customer counts so long after the last message that began a conversation.
pub const OPENED_MS: i64 = 24 * 60 * 60 * 1000;
/// Those who wait for the same moment are spread over so long, so that they do not all come at once.
const SPREAD_MS: i64 = 600_000;

/// A portfolio's conversations of the last 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Openings {
    /// As many as Meta allows; `None` when it has not said, or has set no limit.
    pub max: Option<i64>,
    /// Different customers to whom a conversation was begun.
    pub count: i64,
    /// When the oldest of them was written to last, ms since 1970.
    pub oldest_ms: i64,
}

impl Openings {
    /// Why one more customer cannot be written to first now. `row` is any number that tells sends apart.
    #[must_use]
    pub fn judge(self, row: i64) -> Option<Verdict> {
        self.max.filter(|max| self.count >= *max)?;
        let spread_ms = row.rem_euclid(SPREAD_MS / 1000).saturating_mul(1000);
        Some(Verdict::Hold {
            until_ms: self
                .oldest_ms
                .saturating_add(OPENED_MS)
                .saturating_add(spread_ms),
            cause: Cause::PortfolioLimit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_a_send_waits_until_the_oldest_counts_no_more() {
        let full = Openings {
            max: Some(250),
            count: 250,
            oldest_ms: 1,
        };
        let held = Verdict::Hold {
            until_ms: OPENED_MS + 7001,
            cause: Cause::PortfolioLimit,
        };
        assert_eq!(full.judge(607), Some(held));
        assert_eq!(Openings { count: 249, ..full }.judge(607), None);
        assert_eq!(Openings { max: None, ..full }.judge(607), None);
    }
}
