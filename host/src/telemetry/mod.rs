//! What the gateway tells about itself: logs to stderr, metrics, and spans for a collector. None ever holds a secret, and at
//! the default level no log holds what a customer wrote.

mod alarms;
mod logs;
mod metrics;
mod plugins;
mod throttle;
mod traces;

pub use alarms::tell_alarms;
pub use logs::{LogFormat, start_logs};
pub use metrics::Metrics;
pub use plugins::{PluginCall, PluginMetrics, PluginNow};
pub use throttle::Throttle;
pub use traces::Traces;
