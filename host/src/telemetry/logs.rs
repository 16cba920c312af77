use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

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

/// Sends logs to stderr: Duet's own from `level` on, the libraries' warnings and errors.
pub fn start_logs(format: LogFormat, level: &str) -> Result<(), anyhow::Error> {
    let quiet = LIBRARIES.map(|library| format!("{library}=warn")).join(",");
    let filter = if level == "error" {
        level.to_owned()
    } else {
        format!("{level},{quiet}")
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the logs cannot start: {error}"))
}
