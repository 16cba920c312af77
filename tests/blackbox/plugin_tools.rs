//! What an admin has to watch and to switch plugins: the metrics and the sums of their calls, `duet plugin top`, their
//! logs, and `duet plugin enable` and `disable`.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::Context;
use duet_sim::Sim;
use duet_tests::outside::{Outside, Reply};
use duet_tests::plugins_file::{PluginsFile, guest_file};
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const CUSTOMERS: usize = 8;

/// `bad`, whose events are not tried again; with this beside its grants.
fn bad(more: &str) -> String {
    format!(
        "[plugins.bad]\ncomponent = \"misbehave.wasm\"\nfrom = \"beginning\"\n\
         [plugins.bad.retry]\nattempts = 1\n{more}\n\
         [plugins.bad.messages]\nspeak = [\"automation\"]\n[plugins.bad.store]\n\
         [plugins.bad.contacts]\n[plugins.bad.conversations]\n"
    )
}

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
        .and("misbehave", &bad(""));
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
    assert!(calls("cpu_us") > 0, "{good}");
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
    most("duet_plugin_cpu_seconds_total{plugin=\"good\"}", 1e-6).await?;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_sends_are_spans_for_a_collector_and_hold_nothing_that_was_written()
-> anyhow::Result<()> {
    let collector = Outside::start(|_| Reply::new(200, "")).await?;
    let sim = Sim::start(gateway::open_sim()).await?;
    let plugins = PluginsFile::default()
        .and("probe", &PluginsFile::probe_table("good", "good", 1))
        .and("misbehave", &bad(""));
    let setup = Setup::default()
        .graph(sim.url())
        .plugins(plugins)
        .env("DUET_OTLP_URL", collector.url())
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-collector-key=open%20sesame",
        );
    let gateway = Gateway::start(setup).await?;
    let admin = gateway.admin()?;
    admin.plugins_run(PATIENCE).await?;
    say(&gateway, 1, "recurse").await?;
    plugin(&admin, "bad", |row| row["events"]["dead"] == 1).await?;
    plugin(&admin, "good", |row| row["events"]["done"] == 1).await?;
    admin
        .row("outbox", "a send", PATIENCE, |row| row["state"] == "sent")
        .await?;
    let events = admin.rows("events", "").await?;
    let event = events[0]["id"].as_str().context("an event")?;
    // What is still here leaves at the end.
    gateway.end().await?;

    let called = collector.called();
    assert!(!called.is_empty());
    // Names and words stand in protobuf as they are.
    for batch in &called {
        assert_eq!(
            (batch.method.as_str(), batch.path.as_str()),
            ("POST", "/v1/traces")
        );
        assert_eq!(batch.header("content-type"), "application/x-protobuf");
        assert_eq!(batch.header("x-collector-key"), "open sesame");
    }
    let told: String = called.iter().map(|batch| batch.body.as_str()).collect();
    for word in [
        "service.name",
        "duet",
        "plugin.call",
        "send",
        "good",
        "bad",
        "fault.trap",
        "http_calls",
        event,
    ] {
        assert!(told.contains(word), "{word} in {told}");
    }
    for written in ["recurse", "919600000001", "wamid."] {
        assert!(!told.contains(written), "{written} in {told}");
    }
    Ok(())
}

