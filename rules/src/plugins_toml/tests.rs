//! The messages are the product here: every case names the whole text that an admin reads.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::schedule::Schedule;
use crate::sending::Speaker;

/// Parses a file and compares all problems, one on a line.
fn check_problems(text: &str, expect: &str) {
    let outcome = parse("plugins.toml", text);
    let told: Vec<_> = outcome.problems.iter().map(ToString::to_string).collect();
    let expect: Vec<_> = expect
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(told, expect, "of {text}");
}

/// The sole instance of a sound file.
pub(super) fn instance(text: &str) -> Instance {
    let mut plugins = parse("plugins.toml", text)
        .into_result()
        .expect("a sound file")
        .plugins;
    assert_eq!(plugins.len(), 1);
    plugins.remove(0)
}

#[test]
fn the_smallest_plugin_gets_every_default() {
    let faq = instance("[plugins.faq]\ncomponent = \"faq.wasm\"\n");
    assert_eq!(
        (faq.name.as_str(), faq.line, faq.enabled, faq.parallel),
        ("faq", 1, true, PARALLEL_DEFAULT)
    );
    assert_eq!(
        (faq.runs_kept, faq.promote),
        (RUNS_KEPT_DEFAULT, Promote::AtOnce)
    );
    assert_eq!(
        (faq.from, faq.events, faq.numbers),
        (StartFrom::Now, None, None)
    );
    assert_eq!(
        faq.retry,
        Retry {
            attempts: 6,
            first_seconds: 1,
            max_seconds: 600
        }
    );
    assert_eq!(faq.limits, Limits::default());
    assert_eq!(
        (faq.limits.cpu_ms_max, faq.limits.memory_bytes_max),
        (200, 64 << 20)
    );
    assert_eq!((faq.settings, faq.grants), (json!({}), Grants::default()));
}

#[test]
fn a_business_is_named_by_its_id() {
    for id in ["\"\"", "\"Tea House\"", "\"-\"", "7"] {
        let text = format!("[plugins.faq]\ncomponent = \"faq.wasm\"\nbusiness = {id}\n");
        let problems = parse("plugins.toml", &text).problems;
        let told = problems
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(told.starts_with("plugins.toml:3:"), "{id}: {told}");
        if id != "7" {
            assert!(
                told.contains("for the gateway's own take the line out"),
                "{told}"
            );
        }
    }
}

#[test]
fn a_version_takes_over_at_once_or_after_its_shadow() {
    for (lines, expect) in [
        ("promote = \"at-once\"\nruns_kept = 0", ""),
        (
            "promote = \"later\"",
            r#"plugins.toml:3: promote in [plugins.faq] is "later"; write "at-once" or "shadow""#,
        ),
        (
            "runs_kept = 0\npromote = \"shadow\"",
            r#"plugins.toml:4: promote in [plugins.faq] is "shadow", and no runs are kept; take runs_kept = 0 out: a new version is run over the kept runs"#,
        ),
        (
            "runs_kept = 101",
            "plugins.toml:3: runs_kept in [plugins.faq] is 101; give an integer from 0 to 100",
        ),
    ] {
        let text = format!("[plugins.faq]\ncomponent = \"faq.wasm\"\n{lines}\n");
        check_problems(&text, expect);
    }
}

