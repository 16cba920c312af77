//! The file and the one table of settings must not drift apart.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Parses a file and compares all problems, one on a line.
fn check_problems(text: &str, expect: &str) {
    let told: Vec<_> = parse("duet.toml", text)
        .problems
        .iter()
        .map(ToString::to_string)
        .collect();
    let expect: Vec<_> = expect
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(told, expect, "of {text}");
}

/// A value that a kind takes, as TOML.
fn sample(setting: &Setting) -> String {
    match setting.kind {
        Kind::Integer { min, .. } => min.to_string(),
        Kind::Id => "1".to_owned(),
        Kind::Url => "'http://a'".into(),
        Kind::Page => "'https://a'".into(),
        Kind::Server => "'mail.example.com:587'".into(),
        Kind::Mails { .. } => "['admin@example.com']".into(),
        _ => format!("{:?}", setting.default.unwrap_or("secrets/file")),
    }
}

#[test]
fn every_row_of_the_table_reaches_its_field() {
    let text: String = SETTINGS
        .iter()
        .filter(|row| row.in_file())
        .map(|row| format!("{} = {}\n", row.key, sample(row)))
        .collect();
    let settings = parse("duet.toml", &text)
        .into_result()
        .expect("a sound file");
    let fields = serde_json::to_value(settings).unwrap();
    let fields = fields.as_object().unwrap();
    assert_eq!(
        fields.len(),
        SETTINGS.iter().filter(|row| row.in_file()).count()
    );
    let silent: Vec<_> = fields.iter().filter(|(_, value)| value.is_null()).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn names_follow_one_rule_and_defaults_keep_their_ranges() {
    let keys: BTreeSet<_> = SETTINGS.iter().map(|row| row.key).collect();
    assert_eq!(keys.len(), SETTINGS.len());
    for row in &SETTINGS {
        assert_eq!(
            row.env,
            format!("DUET_{}", row.key.replace('.', "_").to_uppercase())
        );
        assert_eq!(
            row.default.is_some(),
            row.default_value().is_some(),
            "{}",
            row.key
        );
    }
    assert_eq!(
        setting("retention.events_days").unwrap().flag().unwrap(),
        "--retention-events-days"
    );
    assert_eq!(setting("app_secret").unwrap().flag(), None);
    assert_eq!(
        setting("body_bytes_max").unwrap().default_value(),
        Some(SettingValue::Number(3 * 1024 * 1024 + 256 * 1024))
    );
}

#[test]
fn a_slip_is_told_with_its_line_and_the_remedy() {
    let cases = [
        ("", ""),
        ("listen = '0.0.0.0:80'\nbody_bytes_max = 4194304", ""),
        (
            "listen = 'localhost'",
            r#"duet.toml:1: listen is "localhost"; give an IP address and a port such as 127.0.0.1:7800"#,
        ),
        (
            "listen = 7800",
            "duet.toml:1: listen is an integer; give an IP address and a port such as 127.0.0.1:7800",
        ),
        (
            "\nlog = 'xml'",
            r#"duet.toml:2: log is "xml"; give text or json"#,
        ),
        (
            "person_hours = '12'",
            "duet.toml:1: person_hours is a string; give an integer from 1 to 8760",
        ),
        (
            "person_hours = 0",
            r#"duet.toml:1: person_hours is "0"; give an integer from 1 to 8760"#,
        ),
        (
            "body_bytes_max = '1TB'",
            r#"duet.toml:1: body_bytes_max is "1TB"; give bytes from 1KiB to 64MiB, as an integer or with KiB, MiB or GiB"#,
        ),
        (
            "graph_url = 'ftp://x'",
            r#"duet.toml:1: graph_url is "ftp://x"; give a URL with http or https"#,
        ),
        (
            "graph_url = 'https://user:secret@x/'",
            "duet.toml:1: graph_url has a user name or a password in it; give a URL with http or https",
        ),
        (
            "graph_url = 'https://x/?a=1'",
            r#"duet.toml:1: graph_url is "https://x/?a=1"; give a URL with http or https"#,
        ),
        (
            "[signup]\nurl = 'http://connect.example.com'",
            r#"duet.toml:2: signup.url is "http://connect.example.com"; give a URL with https, or with http on localhost"#,
        ),
        ("[signup]\nurl = 'http://localhost:7801'", ""),
        ("data = ''", r#"duet.toml:1: data is ""; give a path"#),
        (
            "admin_lisen = '127.0.0.1:1'",
            r#"duet.toml:1: unknown key "admin_lisen"; did you mean admin_listen?"#,
        ),
        (
            "[alarms]\nwebhook_secret = 'x'",
            r#"duet.toml:2: alarms.webhook_secret is a secret and must not stand in this file; write alarms.webhook_secret_file = "<path>" or set DUET_ALARMS_WEBHOOK_SECRET"#,
        ),
        (
            "[alarms]\nsmtp_server = 'mail.example.com'\nmail_to = ['admin@']",
            r#"duet.toml:2: alarms.smtp_server is "mail.example.com"; give a host and a port such as mail.example.com:587
               duet.toml:3: alarms.mail_to is "admin@"; give at most 10 mail addresses such as admin@example.com"#,
        ),
        (
            "events_days = 3",
            r#"duet.toml:1: events_days stands outside of [retention]; write retention.events_days = <days>"#,
        ),
        (
            "fetches_max = 8",
            r#"duet.toml:1: fetches_max stands outside of [media]; write media.fetches_max = <number>"#,
        ),
        (
            "retention_events_days = 3\nretention_receipt_days = 3",
            r#"duet.toml:1: unknown key "retention_events_days"; did you mean retention.events_days?
            duet.toml:2: unknown key "retention_receipt_days"; did you mean retention.receipts_days?"#,
        ),
        (
            "[retention]\nevent_days = 3",
            r#"duet.toml:2: unknown key "event_days" in [retention]; did you mean events_days?"#,
        ),
        (
            "retention = 3",
            "duet.toml:1: retention is an integer; write it as a table: [retention]",
        ),
        (
            "\napp_secret = 'hunter2'",
            r#"duet.toml:2: app_secret is a secret and must not stand in this file; write app_secret_file = "<path>" or set DUET_APP_SECRET"#,
        ),
        (
            "access_tokn = 'hunter2'\n",
            r#"duet.toml:1: unknown key "access_tokn"; did you mean access_token_file?"#,
        ),
    ];
    for (text, expect) in cases {
        check_problems(text, expect);
    }
}

#[test]
fn paths_are_relative_to_the_file_and_a_url_loses_its_slash() {
    let text =
        "data = 'd'\napp_secret_file = '/run/secret'\ngraph_url = 'http://127.0.0.1:9/v23.0/'\n";
    let settings = parse("duet.toml", text)
        .into_result()
        .unwrap()
        .under(Path::new("/etc/duet"));
    assert_eq!(settings.data.unwrap(), Path::new("/etc/duet/d"));
    assert_eq!(settings.app_secret_file.unwrap(), Path::new("/run/secret"));
    assert_eq!(settings.graph_url.unwrap(), "http://127.0.0.1:9/v23.0");
    assert_eq!(settings.plugins, None);
}

proptest! {
    #[test]
    fn every_problem_of_any_text_lies_within_the_file(text in any::<String>(), key in 0..SETTINGS.len()) {
        let text = format!("{} = {text}\n", SETTINGS[key].key);
        for problem in parse("duet.toml", &text).problems {
            prop_assert!((1..=text.lines().count()).contains(&problem.line), "{problem}");
        }
    }

    #[test]
    fn any_value_from_outside_is_read_or_refused(text in any::<String>()) {
        for row in &SETTINGS {
            if let Err(refusal) = row.read(&text) {
                prop_assert!(!refusal.message.is_empty() && !refusal.remedy.is_empty());
            }
        }
    }
}
