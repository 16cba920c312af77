use serde::{Deserialize, Serialize};

use super::hours::Hours;
use crate::clock::zone;
use crate::plugins_toml::name_is_valid;

const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;
const PERSON_HOURS_MAX: u64 = 8760;
const GRACE_MINUTES_MAX: u64 = 1440;
const GRACE_MINUTES: u64 = 60;
const SPEAKING_MAX: usize = 50;

/// How the conversations of a number are handled, in an admin's words; what is absent is as for every number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long a person keeps a conversation after a word, at most; else `person_hours` of `duet.toml`.
    pub person_hours: Option<u64>,
    /// How long in any case, when there are working hours; 60 if absent.
    pub grace_minutes: Option<u64>,
    /// Name in the IANA database; stands with `open`.
    pub time_zone: Option<String>,
    /// The working hours, such as `mon-fri 09:00-18:00, sat 10:00-13:00`.
    pub open: Option<String>,
    /// Instances that go on speaking while a person has the conversation.
    pub speaking: Vec<String>,
}

/// Settings that have been checked.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    person_ms: Option<i64>,
    grace_ms: i64,
    hours: Option<Hours>,
}

/// Why settings cannot be used: the key, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Invalid {
    pub key: &'static str,
    pub reason: String,
}

impl Settings {
    /// # Errors
    /// [`Invalid`] names the key that cannot be used.
    pub fn check(&self) -> Result<Terms, Invalid> {
        let person_hours = within("person_hours", self.person_hours, 1, PERSON_HOURS_MAX)?;
        let grace_minutes = within("grace_minutes", self.grace_minutes, 0, GRACE_MINUTES_MAX)?;
        let hours = match (&self.time_zone, &self.open) {
            (Some(name), Some(open)) => Some(hours(name, open)?),
            (None, None) => None,
            (None, Some(_)) => return Err(missing("time_zone", "open")),
            (Some(_), None) => return Err(missing("open", "time_zone")),
        };
        let strange = self.speaking.iter().find(|name| !name_is_valid(name));
        if let Some(name) = strange {
            let name: String = name.chars().take(64).collect();
            let reason = format!("{name:?} is no plugin's name in plugins.toml");
            return Err(Invalid {
                key: "speaking",
                reason,
            });
        }
        if self.speaking.len() > SPEAKING_MAX {
            let reason = format!("names more than {SPEAKING_MAX} plugins");
            return Err(Invalid {
                key: "speaking",
                reason,
            });
        }
        Ok(Terms {
            person_ms: person_hours.map(|hours| hours.saturating_mul(HOUR_MS)),
            grace_ms: grace_minutes
                .unwrap_or(GRACE_MINUTES.cast_signed())
                .saturating_mul(MINUTE_MS),
            hours,
        })
    }
}

impl Terms {
    /// Until when a person keeps a conversation after a word at `word_ms`; `usual_ms` is how long where the number's
    /// settings say nothing. By the table of this module.
    #[must_use]
    pub fn ends_ms(&self, word_ms: i64, usual_ms: i64) -> i64 {
        let longest_ms = word_ms.saturating_add(self.person_ms.unwrap_or(usual_ms));
        match &self.hours {
            None => longest_ms,
            Some(hours) => hours.closed_from_ms(word_ms.saturating_add(self.grace_ms), longest_ms),
        }
    }

    /// Whether it is working time; `None` when no hours are set.
    #[must_use]
    pub fn is_open(&self, at_ms: i64) -> Option<bool> {
        self.hours.as_ref().map(|hours| hours.is_open(at_ms))
    }
}

fn hours(name: &str, open: &str) -> Result<Hours, Invalid> {
    let invalid = |key| move |reason| Invalid { key, reason };
    let zone = zone(name).map_err(invalid("time_zone"))?;
    Hours::read(zone, open).map_err(invalid("open"))
}

fn within(
    key: &'static str,
    value: Option<u64>,
    min: u64,
    max: u64,
) -> Result<Option<i64>, Invalid> {
    match value {
        Some(value) if !(min..=max).contains(&value) => Err(Invalid {
            key,
            reason: format!("must be {min} to {max}"),
        }),
        _ => Ok(value.map(u64::cast_signed)),
    }
}

