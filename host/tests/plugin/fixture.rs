//! Real components, a compiler over a cache that outlives the test run, and calls.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use duet::event::Event;
use duet::plugin::secrets::Secrets;
use duet::plugin::{
    Admission, Call, Compiler, Component, Plugin, PluginEngine, PluginThreads, Run,
};
use duet_rules::plugins_toml::{self, Instance};
use duet_rules::toml_file::Problem;

use crate::world::MemoryWorld;

/// The bytes of a component that `cargo xtask guests` has built.
pub(crate) fn component(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("DUET_TEST_PLUGINS").map_or_else(default_folder, PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; build it: cargo build -p {name} --target wasm32-wasip2 --release",
            path.display()
        )
    })
}

/// `<target>/wasm32-wasip2/release`, seen from `<target>/debug/deps/<this test>`.
fn default_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors()
        .nth(3)
        .unwrap()
        .join("wasm32-wasip2/release")
}

/// `wasm` is the component of the only `[plugins.…]` table in `toml`.
pub(crate) fn instance(toml: &str) -> Instance {
    let mut parsed = plugins_toml::parse("plugins.toml", toml)
        .into_result()
        .unwrap();
    assert_eq!(parsed.plugins.len(), 1);
    parsed.plugins.remove(0)
}

pub(crate) fn cache_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache")
}

pub(crate) fn engine() -> Arc<PluginEngine> {
    static ENGINE: OnceLock<Arc<PluginEngine>> = OnceLock::new();
    Arc::clone(ENGINE.get_or_init(|| PluginEngine::new(&cache_dir()).unwrap()))
}

pub(crate) fn admission_on(threads: Arc<PluginThreads>) -> Admission {
    Admission::new(
        Compiler::new(engine(), cache_dir(), env!("CARGO_BIN_EXE_duet").into()),
        threads,
    )
}

pub(crate) fn threads() -> Arc<PluginThreads> {
    PluginThreads::new(2, 16).unwrap()
}

pub(crate) async fn try_admit(bytes: Vec<u8>, toml: &str) -> Result<Arc<Plugin>, Vec<Problem>> {
    admission_on(threads())
        .admit(Component::new(bytes), instance(toml), Secrets::default())
        .await
}

pub(crate) async fn admit(name: &str, toml: &str) -> Arc<Plugin> {
    try_admit(component(name), toml)
        .await
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// A text message in conversation 7.
pub(crate) fn text_event(seq: i64, text: &str) -> Arc<Event> {
    Arc::new(Event {
        seq,
        id: format!("event-{seq}"),
        kind: "message.text".into(),
        business: String::new(),
        instance: None,
        number: Some("100".into()),
        waba: None,
        contact: Some(5),
        conversation: Some(7),
        at_ms: Some(1_700_000_000_000),
        received_ms: 1_700_000_000_500,
        receipt: seq,
        history: false,
        body: serde_json::json!({ "id": format!("wamid.{seq}"), "type": "text", "text": { "body": text } }).to_string(),
        context: None,
    })
}

pub(crate) fn call(text: &str, world: &Arc<MemoryWorld>) -> Call {
    Call {
        event: text_event(1, text),
        contact: None,
        attempt: 1,
        now_ms: 1_700_000_001_000,
        seed: None,
        rehearsed: false,
        world: Arc::clone(world) as Arc<dyn duet::plugin::World>,
    }
}

pub(crate) async fn run(plugin: &Arc<Plugin>, text: &str) -> Run {
    plugin.run(call(text, &Arc::default())).await
}
