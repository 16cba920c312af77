//! Plugins that do wrong: each kind of trouble ends as a dead letter that says what happened, and delays
//! neither another conversation nor another plugin nor the intake.

use std::time::Duration;

use duet_sim::{Config, Sim, StatusDelays};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::{Gateway, Setup, gateway, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);

/// What a message tells the plugin to do, and words of the cause that the dead letter must give.
const MODES: [(&str, &[&str]); 20] = [
    ("spin", &["cpu", "cpu_ms_max"]),
    ("wait 5000", &["wall", "wall_ms_max"]),
    ("allocate", &["memory", "memory_bytes_max"]),
    ("recurse", &["trap"]),
    ("panic", &["trap", "as told"]),
    ("trap", &["trap", "unreachable"]),
    ("exit", &["trap", "exit"]),
    ("shout 3000000", &["transfer", "pass less at once"]),
    ("bulky-end 3000000", &["transfer", "pass less at once"]),
    ("garble", &["trap", "UTF-8"]),
    ("garbled-end", &["trap", "UTF-8"]),
    ("keep 100000", &["store", "store_bytes_max"]),
    ("keys 200", &["effects", "effects_max"]),
    ("calls 5000", &["host-calls", "host_calls_max"]),
    ("effects 200", &["effects", "effects_max"]),
    ("retry", &["another attempt"]),
    ("retry-after 1", &["another attempt"]),
    ("reject", &["as told"]),
    ("fail-late", &["after a send"]),
    ("nonsense", &["no such mode"]),
];

/// Does too much of what is only cut off: the event is done all the same.
const HARMLESS: [&str; 4] = ["flood", "print 300000", "shout 300000", "bursts 20"];

fn misbehaving() -> String {
    "[plugins.bad]\ncomponent = \"misbehave.wasm\"\nfrom = \"beginning\"\nparallel = 4\n\
     [plugins.bad.retry]\nattempts = 2\nfirst_seconds = 1\nmax_seconds = 1\n\
     [plugins.bad.quarantine]\nevents = 20\n\
     [plugins.bad.limits]\ncpu_ms_max = 200\nwall_ms_max = 4000\nstore_bytes_max = \"64KiB\"\n\
     [plugins.bad.messages]\nspeak = [\"automation\"]\n[plugins.bad.store]\n\
     [plugins.bad.contacts]\n[plugins.bad.conversations]\n"
        .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_plugin_delays_nobody_else_and_its_events_can_be_redriven() -> anyhow::Result<()> {
    let sim = Sim::start(Config {
        statuses: StatusDelays::none(),
        ..gateway::open_sim()
    })
    .await?;
    // The good one comes second, so that it is not what answers first in a conversation of the bad one.
    let good = PluginsFile::probe_table("good", "good", 0);
    let plugins = PluginsFile::default()
        .and("misbehave", &misbehaving())
        .and("probe", &good);
    let mut gateway = Gateway::start(Setup::default().graph(sim.url()).plugins(plugins)).await?;
    sim.set_webhook(gateway.webhook()?);
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    admin.plugins_run(PATIENCE).await?;

    for (n, mode) in MODES
        .iter()
        .map(|(mode, _)| mode)
        .chain(&HARMLESS)
        .enumerate()
    {
        meta.deliver(&webhook::text(
            &format!("9195000000{n:02}"),
            &format!("wamid.bad.{n}"),
            mode,
        ))
        .await?;
    }
    // While all of that goes wrong: its own other conversations, and the other plugin in every one.
    for n in 0..20 {
        meta.deliver(&webhook::text(
            "919500000099",
            &format!("wamid.well.{n}"),
            "well",
        ))
        .await?;
    }
    let texts = MODES.len() + HARMLESS.len() + 20;
    let done = |name: &'static str, count: usize| {
        move |row: &Value| row["name"] == name && row["events"]["done"] == json!(count)
    };
    admin
        .row(
            "plugins",
            "the good plugin has done everything",
            PATIENCE,
            done("good", texts),
        )
        .await?;
    admin
        .row(
            "plugins",
            "the bad one has done what it can",
            PATIENCE,
            done("bad", HARMLESS.len() + 20),
        )
        .await?;

    let dead = admin
        .count("dead-letters", "", MODES.len(), PATIENCE)
        .await?;
    let events = admin.rows("events", "").await?;
    for (mode, words) in MODES {
        let event = events
            .iter()
            .find(|event| event["body"]["text"]["body"] == mode)
            .map(|event| &event["seq"]);
        let letter = dead.iter().find(|row| Some(&row["event"]) == event);
        let Some(letter) = letter else {
            anyhow::bail!("{mode}: no dead letter among {dead:?}")
        };
        let cause = letter["cause"].as_str().unwrap_or_default();
        for word in words {
            assert!(
                cause.contains(word),
                "{mode}: the cause does not say {word:?}: {cause}"
            );
        }
        let rejects = ["reject", "fail-late", "nonsense"].contains(&mode);
        assert_eq!(
            (&letter["plugin"], &letter["attempts"]),
            (&json!("bad"), &json!(if rejects { 1 } else { 2 })),
            "{mode}"
        );
    }
    let log = gateway.log();
    let told: Vec<_> = log
        .lines()
        .filter(|line| line.contains("dead letter") || line.contains("faulted"))
        .collect();
    for word in ["rejected", "attempts used up", "trap", "cpu_ms_max"] {
        let named = told.iter().any(|line| line.contains(word));
        assert!(named, "the log does not say {word:?}: {told:#?}");
    }
    let quoted = |line: &&str| line.contains("as told") || line.contains("no such mode");
    assert_eq!(told.into_iter().find(quoted), None, "a plugin's own words");
    // What failed left nothing behind: neither a send nor a value.
    let rows = admin.rows("outbox", "").await?;
    let bad: Vec<_> = rows.iter().filter(|row| row["plugin"] == "bad").collect();
    assert_eq!(
        bad.len(),
        20,
        "only the well-behaved events have sent: {bad:?}"
    );
    assert!(
        bad.iter()
            .all(|row| row["message"]["text"]["body"] == "well"),
        "{bad:?}"
    );

    // The plugin is mended: the same instance, with a component that does well.
    let mended = PluginsFile::probe_table("bad", "mended", 0);
    gateway.change_plugins(
        PluginsFile::default()
            .and("probe", &mended)
            .and("probe", &good),
    )?;
    let good_digest = rows
        .iter()
        .find(|row| row["plugin"] == "good")
        .map(|row| row["digest"].clone());
    let is_mended =
        |row: &Value| row["name"] == "bad" && Some(&row["digest"]) == good_digest.as_ref();
    admin
        .row("plugins", "the mended plugin is live", PATIENCE, is_mended)
        .await?;
    let answer = admin
        .post("/dead-letters/redrive", &json!({"plugin": "bad"}))
        .await?;
    assert_eq!(answer["redriven"], json!(MODES.len()), "{answer}");
    let replies = |row: &Value| {
        row["plugin"] == "bad"
            && row["message"]["text"]["body"]
                .as_str()
                .is_some_and(|text| text.starts_with("probe mended"))
    };
    duet_tests::until("every redriven event has its reply", PATIENCE, || async {
        let rows = admin.rows("outbox", "").await?;
        let found = rows.iter().filter(|row| replies(row)).count();
        Ok(duet_tests::wait::Seen::when(
            found == MODES.len(),
            (),
            || format!("{found} of {}", MODES.len()),
        ))
    })
    .await?;
    assert_eq!(admin.rows("dead-letters", "").await?, Vec::<Value>::new());
    gateway.end().await
}
