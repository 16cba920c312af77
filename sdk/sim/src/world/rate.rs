//! Meta's two token buckets. Throughput: 20 messages a second per coexistence number, in and out together
//! (130429). Pair: one message per 6 seconds to one customer, with a burst of 45 (131056).

use std::collections::HashMap;

#[derive(Default)]
pub(crate) struct Rates {
    numbers: HashMap<String, Bucket>,
    pairs: HashMap<(String, String), Bucket>,
}

struct Bucket {
    tokens: f64,
    at_ms: u64,
}

const NUMBER: (f64, f64) = (20.0, 20.0);
const PAIR: (f64, f64) = (45.0, 1.0 / 6.0);
/// Above this the full pair buckets are forgotten, which changes nothing.
const PAIRS_MAX: usize = 100_000;

impl Rates {
    /// Takes a token from both buckets, or names the code of the limit.
    pub(crate) fn send(&mut self, number: &str, peer: &str, now_ms: u64) -> Result<(), u32> {
        if self.pairs.len() >= PAIRS_MAX {
            self.pairs
                .retain(|_, bucket| bucket.level(PAIR, now_ms) < PAIR.0);
        }
        let pair = self
            .pairs
            .entry((number.to_owned(), peer.to_owned()))
            .or_insert(Bucket {
                tokens: PAIR.0,
                at_ms: now_ms,
            });
        if pair.level(PAIR, now_ms) < 1.0 {
            return Err(131_056);
        }
        let throughput = self.numbers.entry(number.to_owned()).or_insert(Bucket {
            tokens: NUMBER.0,
            at_ms: now_ms,
        });
        if throughput.level(NUMBER, now_ms) < 1.0 {
            return Err(130_429);
        }
        throughput.take(NUMBER, now_ms);
        pair.take(PAIR, now_ms);
        Ok(())
    }

    /// An inbound message counts towards throughput, but is never refused.
    pub(crate) fn receive(&mut self, number: &str, now_ms: u64) {
        let bucket = self.numbers.entry(number.to_owned()).or_insert(Bucket {
            tokens: NUMBER.0,
            at_ms: now_ms,
        });
        bucket.take(NUMBER, now_ms);
    }
}

impl Bucket {
    #[expect(
        clippy::cast_precision_loss,
        reason = "the span of a token bucket is small"
    )]
    fn level(&self, (burst, per_second): (f64, f64), now_ms: u64) -> f64 {
        let waited = now_ms.saturating_sub(self.at_ms) as f64 / 1000.0;
        (self.tokens + waited * per_second).min(burst)
    }

    fn take(&mut self, limits: (f64, f64), now_ms: u64) {
        *self = Self {
            tokens: (self.level(limits, now_ms) - 1.0).max(0.0),
            at_ms: now_ms,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pair_limit_strikes_after_its_burst_and_heals_after_six_seconds() {
        let mut rates = Rates::default();
        // One a second keeps the number's own limit out of the way.
        let refused = (0..60)
            .map(|second| rates.send("n", "p", second * 1000))
            .position(|sent| sent.is_err());
        assert_eq!(
            refused,
            Some(53),
            "45 and one more for every whole six seconds"
        );
        assert_eq!(rates.send("n", "p", 66_000), Ok(()));
    }

    #[test]
    fn inbound_and_outbound_share_the_throughput() {
        let mut rates = Rates::default();
        (0..15).for_each(|_| rates.receive("n", 0));
        let accepted = (0..20)
            .filter(|peer| rates.send("n", &peer.to_string(), 0).is_ok())
            .count();
        assert_eq!(accepted, 5);
    }
}
