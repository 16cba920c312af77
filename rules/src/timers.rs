//! What a timer of a plugin may be, and the event that it becomes.

use serde_json::json;

/// The kind of that event.
pub const FIRED: &str = "timer.fired";

/// At once in an instance, unless its grant says otherwise.
pub const TIMERS_DEFAULT: u64 = 1_000;

pub const NAME_BYTES_MAX: usize = 128;
const PAYLOAD_BYTES_MAX: usize = 4 << 10;
const AHEAD_DAYS_MAX: i64 = 366;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Judges what a plugin asks for at `now_ms`. The answer is the timer's time, ms since 1970; one that has passed is due
/// at once.
///
/// # Errors
/// Why there can be no such timer, in words for the plugin's author.
pub fn check(name: &str, at_ms: u64, payload: &str, now_ms: i64) -> Result<i64, String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        let bytes = name.len();
        return Err(format!(
            "a timer's name has 1 to {NAME_BYTES_MAX} bytes, this one has {bytes}"
        ));
    }
    if payload.len() > PAYLOAD_BYTES_MAX {
        let bytes = payload.len();
        return Err(format!(
            "a timer's payload has at most {PAYLOAD_BYTES_MAX} bytes, this one has {bytes}; keep the rest in the store"
        ));
    }
    let latest_ms = now_ms.saturating_add(AHEAD_DAYS_MAX * DAY_MS);
    i64::try_from(at_ms)
        .ok()
        .filter(|at_ms| *at_ms <= latest_ms)
        .ok_or_else(|| {
            format!(
                "a timer is at most {AHEAD_DAYS_MAX} days ahead; set it again when it has fired"
            )
        })
}

/// The event's body.
#[must_use]
pub fn body(name: &str, at_ms: i64, payload: &str) -> String {
    json!({ "name": name, "payload": payload, "at_ms": at_ms }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    fn at(days: i64) -> u64 {
        u64::try_from(NOW_MS + days * DAY_MS).unwrap()
    }

    #[test]
    fn a_timer_has_a_name_a_bounded_payload_and_a_time_within_a_year() {
        let [name, longer_name, payload, longer_payload] =
            [128, 130, 4096, 4098].map(|bytes| "é".repeat(bytes / 2));
        let cases: [(&str, u64, &str, Result<i64, &str>); 11] = [
            ("a", at(0), "", Ok(NOW_MS)),
            ("a", at(-400), "", Ok(NOW_MS - 400 * DAY_MS)),
            ("a", 0, "", Ok(0)),
            ("a", at(366), "", Ok(NOW_MS + 366 * DAY_MS)),
            ("a", at(366) + 1, "", Err("366 days ahead")),
            ("a", u64::MAX, "", Err("366 days ahead")),
            ("", at(0), "", Err("1 to 128 bytes, this one has 0")),
            (&name, at(0), "", Ok(NOW_MS)),
            (&longer_name, at(0), "", Err("this one has 130")),
            ("a", at(0), &payload, Ok(NOW_MS)),
            ("a", at(0), &longer_payload, Err("this one has 4098")),
        ];
        for (name, at_ms, payload, expect) in cases {
            let told = check(name, at_ms, payload, NOW_MS);
            match (&told, expect) {
                (Ok(told), Ok(expect)) => assert_eq!(*told, expect),
                (Err(told), Err(part)) => assert!(told.contains(part), "{told}"),
                _ => panic!("{told:?} instead of {expect:?}"),
            }
        }
    }

    #[test]
    fn nothing_that_a_plugin_says_leaves_its_place_in_the_body() {
        let told: serde_json::Value =
            serde_json::from_str(&body("a\"b\n", 7, "{\"x\":\u{0}}")).unwrap();
        assert_eq!(
            told,
            json!({"name": "a\"b\n", "payload": "{\"x\":\u{0}}", "at_ms": 7})
        );
    }
}