#[test]
fn a_full_plugin_is_read_as_written() {
    let crm = instance(
        r#"
        [plugins.crm]
        component = "../crm.wasm"
        enabled = false
        business = "tea-house"
        events = ["message.*", "echo.text"]
        numbers = ["106540352242922"]
        from = 4711
        parallel = 0x10
        every = { tidy = "15m", report = "mon-fri 18:30 Europe/Berlin" }
        runs_kept = 7
        promote = "shadow"
        [plugins.crm.retry]
        attempts = 2
        first_seconds = 5
        max_seconds = 5
        [plugins.crm.limits]
        memory_bytes_max = "128 MiB"
        log_bytes_max = 0
        [plugins.crm.messages]
        speak = ["person", "automation"]
        [plugins.crm.store]
        bytes_max = "1MiB"
        [plugins.crm.conversations]
        handling = true
        [plugins.crm.contacts]
        [plugins.crm.timers]
        max = 7
        [plugins.crm.media]
        bytes_max = "1MiB"
        keep = true
        [plugins.crm.cases]
        max = 9
        [plugins.crm.annotations]
        write = true
        "#,
    );
    assert_eq!(
        (crm.enabled, crm.from, crm.parallel),
        (false, StartFrom::Seq(4711), 16)
    );
    assert_eq!((crm.business.as_str(), crm.business_line), ("tea-house", 5));
    assert_eq!(
        (crm.runs_kept, crm.promote, crm.promote_line),
        (7, Promote::Shadow, 12)
    );
    assert_eq!(crm.component, std::path::Path::new("../crm.wasm"));
    assert_eq!(
        crm.events.unwrap(),
        ["message.*", "echo.text"].map(|text| text.parse().unwrap())
    );
    assert_eq!(crm.numbers.unwrap(), ["106540352242922"]);
    assert_eq!(
        (
            crm.retry.attempts,
            crm.retry.first_seconds,
            crm.retry.max_seconds
        ),
        (2, 5, 5)
    );
    assert_eq!(
        (crm.limits.memory_bytes_max, crm.limits.log_bytes_max),
        (128 << 20, 0)
    );
    assert_eq!(
        crm.grants.messages.unwrap().speak,
        [Speaker::Person, Speaker::Automation]
    );
    assert_eq!(
        crm.grants.store.unwrap(),
        StoreGrant {
            bytes_max: 1 << 20,
            keys_max: 10_000
        }
    );
    assert!(crm.grants.conversations.unwrap().handling);
    assert_eq!(crm.grants.contacts, Some(ContactsGrant));
    assert_eq!(
        crm.every,
        [
            Schedule::read("tidy", "15m").unwrap(),
            Schedule::read("report", "mon-fri 18:30 Europe/Berlin").unwrap()
        ]
    );
    assert_eq!(crm.grants.timers, Some(TimersGrant { max: 7 }));
    let media = MediaGrant {
        bytes_max: 1 << 20,
        keep: true,
    };
    assert_eq!(crm.grants.media, Some(media));
    assert_eq!(crm.grants.cases, Some(CasesGrant { max: 9 }));
    let annotations = AnnotationsGrant { write: true };
    assert_eq!(crm.grants.annotations, Some(annotations));
    let lines = [
        ("annotations", 34),
        ("cases", 32),
        ("contacts", 26),
        ("conversations", 24),
        ("media", 29),
        ("messages", 20),
        ("store", 22),
        ("timers", 27),
    ];
    assert_eq!(crm.grant_lines, lines.into_iter().collect());
}

#[test]
fn the_order_of_the_file_is_the_order_of_the_automations() {
    let text = "plugins.zoe.component = 'z'\n[plugins.bob]\ncomponent = 'b'\n[plugins.10]\ncomponent = 'c'\n[plugins.amy]\ncomponent = 'a'\n";
    let names: Vec<_> = parse("plugins.toml", text)
        .into_result()
        .unwrap()
        .plugins
        .into_iter()
        .map(|plugin| plugin.name)
        .collect();
    assert_eq!(names, ["zoe", "bob", "10", "amy"]);
}

#[test]
fn a_slip_is_told_with_its_line_and_the_remedy() {
    let cases = [
        ("", ""),
        (
            "pluggins = 1",
            r#"plugins.toml:1: unknown key "pluggins"; did you mean plugins?"#,
        ),
        (
            "plugins = 1",
            "plugins.toml:1: plugins is an integer; write one table for each plugin: [plugins.<name>]",
        ),
        (
            "\n[[plugins]]\nname = 'x'",
            "plugins.toml:2: plugins is a list; write one table for each plugin: [plugins.<name>]",
        ),
        (
            "[plugins]\nfaq = 'x'",
            "plugins.toml:2: faq in [plugins] is a string; write it as a table: [plugins.faq]",
        ),
        (
            "[plugins.Faq]\ncomponent = 'x'",
            r#"plugins.toml:1: "Faq" is no name for a plugin; use 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit"#,
        ),
        (
            "[plugins.faq]\nenabled = true",
            r#"plugins.toml:1: [plugins.faq] has no component; add: component = "<path of the .wasm file>""#,
        ),
        (
            "[plugins.faq]\ncomponent = 'https://example.com/faq.wasm'",
            r#"plugins.toml:2: component in [plugins.faq] is "https://example.com/faq.wasm"; give the path of a file, relative to the folder of this file"#,
        ),
        (
            "[plugins.faq]\ncomponent = 7",
            r#"plugins.toml:2: component in [plugins.faq] is an integer; write it in quotes: component = "…""#,
        ),
        (
            "[plugins.faq]\ncomponent = 'x'\n[plugins.faq]\n",
            "plugins.toml:3: not TOML: duplicate key; keep one of the two",
        ),
    ];
    for (text, expect) in cases {
        check_problems(text, expect);
    }
}

