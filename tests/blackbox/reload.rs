//! Save and it is live: a component is replaced again and again while webhooks stream. Each effect carries the
//! digest of what made it, and no event is lost, repeated or out of order.
//!
//! `DUET_RELOADS` (200 if absent).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use duet_sim::{Config, Limits, Sim, StatusDelays};
use duet_tests::chain::Reply;
use duet_tests::checker::Checker;
use duet_tests::flood::{Amount, Flood};
use duet_tests::plugins_file::{PluginsFile, guest_file, replace, with_custom_section};
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Setup, gateway, process, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
/// Everything is checked in calm after each of these. The first time fills what a check fills, so that only the
/// replacements lie between the second, where memory has found its level, and the end.
const LOOKS: [usize; 2] = [50, 100];
/// Each component that stayed would add about 75 KiB; host/tests/plugin_memory.rs looks closer, without events.
const GROWTH_PERCENT_MAX: f64 = 5.0;
const WARM_UP_FLOOD: Amount = Amount {
    bodies: 5000,
    per_second: 500,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_replacements_while_webhooks_stream() -> anyhow::Result<()> {
    let reloads = std::env::var("DUET_RELOADS")
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(200);
    let sim = Sim::start(Config {
        statuses: StatusDelays::none(),
        limits: Limits {
            kept_max: 1_000_000,
            kept_bytes_max: 1 << 30,
            ..Limits::default()
        },
        ..gateway::open_sim()
    })
    .await?;
    let gateway = Gateway::start(
        Setup::default()
            .graph(sim.url())
            .plugins(PluginsFile::probe("bot", 0))
            // More goes through the one number than Meta would take.
            .env("DUET_SENDING_NUMBER_PER_SECOND", 100_000)
            .env("DUET_SENDING_PAIR_BURST", 100_000),
    )
    .await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    admin.plugins_run(PATIENCE).await?;
    let file = gateway.folder().join("probe.wasm");
    let original = std::fs::read(guest_file("probe")?)?;
    let mut builds: HashMap<String, String> = HashMap::from([("probe".into(), digest(&original))]);

    let flood = Flood::new(2, 96);
    // What only fills with events, such as page caches and the newest events in memory, is full before the
    // first look: what grows after it grows with the replacements.
    flood.run(&meta, WARM_UP_FLOOD).await?;
    flood.retry(&meta).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut checker = Checker::default();
    let mut streaming = tokio::spawn(stream(flood.clone(), meta.clone(), stop.clone()));
    let (mut slowest, mut all, mut warm_bytes) = (Duration::ZERO, Duration::ZERO, 0);
    for number in 0..reloads {
        let name = format!("b{number:04}");
        let component = with_custom_section(&written_over(&original, &name)?, &name);
        builds.insert(name, digest(&component));
        let saved = Instant::now();
        replace(&file, &component)?;
        let wanted = digest(&component);
        until("the new component is live", PATIENCE, || {
            live(&admin, &wanted)
        })
        .await?;
        slowest = slowest.max(saved.elapsed());
        all += saved.elapsed();
        if LOOKS.contains(&(number + 1)) {
            // The same calm as at the end: nothing streams, nothing waits.
            stop.store(true, Ordering::Relaxed);
            streaming.await??;
            checker.check(&flood.take(), &admin, &sim, PATIENCE).await?;
            warm_bytes = calm_bytes(&gateway).await?;
            stop.store(false, Ordering::Relaxed);
            streaming = tokio::spawn(stream(flood.clone(), meta.clone(), stop.clone()));
        }
    }
    stop.store(true, Ordering::Relaxed);
    streaming.await??;
    let posted = flood.take();
    let round = checker.check(&posted, &admin, &sim, PATIENCE).await?;
    check_digests(&admin, &builds).await?;
    let end_bytes = calm_bytes(&gateway).await?;
    let mean = all / u32::try_from(reloads.max(1))?;
    let growth = (end_bytes as f64 / warm_bytes as f64 - 1.0) * 100.0;
    println!(
        "measured: {reloads} replacements, save to live {mean:.0?} in the mean, {slowest:.0?} at most; {round}; resident {} MiB after {}, {} MiB at the end ({growth:+.1} %)",
        warm_bytes >> 20,
        LOOKS[1],
        end_bytes >> 20
    );
    ensure!(
        growth < GROWTH_PERCENT_MAX,
        "memory grows with each replacement: {growth:+.1} %"
    );
    gateway.end().await
}

async fn stream(flood: Flood, meta: duet_tests::Meta, stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        flood
            .run(
                &meta,
                Amount {
                    bodies: 48,
                    per_second: 60,
                },
            )
            .await?;
    }
    flood.retry(&meta).await?;
    Ok(())
}

