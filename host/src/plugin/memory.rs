//! What a guest may allocate: linear memory up to its limit, and a fixed number of tables and instances.

use wasmtime::ResourceLimiter;

use super::fault::Stop;

/// Interpreters inside a component need some dozens; more is no honest plugin.
const INSTANCES_MAX: usize = 256;
const TABLES_MAX: usize = 256;
const MEMORIES_MAX: usize = 32;
const TABLE_ELEMENTS_MAX: usize = 1_000_000;

/// Counts all linear memories of a run together and remembers the peak.
#[derive(Debug)]
pub(super) struct MemoryGate {
    bytes_max: usize,
    bytes: usize,
    elements: usize,
    pub(super) bytes_peak: usize,
}

impl MemoryGate {
    pub(super) fn new(bytes_max: u64) -> Self {
        MemoryGate {
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            bytes: 0,
            elements: 0,
            bytes_peak: 0,
        }
    }
}

impl ResourceLimiter for MemoryGate {
    // Refusing with an error ends the run here and by name. Answering -1 would leave it to the guest's
    // allocator, which ends in an anonymous trap in nearly every language.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let bytes = self.bytes.saturating_add(desired.saturating_sub(current));
        if bytes > self.bytes_max {
            return Err(Stop::Memory.into());
        }
        self.bytes = bytes;
        self.bytes_peak = self.bytes_peak.max(bytes);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.elements = self
            .elements
            .saturating_add(desired.saturating_sub(current));
        if self.elements > TABLE_ELEMENTS_MAX {
            return Err(Stop::Tables.into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
