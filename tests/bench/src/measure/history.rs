//! Six months of a business's chats come over while its customers go on writing.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use duet_rules::signature::{Secret, sign};
use duet_sim::Config;
use duet_sim::business::{Business, Options as Size};
use serde_json::Value;
use ureq::Agent;

use super::Plan;
use super::flow::NO_GRAPH;
use crate::APP_SECRET;
use crate::gateway::{Gateway, until};
use crate::load::{Options, precise};
use crate::process;
use crate::sqlite;
use crate::table::{Figure, Line};

const MESSAGES: u32 = 200_000;
const THREADS: u32 = 2000;
/// Live webhooks per second beside it, and for how long.
const LIVE: f64 = 50.0;
const LIVE_SECONDS: f64 = 20.0;
/// How often each question is asked.
const ASKED: usize = 21;
/// "Thank you", as an address holds it.
const HINDI: &str = "%E0%A4%A7%E0%A4%A8%E0%A5%8D%E0%A4%AF%E0%A4%B5%E0%A4%BE%E0%A4%A6";

/// All old messages through real HTTP, beside a loop that writes the same rows and indexes.
pub(super) fn import(plan: &Plan) -> Result<Vec<Line>> {
    let chunks = chunks()?;
    let gateway = Gateway::start(plan.duet()?, &plan.fresh("gateway")?, "", NO_GRAPH)?;
    let live = Options {
        to: gateway.public,
        connections: 8,
        seconds: LIVE_SECONDS,
        rate: Some(LIVE),
        count: u64::MAX,
        first: 0,
        customers: 1000,
        text: "hello".into(),
    };
    let (seconds, answers) = std::thread::scope(|scope| {
        let beside = scope.spawn(|| process::load(&live));
        let seconds = deliver(&gateway, &chunks)?;
        let answers = beside.join().map_err(|_| anyhow!("the generator fell"))??;
        anyhow::Ok((seconds, answers))
    })?;
    let peak_mb = gateway.process.peak_mb()?;
    let alone = process::load(&Options {
        seconds: plan.seconds,
        first: 1 << 32,
        ..live
    })?;
    let questions = questions(&gateway)?;
    drop(gateway);
    let bare = bare(&plan.fresh("sqlite")?, &chunks)?;
    let megabytes = |value| Figure { value, unit: " MB" };
    let sent: usize = chunks.iter().map(Vec::len).sum();
    let mut lines = vec![
        Line {
            name: format!("history of {MESSAGES} messages in {THREADS} threads"),
            measured: Figure::per_second(f64::from(MESSAGES) / seconds),
            beside: vec![("rows and indexes alone", Figure::per_second(bare))],
            gate: None,
            note: format!("{} chunks in {seconds:.1} s", chunks.len()),
        },
        Line {
            name: format!("live webhook to 200 beside it, {LIVE}/s, p99"),
            measured: Figure::ms(precise(answers.p99_us) / 1000.0),
            beside: vec![("alone", Figure::ms(precise(alone.p99_us) / 1000.0))],
            gate: None,
            note: format!(
                "p50 {:.1} ms, longest {:.1} ms, {} times 503",
                precise(answers.p50_us) / 1000.0,
                precise(answers.max_us) / 1000.0,
                answers.refused
            ),
        },
        Line {
            name: "memory at its peak during it".into(),
            measured: megabytes(peak_mb),
            beside: vec![("bytes sent", megabytes(precise(sent as u64) / 1e6))],
            gate: None,
            note: String::new(),
        },
    ];
    lines.extend(questions);
    Ok(lines)
}

/// What an admin asks once all of it is there, each beside the list of numbers.
fn questions(gateway: &Gateway) -> Result<Vec<Line>> {
    let page = gateway.process.json("/api/v1/numbers")?;
    let number = page.pointer("/numbers/0/id").and_then(Value::as_str);
    let number = number.context("no number")?;
    let list = usual(gateway, "/api/v1/numbers")?;
    let asked = [
        (
            "a word in Hindi found among them",
            format!("/api/v1/messages/search?q={HINDI}"),
        ),
        (
            "the ledger of them",
            format!("/api/v1/numbers/{number}/ledger"),
        ),
    ];
    let mut lines = Vec::new();
    for (name, path) in asked {
        let answer = gateway.process.json(&path)?;
        let found = answer.get("messages").and_then(Value::as_array);
        ensure!(
            found.is_none_or(|found| !found.is_empty()),
            "nothing was found"
        );
        lines.push(Line {
            name: format!("{name}, p50"),
            measured: Figure::ms(usual(gateway, &path)?),
            beside: vec![("list of numbers", Figure::ms(list))],
            gate: None,
            note: found.map_or_else(String::new, |found| {
                format!("{} on the first page", found.len())
            }),
        });
    }
    Ok(lines)
}

/// Milliseconds that the question takes, the middle one of [`ASKED`].
fn usual(gateway: &Gateway, path: &str) -> Result<f64> {
    let mut took_ms = Vec::new();
    for _ in 0..ASKED {
        let began = Instant::now();
        gateway.process.get(path)?;
        took_ms.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    took_ms.sort_by(f64::total_cmp);
    Ok(took_ms.get(ASKED / 2).copied().unwrap_or_default())
}

/// The bodies of one believable business, always the same.
fn chunks() -> Result<Vec<Vec<u8>>> {
    let size = Size {
        messages: MESSAGES,
        threads: THREADS,
        contacts: THREADS,
        ..Size::default()
    };
    let number = Config::default().numbers.into_iter().next();
    let number = number.context("the sim has no number")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now_ms = u64::try_from(now.as_millis())?;
    let business = Business::new(size, number, true, now_ms).map_err(|reason| anyhow!(reason))?;
    Ok(business.history().map(|chunk| chunk.body()).collect())
}

/// Seconds from the first chunk until the report says that all is there.
fn deliver(gateway: &Gateway, chunks: &[Vec<u8>]) -> Result<f64> {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .proxy(None)
        .build()
        .into();
    let url = format!("http://{}/webhook", gateway.public);
    let secret = Secret::new(APP_SECRET);
    let began = Instant::now();
    for chunk in chunks {
        let signature = sign(&secret, chunk);
        let answer = agent
            .post(&url)
            .header("x-hub-signature-256", signature)
            .send(&chunk[..])?;
        ensure!(
            answer.status() == 200,
            "a chunk was answered {}",
            answer.status()
        );
    }
    // The report counts rows, so it is asked once it is about to be true.
    until("the events of the history", || {
        let events = gateway.process.metric("duet_events_total")?;
        Ok((events >= f64::from(MESSAGES)).then_some(()))
    })?;
    until("the report to be complete", || {
        let page = gateway.process.json("/api/v1/numbers")?;
        let history = page.pointer("/numbers/0/history").context("no number")?;
        let is_whole = history["state"] == "complete" && history["messages"] == MESSAGES;
        Ok(is_whole.then_some(()))
    })?;
    Ok(began.elapsed().as_secs_f64())
}

/// Messages per second of a loop that only writes.
fn bare(folder: &Path, chunks: &[Vec<u8>]) -> Result<f64> {
    // The gateway's own tables, with every index and trigger.
    drop(duet::store::Store::open(folder)?);
    let rows = sqlite::old_messages(chunks)?;
    sqlite::messages_per_second(&folder.join("duet.db"), &rows)
}