async fn live(admin: &Admin, digest: &str) -> anyhow::Result<Seen<()>> {
    let plugins = admin.rows("plugins", "").await?;
    let found = plugins
        .iter()
        .any(|row| row["digest"] == digest && row["cause"].is_null());
    Ok(Seen::when(found, (), || json!(plugins).to_string()))
}

/// The row's digest is the host's word; the first word of the reply is the component's own.
async fn check_digests(admin: &Admin, builds: &HashMap<String, String>) -> anyhow::Result<()> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for row in admin.rows("outbox", "").await? {
        let reply = Reply::read(row["message"]["text"]["body"].as_str().unwrap_or_default())?;
        let made_by = builds.get(&reply.build);
        ensure!(
            made_by.map(String::as_str) == row["digest"].as_str(),
            "{} made this: {row}",
            reply.build
        );
        *seen.entry(reply.build).or_default() += 1;
    }
    ensure!(
        seen.len() * 2 > builds.len(),
        "only {} of {} builds were at work",
        seen.len(),
        builds.len()
    );
    Ok(())
}

/// The smallest of some looks, when nothing is going on.
async fn calm_bytes(gateway: &Gateway) -> anyhow::Result<u64> {
    let pid = gateway.pid()?;
    let mut least = u64::MAX;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        least = least.min(process::resident_bytes(pid)?);
    }
    Ok(least)
}

