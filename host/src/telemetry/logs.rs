use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::Traces;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The libraries below tell what they do in such detail that only their warnings are worth a line.
const LIBRARIES: [&str; 6] = [
    "cranelift",
    "h2",
    "hyper",
    "hyper_util",
    "reqwest",
    "wasmtime",
];

/// Sends logs to stderr: Duet's own from `level` on, the libraries' warnings and errors. Spans go to `traces`, whatever
/// the level of the lines.
pub fn start_logs(
    format: LogFormat,
    level: &str,
    traces: Option<&Traces>,
) -> Result<(), anyhow::Error> {
    let quiet = LIBRARIES.map(|library| format!("{library}=warn")).join(",");
    let filter = if level == "error" {
        level.to_owned()
    } else {
        format!("{level},{quiet}")
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(EnvFilter::try_new(filter)?))
        .with(traces.map(Traces::layer))
        .try_init()
        .map_err(|error| anyhow::anyhow!("the logs cannot start: {error}"))
}
