//! How fast messages may follow each other: to one customer, and through one number.
//!
//! Promises: in no span of time more is let through than a rate's burst and what has grown back meanwhile;
//! what cannot leave is told when to come again, each at a time of its own, so that those who wait do not
//! all come at once; campaigns leave a part of the number's rate to replies. Both rates are token buckets
//! of which one time is kept: when the bucket is full again. Times are µs since 1970, since a number may
//! send more than one message in a millisecond.

use super::gate::{Cause, Speaker, Verdict};
use super::message::Kind;

const SECOND_US: u64 = 1_000_000;
/// A request reaches Meta so much later than it was let through, at most; one that takes longer than those behind
/// it may be refused, and is tried again.
const PAIR_SLACK_US: i64 = 500_000;
const NUMBER_SLACK_US: i64 = 100_000;
/// Longest line of those who wait for a number: a clock that was set back must not send anybody into next week.
const LINE_US_MAX: i64 = 3_600_000_000;

/// The rates, as the admin has set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// To one customer (Meta's 131056).
    pub pair: Bucket,
    /// Through one number, whatever comes in and what the app sends included (130429).
    pub number: Bucket,
    /// Tokens of the number that campaigns leave.
    pub reserve: i64,
}

/// So many at once, then one after each pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    burst: i64,
    every_us: i64,
    slack_us: i64,
}

/// What has been taken, as far as one send is concerned; 0 where nothing was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// When the customer's bucket is full again.
    pub pair_us: i64,
    /// When the number's bucket is full again.
    pub number_us: i64,
    /// Until when times were given out to replies that wait for the number, and to campaigns.
    pub replies_us: i64,
    pub campaigns_us: i64,
}

/// A send that nothing else keeps back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub kind: Kind,
    pub speaker: Speaker,
    /// Its turn has come: it was held for the number's rate before.
    pub waited: bool,
}

impl Pace {
    /// `pair_burst` messages to one customer, then one in `pair_seconds`; `per_second` through a number, of
    /// which campaigns leave `reserve_percent`.
    #[must_use]
    pub fn new(pair_burst: u64, pair_seconds: u64, per_second: u64, reserve_percent: u64) -> Pace {
        let per_second = per_second.max(1);
        let reserve = per_second.saturating_mul(reserve_percent.min(100)) / 100;
        Pace {
            pair: Bucket::new(
                pair_burst,
                pair_seconds.saturating_mul(SECOND_US),
                PAIR_SLACK_US,
            ),
            number: Bucket::new(per_second, SECOND_US.div_ceil(per_second), NUMBER_SLACK_US),
            // One token has to be left for a campaign.
            reserve: whole(reserve.min(per_second - 1)),
        }
    }

    /// Takes from both rates, or says which of them is short and when to come again. The second part of the
    /// answer is what is to be kept, whatever the first says.
    #[must_use]
    pub fn judge(&self, due: Due, taken: Taken, now_ms: i64) -> (Verdict, Taken) {
        // What the customer does not see is no message.
        if due.kind == Kind::MarkRead {
            return (Verdict::Go, taken);
        }
        let now_us = to_us(now_ms);
        // Kept also when it is held: what is believed anew at each look would be as far ahead at the next one.
        let taken = Taken {
            pair_us: self.pair.believe(taken.pair_us, now_us),
            number_us: self.number.believe(taken.number_us, now_us),
            ..taken
        };
        let pair_us = self.pair.ready_us(taken.pair_us, 0);
        if pair_us > now_us {
            return (hold(pair_us, Cause::PairRate), taken);
        }
        let campaign = due.kind == Kind::Template && due.speaker == Speaker::Automation;
        let (line_us, reserve, cause) = if campaign {
            (taken.campaigns_us, self.reserve, Cause::CampaignRate)
        } else {
            (taken.replies_us, 0, Cause::NumberRate)
        };
        let line_us = line_us.min(now_us.saturating_add(LINE_US_MAX));
        let number_us = self.number.ready_us(taken.number_us, reserve);
        // Nobody pushes in before those who wait.
        let line_up = !due.waited && line_us > now_us;
        if number_us > now_us || line_up {
            let until_us = number_us.max(line_us.saturating_add(self.number.every_us));
            let next = if campaign {
                Taken {
                    campaigns_us: until_us,
                    ..taken
                }
            } else {
                Taken {
                    replies_us: until_us,
                    ..taken
                }
            };
            return (hold(until_us, cause), next);
        }
        let next = Taken {
            pair_us: self.pair.let_through(taken.pair_us, now_us),
            number_us: self.number.let_through(taken.number_us, now_us),
            ..taken
        };
        (Verdict::Go, next)
    }
}

