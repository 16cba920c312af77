//! What an admin has to watch plugins: the metrics, the sums of their calls, and `duet plugin top`.

use std::time::Duration;

use anyhow::Context;
use duet_sim::Sim;
use duet_tests::plugins_file::PluginsFile;
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const CUSTOMERS: usize = 8;

/// Its events are not tried again.
const BAD: &str = "[plugins.bad]\ncomponent = \"misbehave.wasm\"\nfrom = \"beginning\"\n\
    [plugins.bad.retry]\nattempts = 1\n\
    [plugins.bad.messages]\nspeak = [\"automation\"]\n[plugins.bad.store]\n\
    [plugins.bad.contacts]\n[plugins.bad.conversations]\n";

async fn stage(plugins: PluginsFile) -> anyhow::Result<(Sim, Gateway, Admin)> {
    let sim = Sim::start(gateway::open_sim()).await?;
    let gateway = Gateway::start(Setup::default().graph(sim.url()).plugins(plugins)).await?;
    let admin = gateway.admin()?;
    admin.plugins_run(PATIENCE).await?;
    Ok((sim, gateway, admin))
}

async fn say(gateway: &Gateway, customer: usize, text: &str) -> anyhow::Result<()> {
    let from = format!("9196000000{customer:02}");
    let id = format!("wamid.tools.{customer}");
    gateway
        .meta()?
        .deliver(&webhook::text(&from, &id, text))
        .await?;
    Ok(())
}

async fn plugin(admin: &Admin, name: &str, fits: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    admin
        .row("plugins", name, PATIENCE, |row| {
            row["name"] == name && fits(row)
        })
        .await
}

/// The value of a line of `/metrics`.
async fn metric(admin: &Admin, series: &str) -> anyhow::Result<f64> {
    let (_, text) = admin.open("/metrics").await?;
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    let value = line.with_context(|| format!("{series} is missing in\n{text}"))?;
    Ok(value.trim().parse()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_plugins_do_and_take_is_told_by_the_api_the_metrics_and_the_table()
-> anyhow::Result<()> {
    let good = PluginsFile::probe_table("good", "good", 1);
    let off = "[plugins.off]\ncomponent = \"probe.wasm\"\nenabled = false\n";
    let plugins = PluginsFile::default()
        .and("probe", &good)
        .and("misbehave", BAD);
    let (_sim, mut gateway, admin) = stage(plugins.clone()).await?;
    for customer in 0..CUSTOMERS {
        say(&gateway, customer, "well").await?;
    }
    say(&gateway, CUSTOMERS, "recurse").await?;
    let good = plugin(&admin, "good", |row| {
        row["events"]["done"] == json!(CUSTOMERS + 1) && row["events"]["depth"] == 0
    })
    .await?;
    plugin(&admin, "bad", |row| {
        row["events"]["done"] == json!(CUSTOMERS) && row["events"]["depth"] == 0
    })
    .await?;

    let calls = |key: &str| good["calls"][key].as_u64().unwrap_or_default();
    assert!(calls("count") > 8, "{good}");
    assert!(calls("cpu_us") >= 9_000, "each computes for 1 ms: {good}");
    assert!(
        0 < calls("wall_p50_us") && calls("wall_p50_us") <= calls("wall_p99_us"),
        "{good}"
    );
    assert!(calls("wall_us") >= calls("wall_p99_us"), "{good}");
    assert!(calls("memory_peak_bytes") >= 64 << 10, "{good}");
    // Its settings, a read and a write of its store, and a send.
    assert!(calls("host_calls") >= 4 * calls("count"), "{good}");
    let most = |series: &'static str, least: f64| {
        let admin = admin.clone();
        async move {
            let value = metric(&admin, series).await?;
            anyhow::ensure!(value >= least, "{series} is {value}");
            anyhow::Ok(())
        }
    };
    most(
        "duet_plugin_calls_total{plugin=\"good\",outcome=\"done\"}",
        9.0,
    )
    .await?;
    most(
        "duet_plugin_calls_total{plugin=\"bad\",outcome=\"fault.trap\"}",
        1.0,
    )
    .await?;
    most("duet_plugin_host_calls_total{plugin=\"good\"}", 36.0).await?;
    most("duet_plugin_memory_peak_bytes_count{plugin=\"good\"}", 9.0).await?;
    most("duet_plugin_cpu_seconds_total{plugin=\"good\"}", 0.009).await?;
    most("duet_plugin_state{plugin=\"bad\",state=\"ready\"}", 1.0).await?;
    assert_eq!(
        metric(&admin, "duet_plugin_queue_depth{plugin=\"good\"}").await?,
        0.0
    );
    assert_eq!(
        metric(&admin, "duet_plugin_reloads_total{result=\"loaded\"}").await?,
        2.0
    );

    gateway.change_plugins(plugins.and("probe", off))?;
    plugin(&admin, "off", |row| row["state"] == "disabled").await?;
    let (ended, table) = gateway.duet(&["plugin", "top"]).await?;
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(ended.success() && lines.len() == 4, "{table}");
    assert_eq!(lines[0][..4], ["PLUGIN", "STATE", "DONE/S", "WAITING"]);
    let line = |name: &str| lines.iter().find(|line| line[0] == name);
    let bad = line("bad").context("bad")?;
    assert_eq!(
        (bad[1], &bad[3..8]),
        ("ready", &["0", "0", "0", "1", "1"][..]),
        "{table}"
    );
    assert_eq!(line("off").context("off")?[1], "disabled");

    let (ended, told) = gateway.duet(&["plugin", "top", "--json"]).await?;
    let told: Value = serde_json::from_str(&told)?;
    let rows = told["plugins"].as_array().context("plugins")?;
    let good = rows
        .iter()
        .find(|row| row["name"] == "good")
        .context("good")?;
    assert!(ended.success() && good["cpu_percent"].is_number(), "{told}");
    assert!(
        good["done_per_second"].is_number() && good["wall_p99_ms"].is_number(),
        "{told}"
    );
    gateway.end().await
}
