//! The whole gateway: from webhook to event, to committed effects, to Graph call.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde_json::Value;

use super::Plan;
use super::life::faq;
use crate::gateway::{Gateway, Process, sim, until};
use crate::load::{Answers, Options, precise};
use crate::process;
use crate::table::{Figure, Line};

/// Nobody answers there.
pub(super) const NO_GRAPH: &str = "http://127.0.0.1:9";
/// Offered webhooks per second.
const SUSTAINED: f64 = 8000.0;
const ANSWERED: f64 = 500.0;
/// What faq has to catch up with after a minute at full speed would take many.
const UNBOUNDED_SECONDS_MAX: f64 = 10.0;
/// With and without kept runs, so often each, over so many events.
const KEPT_ROUNDS: usize = 5;
const KEPT_EVENTS: u64 = 20_000;
/// Customers of the generator have this before their number.
const CUSTOMERS: u64 = 919_800_000_000;

/// Offered at a steady rate, until all are events.
pub(super) fn sustained(plan: &Plan) -> Result<Vec<Line>> {
    let gateway = Gateway::start(plan.duet()?, &plan.fresh("gateway")?, "", NO_GRAPH)?;
    let began = Instant::now();
    let answers = process::load(&options(plan, &gateway, Some(SUSTAINED)))?;
    let behind = gateway.process.metric("duet_intake_lag_receipts")?;
    let all = precise(answers.ok);
    until("intake", || {
        Ok((gateway.process.metric("duet_events_total")? >= all).then_some(()))
    })?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(vec![Line {
        name: format!(
            "webhooks that are events, {SUSTAINED}/s offered for {:.0} s",
            plan.seconds
        ),
        measured: Figure::per_second(all / seconds),
        beside: vec![("acknowledged", Figure::per_second(answers.per_second()))],
        gate: None,
        note: format!(
            "{behind:.0} behind at the end, {:.1} s to catch up, p99 {:.1} ms, {} times 503",
            seconds - answers.seconds,
            precise(answers.p99_us) / 1000.0,
            answers.refused
        ),
    }])
}

/// As fast as it takes webhooks, until the plugin is done with all; beside the same without a plugin.
pub(super) fn effects(plan: &Plan) -> Result<Vec<Line>> {
    let (with, idle_mb, loaded_mb) = through(plan, &faq("Tea is 80.")?, u64::MAX)?;
    let (without, idle_without_mb, loaded_without_mb) = through(plan, "", u64::MAX)?;
    let megabytes = |value| Figure { value, unit: " MB" };
    let memory = |name: &str, with, without| Line {
        name: name.into(),
        measured: megabytes(with),
        beside: vec![("without a plugin", megabytes(without))],
        gate: None,
        note: String::new(),
    };
    Ok(vec![
        Line {
            name: "events through faq to committed effects".into(),
            measured: Figure::per_second(with),
            beside: vec![("only to events", Figure::per_second(without))],
            gate: None,
            note: "from the first webhook sent to the last event done".into(),
        },
        memory("resident memory, idle", idle_mb, idle_without_mb),
        memory(
            "resident memory, after that load",
            loaded_mb,
            loaded_without_mb,
        ),
    ])
}

/// The same with and without its runs being kept, in turn, each time a gateway of its own.
pub(super) fn kept_runs(plan: &Plan) -> Result<Vec<Line>> {
    let file = faq("Tea is 80.")?;
    let without = file.replacen("[plugins.faq]\n", "[plugins.faq]\nruns_kept = 0\n", 1);
    let (mut kept, mut not_kept) = (Vec::new(), Vec::new());
    for _ in 0..KEPT_ROUNDS {
        kept.push(through(plan, &file, KEPT_EVENTS)?.0);
        not_kept.push(through(plan, &without, KEPT_EVENTS)?.0);
    }
    let each = |rates: &[f64]| {
        let rates: Vec<_> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
        rates.join(", ")
    };
    Ok(vec![Line {
        name: "events through faq, its last 20 runs kept".into(),
        measured: Figure::per_second(middle(&mut kept.clone())),
        beside: vec![(
            "none kept",
            Figure::per_second(middle(&mut not_kept.clone())),
        )],
        gate: None,
        note: format!(
            "the middle of {} and of {}, in turn, {KEPT_EVENTS} events each",
            each(&kept),
            each(&not_kept)
        ),
    }])
}

