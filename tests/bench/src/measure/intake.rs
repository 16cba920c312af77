//! The listener and its receipt log.

use std::fs;
use std::net::SocketAddr;

use anyhow::Result;

use super::Plan;
use crate::load::{Answers, Options, precise};
use crate::process::{self, Listener};
use crate::sqlite;
use crate::table::{Figure, Gate, Line};

/// As fast as `connections` are answered.
pub(super) fn flood(plan: &Plan, connections: usize) -> Result<Vec<Line>> {
    let (durable, nothing) = both(plan, connections, None)?;
    let folder = plan.fresh("sqlite")?;
    let batch = u64::try_from(connections)?;
    let alone = sqlite::bodies_per_second(&folder, batch, plan.seconds)?;
    fs::remove_dir_all(folder)?;
    let ms = |us| precise(us) / 1000.0;
    Ok(vec![Line {
        name: format!("durable webhooks, {connections} connections"),
        measured: Figure::per_second(durable.per_second()),
        beside: vec![
            ("stores nothing", Figure::per_second(nothing.per_second())),
            ("SQLite alone", Figure::per_second(alone)),
        ],
        gate: Some(Gate::AtLeast(0.25)),
        note: format!(
            "p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms, {} times 503",
            ms(durable.p50_us),
            ms(durable.p99_us),
            ms(durable.max_us),
            durable.refused
        ),
    }])
}

/// At `rate` per second, whatever the answers do.
pub(super) fn steady(plan: &Plan, rate: f64) -> Result<Vec<Line>> {
    let (durable, nothing) = both(plan, 256, Some(rate))?;
    let line = |name: &str, pick: fn(&Answers) -> u64, note: String| Line {
        name: format!("steady {rate} webhooks/s, {name}"),
        measured: Figure::ms(precise(pick(&durable)) / 1000.0),
        beside: vec![(
            "stores nothing",
            Figure::ms(precise(pick(&nothing)) / 1000.0),
        )],
        gate: None,
        note,
    };
    let answered = format!(
        "{} answered 200, {} answered 503",
        durable.ok, durable.refused
    );
    Ok(vec![
        line("p50", |answers| answers.p50_us, answered),
        line("p99", |answers| answers.p99_us, String::new()),
        line("p99.9", |answers| answers.p999_us, String::new()),
        line("longest", |answers| answers.max_us, String::new()),
    ])
}

/// The same load on the gateway's listener and on the one that stores nothing.
fn both(plan: &Plan, connections: usize, rate: Option<f64>) -> Result<(Answers, Answers)> {
    let folder = plan.fresh("receipts")?;
    let send = |to: SocketAddr| {
        let options = Options {
            to,
            connections,
            seconds: plan.seconds,
            rate,
            count: u64::MAX,
            first: 0,
            customers: 10_000,
            text: "hello".into(),
        };
        process::load(&options)
    };
    let listener = Listener::start(Some(&folder))?;
    let durable = send(listener.address)?;
    drop(listener);
    fs::remove_dir_all(folder)?;
    let listener = Listener::start(None)?;
    Ok((durable, send(listener.address)?))
}
