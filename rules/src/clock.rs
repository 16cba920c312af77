//! Days of the week and times of day, by the clock of a place.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

pub(crate) const DAY_MINUTES: i64 = 24 * 60;
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// The time zone of a name in the IANA database.
pub(crate) fn zone(name: &str) -> Result<TimeZone, String> {
    let told = "is not in the IANA time zone database; write a name such as Europe/Berlin or America/Sao_Paulo";
    TimeZone::get(name).map_err(|_| told.to_owned())
}

/// `mon`, `mon-fri`, `sat-mon` or `daily`.
pub(crate) fn days(text: &str) -> Result<Vec<Weekday>, String> {
    let known = || {
        format!(
            "\"{text}\" names no days; write mon, tue, wed, thu, fri, sat, sun, mon-fri or daily"
        )
    };
    let place = |word: &str| {
        DAYS.iter()
            .position(|(name, _)| name.eq_ignore_ascii_case(word))
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (place(first), place(last)),
        None if text.eq_ignore_ascii_case("daily") => (Some(0), Some(6)),
        None => (place(text), place(text)),
    };
    let (first, last) = first.zip(last).ok_or_else(known)?;
    let count = (last + DAYS.len() - first) % DAYS.len() + 1;
    let week = DAYS.iter().map(|(_, day)| *day).cycle();
    Ok(week.skip(first).take(count).collect())
}

/// `09:30` as minutes since midnight, up to `24:00`.
pub(crate) fn minutes(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= DAY_MINUTES).then_some(total)
}

/// The moment so many minutes by the clock after a day's midnight. An hour that the change to summer time leaves
/// out counts as the one after it.
pub(crate) fn moment_ms(zone: &TimeZone, date: Date, minutes: i64) -> Option<i64> {
    let date = date.checked_add((minutes / DAY_MINUTES).days()).ok()?;
    let minutes = minutes % DAY_MINUTES;
    let (hour, minute) = (minutes / 60, minutes % 60);
    let clock = date.at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0);
    let zoned = clock.to_zoned(zone.clone()).ok()?;
    Some(zoned.timestamp().as_millisecond())
}
