//! When an admin wants a plugin to be called again and again: `15m`, `daily 03:00 Europe/Berlin`.
//!
//! The ticks of a schedule are points in time that nothing moves: whole multiples of a span since 1970, or a time of day
//! at a place. So a restart loses none, several that were missed are told apart from none, and the newest stands for all.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::clock::{DAY_MINUTES, days, minutes, moment_ms, zone};

/// What stands before the name in the kind of a tick's event.
pub const KIND: &str = "schedule.";

const NAME_BYTES_MAX: usize = 32;
const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 24 * 60 * 60 * SECOND_MS;
const SPAN_MS_MIN: i64 = 10 * SECOND_MS;
const SPAN_MS_MAX: i64 = 366 * DAY_MS;
const UNITS: [(char, i64); 4] = [
    ('s', SECOND_MS),
    ('m', 60 * SECOND_MS),
    ('h', 60 * 60 * SECOND_MS),
    ('d', DAY_MS),
];

/// A name and its ticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// A word of an event's kind.
    pub name: String,
    ticks: Ticks,
}

#[derive(Clone, Debug, PartialEq)]
enum Ticks {
    Span {
        ms: i64,
    },
    Clock {
        days: Vec<Weekday>,
        /// Since midnight.
        minute: i64,
        zone: TimeZone,
    },
}

/// Whether a text can name a schedule: 1 to 32 of a-z, 0-9 and _.
#[must_use]
pub fn name_is_valid(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

impl Schedule {
    /// Reads a span of 10 s to 366 days, or days, a time and a time zone. `name` is a valid one.
    ///
    /// # Errors
    /// What to write instead.
    pub fn read(name: &str, text: &str) -> Result<Schedule, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let ticks = match words.as_slice() {
            [span] => span_of(span),
            [on, at, place] => clock_of(on, at, place),
            _ => None,
        };
        let ticks = ticks.ok_or_else(|| {
            "write a span from 10s to 366d such as 15m or 6h, or days, a time and a time zone such as daily 03:00 Europe/Berlin or mon-fri 18:30 UTC"
                .to_owned()
        })??;
        Ok(Schedule {
            name: name.to_owned(),
            ticks,
        })
    }

    /// The newest tick up to this moment, ms since 1970.
    #[must_use]
    pub fn latest_ms(&self, now_ms: i64) -> Option<i64> {
        match &self.ticks {
            Ticks::Span { ms } => Some(now_ms.div_euclid(*ms).saturating_mul(*ms)),
            Ticks::Clock { .. } => {
                let before = std::iter::successors(self.date(now_ms), |date| date.yesterday().ok());
                // Every day of the week is among them, this one as last week's, too.
                let mut ticks = before.take(8).filter_map(|date| self.tick_of(date));
                ticks.find(|tick_ms| *tick_ms <= now_ms)
            }
        }
    }

    /// The first tick after this moment, ms since 1970.
    #[must_use]
    pub fn next_ms(&self, after_ms: i64) -> Option<i64> {
        match &self.ticks {
            Ticks::Span { ms } => after_ms.div_euclid(*ms).checked_add(1)?.checked_mul(*ms),
            Ticks::Clock { .. } => {
                let later = std::iter::successors(self.date(after_ms), |date| date.tomorrow().ok());
                let mut ticks = later.take(8).filter_map(|date| self.tick_of(date));
                ticks.find(|tick_ms| *tick_ms > after_ms)
            }
        }
    }

    /// The kind of a tick's event.
    #[must_use]
    pub fn kind(name: &str) -> String {
        format!("{KIND}{name}")
    }

    /// The body of a tick's event.
    #[must_use]
    pub fn body(name: &str, at_ms: i64) -> String {
        json!({ "name": name, "at_ms": at_ms }).to_string()
    }

    /// The day at its place.
    fn date(&self, at_ms: i64) -> Option<Date> {
        let Ticks::Clock { zone, .. } = &self.ticks else {
            return None;
        };
        let at = Timestamp::from_millisecond(at_ms).ok()?;
        Some(at.to_zoned(zone.clone()).date())
    }

    /// The tick of a day, if it has one.
    fn tick_of(&self, date: Date) -> Option<i64> {
        match &self.ticks {
            Ticks::Clock { days, minute, zone } if days.contains(&date.weekday()) => {
                moment_ms(zone, date, *minute)
            }
            _ => None,
        }
    }
}

/// Nothing for what is no span at all.
fn span_of(text: &str) -> Option<Result<Ticks, String>> {
    let (unit, unit_ms) = UNITS.iter().find(|(unit, _)| text.ends_with(*unit))?;
    let digits = text.strip_suffix(*unit)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let ms = digits.parse::<i64>().ok()?.checked_mul(*unit_ms)?;
    (SPAN_MS_MIN..=SPAN_MS_MAX)
        .contains(&ms)
        .then_some(Ok(Ticks::Span { ms }))
}

