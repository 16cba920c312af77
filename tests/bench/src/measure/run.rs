//! One run of a plugin: a fresh instance, one event, its effects; without store and network.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use duet::effect::{Handling, Send};
use duet::event::{ContactView, Event};
use duet::outbound::{Answered, Outgoing};
use duet::plugin::secrets::Secrets;
use duet::plugin::{
    Admission, Answer, Attachment, Call, Compiler, Component, ConversationState, KeptFile, NewFile,
    Outcome, Plugin, PluginEngine, PluginThreads, World,
};
use duet_rules::annotations::{Marks, Note};
use duet_rules::cases::CaseEntry;
use duet_rules::media::Digest;
use duet_rules::plugins_toml::{self, Instance};
use duet_rules::sending::Refusal;
use hdrhistogram::Histogram;

use super::life::faq;
use super::{Plan, bare};
use crate::load::precise;
use crate::table::{Figure, Gate, Line};

const RUNS: u64 = 20_000;
const WARM_UP: u64 = 1_000;

/// How many times as long as in wasmtime alone a run may take.
const BARE_TIMES_MAX: f64 = 3.0;
pub(super) const IDLE: &str = "tests/plugins/idle/idle.wasm";

/// `faq` answering a question, beside a component that does nothing, and that beside a bare loop of wasmtime.
pub(super) fn instantiate_and_call(plan: &Plan) -> Result<Vec<Line>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let admission = admission(plan, 1)?;
        let answering = instance(&faq("Tea is 80.")?)?;
        let answering = times(&*admit(&admission, answering).await?, 1).await?;
        let idle = instance(&format!("[plugins.idle]\ncomponent = '{IDLE}'\n"))?;
        let idle = times(&*admit(&admission, idle).await?, 0).await?;
        let bare = bare::Loop::new(&std::fs::read(IDLE)?)?;
        let bare = bare.times(&bare_event(), WARM_UP, RUNS)?;
        let line = |name: String, of: &Histogram<u64>, beside, to: &Histogram<u64>, q| Line {
            name,
            measured: us(of, q),
            beside: vec![(beside, us(to, q))],
            gate: None,
            note: format!("{RUNS} runs, one after the other"),
        };
        let mut lines = Vec::new();
        for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
            let faq = format!("instantiate and call faq, {name}");
            let other = "a component that does nothing";
            lines.push(line(faq, &answering, other, &idle, q));
            let nothing = format!("instantiate and call what does nothing, {name}");
            let bare = line(nothing, &idle, "wasmtime alone", &bare, q);
            lines.push(Line {
                gate: (q == 0.5).then_some(Gate::AtMost(BARE_TIMES_MAX)),
                ..bare
            });
        }
        Ok(lines)
    })
}

fn us(times: &Histogram<u64>, quantile: f64) -> Figure {
    Figure {
        value: precise(times.value_at_quantile(quantile)) / 1000.0,
        unit: " us",
    }
}

/// What admits plugins for so many threads, with an empty cache.
pub(super) fn admission(plan: &Plan, threads: usize) -> Result<Admission> {
    let cache = plan.fresh("cache")?;
    let compiler = Compiler::new(PluginEngine::new(&cache)?, cache, plan.duet()?.to_owned());
    let runs_max = threads * 32;
    Ok(Admission::new(
        compiler,
        PluginThreads::new(threads, runs_max)?,
    ))
}

/// The instance of a `plugins.toml` that has one.
pub(super) fn instance(toml: &str) -> Result<Instance> {
    let parsed = plugins_toml::parse("plugins.toml", toml.as_bytes()).into_result();
    let parsed = parsed.map_err(|problems| anyhow!("{problems:?}"))?;
    parsed.plugins.into_iter().next().context("no instance")
}

pub(super) async fn admit(admission: &Admission, instance: Instance) -> Result<Arc<Plugin>> {
    let component =
        Component::of(&instance, Path::new("")).map_err(|problem| anyhow!("{problem}"))?;
    admission
        .admit(component, instance, Secrets::default())
        .await
        .map_err(|problems| anyhow!("{problems:#?}"))
}

