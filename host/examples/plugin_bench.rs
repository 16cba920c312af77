//! How long a run takes: `plugin_bench <faq.wasm> [runs]` prints microseconds for instantiation and call together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use duet::event::Event;
use duet::plugin::{Admission, Call, Compiler, Outcome, PluginEngine, PluginThreads, compile_main};
use duet_rules::plugins_toml;

#[path = "../tests/plugin/world.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "made for tests")]
mod world;

const TOML: &str = r#"
    [plugins.faq]
    component = "faq.wasm"
    [plugins.faq.settings]
    answers = [{ words = ["price"], reply = "10" }]
    [plugins.faq.messages]
    [plugins.faq.conversations]
"#;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [word, file, _, cache] if word == "compile" => compile_main(file.as_ref(), cache.as_ref()),
        [file] => bench(file.into(), 2_000),
        [file, runs] => bench(file.into(), runs.parse()?),
        _ => bail!("usage: plugin_bench <faq.wasm> [runs]"),
    }
}

#[tokio::main]
async fn bench(file: PathBuf, runs: usize) -> anyhow::Result<()> {
    let cache = tempfile::tempdir()?;
    let engine = PluginEngine::new(cache.path())?;
    let compiler = Compiler::new(engine, cache.path().into(), std::env::current_exe()?);
    let admission = Admission::new(compiler, PluginThreads::new(1, 16)?);
    let instance = plugins_toml::parse("plugins.toml", TOML)
        .value
        .plugins
        .pop()
        .context("no instance")?;
    let bytes: Arc<[u8]> = std::fs::read(&file)
        .with_context(|| file.display().to_string())?
        .into();

    let started = Instant::now();
    let told = |problems| anyhow::anyhow!("{problems:#?}");
    let plugin = admission
        .admit(Arc::clone(&bytes), instance.clone())
        .await
        .map_err(told)?;
    println!(
        "admitted, compiled in a child: {} ms",
        started.elapsed().as_millis()
    );
    let started = Instant::now();
    admission.admit(bytes, instance).await.map_err(told)?;
    println!(
        "admitted again, code shared:   {} us",
        started.elapsed().as_micros()
    );

    let event = Arc::new(Event {
        seq: 1,
        id: "e".into(),
        kind: "message.text".into(),
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
    });
    let world = Arc::new(world::MemoryWorld::default());
    let mut samples = Vec::with_capacity(runs);
    for _ in 0..runs {
        let call = Call {
            event: Arc::clone(&event),
            contact: None,
            attempt: 1,
            now_ms: 0,
            world: Arc::clone(&world) as _,
        };
        let started = Instant::now();
        let run = plugin.run(call).await;
        let us = started.elapsed().as_micros();
        anyhow::ensure!(
            run.outcome == Outcome::Done && run.effects.len() == 1,
            "{run:?}"
        );
        samples.push((us, run.cpu_us, run.memory_peak_bytes));
    }
    samples.sort_unstable();
    for (name, share) in [("p50", 50), ("p99", 99)] {
        if let Some((us, cpu_us, memory)) = samples.get(runs * share / 100) {
            println!(
                "{name}: {us} us from call to answer, {cpu_us} us of CPU, {memory} bytes of memory"
            );
        }
    }
    Ok(())
}
