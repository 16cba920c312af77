use super::Metrics;
use crate::store::alarms::Alarm;

/// Tells of alarms when they open: a line each in the log, and a count in the metrics.
pub fn tell_alarms(metrics: &Metrics, raised: &[Alarm]) {
    for alarm in raised {
        metrics.alarm(alarm.name);
        tracing::warn!(
            alarm = alarm.name,
            number = alarm.number,
            contact = alarm.contact,
            business = alarm.business,
            plugin = alarm.plugin,
            event = alarm.seq,
            "{}",
            alarm.detail
        );
    }
}