fn middle(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// Events per second, memory before, memory after.
fn through(plan: &Plan, plugins: &str, count: u64) -> Result<(f64, f64, f64)> {
    let gateway = Gateway::start(plan.duet()?, &plan.fresh("gateway")?, plugins, NO_GRAPH)?;
    let idle_mb = gateway.process.resident_mb()?;
    let began = Instant::now();
    let load = Options {
        seconds: plan.seconds.min(UNBOUNDED_SECONDS_MAX),
        count,
        ..options(plan, &gateway, None)
    };
    let answers = process::load(&load)?;
    let all = precise(answers.ok);
    until("the events", || {
        let done = if plugins.is_empty() {
            gateway.process.metric("duet_events_total")?
        } else {
            gateway.done()?
        };
        Ok((done >= all).then_some(()))
    })?;
    Ok((
        all / began.elapsed().as_secs_f64(),
        idle_mb,
        gateway.process.resident_mb()?,
    ))
}

/// From the moment when a webhook was due to Meta's acceptance of the answer.
pub(super) fn answers(plan: &Plan) -> Result<Vec<Line>> {
    let (meta, graph) = sim(plan.duet()?, "http://127.0.0.1:9/webhook")?;
    let gateway = Gateway::start(
        plan.duet()?,
        &plan.fresh("gateway")?,
        &faq("Tea is 80.")?,
        &graph,
    )?;
    let answers = process::load(&options(plan, &gateway, Some(ANSWERED)))?;
    let all = precise(answers.ok);
    until("the Graph calls", || {
        let sent = meta
            .json("/sim/state")?
            .get("sent")
            .and_then(Value::as_f64)
            .context("no count of sends")?;
        Ok((sent >= all).then_some(()))
    })?;
    let times = latencies(&meta, &answers, ANSWERED, 0, &mut 0)?;
    ensure!(!times.is_empty(), "the sim lists no sends");
    let line = |name: &str, ms: u64, beside: u64| Line {
        name: format!("webhook to Graph call at {ANSWERED}/s, {name}"),
        measured: Figure::ms(precise(ms)),
        beside: vec![("webhook to 200", Figure::ms(precise(beside) / 1000.0))],
        gate: None,
        note: format!("{} sends", times.len()),
    };
    Ok(vec![
        line("p50", times.value_at_quantile(0.5), answers.p50_us),
        line("p99", times.value_at_quantile(0.99), answers.p99_us),
        line("longest", times.max(), answers.max_us),
    ])
}

/// Milliseconds from the moment when each webhook was due to Meta's acceptance of its answer, for sends after `after`,
/// which goes on to the last. Every customer wrote once, in the order of their numbers, from number `first` on.
pub(super) fn latencies(
    meta: &Process,
    answers: &Answers,
    rate: f64,
    first: u64,
    after: &mut u64,
) -> Result<Histogram<u64>> {
    let mut times = Histogram::new_with_bounds(1, 600_000, 3)?;
    loop {
        let page = meta.json(&format!("/sim/sent?after={after}&limit=10000"))?;
        let sent = page
            .get("sent")
            .and_then(Value::as_array)
            .context("no sends")?;
        for sent in sent {
            let to: u64 = sent
                .get("to")
                .and_then(Value::as_str)
                .context("no addressee")?
                .parse()?;
            let at_ms = sent
                .get("at_ms")
                .and_then(Value::as_i64)
                .context("no time")?;
            let place = to.saturating_sub(CUSTOMERS + first);
            let due = Duration::from_secs_f64(precise(place) / rate);
            let due_ms = answers.began_ms + i64::try_from(due.as_millis())?;
            times.saturating_record(u64::try_from(at_ms - due_ms).unwrap_or(0).max(1));
        }
        let next = page
            .get("next")
            .and_then(Value::as_u64)
            .context("no next")?;
        if next == *after {
            return Ok(times);
        }
        *after = next;
    }
}

fn options(plan: &Plan, gateway: &Gateway, rate: Option<f64>) -> Options {
    Options {
        to: gateway.public,
        connections: 64,
        seconds: plan.seconds,
        rate,
        count: u64::MAX,
        first: 0,
        // Everybody writes once, so that no two events share a lane.
        customers: 10_000_000,
        text: "price".into(),
    }
}
