//! docs/settings.md says what the parsers know: every key, with its default and its bounds.

use crate::canary::EVENTS_DEFAULT;
use crate::duet_toml::{Kind, SETTINGS};
use crate::plugins_toml::{
    self, HOOK_BYTES_DEFAULT, HOOK_RATE_DEFAULT, HOOK_SECONDS_DEFAULT, Limits, LogRate,
    PARALLEL_DEFAULT, PERCENT_DEFAULT, RUNS_KEPT_DEFAULT, Retry,
};
use crate::quarantine::Terms;
use crate::timers::TIMERS_DEFAULT;
use crate::toml_file::bytes_text;

const PAGE: &str = include_str!("../../docs/settings.md");

/// The cells of a key's row: default, value, what.
fn row(part: &str, key: &str) -> Vec<&'static str> {
    let (_, rest) = PAGE.split_once(part).expect("the page has this part");
    let rest = rest.split("\n## ").next().unwrap_or_default();
    let start = format!("| `{key}` |");
    let line = rest.lines().find_map(|line| line.strip_prefix(&start));
    let line = line.unwrap_or_else(|| panic!("docs/settings.md has no row for {key} in {part}"));
    line.split('|').map(str::trim).collect()
}

#[test]
fn the_page_has_every_key_of_duet_toml() {
    for setting in &SETTINGS {
        if !setting.in_file() {
            assert!(PAGE.contains(setting.env), "{}", setting.env);
            continue;
        }
        let row = row("\n## duet.toml", setting.key);
        let default = setting.default.map(|value| format!("`{value}`"));
        assert_eq!(
            row.first().copied(),
            default.as_deref().or(Some("")),
            "{}",
            setting.key
        );
        let value = match setting.kind {
            Kind::Integer { min, max } => format!("{min} to {max}"),
            Kind::Bytes { min, max } => format!("{} to {}", bytes_text(min), bytes_text(max)),
            Kind::OneOf(words) => {
                format!("`{}`", words.join("` or `")).replacen("` or `", "`, `", words.len() - 2)
            }
            _ => continue,
        };
        assert_eq!(row.get(1).copied(), Some(value.as_str()), "{}", setting.key);
    }
}

/// What a remedy has behind this mark, for a line in the instance's own table or in one below it.
fn remedy(table: &str, line: &str, mark: &str) -> Option<String> {
    let header = match table {
        "" => String::new(),
        table => format!("[plugins.faq.{table}]\n"),
    };
    let text = format!("[plugins.faq]\ncomponent = 'c'\n{header}{line}\n");
    let problems = plugins_toml::parse("plugins.toml", text).problems;
    problems
        .iter()
        .find_map(|problem| Some(problem.remedy.split_once(mark)?.1.to_owned()))
}

/// The keys that a table takes, from the remedy for one that it does not take.
fn known_keys(table: &str) -> Vec<String> {
    let known = remedy(table, "no-such-key-at-all = 1", "known keys: ");
    let keys = known.iter().flat_map(|known| known.split(", "));
    keys.map(str::to_owned).collect()
}

/// `1 to 100` from the remedy for a value of a wrong type; empty when the key takes no number.
fn bounds(table: &str, key: &str) -> String {
    let bounds = remedy(table, &format!("{key} = 1.5"), " from ").unwrap_or_default();
    bounds.split(',').next().unwrap_or_default().to_owned()
}