fn missing(key: &'static str, beside: &str) -> Invalid {
    let reason = format!("is missing beside {beside}; working hours need both, or neither");
    Invalid { key, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    const USUAL_MS: i64 = 12 * HOUR_MS;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn office() -> Settings {
        Settings {
            time_zone: Some("Europe/Berlin".into()),
            open: Some("mon-fri 09:00-18:00".into()),
            ..Settings::default()
        }
    }

    #[test]
    fn the_table_of_the_module() {
        let terms = office().check().unwrap();
        // Berlin is one hour ahead of these; the 12th is a Monday.
        for (word, end) in [
            ("2026-01-12T09:00:00Z", "2026-01-12T17:00:00Z"),
            ("2026-01-12T16:45:00Z", "2026-01-12T17:45:00Z"),
            ("2026-01-12T21:00:00Z", "2026-01-12T22:00:00Z"),
            ("2026-01-13T07:30:00Z", "2026-01-13T17:00:00Z"),
        ] {
            assert_eq!(terms.ends_ms(ms(word), USUAL_MS), ms(end), "{word}");
        }
        let none = Settings::default().check().unwrap();
        assert_eq!(none.ends_ms(5, USUAL_MS), 5 + USUAL_MS);
        let short = Settings {
            person_hours: Some(2),
            ..office()
        }
        .check()
        .unwrap();
        assert_eq!(
            short.ends_ms(ms("2026-01-12T09:00:00Z"), USUAL_MS),
            ms("2026-01-12T11:00:00Z")
        );
    }

    #[test]
    fn what_cannot_be_used_names_its_key() {
        let key = |settings: Settings| settings.check().unwrap_err().key;
        let of = Settings::default;
        assert_eq!(
            key(Settings {
                person_hours: Some(0),
                ..of()
            }),
            "person_hours"
        );
        assert_eq!(
            key(Settings {
                grace_minutes: Some(1441),
                ..of()
            }),
            "grace_minutes"
        );
        assert_eq!(
            key(Settings {
                time_zone: None,
                ..office()
            }),
            "time_zone"
        );
        assert_eq!(
            key(Settings {
                time_zone: Some("Mars/Olympus".into()),
                ..office()
            }),
            "time_zone"
        );
        assert_eq!(
            key(Settings {
                open: None,
                ..office()
            }),
            "open"
        );
        assert_eq!(
            key(Settings {
                open: Some("always".into()),
                ..office()
            }),
            "open"
        );
        assert_eq!(
            key(Settings {
                speaking: vec!["Order Status".into()],
                ..of()
            }),
            "speaking"
        );
        assert_eq!(
            key(Settings {
                speaking: vec!["a".into(); 51],
                ..of()
            }),
            "speaking"
        );
    }

    proptest! {
        #[test]
        fn a_takeover_lasts_through_working_hours_and_no_longer(
            word_ms in 1_700_000_000_000_i64..1_900_000_000_000,
            hours in 1_u64..200, grace in 0_u64..300, later_ms in 0_i64..100_000_000,
        ) {
            let settings = Settings { person_hours: Some(hours), grace_minutes: Some(grace), ..office() };
            let terms = settings.check().unwrap();
            let end_ms = terms.ends_ms(word_ms, USUAL_MS);
            let longest_ms = word_ms + i64::try_from(hours).unwrap() * HOUR_MS;
            let grace_ms = word_ms + i64::try_from(grace).unwrap() * MINUTE_MS;
            prop_assert!(end_ms <= longest_ms && end_ms >= grace_ms.min(longest_ms));
            if end_ms < longest_ms {
                prop_assert_eq!(terms.is_open(end_ms), Some(false));
            }
            if end_ms > grace_ms {
                let between_ms = grace_ms + later_ms % (end_ms - grace_ms);
                prop_assert_eq!(terms.is_open(between_ms), Some(true));
            }
            prop_assert!(terms.ends_ms(word_ms + later_ms, USUAL_MS) >= end_ms, "a later word never ends it earlier");
        }
    }
}
