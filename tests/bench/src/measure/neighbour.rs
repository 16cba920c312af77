//! A plugin that answers customers, beside one that does something wrong with every third of the same messages.
//!
//! Every third, since a plugin that faults on half of its events is soon left alone: here nothing but the bounds on each
//! run stands between the two. The machine's load is a quarter of what it can do with the good one alone.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use duet_tests::plugins_file::replace;
use hdrhistogram::Histogram;
use serde_json::Value;

use super::Plan;
use super::flow::latencies;
use super::life::faq;
use crate::gateway::{Gateway, Process, sim, until};
use crate::load::{Answers, Options, precise};
use crate::process;
use crate::table::{Figure, Gate, Line};

const MISBEHAVE: &str = "tests/plugins/misbehave/misbehave.wasm";
/// Events that show how many a second the machine can do.
const FULL: u64 = 5000;
const QUARTER: f64 = 4.0;
/// What the bad one may cost: so many times the time without it, and two ticks of the plugins' clock.
const TIMES_MAX: f64 = 1.2;
const TICKS_MS: f64 = 20.0;
/// How long a run of the bad one may last, and so how long it goes on when it is taken out.
const BAD_RUN: Duration = Duration::from_secs(2);

/// Each is looked at so many times, in turn with the good one alone.
const ROUNDS: usize = 3;
/// There are many phases.
const SECONDS_MAX: f64 = 3.0;

/// What it does, and what `misbehave` calls that.
const WRONGS: [(&str, &str); 15] = [
    ("spins", "spin"),
    ("sleeps in a host call", "wait 600000"),
    ("hogs memory", "allocate"),
    ("recurses", "recurse"),
    ("traps", "trap"),
    ("panics", "panic"),
    ("floods its log", "flood"),
    ("prints without end", "print 10000000"),
    ("floods its store with bytes", "keep 1000000"),
    ("floods its store with keys", "keys 90"),
    ("calls the host without end", "calls 5000"),
    ("sends without end", "effects 5000"),
    ("hands over huge strings", "shout 3000000"),
    ("ends with a huge result", "bulky-end 3000000"),
    ("hands over bad UTF-8", "garble"),
];

struct Stage {
    meta: Process,
    gateway: Gateway,
    file: PathBuf,
    seconds: f64,
    /// Webhooks per second.
    rate: f64,
    /// The number of the next webhook.
    next: u64,
    sent: u64,
    /// The last send that was looked at.
    seen: u64,
}

pub(super) fn beside_the_bad(plan: &Plan) -> Result<Vec<Line>> {
    let mut stage = Stage::set(plan)?;
    std::thread::sleep(BAD_RUN);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for (number, (what, mode)) in WRONGS.iter().enumerate() {
        let (mut times, mut row) = (Vec::new(), String::new());
        for round in 0..ROUNDS {
            alone.push(stage.answers()?);
            let name = format!("bad-{number}-{round}");
            stage.plugins(&format!("{}{}", good()?, bad(&name, mode)?), 2)?;
            times.push(stage.answers()?);
            row = stage.bad(&name)?;
            stage.plugins(&good()?, 1)?;
            std::thread::sleep(BAD_RUN);
        }
        beside.push((what, times, row));
    }
    let (p50, p99) = (middle(&alone, 0.5)?, middle(&alone, 0.99)?);
    let bound = p99 * TIMES_MAX + TICKS_MS;
    beside
        .into_iter()
        .map(|(what, times, row)| {
            Ok(Line {
                name: format!("webhook to Graph call beside a plugin that {what}, p99"),
                measured: Figure::ms(middle(&times, 0.99)?),
                beside: vec![
                    ("1.2 times alone and two ticks", Figure::ms(bound)),
                    ("alone", Figure::ms(p99)),
                ],
                gate: Some(Gate::AtMost(1.0)),
                note: format!(
                    "{:.0} webhooks/s; the middle of {}; p50 {:.0} ms, alone {p50:.0} ms; {row}",
                    stage.rate,
                    each(&times, 0.99),
                    middle(&times, 0.5)?
                ),
            })
        })
        .collect()
}