/// All that is kept of a plugin's log.
async fn log(admin: &Admin, query: &str) -> anyhow::Result<(Vec<Value>, Value)> {
    let page = admin.get(&format!("/plugins/bad/logs?{query}")).await?;
    let lines = page["logs"].as_array().context("logs")?;
    Ok((lines.clone(), page))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_lines_of_a_plugin_can_be_read_and_a_flood_is_told_in_one_line()
-> anyhow::Result<()> {
    let slow = "[plugins.bad.log]\nlines_per_second = 1\nlines_burst = 10";
    let plugins = PluginsFile::default().and("misbehave", &bad(slow));
    let (_sim, gateway, admin) = stage(plugins).await?;
    say(&gateway, 0, "flood").await?;
    plugin(&admin, "bad", |row| row["events"]["done"] == 1).await?;

    let (lines, page) = log(&admin, "limit=1000").await?;
    let text = |line: &Value| line["text"].as_str().unwrap_or_default().to_owned();
    let notices = lines
        .iter()
        .filter(|line| text(line).contains("lines were dropped"));
    let taken = lines.len() - notices.count();
    let dropped = usize::try_from(page["dropped"].as_u64().context("dropped")?)?;
    // Lines of 500 bytes until log_bytes_max is full, and the mark that says so.
    assert_eq!(
        (taken + dropped, taken >= 10),
        (65_536 / 501 + 1, true),
        "{page}"
    );
    assert!(dropped > 0, "{page}");
    let first = &lines[0];
    assert!(
        first["level"] == "info" && first["at"].is_string(),
        "{first}"
    );
    assert_eq!(first["event"], admin.rows("events", "").await?[0]["id"]);
    let logged = gateway.log();
    let logged = logged.lines().filter(|line| line.contains("xxxxx")).count();
    let kept = lines
        .iter()
        .filter(|line| text(line).contains("xxxxx"))
        .count();
    assert_eq!(logged, kept, "the gateway's own log has the same");
    let counted = metric(
        &admin,
        "duet_plugin_log_lines_dropped_total{plugin=\"bad\"}",
    )
    .await?;
    assert_eq!(counted.to_string(), dropped.to_string());

    let (page, body) = log(&admin, &format!("limit=2&after={}", first["seq"])).await?;
    assert_eq!(
        (page.as_slice(), &body["next"]),
        (&lines[1..3], &lines[2]["seq"])
    );
    let (none, body) = log(&admin, &format!("after={}", lines[lines.len() - 1]["seq"])).await?;
    assert!(
        none.is_empty() && body["next"] == lines[lines.len() - 1]["seq"],
        "{body}"
    );

    let (ended, told) = gateway.duet(&["plugin", "logs", "bad"]).await?;
    assert!(
        ended.success() && told.lines().count() == lines.len(),
        "{told}"
    );
    assert!(told.contains(" info  ") && told.contains("xxxxx"), "{told}");
    let follow = ["plugin", "logs", "bad", "--follow"];
    assert!(gateway.duet_unread(&follow).await?.success());
    let (ended, told) = gateway.duet(&["plugin", "logs", "other"]).await?;
    assert!(
        !ended.success() && told.contains("there is no such plugin"),
        "{told}"
    );

    let reader = json!({"name": "reader", "scopes": ["read"]});
    let made = admin.post("/tokens", &reader).await?;
    let reader = admin.with_token(made["token"].as_str().context("a token")?);
    let (status, said) = reader.call(Method::GET, "/plugins/bad/logs", None).await?;
    assert_eq!(status, 403, "they may quote customers: {said}");

    let contact = admin
        .row("contacts", "she is known", PATIENCE, |_| true)
        .await?;
    admin
        .delete(&format!("/contacts/{}", contact["id"]))
        .await?;
    assert_eq!(log(&admin, "").await?.0, Vec::<Value>::new(), "erased");
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_switched_on_and_off_in_the_admins_file_and_nothing_else_of_it_changes()
-> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let admin = gateway.admin()?;
    let file = gateway.folder().join("plugins.toml");
    let mine = "# mine\n[plugins.probe] # first\ncomponent = \"probe.wasm\"\n[plugins.probe.messages]\n[plugins.probe.store]";
    std::fs::copy(guest_file("probe")?, gateway.folder().join("probe.wasm"))?;
    std::fs::copy(guest_file("faq")?, gateway.folder().join("faq.wasm"))?;
    std::fs::write(&file, mine)?;
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640))?;
    let told = |words: &str| std::fs::read_to_string(&file).map(|text| text == words);

    // Refused as duet check would refuse it, since a setting is missing; or since nobody can be asked.
    let (ended, words) = gateway
        .duet(&["plugin", "enable", "faq.wasm", "--yes"])
        .await?;
    assert!(
        !ended.success() && words.contains("answers") && words.contains("--set"),
        "{words}"
    );
    let answers = "answers=[{ words = [\"hi\"], reply = \"Hello.\" }]";
    let faq = [
        "plugin", "enable", "faq.wasm", "--as", "tea", "--set", answers,
    ];
    let (ended, words) = gateway.duet(&faq).await?;
    assert!(!ended.success() && words.contains("add --yes"), "{words}");
    assert!(
        words.contains("asks for messages: Sends the answers to customers."),
        "{words}"
    );
    let (ended, words) = gateway
        .duet(&["plugin", "enable", "probe.wasm", "--yes"])
        .await?;
    assert!(!ended.success() && words.contains("already"), "{words}");
    let (ended, words) = gateway
        .duet(&["plugin", "enable", "plugins.toml", "--yes"])
        .await?;
    assert!(
        !ended.success() && words.contains("is no plugin"),
        "{words}"
    );
    assert!(told(mine)?);

    let (ended, words) = gateway.duet(&[&faq[..], &["--yes"][..]].concat()).await?;
    assert!(ended.success(), "{words}");
    let text = std::fs::read_to_string(&file)?;
    let begins = format!("{mine}\n\n[plugins.tea]\ncomponent = \"faq.wasm\"\n");
    assert!(text.starts_with(&begins), "{text}");
    let mode = std::fs::metadata(&file)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    plugin(&admin, "tea", |row| row["state"] == "ready").await?;

    let (ended, words) = gateway.duet(&["plugin", "disable", "tea"]).await?;
    assert!(ended.success(), "{words}");
    plugin(&admin, "tea", |row| row["state"] == "disabled").await?;
    let off = text.replace("[plugins.tea]\n", "[plugins.tea]\nenabled = false\n");
    assert!(told(&off)?);
    let (ended, words) = gateway.duet(&["plugin", "enable", "tea"]).await?;
    assert!(ended.success(), "{words}");
    plugin(&admin, "tea", |row| row["state"] == "ready").await?;
    assert!(told(&off.replace("enabled = false", "enabled = true"))?);
    let (ended, words) = gateway.duet(&["plugin", "disable", "other"]).await?;
    assert!(
        !ended.success() && words.contains("has no plugin"),
        "{words}"
    );
    gateway.end().await
}