impl Bucket {
    fn new(burst: u64, every_us: u64, slack_us: i64) -> Bucket {
        Bucket {
            burst: whole(burst.max(1)),
            every_us: whole(every_us.max(1)),
            slack_us,
        }
    }

    /// When a token can be taken beside `kept` others.
    fn ready_us(self, full_us: i64, kept: i64) -> i64 {
        let spare = self.burst.saturating_sub(kept).saturating_sub(1);
        full_us.saturating_sub(spare.saturating_mul(self.every_us))
    }

    fn take(self, full_us: i64, at_us: i64) -> i64 {
        full_us.max(at_us).saturating_add(self.every_us)
    }

    fn let_through(self, full_us: i64, now_us: i64) -> i64 {
        self.take(full_us, now_us.saturating_add(self.slack_us))
    }

    /// No bucket is more than empty; what says so was written before the clock was set back.
    fn believe(self, full_us: i64, now_us: i64) -> i64 {
        let whole_us = self.burst.saturating_mul(self.every_us);
        full_us.min(
            now_us
                .saturating_add(self.slack_us)
                .saturating_add(whole_us),
        )
    }

    /// Takes a token for a message that nobody asked us about: it came in, or the app sent it, at `at_ms`.
    /// The answer is when the bucket is full again, and whether it was empty already.
    #[must_use]
    pub fn spend(self, full_us: i64, at_ms: i64, now_ms: i64) -> (i64, bool) {
        let (at_us, now_us) = (to_us(at_ms), to_us(now_ms));
        let full_us = self.believe(full_us, now_us);
        let next_us = self.believe(self.take(full_us, at_us), now_us);
        (next_us, self.ready_us(full_us, 0) > at_us)
    }
}