/// Nothing for what is no time of day.
fn clock_of(on: &str, at: &str, place: &str) -> Option<Result<Ticks, String>> {
    let minute = minutes(at).filter(|minute| *minute < DAY_MINUTES)?;
    let read = || {
        Ok(Ticks::Clock {
            days: days(on)?,
            minute,
            zone: zone(place).map_err(|told| format!("\"{place}\" {told}"))?,
        })
    };
    Some(read())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(text: &str) -> Schedule {
        Schedule::read("x", text).unwrap()
    }

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn ticks_are_those_of_the_place_in_summer_and_winter() {
        let cases = [
            (
                "15m",
                "2026-01-13T07:59:59Z",
                "2026-01-13T07:45:00Z",
                "2026-01-13T08:00:00Z",
            ),
            (
                "1d",
                "2026-01-13T00:00:00Z",
                "2026-01-13T00:00:00Z",
                "2026-01-14T00:00:00Z",
            ),
            // In January Berlin is one hour ahead, in July two.
            (
                "daily 03:00 Europe/Berlin",
                "2026-01-13T01:59:59Z",
                "2026-01-12T02:00:00Z",
                "2026-01-13T02:00:00Z",
            ),
            (
                "daily 03:00 Europe/Berlin",
                "2026-07-13T01:00:00Z",
                "2026-07-13T01:00:00Z",
                "2026-07-14T01:00:00Z",
            ),
            // Clocks go from 02:00 to 03:00 there on that day.
            (
                "daily 02:30 Europe/Berlin",
                "2026-03-29T01:29:00Z",
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:30:00Z",
            ),
            // A Saturday, and one whose only day of the week it is.
            (
                "mon-fri 18:30 UTC",
                "2026-01-17T00:00:00Z",
                "2026-01-16T18:30:00Z",
                "2026-01-19T18:30:00Z",
            ),
            (
                "sat 12:00 UTC",
                "2026-01-17T11:59:00Z",
                "2026-01-10T12:00:00Z",
                "2026-01-17T12:00:00Z",
            ),
            (
                "sat 12:00 UTC",
                "2026-01-17T12:00:00Z",
                "2026-01-17T12:00:00Z",
                "2026-01-24T12:00:00Z",
            ),
        ];
        for (text, now, latest, next) in cases {
            let (schedule, now_ms) = (schedule(text), ms(now));
            assert_eq!(
                (schedule.latest_ms(now_ms), schedule.next_ms(now_ms)),
                (Some(ms(latest)), Some(ms(next))),
                "{text} at {now}"
            );
        }
    }

    #[test]
    fn what_is_no_schedule_is_told_with_the_remedy() {
        let cases = [
            ("", "write a span"),
            ("9s", "from 10s to 366d"),
            ("367d", "from 10s to 366d"),
            ("99999999999999999999d", "write a span"),
            ("15", "write a span"),
            ("-15m", "write a span"),
            ("m", "write a span"),
            ("daily 03:00", "a time zone such as"),
            ("daily 3:00 UTC", "write a span"),
            ("daily 24:00 UTC", "write a span"),
            ("weekly 03:00 UTC", "\"weekly\" names no days"),
            ("daily 03:00 Mars/Olympus", "\"Mars/Olympus\" is not in"),
        ];
        for (text, part) in cases {
            let told = Schedule::read("x", text).unwrap_err();
            assert!(told.contains(part), "{text}: {told}");
        }
        let long = "a".repeat(33);
        let names: [(&str, bool); 6] = [
            ("cleanup", true),
            ("a_1", true),
            ("", false),
            ("A", false),
            ("a-b", false),
            (&long, false),
        ];
        for (name, valid) in names {
            assert_eq!(name_is_valid(name), valid, "{name}");
        }
    }

    proptest! {
        /// No tick is between the newest and the next, and both are ticks.
        #[test]
        fn the_next_follows_the_newest(
            text in prop::sample::select(vec!["10s", "7h", "366d", "daily 02:30 America/Sao_Paulo", "sun-mon 00:00 Asia/Kolkata"]),
            now_ms in 0..4_000_000_000_000_i64,
        ) {
            let schedule = schedule(text);
            let (latest_ms, next_ms) = (schedule.latest_ms(now_ms).unwrap(), schedule.next_ms(now_ms).unwrap());
            prop_assert!(latest_ms <= now_ms && now_ms < next_ms);
            prop_assert_eq!(schedule.next_ms(latest_ms), Some(next_ms));
            prop_assert_eq!(schedule.latest_ms(latest_ms), Some(latest_ms));
            prop_assert_eq!(schedule.latest_ms(next_ms - 1), Some(latest_ms));
        }
    }
}
