//! The generator: so many connections, as fast as they are answered or at a steady rate, then one line of JSON.
//!
//! At a steady rate a latency counts from the moment when the webhook was due, so that a stall shows in every
//! webhook that it delays and not only in the one that it meets.

mod body;
mod connection;
mod pace;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::task::LocalSet;

use body::Bodies;
use connection::Connection;

/// Finest to coarsest latency that is told, in microseconds.
const LATENCY_US: (u64, u64) = (1, 120_000_000);

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Where webhooks go
    #[arg(long)]
    pub(crate) to: SocketAddr,
    #[arg(long)]
    pub(crate) connections: usize,
    #[arg(long)]
    pub(crate) seconds: f64,
    /// Webhooks per second; as fast as they are answered if absent
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// At most so many webhooks
    #[arg(long, default_value_t = u64::MAX)]
    pub(crate) count: u64,
    /// The number of the first webhook; two runs with different numbers send different bodies
    #[arg(long, default_value_t = 0)]
    pub(crate) first: u64,
    /// How many customers write in turn
    #[arg(long, default_value_t = 10_000)]
    pub(crate) customers: u64,
    /// What they write; padded to a body of 1 KiB
    #[arg(long, default_value = "hello")]
    pub(crate) text: String,
}

/// What came back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answers {
    /// Answered 200.
    pub(crate) ok: u64,
    /// Answered 503: Meta would come again.
    pub(crate) refused: u64,
    pub(crate) seconds: f64,
    /// When the first was due, ms since 1970.
    pub(crate) began_ms: i64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
}

impl Answers {
    pub(crate) fn per_second(&self) -> f64 {
        precise(self.ok) / self.seconds
    }
}

/// Counts stay far below the 2^53 that a float holds exactly.
#[allow(clippy::cast_precision_loss, reason = "see above")]
pub(crate) fn precise(count: u64) -> f64 {
    count as f64
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answers = LocalSet::new().block_on(&runtime, send(options))?;
    println!("{}", serde_json::to_string(&answers)?);
    Ok(())
}

async fn send(options: &Options) -> Result<Answers> {
    let bodies = Rc::new(Bodies::new(options));
    let mut connections = Vec::new();
    for _ in 0..options.connections {
        connections.push(Connection::open(options.to).await?);
    }
    let began = Instant::now();
    let began_ms = duet::now_ms();
    let end = began + Duration::from_secs_f64(options.seconds);
    let mut turns = pace::turns(options, began);
    let mut tasks = Vec::new();
    for connection in connections {
        let turn = turns.pop().context("one turn for each connection")?;
        tasks.push(tokio::task::spawn_local(work(
            connection,
            Rc::clone(&bodies),
            turn,
            end,
        )));
    }
    let mut latencies = histogram()?;
    let (mut ok, mut refused) = (0, 0);
    for task in tasks {
        let done = task.await??;
        latencies.add(done.latencies)?;
        ok += done.ok;
        refused += done.refused;
    }
    let quantile = |share| latencies.value_at_quantile(share);
    Ok(Answers {
        ok,
        refused,
        seconds: began.elapsed().as_secs_f64(),
        began_ms,
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        p999_us: quantile(0.999),
        max_us: latencies.max(),
    })
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(LATENCY_US.0, LATENCY_US.1, 3)?)
}

/// What one connection saw.
struct Done {
    ok: u64,
    refused: u64,
    latencies: Histogram<u64>,
}

async fn work(
    mut connection: Connection,
    bodies: Rc<Bodies>,
    mut turn: pace::Turn,
    end: Instant,
) -> Result<Done> {
    let mut done = Done {
        ok: 0,
        refused: 0,
        latencies: histogram()?,
    };
    let mut request = Vec::with_capacity(2048);
    while let Some(due) = turn.next(end).await {
        if !bodies.write_next(&mut request) {
            break;
        }
        match connection.ask(&request).await? {
            200 => done.ok += 1,
            503 => done.refused += 1,
            status => anyhow::bail!("a webhook was answered {status}"),
        }
        let us = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        done.latencies.saturating_record(us.max(1));
    }
    Ok(done)
}
