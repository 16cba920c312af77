//! Many plugins at once: what they weigh, whether webhooks are taken beside them as without, and a start with all of them.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use duet_tests::plugins_file::with_custom_section;

use super::Plan;
use super::flow::NO_GRAPH;
use crate::gateway::{Gateway, until};
use crate::load::{Answers, Options, precise};
use crate::process;
use crate::table::{Figure, Gate, Line};

const FAQ: &str = "plugins/faq/faq.wasm";
/// So many instances of so many components, and what they may take together.
const INSTANCES: usize = 200;
const COMPONENTS: usize = 20;
const MEMORY_MB_MAX: f64 = 400.0;
/// Plugins of the start, each another component, and how long it may take.
const STARTED: usize = 50;
const START_MS_MAX: f64 = 1000.0;
const STARTS: usize = 3;
/// Webhooks per second, each an event for every instance: far more than those can do.
const OFFERED: f64 = 1000.0;
/// More than are kept in memory, so that those behind read each for itself.
const BEHIND: u64 = 10_000;

/// What the gateway does while it takes webhooks.
struct Beside {
    idle_mb: f64,
    /// The most while the plugins have more events before them than they can do.
    peak_mb: f64,
    answers: Answers,
    /// Events per second, until all webhooks are events.
    events: f64,
    behind: f64,
}

pub(super) fn many(plan: &Plan) -> Result<Vec<Line>> {
    let folder = plan.fresh("plugins")?;
    let components = components(&plan.fresh("components")?)?;
    let mut lines = vec![start(plan, &folder, &components)?];
    let few = components.get(..COMPONENTS).context("too few components")?;
    let with = beside(plan, &folder, &table(few, INSTANCES), INSTANCES)?;
    let without = beside(plan, &plan.fresh("gateway")?, "", 0)?;
    let megabytes = |value| Figure { value, unit: " MB" };
    let instances = format!("{INSTANCES} instances of {COMPONENTS} components");
    lines.push(Line {
        name: format!("memory of {instances}, at its peak with {BEHIND} events before each"),
        measured: megabytes(with.peak_mb),
        beside: vec![
            ("promised", megabytes(MEMORY_MB_MAX)),
            ("without a plugin", megabytes(without.peak_mb)),
        ],
        gate: Some(Gate::AtMost(1.0)),
        note: format!(
            "idle {:.0} MB, without a plugin {:.0} MB",
            with.idle_mb, without.idle_mb
        ),
    });
    let ms = |us| precise(us) / 1000.0;
    for (name, pick) in [
        ("p50", (|answers| answers.p50_us) as fn(&Answers) -> u64),
        ("p99", |answers| answers.p99_us),
    ] {
        lines.push(Line {
            name: format!("webhook to 200 beside {instances}, {OFFERED}/s, {name}"),
            measured: Figure::ms(ms(pick(&with.answers))),
            beside: vec![("without a plugin", Figure::ms(ms(pick(&without.answers))))],
            gate: None,
            note: format!(
                "longest {:.1} ms, {} times 503; without {:.1} ms, {}",
                ms(with.answers.max_us),
                with.answers.refused,
                ms(without.answers.max_us),
                without.answers.refused
            ),
        });
    }
    lines.push(Line {
        name: format!("webhooks that are events beside {instances}, {OFFERED}/s offered"),
        measured: Figure::per_second(with.events),
        beside: vec![("without a plugin", Figure::per_second(without.events))],
        gate: None,
        note: format!("{:.0} behind at the end", with.behind),
    });
    Ok(lines)
}

/// From the start of the process until all plugins run, when their code is in the cache.
fn start(plan: &Plan, folder: &Path, components: &[PathBuf]) -> Result<Line> {
    let file = table(components, STARTED);
    let all = || -> Result<Duration> {
        let began = Instant::now();
        let gateway = Gateway::start(plan.duet()?, folder, &file, NO_GRAPH)?;
        gateway.plugins_run(STARTED)?;
        Ok(began.elapsed())
    };
    let compiling = all()?;
    let mut slowest = Duration::ZERO;
    for _ in 0..STARTS {
        slowest = slowest.max(all()?);
    }
    let without = Gateway::start(plan.duet()?, folder, "", NO_GRAPH)?.ready_after;
    let ms = |time: Duration| Figure::ms(time.as_secs_f64() * 1000.0);
    Ok(Line {
        name: format!("start until {STARTED} plugins run, warm cache, slowest of {STARTS}"),
        measured: ms(slowest),
        beside: vec![
            ("promised", Figure::ms(START_MS_MAX)),
            ("without a plugin", ms(without)),
        ],
        gate: None,
        note: format!("{:.1} s to compile them first", compiling.as_secs_f64()),
    })
}

fn beside(plan: &Plan, folder: &Path, plugins: &str, count: usize) -> Result<Beside> {
    let gateway = Gateway::start(plan.duet()?, folder, plugins, NO_GRAPH)?;
    gateway.plugins_run(count)?;
    let idle_mb = gateway.process.resident_mb()?;
    let began = Instant::now();
    let before = gateway.process.metric("duet_events_total")?;
    let answers = process::load(&options(&gateway, 0, plan.seconds, Some(OFFERED)))?;
    let behind = gateway.process.metric("duet_intake_lag_receipts")?;
    let all = before + precise(answers.ok);
    let events = |wanted: f64| {
        until("intake", || {
            Ok((gateway.process.metric("duet_events_total")? >= wanted).then_some(()))
        })
    };
    events(all)?;
    let rate = precise(answers.ok) / began.elapsed().as_secs_f64();
    let flood = Options {
        count: BEHIND,
        ..options(&gateway, 1 << 32, 600.0, None)
    };
    events(all + precise(process::load(&flood)?.ok))?;
    // Those that are behind what is in memory fill their lanes by now.
    let end = Instant::now() + Duration::from_secs_f64(plan.seconds);
    while count > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Beside {
        idle_mb,
        peak_mb: gateway.process.peak_mb()?,
        answers,
        events: rate,
        behind,
    })
}

fn options(gateway: &Gateway, first: u64, seconds: f64, rate: Option<f64>) -> Options {
    Options {
        to: gateway.public,
        connections: 64,
        seconds,
        rate,
        count: u64::MAX,
        first,
        customers: 10_000,
        text: "hello".into(),
    }
}

/// The same component again and again, each with another digest, so that each is compiled and kept by itself.
fn components(folder: &Path) -> Result<Vec<PathBuf>> {
    let faq = fs::read(FAQ).with_context(|| format!("no {FAQ}; run: cargo xtask guests"))?;
    (0..STARTED)
        .map(|number| {
            let file = fs::canonicalize(folder)?.join(format!("faq-{number}.wasm"));
            fs::write(&file, with_custom_section(&faq, &number.to_string()))?;
            Ok(file)
        })
        .collect()
}

/// So many instances of these components, all with every message.
fn table(components: &[PathBuf], instances: usize) -> String {
    let mut toml = String::new();
    for (number, component) in components.iter().cycle().take(instances).enumerate() {
        let name = format!("plugins.faq-{number}");
        let _ = writeln!(
            toml,
            "[{name}]\ncomponent = {component:?}\n[{name}.settings]\nanswers = [{{ words = [\"price\"], reply = \"10\" }}]\n\
             [{name}.messages]\nspeak = [\"automation\"]\n[{name}.conversations]\nhandling = true"
        );
    }
    toml
}