impl Default for Pace {
    /// Meta's limits of a coexistence number (WhatsApp Cloud API, "Throughput" and "Pair rate limits").
    fn default() -> Pace {
        Pace::new(45, 6, 20, 25)
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn to_us(at_ms: i64) -> i64 {
    at_ms.saturating_mul(1000)
}

fn hold(until_us: i64, cause: Cause) -> Verdict {
    Verdict::Hold {
        until_ms: until_us / 1000 + i64::from(until_us % 1000 != 0),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_000_000;
    const REPLY: Due = Due {
        kind: Kind::FreeForm,
        speaker: Speaker::Automation,
        waited: false,
    };
    const CAMPAIGN: Due = Due {
        kind: Kind::Template,
        ..REPLY
    };

    /// Sends at `now_ms` as often as it goes.
    fn burst(pace: Pace, due: Due, taken: &mut Taken, now_ms: i64) -> (usize, Verdict) {
        for count in 0.. {
            let (verdict, next) = pace.judge(due, *taken, now_ms);
            *taken = next;
            if verdict != Verdict::Go {
                return (count, verdict);
            }
        }
        (0, Verdict::Go)
    }

    fn held(after_ms: i64, cause: Cause) -> Verdict {
        Verdict::Hold {
            until_ms: NOW + after_ms,
            cause,
        }
    }

    #[test]
    fn a_customer_gets_the_burst_and_then_one_message_in_six_seconds() {
        let pace = Pace::new(45, 6, 1000, 0);
        let mut taken = Taken::default();
        let first = burst(pace, REPLY, &mut taken, NOW);
        assert_eq!(first, (44, held(500, Cause::PairRate)));
        // The last of the burst waits until the first has reached Meta for sure.
        let last = burst(pace, REPLY, &mut taken, NOW + 500);
        assert_eq!(last, (1, held(6500, Cause::PairRate)));
        let later = burst(pace, REPLY, &mut taken, NOW + 6500);
        assert_eq!(later, (1, held(12_500, Cause::PairRate)));
        // A whole burst is back when all of it has grown again.
        assert_eq!(burst(pace, REPLY, &mut taken, NOW + 600_000).0, 44);
    }

    #[test]
    fn a_campaign_leaves_the_reserve_to_replies() {
        let pace = Pace::new(1000, 6, 20, 25);
        let mut taken = Taken::default();
        let first = burst(pace, CAMPAIGN, &mut taken, NOW);
        assert_eq!(first, (13, held(50, Cause::CampaignRate)));
        assert_eq!(burst(pace, REPLY, &mut taken, NOW).0, 5);
        let person = Due {
            speaker: Speaker::Person,
            ..CAMPAIGN
        };
        assert_eq!(
            pace.judge(person, Taken::default(), NOW).0,
            Verdict::Go,
            "a person's template is a reply"
        );
        // Even when the whole rate is reserved, a campaign comes to its turn.
        let tight = Pace::new(1000, 6, 1, 100);
        assert_eq!(burst(tight, CAMPAIGN, &mut Taken::default(), NOW).0, 1);
    }

    #[test]
    fn those_who_wait_come_one_after_the_other_and_before_newcomers() {
        let pace = Pace::new(1000, 6, 20, 0);
        let mut taken = Taken::default();
        assert_eq!(burst(pace, REPLY, &mut taken, NOW).0, 18);
        // The first was told 50 ms.
        for after_ms in [100, 150] {
            let (verdict, next) = pace.judge(REPLY, taken, NOW);
            assert_eq!(verdict, held(after_ms, Cause::NumberRate));
            taken = next;
        }
        let (newcomer, next) = pace.judge(REPLY, taken, NOW + 50);
        assert_eq!(newcomer, held(200, Cause::NumberRate));
        let waited = Due {
            waited: true,
            ..REPLY
        };
        assert_eq!(pace.judge(waited, next, NOW + 50).0, Verdict::Go);
    }

    #[test]
    fn a_read_mark_costs_nothing() {
        let mark = Due {
            kind: Kind::MarkRead,
            ..REPLY
        };
        let empty = Taken {
            pair_us: i64::MAX,
            number_us: i64::MAX,
            ..Taken::default()
        };
        assert_eq!(
            Pace::default().judge(mark, empty, NOW),
            (Verdict::Go, empty)
        );
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nobody_for_long() {
        let far = Taken {
            pair_us: i64::MAX,
            number_us: i64::MAX,
            replies_us: i64::MAX,
            campaigns_us: i64::MAX,
        };
        let verdict = Pace::default().judge(REPLY, far, NOW).0;
        assert_eq!(verdict, held(6500, Cause::PairRate));
        let met = Taken { pair_us: 0, ..far };
        let Verdict::Hold { until_ms, .. } = Pace::default().judge(REPLY, met, NOW).0 else {
            return;
        };
        assert!(until_ms <= NOW + 3_600_100);
    }

    #[test]
    fn after_a_clock_was_set_back_who_comes_when_told_leaves() {
        let day_us = 86_400_000_000;
        let before = Pace::default().judge(REPLY, Taken::default(), NOW + day_us / 1000);
        let rushed = Taken {
            number_us: before.1.number_us + day_us,
            ..before.1
        };
        for mut taken in [
            before.1,
            rushed,
            Taken {
                pair_us: 0,
                ..rushed
            },
        ] {
            let (mut now_ms, mut due) = (NOW, REPLY);
            for again in 0.. {
                let (verdict, next) = Pace::default().judge(due, taken, now_ms);
                taken = next;
                let Verdict::Hold { until_ms, cause } = verdict else {
                    break;
                };
                assert!(again < 3, "held again for {cause:?}");
                now_ms = until_ms;
                due.waited = cause == Cause::NumberRate;
            }
            assert!(now_ms <= NOW + 10_000, "{}", now_ms - NOW);
        }
    }

    #[test]
    fn what_the_app_sends_and_what_comes_in_counts() {
        let pace = Pace::default();
        let mut taken = Taken::default();
        for count in 0..25 {
            let (full_us, empty) = pace.number.spend(taken.number_us, NOW, NOW);
            taken.number_us = full_us;
            assert_eq!(empty, count >= 20);
        }
        assert_eq!(
            pace.judge(REPLY, taken, NOW).0,
            held(150, Cause::NumberRate)
        );
        // What comes late has cost its share then.
        let (full_us, _) = pace.number.spend(0, NOW - 60_000, NOW);
        assert!(full_us < NOW * 1000);
    }

    /// Something that happens: after so many ms a reply, a campaign, or a message of the app's.
    fn steps() -> impl Strategy<Value = Vec<(i64, u8)>> {
        proptest::collection::vec((0_i64..400, 0_u8..4), 1..300)
    }

    proptest! {
        /// Between any two sends no more have left than the burst and what has grown back since the first.
        #[test]
        fn no_span_of_time_holds_more_than_the_burst_and_what_grew(
            steps in steps(), pair_burst in 1_u64..8, pair_seconds in 1_u64..4,
            per_second in 1_u64..30, reserve in 0_u64..100,
        ) {
            let pace = Pace::new(pair_burst, pair_seconds, per_second, reserve);
            let (mut taken, mut now_ms) = (Taken::default(), NOW);
            let mut left: Vec<i64> = Vec::new();
            for (after_ms, what) in steps {
                now_ms += after_ms;
                if what == 3 {
                    taken.number_us = pace.number.spend(taken.number_us, now_ms, now_ms).0;
                    taken.pair_us = pace.pair.spend(taken.pair_us, now_ms, now_ms).0;
                    continue;
                }
                let due = Due { waited: what == 2, ..if what == 1 { CAMPAIGN } else { REPLY } };
                let (verdict, next) = pace.judge(due, taken, now_ms);
                taken = next;
                match verdict {
                    Verdict::Go => left.push(now_ms),
                    Verdict::Hold { until_ms, .. } => prop_assert!(until_ms > now_ms),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            for (first, from_ms) in left.iter().enumerate() {
                for (count, at_ms) in (1_u64..).zip(left.iter().skip(first)) {
                    let span_ms = u64::try_from(at_ms - from_ms).unwrap_or(0);
                    prop_assert!(count <= pair_burst + span_ms / (pair_seconds * 1000));
                    prop_assert!(count <= per_second + span_ms * per_second / 1000);
                }
            }
        }

        /// However hard campaigns push, the reserve's worth of replies leaves at once.
        #[test]
        fn campaigns_never_starve_a_reply(
            campaigns in 1_usize..200, per_second in 4_u64..100, pauses in proptest::collection::vec(0_i64..300, 1..40),
        ) {
            let pace = Pace::new(100_000, 1, per_second, 25);
            let (mut taken, mut now_ms) = (Taken::default(), NOW);
            for pause_ms in pauses {
                now_ms += pause_ms;
                for waited in [false, true].into_iter().cycle().take(campaigns) {
                    taken = pace.judge(Due { waited, ..CAMPAIGN }, taken, now_ms).1;
                }
                let mut replying = taken;
                for _ in 0..pace.reserve {
                    let (verdict, next) = pace.judge(REPLY, replying, now_ms);
                    prop_assert_eq!(verdict, Verdict::Go);
                    replying = next;
                }
            }
        }

        /// A conversation has one row at a time before the gate: whoever comes again when told does leave, in order.
        #[test]
        fn a_row_that_comes_when_told_leaves_in_the_end(rows in 1_usize..80, per_second in 1_u64..50) {
            let pace = Pace::new(5, 1, per_second, 25);
            let (mut taken, mut now_ms) = (Taken::default(), NOW);
            for _ in 0..rows {
                let mut due = REPLY;
                for attempt in 0.. {
                    let (verdict, next) = pace.judge(due, taken, now_ms);
                    taken = next;
                    let Verdict::Hold { until_ms, cause } = verdict else { break };
                    prop_assert!(attempt < 2, "held again for {cause:?}");
                    now_ms = until_ms;
                    due.waited = cause == Cause::NumberRate;
                }
            }
            prop_assert!(now_ms - NOW <= 1500 * i64::try_from(rows).unwrap_or(0) + 1000);
        }
    }
}
