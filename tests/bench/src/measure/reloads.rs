//! A component is replaced again and again while webhooks stream: nothing is lost or repeated, and the gateway keeps
//! neither memory nor files of what it has replaced.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use duet_tests::chain::Reply;
use duet_tests::plugins_file::{replace, with_custom_section};
use serde_json::Value;

use super::Plan;
use crate::gateway::{Gateway, Process, sim, until};
use crate::load::{Options, precise};
use crate::process;
use crate::table::{Figure, Gate, Line};

const PROBE: &str = "tests/plugins/probe/probe.wasm";
const RELOADS_FULL: usize = 1000;
const RELOADS: usize = 100;
/// After one in so many memory and files are looked at first.
const FIRST_LOOK: usize = 5;
/// Webhooks per second meanwhile, in spells of so many seconds.
const OFFERED: f64 = 40.0;
const SPELL_SECONDS: f64 = 2.0;
const CUSTOMERS: u64 = 96;
/// What only fills with events is full after so many.
const WARM_UP: u64 = 5000;
/// Of the first look's memory and files.
const GROWTH_MAX: f64 = 1.05;

/// What a gateway that is left in peace has.
struct Held {
    megabytes: f64,
    files: u64,
    sockets: u64,
}

pub(super) fn replace_and_replace(plan: &Plan) -> Result<Vec<Line>> {
    let duet = plan.duet()?;
    let reloads = if plan.full { RELOADS_FULL } else { RELOADS };
    let (meta, graph) = sim(duet, "http://127.0.0.1:9/webhook")?;
    let file = fs::canonicalize(plan.fresh("components")?)?.join("probe.wasm");
    fs::copy(PROBE, &file).with_context(|| format!("no {PROBE}; run: cargo xtask guests"))?;
    let gateway = Gateway::start(duet, &plan.fresh("gateway")?, &table(&file), &graph)?;
    gateway.plugins_run(1)?;
    let mut stream = Stream::new(&gateway);
    stream.send(WARM_UP, 600.0, None)?;
    let first = stream.beside(|| change(&gateway, &file, 0..reloads / FIRST_LOOK))?;
    let before = calm(&gateway, &meta, stream.taken)?;
    let second = stream.beside(|| change(&gateway, &file, reloads / FIRST_LOOK..reloads))?;
    let after = calm(&gateway, &meta, stream.taken)?;
    check(&gateway, &meta, stream.taken)?;
    let all: Vec<Duration> = first.into_iter().chain(second).collect();
    let mean = all.iter().sum::<Duration>() / u32::try_from(all.len())?;
    let slowest = all.iter().max().copied().unwrap_or_default();
    let ms = |time: Duration| Figure::ms(time.as_secs_f64() * 1000.0);
    let megabytes = |value| Figure { value, unit: " MB" };
    let files = |value| Figure {
        value: precise(value),
        unit: "",
    };
    let early = reloads / FIRST_LOOK;
    Ok(vec![
        Line {
            name: format!("new component to live, {reloads} times at {OFFERED} webhooks/s, mean"),
            measured: ms(mean),
            beside: vec![("the slowest", ms(slowest))],
            gate: None,
            note: format!(
                "{} events, each handled once and answered once, in order",
                stream.taken
            ),
        },
        Line {
            name: format!("memory after {reloads} reloads"),
            measured: megabytes(after.megabytes),
            beside: vec![("at the first look", megabytes(before.megabytes))],
            gate: Some(Gate::AtMost(GROWTH_MAX)),
            note: format!("the first look was after {early}"),
        },
        Line {
            name: format!("open files after {reloads} reloads"),
            measured: files(after.files),
            beside: vec![("at the first look", files(before.files))],
            gate: Some(Gate::AtMost(GROWTH_MAX)),
            note: format!(
                "sockets, which come and go: {}, at first {}",
                after.sockets, before.sockets
            ),
        },
    ])
}

fn table(component: &Path) -> String {
    format!(
        "[plugins.probe]\ncomponent = {component:?}\nfrom = \"beginning\"\nevents = [\"message.text\"]\n\
         [plugins.probe.messages]\nspeak = [\"automation\"]\n[plugins.probe.store]\nbytes_max = \"64MiB\"\nkeys_max = 100000\n"
    )
}

