//! The one engine of the process: how components are compiled, and the clock that makes running ones yield.
//!
//! Every component in the process, and in the compiling child, goes through [`PluginEngine::new`]: wasmtime's
//! cache is keyed by the configuration, so a second constructor would miss it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Cache, CacheConfig, Config, Engine};

/// How often a running guest gives its thread back.
const TICK: Duration = Duration::from_millis(10);

/// The guest's own stack; deeper recursion is a trap.
const GUEST_STACK_BYTES: usize = 512 * 1024;

/// Guest's stack and the host functions that it calls.
const FIBER_STACK_BYTES: usize = 2 * 1024 * 1024;

/// A wasmtime engine with its cache and its ticking clock.
pub struct PluginEngine {
    engine: Engine,
    cache: Cache,
}

impl PluginEngine {
    /// `cache_dir` is made if it is not there.
    pub fn new(cache_dir: &Path) -> anyhow::Result<Arc<PluginEngine>> {
        let (config, cache) = config(cache_dir).map_err(told)?;
        let engine = Engine::new(&config).map_err(told)?;
        start_ticking(&engine)?;
        Ok(Arc::new(PluginEngine { engine, cache }))
    }

    pub(super) fn wasmtime(&self) -> &Engine {
        &self.engine
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

fn config(cache_dir: &Path) -> wasmtime::Result<(Config, Cache)> {
    // A folder of its own: wasmtime deletes from it whatever it does not know.
    let code_dir = cache_dir.join("wasmtime");
    std::fs::create_dir_all(&code_dir)?;
    let mut cache_config = CacheConfig::new();
    cache_config.with_directory(code_dir.canonicalize()?);
    let cache = Cache::new(cache_config)?;

    let mut config = Config::new();
    config
        .strategy(wasmtime::Strategy::Cranelift)
        .cache(Some(cache.clone()))
        .epoch_interruption(true)
        // The contract has no `async func`: less code is reachable, and a call costs a quarter.
        .concurrency_support(false)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES);
    Ok((config, cache))
}

/// Moves the engine's epoch on until the engine is gone.
fn start_ticking(engine: &Engine) -> std::io::Result<()> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("duet-epoch".into())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
    Ok(())
}
