//! What a store holds while a run lasts: the call, its buffers and its limits.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::buffer::Buffer;
use super::facts::Facts;
use super::fault::Stop;
use super::guest_log::GuestLog;
use super::log_book::Source;
use super::memory::MemoryGate;
use super::wasi;
use super::world::World;

/// Handles that a guest may hold at once: streams, pollables.
const RESOURCES_MAX: usize = 1024;
/// Keys that a run may list, taken together: its commit lists them again.
pub(super) const KEYS_LISTED_MAX: usize = 10_000;

pub(super) struct Running {
    pub(super) facts: Arc<Facts>,
    pub(super) world: Arc<dyn World>,
    pub(super) now_ms: i64,
    pub(super) log: Arc<GuestLog>,
    pub(super) buffer: Buffer,
    pub(super) memory: MemoryGate,
    pub(super) host_calls: u64,
    pub(super) http_calls: u64,
    /// What those calls carry.
    pub(super) http_bytes: u64,
    /// Of files that it has brought along.
    pub(super) kept_bytes: u64,
    keys_listed: usize,
    /// The last of its calls that failed: method, where to, and why.
    pub(super) failed_call: Option<String>,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Running {
    pub(super) fn new(
        facts: Arc<Facts>,
        world: Arc<dyn World>,
        source: Source<'_>,
        now_ms: i64,
        seed: Option<[u8; 16]>,
        rehearsed: bool,
    ) -> Self {
        let limits = &facts.limits;
        let log = Arc::new(GuestLog::new(
            facts.name.clone(),
            source,
            (!rehearsed).then(|| Arc::clone(&facts.book)),
            limits.log_bytes_max,
        ));
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        Running {
            wasi: wasi::context(&log, now_ms, seed),
            table,
            buffer: Buffer::new(limits.effects_max, limits.store_bytes_max),
            memory: MemoryGate::new(limits.memory_bytes_max),
            host_calls: 0,
            http_calls: 0,
            http_bytes: 0,
            kept_bytes: 0,
            keys_listed: 0,
            failed_call: None,
            facts,
            world,
            now_ms,
            log,
        }
    }

    pub(super) fn count_listed(&mut self, keys: usize) -> Result<(), Stop> {
        self.keys_listed = self.keys_listed.saturating_add(keys);
        if self.keys_listed > KEYS_LISTED_MAX {
            Err(Stop::KeysListed)
        } else {
            Ok(())
        }
    }

    /// Every import of the contract begins with this.
    pub(super) fn count_call(&mut self) -> Result<(), Stop> {
        self.host_calls = self.host_calls.saturating_add(1);
        if self.host_calls > self.facts.limits.host_calls_max {
            Err(Stop::HostCalls)
        } else {
            Ok(())
        }
    }
}

impl WasiView for Running {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}