#[test]
fn a_slip_inside_a_plugin_is_told_with_its_line_and_the_remedy() {
    let cases = [
        (
            "enabeld = false",
            r#"plugins.toml:3: unknown key "enabeld" in [plugins.faq]; did you mean enabled?"#,
        ),
        (
            "colour = 1",
            r#"plugins.toml:3: unknown key "colour" in [plugins.faq]; remove it; known keys: component, enabled, business, events, numbers, from, parallel, every, runs_kept, promote, canary, retry, quarantine, log, limits, settings, messages, store, http, conversations, contacts, timers, media, cases, annotations, hooks"#,
        ),
        (
            "enabled = 1",
            "plugins.toml:3: enabled in [plugins.faq] is an integer; write enabled = true or enabled = false",
        ),
        (
            "parallel = 300",
            "plugins.toml:3: parallel in [plugins.faq] is 300; give an integer from 1 to 256",
        ),
        (
            "parallel = -1",
            "plugins.toml:3: parallel in [plugins.faq] is -1; give an integer from 1 to 256",
        ),
        (
            "parallel = '8'",
            "plugins.toml:3: parallel in [plugins.faq] is a string; give an integer from 1 to 256",
        ),
        (
            "from = 'today'",
            r#"plugins.toml:3: from in [plugins.faq] is "today"; write "now", "beginning" or the seq of an event"#,
        ),
        (
            "from = 1.5",
            r#"plugins.toml:3: from in [plugins.faq] is a float; write "now", "beginning" or the seq of an event"#,
        ),
        (
            "events = []",
            "plugins.toml:3: events in [plugins.faq] is an empty list; name at least one, or remove the key",
        ),
        (
            "events = 'message.*'",
            r#"plugins.toml:3: events in [plugins.faq] is a string; write a list of texts: events = ["…"]"#,
        ),
        (
            "events = ['mesage.*']",
            r#"plugins.toml:3: no event kind begins with "mesage"; did you mean message.*?"#,
        ),
        (
            "events = [\n'message.*',\n'message.*',\n'Echo']",
            r#"plugins.toml:5: events in [plugins.faq] names "message.*" twice; name it once
            plugins.toml:6: "Echo" in events in [plugins.faq] is no pattern; write a kind such as message.text, a family such as message.*, or *"#,
        ),
        (
            "numbers = [106540352242922]",
            r#"plugins.toml:3: an item of numbers in [plugins.faq] is an integer; write a list of texts: numbers = ["…"]"#,
        ),
        (
            "numbers = ['+49 30 1']",
            r#"plugins.toml:3: "+49 30 1" in numbers in [plugins.faq] is no phone_number_id; give Meta's id of the number, digits only; it is not the phone number itself"#,
        ),
        (
            "[plugins.faq.retry]\nfirst_seconds = 60\nmax_seconds = 10",
            "plugins.toml:3: first_seconds 60 is above max_seconds 10 in [plugins.faq.retry]; raise max_seconds or lower first_seconds",
        ),
        (
            "[plugins.faq.limits]\nmemory_bytes_max = '64MB'\ncpu_ms = 5",
            r#"plugins.toml:4: memory_bytes_max in [plugins.faq.limits] is "64MB"; give bytes from 1MiB to 1GiB, as an integer or with KiB, MiB or GiB
            plugins.toml:5: unknown key "cpu_ms" in [plugins.faq.limits]; did you mean cpu_ms_max?"#,
        ),
        (
            "[plugins.faq.canary]\npercent = 101",
            r#"plugins.toml:3: [plugins.faq.canary] has no component; add: component = "<path of the .wasm file>"
            plugins.toml:4: percent in [plugins.faq.canary] is 101; give an integer from 0 to 100"#,
        ),
        (
            "[plugins.faq.every]\n'tidy-up' = '15m'\ntidy = '15 min'\nreport = 7\nlate = 'daily 03:00 Berlin'",
            r#"plugins.toml:4: "tidy-up" is no name for a schedule; use 1 to 32 of a-z, 0-9 and _
            plugins.toml:5: tidy in [plugins.faq.every] is "15 min"; write a span from 10s to 366d such as 15m or 6h, or days, a time and a time zone such as daily 03:00 Europe/Berlin or mon-fri 18:30 UTC
            plugins.toml:6: report in [plugins.faq.every] is an integer; write it in quotes: report = "…"
            plugins.toml:7: late in [plugins.faq.every] is "daily 03:00 Berlin"; "Berlin" is not in the IANA time zone database; write a name such as Europe/Berlin or America/Sao_Paulo"#,
        ),
        (
            "[plugins.faq.messages]\nspeak = ['robot']",
            r#"plugins.toml:4: "robot" in speak in [plugins.faq.messages] is no speaker; write "automation", "person" or both"#,
        ),
        (
            "[plugins.api]\ncomponent = 'a.wasm'",
            r#"plugins.toml:3: "api" is no name for a plugin; choose another one, this one stands for sends of the admin API"#,
        ),
        (
            "[plugins.faq.contacts]\nread = true",
            r#"plugins.toml:4: unknown key "read" in [plugins.faq.contacts]; remove it, this table takes no keys"#,
        ),
        (
            "messages = true",
            "plugins.toml:3: messages in [plugins.faq] is a boolean; write it as a table: [plugins.faq.messages]",
        ),
        (
            "settings.rate = nan",
            r#"plugins.toml:3: "nan" has no place in JSON; use a finite number of at most 64 bits, or text"#,
        ),
        (
            "settings.a = 9223372036854775808",
            r#"plugins.toml:3: "9223372036854775808" has no place in JSON; use a finite number of at most 64 bits, or text"#,
        ),
        (
            "enabled = yes\nparallel = 08",
            "plugins.toml:3: not TOML: string values must be quoted, expected literal string; put the text in quotes
            plugins.toml:4: not TOML: unexpected leading zero; correct this line or the one before it",
        ),
        (
            "events = ['message.*'\n[plugins.b]",
            "plugins.toml:4: not TOML: missing comma between array elements, expected `,`; correct this line or the one before it",
        ),
        (
            "foo = 1\r\nfom = 2",
            r#"plugins.toml:3: unknown key "foo" in [plugins.faq]; remove it; known keys: component, enabled, business, events, numbers, from, parallel, every, runs_kept, promote, canary, retry, quarantine, log, limits, settings, messages, store, http, conversations, contacts, timers, media, cases, annotations, hooks
            plugins.toml:4: unknown key "fom" in [plugins.faq]; did you mean from?"#,
        ),
        (
            "parallel = ",
            "plugins.toml:3: not TOML: string values must be quoted, expected literal string; put the text in quotes",
        ),
    ];
    for (text, expect) in cases {
        check_problems(
            &format!("[plugins.faq]\ncomponent = 'faq.wasm'\n{text}\n"),
            expect,
        );
    }
}