#[test]
fn the_page_has_every_key_of_plugins_toml_and_its_bounds() {
    let tables = [
        "canary",
        "retry",
        "quarantine",
        "log",
        "limits",
        "messages",
        "store",
        "http",
        "conversations",
        "contacts",
        "timers",
        "media",
        "cases",
        "annotations",
    ];
    let mut count = 0;
    for key in known_keys("") {
        if tables.contains(&key.as_str()) || key == "hooks" {
            continue;
        }
        let told = row("\n## plugins.toml", &key);
        if ["parallel", "runs_kept"].contains(&key.as_str()) {
            assert_eq!(told.get(1).copied(), Some(bounds("", &key).as_str()));
        }
        count += 1;
    }
    for table in tables {
        for key in known_keys(table) {
            let told = row("\n## plugins.toml", &format!("{table}.{key}"));
            let bounds = bounds(table, &key);
            if !bounds.is_empty() {
                assert_eq!(told.get(1).copied(), Some(bounds.as_str()), "{table}.{key}");
            }
            count += 1;
        }
    }
    row("\n## plugins.toml", "contacts");
    let secret = known_keys("http.secrets.x");
    for key in &secret {
        row("\n## plugins.toml", &format!("http.secrets.<name>.{key}"));
    }
    let oauth = known_keys("http.secrets.x.oauth");
    for key in &oauth {
        row(
            "\n## plugins.toml",
            &format!("http.secrets.<name>.oauth.{key}"),
        );
    }
    count += secret.len() + oauth.len();
    for key in known_keys("hooks.x") {
        let told = row("\n## plugins.toml", &format!("hooks.<path>.{key}"));
        let bounds = bounds("hooks.x", &key);
        if !bounds.is_empty() {
            assert_eq!(told.get(1).copied(), Some(bounds.as_str()), "{key}");
        }
        count += 1;
    }
    assert_eq!(count, 60, "known_keys no longer finds the keys");
}

#[test]
fn the_page_has_the_defaults_of_plugins_toml() {
    let (retry, limits) = (Retry::default(), Limits::default());
    let (quarantine, log) = (Terms::default(), LogRate::default());
    let defaults = [
        ("parallel", PARALLEL_DEFAULT.to_string()),
        ("runs_kept", RUNS_KEPT_DEFAULT.to_string()),
        ("canary.percent", PERCENT_DEFAULT.to_string()),
        ("canary.events", EVENTS_DEFAULT.to_string()),
        ("retry.attempts", retry.attempts.to_string()),
        ("retry.first_seconds", retry.first_seconds.to_string()),
        ("retry.max_seconds", retry.max_seconds.to_string()),
        ("quarantine.events", quarantine.events.to_string()),
        (
            "quarantine.first_seconds",
            quarantine.first_seconds.to_string(),
        ),
        ("quarantine.max_seconds", quarantine.max_seconds.to_string()),
        ("log.lines_per_second", log.lines_per_second.to_string()),
        ("log.lines_burst", log.lines_burst.to_string()),
        ("limits.cpu_ms_max", limits.cpu_ms_max.to_string()),
        ("limits.wall_ms_max", limits.wall_ms_max.to_string()),
        (
            "limits.memory_bytes_max",
            bytes_text(limits.memory_bytes_max),
        ),
        ("limits.host_calls_max", limits.host_calls_max.to_string()),
        ("limits.log_bytes_max", bytes_text(limits.log_bytes_max)),
        ("limits.store_bytes_max", bytes_text(limits.store_bytes_max)),
        ("limits.effects_max", limits.effects_max.to_string()),
        ("timers.max", TIMERS_DEFAULT.to_string()),
        (
            "hooks.<path>.body_bytes_max",
            bytes_text(HOOK_BYTES_DEFAULT),
        ),
        ("hooks.<path>.per_minute", HOOK_RATE_DEFAULT.to_string()),
        (
            "hooks.<path>.answer_seconds",
            HOOK_SECONDS_DEFAULT.to_string(),
        ),
        ("limits.http_calls_max", limits.http_calls_max.to_string()),
        (
            "limits.http_request_bytes_max",
            bytes_text(limits.http_request_bytes_max),
        ),
        (
            "limits.http_response_bytes_max",
            bytes_text(limits.http_response_bytes_max),
        ),
    ];
    for (key, default) in defaults {
        let told = row("\n## plugins.toml", key);
        assert_eq!(
            told.first().copied(),
            Some(format!("`{default}`").as_str()),
            "{key}"
        );
    }
}
