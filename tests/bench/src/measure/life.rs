//! Start, restart, and a change that goes live.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Plan;
use super::flow::NO_GRAPH;
use crate::gateway::{Gateway, sim, until};
use crate::load::{Options, precise};
use crate::process;
use crate::table::{Figure, Gate, Line};

const MESSAGES_FULL: u64 = 1_000_000;
const MESSAGES: u64 = 20_000;
/// Changes that are made one after the other.
const CHANGES: u64 = 10;

/// A `plugins.toml` with `faq`, which answers `price` with this.
pub(super) fn faq(reply: &str) -> Result<String> {
    let component = fs::canonicalize("plugins/faq/faq.wasm")
        .context("no plugins/faq/faq.wasm; run: cargo xtask guests")?;
    Ok(format!(
        "[plugins.faq]\ncomponent = {component:?}\n[plugins.faq.settings]\nanswers = [{{ words = [\"price\"], reply = {reply:?} }}]\n\
         [plugins.faq.messages]\nspeak = [\"automation\"]\n[plugins.faq.conversations]\nhandling = true\n"
    ))
}

/// From the start of the process until it is ready, on an empty folder and on one with many messages.
pub(super) fn start(plan: &Plan) -> Result<Vec<Line>> {
    let duet = plan.duet()?;
    let folder = plan.fresh("gateway")?;
    let gateway = Gateway::start(duet, &folder, "", NO_GRAPH)?;
    let empty = gateway.ready_after;
    let messages = if plan.full { MESSAGES_FULL } else { MESSAGES };
    let load = Options {
        to: gateway.public,
        connections: 64,
        seconds: 3600.0,
        rate: None,
        count: messages,
        first: 0,
        customers: 10_000,
        text: "hello".into(),
    };
    let stored = precise(process::load(&load)?.ok);
    until("intake", || {
        Ok((gateway.process.metric("duet_events_total")? >= stored).then_some(()))
    })?;
    // Killed, as a power cut would.
    drop(gateway);
    let again = Gateway::start(duet, &folder, "", NO_GRAPH)?.ready_after;
    Ok(vec![Line {
        name: format!("restart to ready with {stored} messages, after kill -9"),
        measured: Figure::ms(again.as_secs_f64() * 1000.0),
        beside: vec![(
            "on an empty folder",
            Figure::ms(empty.as_secs_f64() * 1000.0),
        )],
        gate: Some(Gate::AtMost(20.0)),
        note: String::new(),
    }])
}

/// From saving `plugins.toml` to the first answer with the new text, while a customer keeps asking.
pub(super) fn save_to_live(plan: &Plan) -> Result<Vec<Line>> {
    let duet = plan.duet()?;
    let folder = plan.fresh("gateway")?;
    let (meta, graph) = sim(duet, "http://127.0.0.1:9/webhook")?;
    let gateway = Gateway::start(duet, &folder, &faq("reply 0")?, &graph)?;
    meta.post(
        "/sim/webhook",
        &json!({"url": format!("http://{}/webhook", gateway.public)}),
    )?;
    let mut slowest_ms: f64 = 0.0;
    for change in 1..=CHANGES {
        let reply = format!("reply {change}");
        let file = folder.with_extension("plugins.toml");
        let draft = folder.with_extension("plugins.toml.new");
        fs::write(&draft, faq(&reply)?)?;
        let began = Instant::now();
        fs::rename(&draft, &file)?;
        let mut asked = 0;
        until("the new answer", || {
            asked += 1;
            meta.post("/sim/customer", &json!({"from": (919_900_000_000_u64 + change * 100_000 + asked).to_string(), "text": "price"}))?;
            std::thread::sleep(std::time::Duration::from_millis(5));
            let seen = meta
                .json("/sim/state")?
                .get("sent")
                .and_then(Value::as_u64)
                .unwrap_or(0)
                .saturating_sub(5);
            let page = meta.get(&format!("/sim/sent?after={seen}"))?;
            Ok(page.contains(&format!("\"{reply}\"")).then_some(()))
        })?;
        slowest_ms = slowest_ms.max(began.elapsed().as_secs_f64() * 1000.0);
    }
    drop(gateway);
    let restart = Gateway::start(duet, &folder, &faq("reply")?, &graph)?.ready_after;
    Ok(vec![Line {
        name: format!("saved settings to the first new answer, slowest of {CHANGES}"),
        measured: Figure::ms(slowest_ms),
        beside: vec![(
            "restart to ready",
            Figure::ms(restart.as_secs_f64() * 1000.0),
        )],
        gate: None,
        note: "with the moment for which a saved file must be left alone".into(),
    }])
}
