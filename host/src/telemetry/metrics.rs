use std::fmt::Write;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::plugins::{PluginMetrics, PluginNow, as_found};

/// What every name begins with.
pub(super) const PREFIX: &str = "duet";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    family: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: String,
}

/// Everything that `/metrics` tells. Labels are closed sets or names from plugins.toml, never what came from outside.
pub struct Metrics {
    registry: Registry,
    receipts: Family<Outcome, Counter>,
    /// From the arrival of a body to its place on disk.
    pub receipt_commit_seconds: Histogram,
    /// Receipts on disk that intake has not taken in.
    pub intake_lag_receipts: Gauge,
    events: Family<Kind, Counter>,
    pub plugins: PluginMetrics,
    outbox: Family<State, Gauge>,
    sends: Family<Outcome, Counter>,
    alarms: Family<Name, Counter>,
    /// Dead letters that wait for the admin.
    pub dead_letters: Gauge,
    queues: Family<Queue, Gauge>,
    media: Family<Outcome, Counter>,
    media_given_up: Family<State, Counter>,
    uploads: Family<Outcome, Counter>,
    /// What the files of messages take on disk.
    pub media_bytes: Gauge,
    /// 1 while files are not fetched because there is no room.
    pub media_paused: Gauge,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::with_prefix(PREFIX),
            receipts: Family::default(),
            receipt_commit_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 14)),
            intake_lag_receipts: Gauge::default(),
            events: Family::default(),
            plugins: PluginMetrics::default(),
            outbox: Family::default(),
            sends: Family::default(),
            alarms: Family::default(),
            dead_letters: Gauge::default(),
            queues: Family::default(),
            media: Family::default(),
            media_given_up: Family::default(),
            uploads: Family::default(),
            media_bytes: Gauge::default(),
            media_paused: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "receipts",
            "Webhook bodies by outcome",
            self.receipts.clone(),
        );
        registry.register_with_unit(
            "receipt_commit",
            "From a body's arrival to its place on disk",
            Unit::Seconds,
            self.receipt_commit_seconds.clone(),
        );
        registry.register(
            "intake_lag_receipts",
            "Receipts on disk that are not yet events",
            self.intake_lag_receipts.clone(),
        );
        registry.register(
            "events",
            "Events by the first word of their kind",
            self.events.clone(),
        );
        self.plugins.register(registry);
        registry.register("outbox", "Open sends by state", self.outbox.clone());
        registry.register("sends", "Sends by outcome", self.sends.clone());
        registry.register("alarms", "Alarms that were opened", self.alarms.clone());
        registry.register(
            "dead_letters",
            "Dead letters that wait for the admin",
            self.dead_letters.clone(),
        );
        registry.register("queue_depth", "What waits in a queue", self.queues.clone());
        registry.register(
            "media_fetches",
            "Tries to fetch files of messages by outcome",
            self.media.clone(),
        );
        registry.register(
            "media_given_up",
            "Files of messages that are not tried again, by their state",
            self.media_given_up.clone(),
        );
        registry.register(
            "media_uploads",
            "Uploads of files for sends by outcome",
            self.uploads.clone(),
        );
        registry.register_with_unit(
            "media_stored",
            "Files of messages on disk",
            Unit::Bytes,
            self.media_bytes.clone(),
        );
        registry.register(
            "media_paused",
            "1 while files of messages are not fetched because there is no room",
            self.media_paused.clone(),
        );
    }

    /// A webhook was answered: `stored`, `unsigned`, `forged` (of a partner), `incomplete`, `too_large`, `full` or `disk`.
    pub fn receipt(&self, outcome: &str) {
        self.receipts
            .get_or_create(&Outcome {
                outcome: outcome.into(),
            })
            .inc();
    }

    /// Events of this kind were stored; only the kind's first word is counted.
    pub fn events(&self, kind: &str, count: u64) {
        let family = kind.split('.').next().unwrap_or_default().into();
        self.events.get_or_create(&Kind { family }).inc_by(count);
    }

    /// A send went one step: `sent`, `retried`, `lost`, `cancelled`, `refused`, `dead`.
    pub fn send(&self, outcome: &str) {
        self.sends
            .get_or_create(&Outcome {
                outcome: outcome.into(),
            })
            .inc();
    }

    /// An alarm of this name was opened.
    pub fn alarm(&self, name: &str) {
        self.alarms.get_or_create(&Name { name: name.into() }).inc();
    }

    /// So many open sends are in this state now.
    pub fn outbox(&self, state: &str, count: i64) {
        self.outbox
            .get_or_create(&State {
                state: state.into(),
            })
            .set(count);
    }

    /// So much waits in this queue now.
    pub fn queue(&self, name: &str, depth: i64) {
        self.queues
            .get_or_create(&Queue { queue: name.into() })
            .set(depth);
    }

    /// A try to fetch a file has ended: `stored`, `unanswered`, `refused`, `tampered`, `foreign`, `too_large`, or
    /// `stuck` when the disk refuses.
    pub fn media(&self, outcome: &str) {
        self.media
            .get_or_create(&Outcome {
                outcome: outcome.into(),
            })
            .inc();
    }

    /// A file is not tried again: `failed`, `expired` or `too-large`.
    pub fn media_given_up(&self, state: &str) {
        self.media_given_up
            .get_or_create(&State {
                state: state.into(),
            })
            .inc();
    }

    /// An upload of a file for sends has ended or is tried again: `done`, `known`, `retried`, `refused`,
    /// `dead` or `held`.
    pub fn upload(&self, outcome: &str) {
        self.uploads
            .get_or_create(&Outcome {
                outcome: outcome.into(),
            })
            .inc();
    }

    /// The OpenMetrics text, with the plugins as they stand now.
    pub fn text(&self, plugins: impl IntoIterator<Item = PluginNow>) -> String {
        let mut text = String::new();
        let written = text::encode_registry(&mut text, &self.registry)
            .and_then(|()| text::encode_registry(&mut text, &as_found(plugins)));
        if written.is_err() {
            text.clear();
        }
        let _ = text.write_str("# EOF\n");
        text
    }

    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use super::*;
    use crate::telemetry::PluginCall;

    const PAGE: &str = include_str!("../../../docs/metrics.md");

    /// Something of everything, since what is empty is not in the text.
    fn text() -> String {
        let metrics = Metrics::default();
        metrics.receipt("accepted");
        metrics.events("message.text", 3);
        let call = PluginCall {
            wall: Duration::from_millis(20),
            cpu: Duration::from_millis(5),
            memory_peak_bytes: 1 << 20,
            host_calls: 7,
            http_calls: 3,
        };
        metrics.plugins.call("crm", "fault.cpu", &call);
        metrics.plugins.reload("loaded");
        metrics.plugins.hook("crm", "stored");
        metrics.outbox("pending", 7);
        metrics.send("sent");
        metrics.alarm("app-silent");
        metrics.queue("media", 1);
        metrics.media("stored");
        metrics.media_given_up("failed");
        metrics.upload("done");
        let now = PluginNow {
            name: "crm".into(),
            state: "ready".into(),
            depth: 2,
            log_lines_dropped: 9,
        };
        let text = metrics.text([now]);
        let plugins = 3;
        let registered = format!("{:?}", metrics.registry)
            .matches("Descriptor {")
            .count();
        let told = text.matches("# TYPE ").count();
        assert_eq!(told, registered + plugins, "one is empty in\n{text}");
        text
    }

    #[test]
    fn what_happened_is_in_the_text() {
        let text = text();
        for line in [
            "duet_receipts_total{outcome=\"accepted\"} 1",
            "duet_events_total{family=\"message\"} 3",
            "duet_plugin_calls_total{plugin=\"crm\",outcome=\"fault.cpu\"} 1",
            "duet_plugin_call_seconds_count{plugin=\"crm\"} 1",
            "duet_plugin_cpu_seconds_total{plugin=\"crm\"} 0.005",
            "duet_plugin_memory_peak_bytes_sum{plugin=\"crm\"} 1048576.0",
            "duet_plugin_host_calls_total{plugin=\"crm\"} 7",
            "duet_plugin_http_calls_total{plugin=\"crm\"} 3",
            "duet_hook_calls_total{plugin=\"crm\",outcome=\"stored\"} 1",
            "duet_plugin_state{plugin=\"crm\",state=\"ready\"} 1",
            "duet_plugin_queue_depth{plugin=\"crm\"} 2",
            "duet_plugin_log_lines_dropped_total{plugin=\"crm\"} 9",
            "duet_outbox{state=\"pending\"} 7",
            "duet_dead_letters 0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is missing in\n{text}"
            );
        }
        assert!(text.ends_with("# EOF\n"));
    }

    /// Name to type and labels, of everything in the text.
    fn told(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
        let mut told = BTreeMap::new();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for (name, kind) in types.filter_map(|line| line.split_once(' ')) {
            let ends: &[&str] = match kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            let samples = text.lines().filter_map(|line| {
                let rest = line.strip_prefix(name)?;
                let rest = ends.iter().find_map(|end| rest.strip_prefix(end))?;
                rest.starts_with(['{', ' ']).then_some(rest)
            });
            let labels = samples.flat_map(|rest| {
                let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
                let labels = labels.into_iter().flat_map(|(labels, _)| labels.split(','));
                labels
                    .filter_map(|label| label.split_once('='))
                    .map(|(name, _)| name)
            });
            let labels = labels.filter(|label| *label != "le").map(str::to_owned);
            let end = if kind == "counter" { "_total" } else { "" };
            told.insert(format!("{name}{end}"), (kind.to_owned(), labels.collect()));
        }
        told
    }

    #[test]
    fn the_page_has_a_row_for_every_metric() {
        let rows = PAGE
            .lines()
            .filter_map(|line| line.strip_prefix("| `duet_"));
        let rows = rows.map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [name, kind, labels, ..] = cells.as_slice() else {
                panic!("a row has name, type, labels and words: {row}")
            };
            let labels = labels.split(", ").map(|label| label.trim_matches('`'));
            let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned);
            let name = format!("duet_{}", name.trim_matches('`'));
            (name, ((*kind).to_owned(), labels.collect()))
        });
        assert_eq!(rows.collect::<BTreeMap<_, _>>(), told(&text()));
    }
}
