//! What the gateway tells about itself: logs to stderr and metrics. Neither ever holds a secret, and at the
//! default level no log holds what a customer wrote.

mod logs;
mod metrics;
mod throttle;

pub use logs::{LogFormat, start_logs};
pub use metrics::Metrics;
pub use throttle::Throttle;
