//! Who is told of an alarm that nobody has acknowledged and that has not settled by itself.
//!
//! | told so often | goes to | urgency | told again after |
//! |---|---|---|---|
//! | never | the first channel | notice | `repeat` |
//! | once | the first two | warning | twice that |
//! | more | one channel more each time, in the end all | urgent | twice as long each time, a day at most |
//!
//! What is about one customer is told once: a business that writes to many of them from the app is not flooded.

const DAY_MS: i64 = 24 * 3_600_000;

/// A way out, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Webhook,
    Mail,
    Template,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    Notice,
    Warning,
    Urgent,
}

/// What happens with an alarm that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    pub channels: &'a [Channel],
    pub urgency: Urgency,
    /// After how long the next step is due, unless it is over by then.
    pub again_ms: Option<i64>,
}

/// The step after an alarm was told `told` times.
#[must_use]
pub fn step(told: u32, channels: &[Channel], repeat_ms: i64, of_customer: bool) -> Step<'_> {
    let reached = usize::try_from(told)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    let doubled = repeat_ms.saturating_mul(1_i64 << told.min(32));
    Step {
        channels: channels.get(..reached).unwrap_or(channels),
        urgency: match told {
            0 => Urgency::Notice,
            1 => Urgency::Warning,
            _ => Urgency::Urgent,
        },
        again_ms: (!of_customer).then_some(doubled.min(DAY_MS.max(repeat_ms))),
    }
}

impl Urgency {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Urgency::Notice => "notice",
            Urgency::Warning => "warning",
            Urgency::Urgent => "urgent",
        }
    }
}

impl Channel {
    pub const ALL: [Channel; 3] = [Channel::Webhook, Channel::Mail, Channel::Template];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Webhook => "webhook",
            Channel::Mail => "mail",
            Channel::Template => "template",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_of_the_module() {
        let two = [Channel::Webhook, Channel::Mail];
        let hour = DAY_MS / 24;
        for (told, channels, urgency, again_ms) in [
            (0, &two[..1], Urgency::Notice, hour),
            (1, &two[..], Urgency::Warning, 2 * hour),
            (2, &two[..], Urgency::Urgent, 4 * hour),
            (5, &two[..], Urgency::Urgent, DAY_MS),
            (u32::MAX, &two[..], Urgency::Urgent, DAY_MS),
        ] {
            let expected = Step {
                channels,
                urgency,
                again_ms: Some(again_ms),
            };
            assert_eq!(step(told, &two, hour, false), expected, "{told}");
        }
        assert_eq!(step(3, &two, 7 * DAY_MS, false).again_ms, Some(7 * DAY_MS));
        assert_eq!(step(0, &two, hour, true).again_ms, None, "one customer's");
    }

    proptest! {
        #[test]
        fn nobody_who_was_told_is_left_out_later_and_pauses_only_grow(
            told in 0_u32..80, count in 0_usize..4, repeat_ms in 1_i64..1_000_000_000,
        ) {
            let channels: Vec<Channel> = Channel::ALL.into_iter().take(count).collect();
            let (now, then) = (step(told, &channels, repeat_ms, false), step(told + 1, &channels, repeat_ms, false));
            prop_assert!(then.channels.starts_with(now.channels));
            prop_assert!(then.again_ms >= now.again_ms && now.again_ms >= Some(repeat_ms));
        }
    }
}
