//! What `/metrics` tells of plugins. Every label is a name from `plugins.toml` or a word of a closed set, so a plugin
//! cannot make more series; those of a plugin that was taken out stay until the gateway starts again.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Plugin {
    plugin: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    plugin: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    plugin: String,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    result: String,
}

type Histograms = Family<Plugin, Histogram, fn() -> Histogram>;

/// What one call of a plugin took.
#[derive(Debug, Clone, Copy)]
pub struct PluginCall {
    pub wall: Duration,
    pub cpu: Duration,
    pub memory_peak_bytes: u64,
    pub host_calls: u64,
    pub http_calls: u64,
}

/// An instance at the moment of a scrape.
#[derive(Debug, Clone)]
pub struct PluginNow {
    pub name: String,
    /// `loading`, `ready`, `waiting`, `quarantined`, `disabled` or `rejected`.
    pub state: String,
    /// Events that it has seen and not done.
    pub depth: u64,
    /// Lines of its log that were too fast, since the gateway started.
    pub log_lines_dropped: u64,
}

/// Counted while plugins work.
pub struct PluginMetrics {
    calls: Family<Outcome, Counter>,
    call_seconds: Histograms,
    cpu_seconds: Family<Plugin, Counter<f64, AtomicU64>>,
    memory_bytes: Histograms,
    host_calls: Family<Plugin, Counter>,
    http_calls: Family<Plugin, Counter>,
    reloads: Family<Reload, Counter>,
    hook_calls: Family<Outcome, Counter>,
}

impl Default for PluginMetrics {
    fn default() -> PluginMetrics {
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0005, 2.5, 13));
        // From the page that every memory begins with to the 1 GiB that a plugin may be given.
        let bytes: fn() -> Histogram = || Histogram::new(exponential_buckets(65_536.0, 4.0, 8));
        PluginMetrics {
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(seconds),
            cpu_seconds: Family::default(),
            memory_bytes: Family::new_with_constructor(bytes),
            host_calls: Family::default(),
            http_calls: Family::default(),
            reloads: Family::default(),
            hook_calls: Family::default(),
        }
    }
}

impl PluginMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "plugin_calls",
            "Plugin calls by outcome",
            self.calls.clone(),
        );
        registry.register_with_unit(
            "plugin_call",
            "How long plugin calls took",
            Unit::Seconds,
            self.call_seconds.clone(),
        );
        registry.register_with_unit(
            "plugin_cpu",
            "Time that plugins computed",
            Unit::Seconds,
            self.cpu_seconds.clone(),
        );
        registry.register_with_unit(
            "plugin_memory_peak",
            "The most memory that plugin calls held",
            Unit::Bytes,
            self.memory_bytes.clone(),
        );
        registry.register(
            "plugin_host_calls",
            "Calls of the host's functions by plugins",
            self.host_calls.clone(),
        );
        registry.register(
            "plugin_http_calls",
            "Calls of outside systems by plugins",
            self.http_calls.clone(),
        );
        registry.register(
            "plugin_reloads",
            "Changes of plugins by what became of them",
            self.reloads.clone(),
        );
        registry.register(
            "hook_calls",
            "Calls of plugins' hooks by outcome",
            self.hook_calls.clone(),
        );
    }

    /// A call has ended: `done`, `retry`, `reject`, `unavailable`, `fault.cpu`, ….
    pub fn call(&self, plugin: &str, outcome: &str, call: &PluginCall) {
        let plugin = plugin.to_owned();
        let ended = Outcome {
            plugin: plugin.clone(),
            outcome: outcome.to_owned(),
        };
        self.calls.get_or_create(&ended).inc();
        let plugin = Plugin { plugin };
        let (wall, cpu) = (call.wall.as_secs_f64(), call.cpu.as_secs_f64());
        self.call_seconds.get_or_create(&plugin).observe(wall);
        self.cpu_seconds.get_or_create(&plugin).inc_by(cpu);
        // No plugin may hold 4 GiB, and below that each number of bytes is a float of its own.
        let peak = u32::try_from(call.memory_peak_bytes).unwrap_or(u32::MAX);
        self.memory_bytes
            .get_or_create(&plugin)
            .observe(f64::from(peak));
        self.host_calls
            .get_or_create(&plugin)
            .inc_by(call.host_calls);
        self.http_calls
            .get_or_create(&plugin)
            .inc_by(call.http_calls);
    }

    /// A change was read: `loaded` or `refused` for one plugin, `file-refused` for `plugins.toml` as a whole.
    pub fn reload(&self, result: &str) {
        let result = result.to_owned();
        self.reloads.get_or_create(&Reload { result }).inc();
    }

    /// A hook was called: `stored`, `repeated`, `answered`, or why it was not taken; of no plugin where there is none such.
    pub fn hook(&self, plugin: &str, outcome: &str) {
        let called = Outcome {
            plugin: plugin.to_owned(),
            outcome: outcome.to_owned(),
        };
        self.hook_calls.get_or_create(&called).inc();
    }
}

/// What a scrape finds: made anew each time, so that nothing outlives its plugin.
pub(super) fn as_found(plugins: impl IntoIterator<Item = PluginNow>) -> Registry {
    let states: Family<State, Gauge> = Family::default();
    let depths: Family<Plugin, Gauge> = Family::default();
    let dropped: Family<Plugin, Counter> = Family::default();
    for now in plugins {
        let state = State {
            plugin: now.name.clone(),
            state: now.state,
        };
        states.get_or_create(&state).set(1);
        let plugin = Plugin { plugin: now.name };
        let depth = i64::try_from(now.depth).unwrap_or(i64::MAX);
        depths.get_or_create(&plugin).set(depth);
        dropped.get_or_create(&plugin).inc_by(now.log_lines_dropped);
    }
    let mut registry = Registry::with_prefix(super::metrics::PREFIX);
    registry.register("plugin_state", "1 for the state of each plugin", states);
    registry.register(
        "plugin_queue_depth",
        "Events that a plugin has seen and not done",
        depths,
    );
    registry.register(
        "plugin_log_lines_dropped",
        "Lines of plugins' logs that were too fast",
        dropped,
    );
    registry
}
