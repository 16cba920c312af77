use crate::toml_file::{Findings, Section};

/// What one event may cost a plugin; beyond it the run is stopped as a fault. From `[plugins.<name>.limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time in which the guest itself computes.
    pub cpu_ms_max: u64,
    /// Time from start to end, waiting included.
    pub wall_ms_max: u64,
    /// Linear memory of the instance.
    pub memory_bytes_max: u64,
    /// Calls of host functions.
    pub host_calls_max: u64,
    /// Log lines, taken together.
    pub log_bytes_max: u64,
    /// Values written to the store, taken together.
    pub store_bytes_max: u64,
    /// Sends, store writes and other effects.
    pub effects_max: u64,
    /// Calls to outside systems.
    pub http_calls_max: u64,
    /// What those calls carry, taken together: URLs, headers and bodies.
    pub http_request_bytes_max: u64,
    /// The longest answer to one of them, headers and body.
    pub http_response_bytes_max: u64,
}

/// One row of the table of limits.
#[derive(Clone, Copy)]
struct Limit {
    key: &'static str,
    default: u64,
    min: u64,
    max: u64,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const CPU: Limit = Limit {
    key: "cpu_ms_max",
    default: 200,
    min: 1,
    max: 10_000,
};
const WALL: Limit = Limit {
    key: "wall_ms_max",
    default: 10_000,
    min: 1,
    max: 600_000,
};
const MEMORY: Limit = Limit {
    key: "memory_bytes_max",
    default: 64 * MIB,
    min: MIB,
    max: 1024 * MIB,
};
const HOST_CALLS: Limit = Limit {
    key: "host_calls_max",
    default: 1000,
    min: 1,
    max: 100_000,
};
const LOG: Limit = Limit {
    key: "log_bytes_max",
    default: 64 * KIB,
    min: 0,
    max: MIB,
};
const STORE: Limit = Limit {
    key: "store_bytes_max",
    default: MIB,
    min: 0,
    max: 64 * MIB,
};
const EFFECTS: Limit = Limit {
    key: "effects_max",
    default: 100,
    min: 0,
    max: 10_000,
};

const HTTP_CALLS: Limit = Limit {
    key: "http_calls_max",
    default: 20,
    min: 0,
    max: 1000,
};
const HTTP_REQUEST: Limit = Limit {
    key: "http_request_bytes_max",
    default: MIB,
    min: KIB,
    max: 64 * MIB,
};
const HTTP_RESPONSE: Limit = Limit {
    key: "http_response_bytes_max",
    default: MIB,
    min: KIB,
    max: 64 * MIB,
};

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_ms_max: CPU.default,
            wall_ms_max: WALL.default,
            memory_bytes_max: MEMORY.default,
            host_calls_max: HOST_CALLS.default,
            log_bytes_max: LOG.default,
            store_bytes_max: STORE.default,
            effects_max: EFFECTS.default,
            http_calls_max: HTTP_CALLS.default,
            http_request_bytes_max: HTTP_REQUEST.default,
            http_response_bytes_max: HTTP_RESPONSE.default,
        }
    }
}

pub(super) fn read(mut section: Section<'_>, findings: &mut Findings<'_>) -> Limits {
    let limits = Limits {
        cpu_ms_max: count(&mut section, CPU, findings),
        wall_ms_max: count(&mut section, WALL, findings),
        memory_bytes_max: size(&mut section, MEMORY, findings),
        host_calls_max: count(&mut section, HOST_CALLS, findings),
        log_bytes_max: size(&mut section, LOG, findings),
        store_bytes_max: size(&mut section, STORE, findings),
        effects_max: count(&mut section, EFFECTS, findings),
        http_calls_max: count(&mut section, HTTP_CALLS, findings),
        http_request_bytes_max: size(&mut section, HTTP_REQUEST, findings),
        http_response_bytes_max: size(&mut section, HTTP_RESPONSE, findings),
    };
    section.finish(findings);
    limits
}

fn count(section: &mut Section<'_>, limit: Limit, findings: &mut Findings<'_>) -> u64 {
    section
        .integer(limit.key, limit.min..=limit.max, findings)
        .unwrap_or(limit.default)
}

fn size(section: &mut Section<'_>, limit: Limit, findings: &mut Findings<'_>) -> u64 {
    section
        .bytes(limit.key, limit.min..=limit.max, findings)
        .unwrap_or(limit.default)
}