#[test]
fn an_instance_with_a_problem_is_left_out_and_its_neighbours_stay() {
    let outcome = parse(
        "plugins.toml",
        "[plugins.a]\ncomponent = 'a'\n[plugins.b]\ncomponent = 1\n[plugins.c]\ncomponent = 'c'\n",
    );
    let names: Vec<_> = outcome
        .value
        .plugins
        .iter()
        .map(|plugin| plugin.name.as_str())
        .collect();
    assert_eq!((names, outcome.problems.len()), (vec!["a", "c"], 1));
    assert!(outcome.into_result().is_err());
}

#[test]
fn too_much_is_refused() {
    let mut many: String = (0..=PLUGINS_MAX)
        .map(|n| format!("[plugins.p{n}]\ncomponent = 'x'\n"))
        .collect();
    check_problems(
        &many,
        "plugins.toml:2001: the file has 1001 plugins; keep it to 1000",
    );
    many.push_str(&" ".repeat(1024 * 1024));
    check_problems(
        &many,
        &format!(
            "plugins.toml:1: the file has {} bytes; keep it below 1048576 bytes",
            many.len()
        ),
    );
    let deep = format!(
        "[plugins.faq]\ncomponent = 'x'\nsettings.a{} = 1\n",
        ".a".repeat(33)
    );
    check_problems(
        &deep,
        "plugins.toml:3: settings are nested more than 32 deep; flatten them",
    );
    let wrong: String = (0..150).map(|n| format!("wrong{n} = 1\n")).collect();
    let problems = parse("plugins.toml", &wrong).problems;
    assert_eq!(problems.len(), crate::toml_file::PROBLEMS_MAX + 1);
    assert_eq!(
        problems[100].to_string(),
        "plugins.toml:150: 50 more problems are not shown; correct the first ones and check again"
    );
}

