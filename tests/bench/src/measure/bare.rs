//! A component's handler in a bare loop of wasmtime: no limits, no clock, and nothing behind its imports.

use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use duet_rules::contract::CONTRACT;
use hdrhistogram::Histogram;
use wasmtime::component::{Component, ComponentType, Lift, Linker, Lower};
use wasmtime::{Config, Engine, Store};

/// The contract's `event`.
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) number: Option<String>,
    pub(super) conversation: Option<u64>,
    pub(super) contact: Option<Contact>,
    #[component(name = "at-ms")]
    pub(super) at_ms: Option<u64>,
    #[component(name = "received-ms")]
    pub(super) received_ms: u64,
    pub(super) attempt: u32,
    pub(super) body: String,
}

/// The contract's `contact`.
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub(super) struct Contact {
    id: u64,
    name: Option<String>,
    #[component(name = "wa-id")]
    wa_id: Option<String>,
    #[component(name = "user-id")]
    user_id: Option<String>,
}

/// The contract's `failure`.
#[derive(ComponentType, Lift)]
#[component(variant)]
enum Failure {
    #[component(name = "retry")]
    Retry(Option<u32>),
    #[component(name = "reject")]
    Reject(String),
}

/// Handles events, each in a fresh instance.
pub(super) struct Loop {
    engine: Engine,
    pre: wasmtime::component::InstancePre<()>,
    handle: wasmtime::component::ComponentExportIndex,
}

impl Loop {
    /// As the gateway has it: compiled by Cranelift, and a memory's beginning is copied.
    pub(super) fn new(component: &[u8]) -> Result<Loop> {
        Loop::of(component).map_err(|error| anyhow!("{error:#}"))
    }

    fn of(component: &[u8]) -> wasmtime::Result<Loop> {
        let mut config = Config::new();
        config.memory_init_cow(false).concurrency_support(false);
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, component)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let on_event = component.get_export_index(None, format!("duet:plugin/on-event@{CONTRACT}"));
        let handle = on_event
            .and_then(|on_event| component.get_export_index(Some(&on_event), "handle"))
            .ok_or_else(|| wasmtime::format_err!("the component has no handler"))?;
        let pre = linker.instantiate_pre(&component)?;
        Ok(Loop {
            engine,
            pre,
            handle,
        })
    }

    /// Nanoseconds of each of `runs` runs after `warm_up` others.
    pub(super) fn times(&self, event: &Event, warm_up: u64, runs: u64) -> Result<Histogram<u64>> {
        let mut times = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        for number in 0..warm_up + runs {
            let event = event.clone();
            let began = Instant::now();
            let ended = self.run(event).map_err(|error| anyhow!("{error:#}"))?;
            let took = began.elapsed();
            match ended {
                Ok(()) => {}
                Err(Failure::Retry(seconds)) => bail!("it asks for another run: {seconds:?}"),
                Err(Failure::Reject(reason)) => bail!("it rejects the event: {reason}"),
            }
            if number >= warm_up {
                times.saturating_record(u64::try_from(took.as_nanos())?);
            }
        }
        Ok(times)
    }

    fn run(&self, event: Event) -> wasmtime::Result<Result<(), Failure>> {
        let mut store = Store::new(&self.engine, ());
        let instance = self.pre.instantiate(&mut store)?;
        let handle = instance
            .get_typed_func::<(Event,), (Result<(), Failure>,)>(&mut store, &self.handle)?;
        let (ended,) = handle.call(&mut store, (event,))?;
        Ok(ended)
    }
}