/// Nanoseconds of each run, which must end well and ask for so many effects.
async fn times(plugin: &Plugin, effects: usize) -> Result<Histogram<u64>> {
    let event = Arc::new(event());
    let mut times = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    for number in 0..WARM_UP + RUNS {
        let call = Call {
            event: Arc::clone(&event),
            contact: None,
            attempt: 1,
            now_ms: 0,
            seed: None,
            rehearsed: false,
            world: Arc::new(Calm),
        };
        let began = Instant::now();
        let run = plugin.run(call).await;
        let took = began.elapsed();
        ensure!(
            run.outcome == Outcome::Done && run.effects.len() == effects,
            "{run:?}"
        );
        if number >= WARM_UP {
            times.saturating_record(u64::try_from(took.as_nanos())?);
        }
    }
    Ok(times)
}

fn event() -> Event {
    Event {
        seq: 1,
        id: "1".into(),
        kind: "message.text".into(),
        business: String::new(),
        instance: None,
        number: None,
        waba: None,
        contact: Some(5),
        conversation: Some(7),
        at_ms: None,
        received_ms: 0,
        receipt: 1,
        history: false,
        body: r#"{"id":"wamid.1","type":"text","text":{"body":"What is the price?"}}"#.into(),
        context: None,
    }
}

/// The same as the contract has it.
fn bare_event() -> bare::Event {
    let event = event();
    bare::Event {
        seq: 1,
        id: event.id,
        kind: event.kind,
        number: None,
        conversation: Some(7),
        contact: None,
        at_ms: None,
        received_ms: 0,
        attempt: 1,
        body: event.body,
    }
}

/// Nothing is stored, nobody has taken over, and everything may be sent.
struct Calm;

fn answer<'a, T: std::marker::Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(async move { Ok(value) })
}

impl World for Calm {
    fn kv_get<'a>(&'a self, _: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        answer(None)
    }

    fn kv_list<'a>(&'a self, _: &'a str, _: Option<&'a str>, _: usize) -> Answer<'a, Vec<String>> {
        answer(Vec::new())
    }

    fn conversation(&self, _: i64) -> Answer<'_, Option<ConversationState>> {
        answer(Some(ConversationState {
            handling: Handling::Automation,
            agent: None,
            handling_until_ms: None,
            window_until_ms: None,
        }))
    }

    fn contact(&self, _: i64) -> Answer<'_, Option<ContactView>> {
        answer(None)
    }

    fn refuse<'a>(&'a self, _: &'a Send, _: Option<Handling>) -> Answer<'a, Option<Refusal>> {
        answer(None)
    }

    fn call(&self, _: Vec<Outgoing>) -> Answer<'_, Vec<Answered>> {
        answer(Vec::new())
    }

    fn attachment<'a>(&'a self, _: i64, _: &'a str) -> Answer<'a, Option<Attachment>> {
        answer(None)
    }

    fn file(&self, _: Digest) -> Answer<'_, Option<KeptFile>> {
        answer(None)
    }

    fn read_file(&self, _: Digest, _: u64, _: u32) -> Answer<'_, Option<Vec<u8>>> {
        answer(None)
    }

    fn keep_file(&self, _: NewFile) -> Answer<'_, std::result::Result<Digest, String>> {
        answer(Err("nothing is kept".into()))
    }

    fn case<'a>(&'a self, _: &'a str) -> Answer<'a, Option<CaseEntry>> {
        answer(None)
    }

    fn cases(&self, _: i64) -> Answer<'_, Vec<CaseEntry>> {
        answer(Vec::new())
    }

    fn marks(&self, _: i64) -> Answer<'_, Marks> {
        answer(Marks::default())
    }

    fn notes(&self, _: i64) -> Answer<'_, Vec<Note>> {
        answer(Vec::new())
    }
}