/// The middle of this quantile of each: a stall of the machine's own is in one of them.
fn middle(times: &[Histogram<u64>], quantile: f64) -> Result<f64> {
    let mut all: Vec<f64> = times.iter().map(|times| ms(times, quantile)).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2)
        .copied()
        .context("nothing was measured")
}

fn each(times: &[Histogram<u64>], quantile: f64) -> String {
    let all = times
        .iter()
        .map(|times| format!("{:.0}", ms(times, quantile)));
    all.collect::<Vec<_>>().join(", ")
}

fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    precise(times.value_at_quantile(quantile))
}

fn good() -> Result<String> {
    faq("Tea is 80.")
}

fn bad(name: &str, mode: &str) -> Result<String> {
    let component = fs::canonicalize(MISBEHAVE)
        .with_context(|| format!("no {MISBEHAVE}; run: cargo xtask guests"))?;
    let table = format!("plugins.{name}");
    Ok(format!(
        "[{table}]\ncomponent = {component:?}\nevents = [\"message.text\"]\n\
         [{table}.settings]\nmode = {mode:?}\none_in = 3\n\
         [{table}.limits]\nwall_ms_max = {}\n\
         [{table}.messages]\nspeak = [\"automation\"]\n[{table}.store]\n[{table}.contacts]\n[{table}.conversations]\n",
        BAD_RUN.as_millis()
    ))
}

impl Stage {
    /// With the good plugin alone, and a rate of a quarter of what it can do.
    fn set(plan: &Plan) -> Result<Stage> {
        let duet = plan.duet()?;
        let (meta, graph) = sim(duet, "http://127.0.0.1:9/webhook")?;
        let folder = plan.fresh("gateway")?;
        let gateway = Gateway::start(duet, &folder, &good()?, &graph)?;
        gateway.plugins_run(1)?;
        let mut stage = Stage {
            meta,
            gateway,
            file: folder.with_extension("plugins.toml"),
            seconds: plan.seconds.min(SECONDS_MAX),
            rate: 0.0,
            next: 0,
            sent: 0,
            seen: 0,
        };
        let began = Instant::now();
        stage.load(None, FULL, 600.0)?;
        stage.rate = precise(FULL) / began.elapsed().as_secs_f64() / QUARTER;
        Ok(stage)
    }

    /// Milliseconds from when each webhook was due to Meta's acceptance of its answer.
    fn answers(&mut self) -> Result<Histogram<u64>> {
        let (first, rate) = (self.next, self.rate);
        // What was sent so far is not looked at again.
        self.seen = self.sent;
        let answers = self.load(Some(rate), u64::MAX, self.seconds)?;
        let times = latencies(&self.meta, &answers, rate, first, &mut self.seen)?;
        ensure!(times.len() == answers.ok, "not one send for each webhook");
        Ok(times)
    }

    /// Sends webhooks and waits for the answer to each.
    fn load(&mut self, rate: Option<f64>, count: u64, seconds: f64) -> Result<Answers> {
        let answers = process::load(&Options {
            to: self.gateway.public,
            connections: 64,
            seconds,
            rate,
            count,
            first: self.next,
            customers: 10_000_000,
            text: "price".into(),
        })?;
        self.next += answers.ok + answers.refused;
        self.sent += answers.ok;
        until("the Graph calls", || {
            let sent = self.meta.json("/sim/state")?;
            let sent = sent.get("sent").and_then(Value::as_u64);
            Ok((sent.context("no count of sends")? >= self.sent).then_some(()))
        })?;
        Ok(answers)
    }

    fn plugins(&self, text: &str, count: usize) -> Result<()> {
        replace(&self.file, text.as_bytes())?;
        self.gateway.plugins_run(count)
    }

    /// What came of the bad one.
    fn bad(&self, name: &str) -> Result<String> {
        let plugins = self.gateway.plugins()?;
        let row = plugins.iter().find(|plugin| plugin["name"] == name);
        let row = row.context("the bad plugin is gone")?;
        let told = |pointer: &str| row.pointer(pointer).map(Value::to_string);
        let told = |pointer: &str| told(pointer).unwrap_or_default();
        Ok(format!(
            "{} faults, {} done, {} waiting, {}",
            told("/events/faults"),
            told("/events/done"),
            told("/events/depth"),
            told("/state").trim_matches('"')
        ))
    }
}