#[test]
fn text_that_is_no_utf8_is_refused_with_its_line() {
    let outcome = parse("plugins.toml", b"# one\n# \xff\n");
    assert_eq!(
        outcome.problems[0].to_string(),
        "plugins.toml:2: the text is not UTF-8; save the file as UTF-8"
    );
    assert_eq!(outcome.problems[0].column, 3);
}

#[test]
fn a_column_counts_characters() {
    let outcome = parse(
        "plugins.toml",
        "plugins = { \"é\" = { component = 'x' } }\n",
    );
    assert_eq!(
        (outcome.problems[0].line, outcome.problems[0].column),
        (1, 13)
    );
}

/// Nesting that the parser lets through must not exhaust the stack, here or when the tree is dropped.
#[test]
fn the_deepest_nesting_ends_in_a_problem() {
    let key = vec!["a"; 79].join(".");
    let (open, close) = (format!("{{ {key} = ").repeat(79), " }".repeat(79));
    check_problems(
        &format!("[plugins.faq]\ncomponent = 'x'\nsettings.{key} = {open}1{close}\n"),
        "plugins.toml:3: settings are nested more than 32 deep; flatten them",
    );
    check_problems(
        &format!(
            "[plugins.faq]\ncomponent = 'x'\nsettings.a = {}\n",
            "[".repeat(500_000)
        ),
        "plugins.toml:3: not TOML: cannot recurse further; max recursion depth met; nest the tables less deeply",
    );
}

/// Text that is nearly a plugins.toml finds more than noise does.
fn nearly_toml() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[plugins.faq]\n"),
        Just("[plugins]"),
        Just("[[plugins]]"),
        Just("component = 'x'\n"),
        Just("events = ["),
        Just("'message.*',"),
        Just("]"),
        Just("\n"),
        Just("[plugins.faq.settings]\n"),
        Just("a.b = {c = 1}\n"),
        Just("é"),
        Just("[plugins.faq.limits]\n"),
        Just("cpu_ms_max = 99999999999999999999\n"),
        Just("\""),
        Just("'''"),
        Just("="),
        Just("parallel = 0xff\n"),
        Just("from = 1e3\n"),
        Just("\u{feff}"),
        Just("\r\n"),
        Just("#"),
        Just("\0"),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_problem_of_any_text_lies_within_the_file(text in prop_oneof![any::<String>(), nearly_toml()]) {
        let lines: Vec<_> = text.split('\n').collect();
        for problem in parse("plugins.toml", &text).problems {
            prop_assert!((1..=lines.len()).contains(&problem.line), "{problem}");
            let chars = lines[problem.line - 1].chars().count();
            prop_assert!((1..=chars + 1).contains(&problem.column), "{problem}");
            prop_assert!(problem.line == 1 || problem.line <= text.lines().count(), "{problem}");
        }
    }
}

#[test]
fn a_control_character_in_a_name_never_reaches_a_terminal() {
    let outcome = parse("plugins.toml", "[plugins.\"B\\tee\"]\nenabled = true\n");
    let told: Vec<_> = outcome.problems.iter().map(ToString::to_string).collect();
    assert!(!told.is_empty());
    assert!(
        told.iter().all(|line| !line.chars().any(char::is_control)),
        "{told:?}"
    );
}
