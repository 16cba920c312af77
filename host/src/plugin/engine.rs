//! How components are compiled and their memories are made, and the clock that makes running ones yield.
//!
//! Every component in the process, and in the compiling child, goes through [`PluginEngine::compile`]: wasmtime's
//! cache is keyed by the configuration, so another one would miss it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Config, Engine, EngineWeak};

use super::outline::outline;

/// How often a running guest gives its thread back.
const TICK: Duration = Duration::from_millis(10);

/// The guest's own stack; deeper recursion is a trap.
const GUEST_STACK_BYTES: usize = 512 * 1024;

/// Guest's stack and the host functions that it calls.
const FIBER_STACK_BYTES: usize = 2 * 1024 * 1024;

/// What a component's memories begin with is copied into each run up to so many bytes; beyond that it is mapped,
/// and a page is copied when the guest writes to it. A mapping costs some 60 us for each run, whatever its size.
const COPIED_BYTES_MAX: usize = 256 * 1024;

/// wasmtime's engines with their cache and their ticking clock.
pub struct PluginEngine {
    copying: Engine,
    mapping: Engine,
    cache: Cache,
}

impl PluginEngine {
    /// `cache_dir` is made if it is not there.
    pub fn new(cache_dir: &Path) -> anyhow::Result<Arc<PluginEngine>> {
        let cache = cache(cache_dir).map_err(told)?;
        let engine = |map| Engine::new(&config(&cache, map)).map_err(told);
        let (copying, mapping) = (engine(false)?, engine(true)?);
        start_ticking([copying.weak(), mapping.weak()])?;
        Ok(Arc::new(PluginEngine {
            copying,
            mapping,
            cache,
        }))
    }

    /// The component's code, from the cache if it is there.
    pub(super) fn compile(&self, bytes: &[u8]) -> anyhow::Result<Component> {
        let data_bytes = outline(bytes).map_or(0, |outline| outline.data_bytes);
        let engine = if data_bytes > COPIED_BYTES_MAX {
            &self.mapping
        } else {
            &self.copying
        };
        Component::from_binary(engine, bytes).map_err(told)
    }

    /// How often a component had to be compiled in this process because the cache did not have it.
    pub fn cache_misses(&self) -> usize {
        self.cache.cache_misses()
    }
}

/// wasmtime's error as the rest of the gateway passes errors on.
pub(super) fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow::Error::from_boxed(error.into())
}

fn cache(cache_dir: &Path) -> wasmtime::Result<Cache> {
    // A folder of its own: wasmtime deletes from it whatever it does not know.
    let code_dir = cache_dir.join("wasmtime");
    std::fs::create_dir_all(&code_dir)?;
    let mut config = CacheConfig::new();
    config.with_directory(code_dir.canonicalize()?);
    Cache::new(config)
}

fn config(cache: &Cache, map: bool) -> Config {
    let mut config = Config::new();
    config
        .strategy(wasmtime::Strategy::Cranelift)
        .cache(Some(cache.clone()))
        .epoch_interruption(true)
        // The contract has no `async func`: less code is reachable, and a call costs a quarter.
        .concurrency_support(false)
        .memory_init_cow(map)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES);
    config
}

/// Moves the engines' epochs on until they are gone.
fn start_ticking(engines: [EngineWeak; 2]) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("duet-epoch".into())
        .spawn(move || {
            let tick = |weak: &EngineWeak| weak.upgrade().map(|engine| engine.increment_epoch());
            while engines.iter().filter_map(tick).count() > 0 {
                std::thread::sleep(TICK);
            }
        })?;
    Ok(())
}
