//! Working hours: on which days of the week, from when to when, by the clock of their place.

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::clock::{DAY_MINUTES, days, minutes, moment_ms};

/// Longest text of [`Hours::read`].
const OPEN_CHARS_MAX: usize = 500;
const PERIODS_MAX: usize = 50;

/// When a business is open, in the time zone of its place.
#[derive(Debug, Clone)]
pub(super) struct Hours {
    zone: TimeZone,
    periods: Vec<Period>,
}

/// Minutes since midnight of each of its days; `to` may lie in the next day.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Period {
    days: Vec<Weekday>,
    from: i64,
    to: i64,
}

impl Hours {
    /// Reads `mon-fri 09:00-12:30 13:30-18:00, sat 10:00-02:00`: days, then one or more times; what ends before it
    /// begins ends on the next day.
    ///
    /// # Errors
    /// What cannot be read, and what to write instead.
    pub(super) fn read(zone: TimeZone, open: &str) -> Result<Hours, String> {
        if open.chars().count() > OPEN_CHARS_MAX {
            return Err(format!("has more than {OPEN_CHARS_MAX} characters"));
        }
        let mut periods = Vec::new();
        for part in open.split(',') {
            let mut words = part.split_whitespace();
            let days = days(words.next().unwrap_or_default())?;
            let before = periods.len();
            for times in words {
                let (from, to) = times_of(times)?;
                let days = days.clone();
                periods.push(Period { days, from, to });
            }
            if periods.len() == before {
                return Err(format!(
                    "\"{}\" has no times; write for example mon-fri 09:00-18:00",
                    part.trim()
                ));
            }
        }
        if periods.len() > PERIODS_MAX {
            return Err(format!("has more than {PERIODS_MAX} times"));
        }
        Ok(Hours { zone, periods })
    }

    pub(super) fn is_open(&self, at_ms: i64) -> bool {
        self.closes_ms(at_ms).is_some()
    }

    /// The first moment from `at_ms` on that lies outside of the hours; `limit_ms` if none comes before it.
    pub(super) fn closed_from_ms(&self, at_ms: i64, limit_ms: i64) -> i64 {
        let mut moment_ms = at_ms;
        while moment_ms < limit_ms
            && let Some(end_ms) = self.closes_ms(moment_ms)
        {
            moment_ms = end_ms;
        }
        moment_ms.min(limit_ms)
    }

    /// When what is open at `at_ms` closes: always later.
    fn closes_ms(&self, at_ms: i64) -> Option<i64> {
        let at = Timestamp::from_millisecond(at_ms).ok()?;
        let today = at.to_zoned(self.zone.clone()).date();
        // What began yesterday may still last.
        let days = [today.yesterday().ok(), Some(today)];
        let ends = days.into_iter().flatten().flat_map(|date| {
            let of_day = move |period: &&Period| period.days.contains(&date.weekday());
            self.periods
                .iter()
                .filter(of_day)
                .filter_map(move |period| {
                    let from_ms = moment_ms(&self.zone, date, period.from)?;
                    let to_ms = moment_ms(&self.zone, date, period.to)?;
                    (from_ms <= at_ms && at_ms < to_ms).then_some(to_ms)
                })
        });
        ends.max()
    }
}

/// `09:00-18:00` as minutes since midnight.
fn times_of(text: &str) -> Result<(i64, i64), String> {
    let wrong = || format!("\"{text}\" names no times; write for example 09:00-18:00");
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    let (from, to) = (
        minutes(from).ok_or_else(wrong)?,
        minutes(to).ok_or_else(wrong)?,
    );
    match (from, to) {
        (DAY_MINUTES.., _) => Err(wrong()),
        _ if from == to => Err(format!(
            "\"{text}\" ends where it begins; the whole day is 00:00-24:00"
        )),
        _ if to < from => Ok((from, to + DAY_MINUTES)),
        _ => Ok((from, to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::zone;

    fn hours(place: &str, open: &str) -> Result<Hours, String> {
        Hours::read(zone(place)?, open)
    }

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn hours_are_those_of_the_place_in_summer_and_winter() {
        let shop = hours(
            "Europe/Berlin",
            "mon-fri 09:00-12:30 13:30-18:00, Sat 10:00-14:00",
        )
        .unwrap();
        for (at, is_open) in [
            // Tuesday in January: Berlin is one hour ahead.
            ("2026-01-13T07:59:59Z", false),
            ("2026-01-13T08:00:00Z", true),
            ("2026-01-13T11:30:00Z", false),
            ("2026-01-13T12:30:00Z", true),
            ("2026-01-13T17:00:00Z", false),
            // In July it is two.
            ("2026-07-14T06:59:59Z", false),
            ("2026-07-14T07:00:00Z", true),
            ("2026-07-18T08:00:00Z", true),
            ("2026-07-19T08:00:00Z", false),
        ] {
            assert_eq!(shop.is_open(ms(at)), is_open, "{at}");
        }
    }

    #[test]
    fn what_begins_in_the_evening_lasts_into_the_night() {
        let bar = hours("America/Sao_Paulo", "fri-sat 18:00-02:00").unwrap();
        // Friday 18:00 there is 21:00 UTC.
        let (open, close) = (ms("2026-01-16T21:00:00Z"), ms("2026-01-17T05:00:00Z"));
        assert!(!bar.is_open(open - 1) && bar.is_open(open));
        assert!(bar.is_open(close - 1) && !bar.is_open(close));
        assert_eq!(bar.closed_from_ms(open, i64::MAX), close);
        assert_eq!(bar.closed_from_ms(open, open + 5), open + 5);
        assert_eq!(bar.closed_from_ms(close, i64::MAX), close);
    }

    #[test]
    fn hours_that_touch_are_one_and_those_without_end_stop_at_the_limit() {
        let always = hours("UTC", "daily 00:00-24:00").unwrap();
        let (at, week) = (ms("2026-01-16T21:00:00Z"), 7 * DAY_MINUTES * 60_000);
        assert_eq!(always.closed_from_ms(at, at + week), at + week);
        let two = hours("UTC", "fri 21:00-22:00 22:00-23:00").unwrap();
        assert_eq!(two.closed_from_ms(at, at + week), at + 2 * 3_600_000);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (place, open, part) in [
            ("Mars/Olympus", "mon 09:00-18:00", "IANA"),
            ("UTC", "", "names no days"),
            ("UTC", "someday 09:00-18:00", "someday"),
            ("UTC", "mon", "has no times"),
            ("UTC", "mon 9-18", "9-18"),
            ("UTC", "mon 09:60-18:00", "09:60"),
            ("UTC", "mon 24:00-25:00", "25:00"),
            ("UTC", "mon 09:00-09:00", "00:00-24:00"),
            ("UTC", "mon 09:00-18:00,,", "names no days"),
        ] {
            let refusal = hours(place, open).unwrap_err();
            assert!(refusal.contains(part), "{open}: {refusal}");
        }
        assert!(hours("UTC", &"mon 01:00-02:00,".repeat(60)).is_err());
    }
}