/// Replaces the component by builds with these numbers, each once the last one is live; how long each took.
fn change(
    gateway: &Gateway,
    file: &Path,
    numbers: std::ops::Range<usize>,
) -> Result<Vec<Duration>> {
    let original = fs::read(PROBE)?;
    let mut took = Vec::new();
    for number in numbers {
        let component = with_custom_section(&original, &format!("build {number}"));
        let digest = ring::digest::digest(&ring::digest::SHA256, &component);
        let digest = hex::encode(digest.as_ref());
        let began = Instant::now();
        replace(file, &component)?;
        until("the new component", || {
            let plugins = gateway.plugins()?;
            let live = |plugin: &Value| plugin["digest"] == *digest && plugin["cause"].is_null();
            Ok(plugins.iter().any(live).then_some(()))
        })?;
        took.push(began.elapsed());
    }
    Ok(took)
}

/// The webhooks that go in meanwhile.
struct Stream<'a> {
    gateway: &'a Gateway,
    /// Answered 200.
    taken: u64,
}

impl<'a> Stream<'a> {
    fn new(gateway: &'a Gateway) -> Stream<'a> {
        Stream { gateway, taken: 0 }
    }

    fn send(&mut self, count: u64, seconds: f64, rate: Option<f64>) -> Result<()> {
        let answers = process::load(&Options {
            to: self.gateway.public,
            connections: 8,
            seconds,
            rate,
            count,
            first: self.taken,
            customers: CUSTOMERS,
            text: "hello".into(),
        })?;
        ensure!(answers.refused == 0, "{} times 503", answers.refused);
        self.taken += answers.ok;
        Ok(())
    }

    /// Goes on in spells as long as `work` does.
    fn beside<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    self.send(u64::MAX, SPELL_SECONDS, Some(OFFERED))?;
                }
                anyhow::Ok(())
            });
            let done = work();
            over.store(true, Ordering::Relaxed);
            sending.join().map_err(|_| anyhow!("the stream fell"))??;
            done
        })
    }
}

/// Once everything is answered.
fn calm(gateway: &Gateway, meta: &Process, events: u64) -> Result<Held> {
    until("the answers", || {
        let sent = meta.json("/sim/state")?.get("sent").and_then(Value::as_u64);
        Ok((sent.context("no count of sends")? >= events).then_some(()))
    })?;
    let mut least = Held {
        megabytes: f64::MAX,
        files: u64::MAX,
        sockets: u64::MAX,
    };
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        let (files, sockets) = gateway.process.open_files()?;
        least.megabytes = least.megabytes.min(gateway.process.resident_mb()?);
        least.files = least.files.min(files);
        least.sockets = least.sockets.min(sockets);
    }
    Ok(least)
}

/// Each event has one answer, no conversation has a gap, and the ledger adds up.
fn check(gateway: &Gateway, meta: &Process, events: u64) -> Result<()> {
    let (mut answered, mut after) = (HashSet::new(), 0);
    let mut counts: HashMap<String, BTreeSet<u64>> = HashMap::new();
    loop {
        let page = meta.json(&format!("/sim/sent?after={after}&limit=10000"))?;
        let sent = page.get("sent").and_then(Value::as_array);
        for sent in sent.context("no sends")? {
            let text = sent.pointer("/body/text/body").and_then(Value::as_str);
            let reply = Reply::read(text.context("a send without text")?)?;
            ensure!(
                answered.insert(reply.event),
                "an event was answered twice: {sent}"
            );
            let to = sent.get("to").and_then(Value::as_str);
            let of = counts.entry(to.context("no addressee")?.to_owned());
            of.or_default().insert(reply.count);
        }
        let next = page.get("next").and_then(Value::as_u64);
        let next = next.context("no next")?;
        if next == after {
            break;
        }
        after = next;
    }
    ensure!(
        u64::try_from(answered.len())? == events,
        "{events} events, {} answers",
        answered.len()
    );
    for (to, counts) in &counts {
        let whole = (1..).zip(counts).all(|(wanted, count)| wanted == *count);
        ensure!(whole, "a message of {to} was lost or counted twice");
    }
    let page = gateway.process.json("/api/v1/numbers")?;
    let number = page.pointer("/numbers/0/id").and_then(Value::as_str);
    let number = number.context("no number")?;
    let ledger = gateway
        .process
        .json(&format!("/api/v1/numbers/{number}/ledger"))?;
    let plugin = ledger.pointer("/plugins/0").context("no plugin")?;
    let count = |name: &str| plugin.get(name).and_then(Value::as_u64);
    let adds_up = ledger.get("adds_up") == Some(&Value::Bool(true));
    ensure!(
        adds_up && count("done") == Some(events) && count("dead") == Some(0),
        "the ledger says of {events} events: {ledger}"
    );
    Ok(())
}
