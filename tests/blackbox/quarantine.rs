//! A plugin that faults on one event after another is left alone for a while: its events wait and catch up in order,
//! and nobody else notices.

use std::time::Duration;

use duet_sim::Sim;
use duet_tests::plugins_file::PluginsFile;
use duet_tests::{Admin, Gateway, Meta, Setup, gateway, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const CUSTOMERS: usize = 6;

/// `bad` with this quarantine, beside a plugin that does well.
fn plugins(retry: &str, quarantine: &str, store_bytes: &str) -> PluginsFile {
    let bad = format!(
        "[plugins.bad]\ncomponent = \"misbehave.wasm\"\nfrom = \"beginning\"\n\
         [plugins.bad.retry]\nfirst_seconds = 1\nmax_seconds = 1\n{retry}\n\
         [plugins.bad.quarantine]\nevents = 3\n{quarantine}\n\
         [plugins.bad.limits]\nstore_bytes_max = \"{store_bytes}\"\n\
         [plugins.bad.messages]\nspeak = [\"automation\"]\n[plugins.bad.store]\n\
         [plugins.bad.contacts]\n[plugins.bad.conversations]\n"
    );
    let good = PluginsFile::probe_table("good", "good", 0);
    PluginsFile::default()
        .and("misbehave", &bad)
        .and("probe", &good)
}

async fn plugin(
    admin: &Admin,
    name: &str,
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    admin
        .row("plugins", what, PATIENCE, |row| {
            row["name"] == name && fits(row)
        })
        .await
}

async fn say(meta: &Meta, customer: usize, id: &str, text: &str) -> anyhow::Result<()> {
    let from = format!("9195000000{customer:02}");
    meta.deliver(&webhook::text(
        &from,
        &format!("wamid.{customer}.{id}"),
        text,
    ))
    .await?;
    Ok(())
}

async fn stage(file: PluginsFile) -> anyhow::Result<(Sim, Gateway, Meta, Admin)> {
    let sim = Sim::start(gateway::open_sim()).await?;
    let gateway = Gateway::start(Setup::default().graph(sim.url()).plugins(file)).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    admin.plugins_run(PATIENCE).await?;
    Ok((sim, gateway, meta, admin))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_events_wait_while_others_go_on_and_catch_up_in_order_once_it_is_mended()
-> anyhow::Result<()> {
    let long = "first_seconds = 3600\nmax_seconds = 3600";
    let (_sim, mut gateway, meta, admin) = stage(plugins("attempts = 100", long, "64KiB")).await?;
    for customer in 0..CUSTOMERS {
        say(&meta, customer, "first", "keep 100000").await?;
        say(&meta, customer, "second", "well").await?;
    }
    let left_alone = plugin(&admin, "bad", "it is left alone", |row| {
        row["state"] == "quarantined"
    })
    .await?;
    let cause = left_alone["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("store_bytes_max"), "{left_alone}");
    assert!(left_alone["tried_at"].is_string(), "{left_alone}");
    let alarms = admin.rows("alarms", "open=true").await?;
    let told: Vec<_> = alarms
        .iter()
        .map(|alarm| (&alarm["name"], &alarm["plugin"]))
        .collect();
    assert_eq!(told, [(&json!("plugin-quarantined"), &json!("bad"))]);

    // More comes; the neighbour has all of it, the plugin nothing.
    let faults = &left_alone["events"]["faults"];
    for customer in 0..CUSTOMERS {
        say(&meta, customer, "third", "well").await?;
    }
    let good = plugin(&admin, "good", "the neighbour goes on", |row| {
        row["events"]["done"] == json!(3 * CUSTOMERS)
    })
    .await?;
    assert_eq!(good["state"], "ready");
    let bad = plugin(&admin, "bad", "all of it waits", |row| {
        row["events"]["depth"] == json!(3 * CUSTOMERS)
    })
    .await?;
    let ended = bad["events"]["faults"].as_u64().zip(faults.as_u64());
    // Runs that had begun when it was left alone.
    assert!(
        ended.is_some_and(|(now, then)| now <= then + 3),
        "{left_alone} then, {bad} now"
    );
    assert_eq!(bad["events"]["done"], 0);

    gateway.change_plugins(plugins("attempts = 100", long, "1MiB"))?;
    let well = plugin(&admin, "bad", "it catches up", |row| {
        row["events"]["done"] == json!(3 * CUSTOMERS)
    })
    .await?;
    assert_eq!(well["state"], "ready", "{well}");
    assert_eq!(well["cause"], Value::Null, "{well}");
    assert_eq!(
        admin.rows("alarms", "open=true").await?,
        Vec::<Value>::new()
    );
    assert_eq!(
        admin.rows("dead-letters", "").await?,
        Vec::<Value>::new(),
        "nothing was given up"
    );
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_that_does_well_ends_it_and_those_that_never_will_are_dead_letters()
-> anyhow::Result<()> {
    let short = "first_seconds = 1\nmax_seconds = 1";
    let (_sim, gateway, meta, admin) = stage(plugins("attempts = 2", short, "64KiB")).await?;
    for customer in 0..3 {
        say(&meta, customer, "first", "recurse").await?;
    }
    plugin(&admin, "bad", "it is left alone", |row| {
        row["state"] == "quarantined"
    })
    .await?;
    let dead = admin.count("dead-letters", "", 3, PATIENCE).await?;
    for letter in &dead {
        assert_eq!(letter["attempts"], 2, "{letter}");
    }
    say(&meta, 9, "first", "well").await?;
    let over = plugin(&admin, "bad", "it is over", |row| {
        row["state"] == "ready" && row["events"]["done"] == 1
    })
    .await?;
    assert_eq!(over["tried_at"], Value::Null, "{over}");
    gateway.end().await
}