/// The component with another first word in its replies, of the same length.
fn written_over(component: &[u8], word: &str) -> anyhow::Result<Vec<u8>> {
    const WORD: &[u8] = b"probe ";
    let places: Vec<_> = component
        .windows(WORD.len())
        .enumerate()
        .filter(|(_, window)| *window == WORD)
        .map(|(at, _)| at)
        .collect();
    let &[at] = places.as_slice() else {
        anyhow::bail!("the word stands {} times in probe.wasm", places.len())
    };
    let mut bytes = component.to_vec();
    bytes[at..at + word.len()].copy_from_slice(word.as_bytes());
    Ok(bytes)
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

/// Each that a replacement left open would be one more, and there are many more replacements than files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_components_leave_no_open_files() -> anyhow::Result<()> {
    const FIRST_LOOK: usize = 5;
    const REPLACEMENTS: usize = 45;
    /// Connections come and go.
    const MORE_MAX: usize = 10;
    let sim = Sim::start(gateway::open_sim()).await?;
    let plugins = PluginsFile::default().and(
        "idle",
        "[plugins.idle]\ncomponent = \"idle.wasm\"\nevents = [\"message.text\"]\n",
    );
    let gateway = Gateway::start(Setup::default().graph(sim.url()).plugins(plugins)).await?;
    let admin = gateway.admin()?;
    admin.plugins_run(PATIENCE).await?;
    let file = gateway.folder().join("idle.wasm");
    let original = std::fs::read(guest_file("idle")?)?;
    let mut at_first = 0;
    for number in 1..=REPLACEMENTS {
        let component = with_custom_section(&original, &number.to_string());
        replace(&file, &component)?;
        let wanted = digest(&component);
        until("the new component is live", PATIENCE, || {
            live(&admin, &wanted)
        })
        .await?;
        if number == FIRST_LOOK {
            at_first = process::open_files(gateway.pid()?)?;
        }
    }
    let at_last = process::open_files(gateway.pid()?)?;
    ensure!(
        at_last <= at_first + MORE_MAX,
        "{at_first} open files after {FIRST_LOOK} replacements, {at_last} after {REPLACEMENTS}"
    );
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_change_keeps_the_old_plugin_and_says_why() -> anyhow::Result<()> {
    let sim = Sim::start(gateway::open_sim()).await?;
    let mut gateway = Gateway::start(
        Setup::default()
            .graph(sim.url())
            .plugins(PluginsFile::probe("first", 0)),
    )
    .await?;
    sim.set_webhook(gateway.webhook()?);
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let digest = admin.plugins_run(PATIENCE).await?[0]["digest"].clone();
    let good = std::fs::read(guest_file("probe")?)?;
    let file = gateway.folder().join("probe.wasm");
    let truncated = good[..good.len() / 2].to_vec();
    let mut sends = 0;
    for (what, broken) in [
        ("empty", Vec::new()),
        ("truncated", truncated),
        ("no component", b"hello".to_vec()),
    ] {
        replace(&file, &broken)?;
        let told = told(&admin, what).await?;
        assert_eq!(
            (&told["state"], &told["digest"]),
            (&json!("ready"), &digest),
            "{what}: {told}"
        );
        sends += 1;
        answers(&meta, &sim, &format!("wamid.{what}"), sends).await?;
        // The old one again: the complaint goes.
        replace(&file, &good)?;
        admin
            .row("plugins", "all is well again", PATIENCE, |row| {
                row["cause"].is_null()
            })
            .await?;
    }
    // A grant is missing; the file itself is broken.
    for (what, broken) in [
        ("a missing grant", without_store_grant()),
        ("not TOML", "[plugins.probe\n".into()),
    ] {
        replace(&gateway.folder().join("plugins.toml"), broken.as_bytes())?;
        let told = told(&admin, what).await?;
        assert_eq!(
            (&told["state"], &told["digest"]),
            (&json!("ready"), &digest),
            "{what}: {told}"
        );
        let cause = told["cause"].as_str().unwrap_or_default();
        assert!(
            cause.contains("plugins.toml:"),
            "it names the line: {cause}"
        );
        sends += 1;
        answers(&meta, &sim, &format!("wamid.{what}"), sends).await?;
        gateway.change_plugins(PluginsFile::probe("first", 0))?;
        admin
            .row("plugins", "all is well again", PATIENCE, |row| {
                row["cause"].is_null()
            })
            .await?;
    }
    gateway.end().await
}

/// A log file beside `plugins.toml` is nothing unusual.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_else_happens_in_the_folder_does_not_hide_a_change() -> anyhow::Result<()> {
    let sim = Sim::start(gateway::open_sim()).await?;
    let mut gateway = Gateway::start(
        Setup::default()
            .graph(sim.url())
            .plugins(PluginsFile::probe("first", 0)),
    )
    .await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    admin.plugins_run(PATIENCE).await?;
    let busy = gateway.folder().join("duet.log");
    let writer = tokio::spawn(async move {
        while std::fs::write(&busy, b"a line").is_ok() {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    gateway.change_plugins(PluginsFile::probe("second", 0))?;
    let (began, mut sends) = (Instant::now(), 0);
    loop {
        sends += 1;
        let text = answers(&meta, &sim, &format!("wamid.label.{sends}"), sends).await?;
        if text.contains(" second ") {
            break;
        }
        ensure!(
            began.elapsed() < Duration::from_secs(20),
            "the new label is not live: {text}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    writer.abort();
    gateway.end().await
}

fn without_store_grant() -> String {
    let text = PluginsFile::probe("first", 0).text;
    let grant = text.find("[plugins.probe.store]").unwrap_or(text.len());
    text[..grant].to_owned()
}

async fn told(admin: &Admin, what: &str) -> anyhow::Result<Value> {
    admin
        .row(
            "plugins",
            &format!("the cause is told ({what})"),
            PATIENCE,
            |row| row["cause"].is_string(),
        )
        .await
}

/// One message in, one reply out: its text.
async fn answers(
    meta: &duet_tests::Meta,
    sim: &Sim,
    id: &str,
    sends: u64,
) -> anyhow::Result<String> {
    meta.deliver(&webhook::text("919800000001", id, "is it open?"))
        .await?;
    let sent = sim.wait_sent(sends, PATIENCE).await?;
    let text = sent
        .last()
        .and_then(|sent| sent.body["text"]["body"].as_str());
    Ok(text.unwrap_or_default().to_owned())
}
