//! A call of a plugin as it is told: its span, the metrics, and what the calls of an instance have come to.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::Span;
use tracing::field::Empty;

use super::Shared;
use super::instance::Loaded;
use crate::event::Event;
use crate::plugin::{Outcome, Run};
use crate::telemetry::PluginCall;

/// So many calls make the percentiles.
const RECENT: usize = 512;

/// What the calls of an instance took since the gateway started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    pub count: u64,
    pub cpu_us: u64,
    pub wall_us: u64,
    /// Of the last 512 calls; none before the first.
    pub wall_p50_us: Option<u64>,
    pub wall_p99_us: Option<u64>,
    /// The most that one of them held.
    pub memory_peak_bytes: u64,
    pub host_calls: u64,
    /// Among them, those to outside systems.
    pub http_calls: u64,
}

/// Adds the calls of an instance up.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    calls: Calls,
    /// The wall time of the last calls, us; the oldest is at `oldest` once it is full.
    recent: Vec<u64>,
    oldest: usize,
}

impl Tally {
    /// As it stands now.
    pub fn calls(&self) -> Calls {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut calls, mut recent) = (sums.calls, sums.recent.clone());
        drop(sums);
        recent.sort_unstable();
        calls.wall_p50_us = percentile(&recent, 50);
        calls.wall_p99_us = percentile(&recent, 99);
        calls
    }

    pub(super) fn add(&self, run: &Run) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = &mut sums.calls;
        calls.count += 1;
        calls.cpu_us = calls.cpu_us.saturating_add(run.cpu_us);
        calls.wall_us = calls.wall_us.saturating_add(run.wall_us);
        calls.memory_peak_bytes = calls.memory_peak_bytes.max(run.memory_peak_bytes);
        calls.host_calls = calls.host_calls.saturating_add(run.host_calls);
        calls.http_calls = calls.http_calls.saturating_add(run.http_calls);
        sums.remember(run.wall_us);
    }
}

impl Sums {
    fn remember(&mut self, wall_us: u64) {
        if self.recent.len() < RECENT {
            self.recent.push(wall_us);
            return;
        }
        if let Some(oldest) = self.recent.get_mut(self.oldest) {
            *oldest = wall_us;
        }
        self.oldest = (self.oldest + 1) % RECENT;
    }
}

/// The smallest value that so many of a hundred do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// The span of a call; [`tell`] records what it took. What the plugin logs stands in it.
pub(super) fn span(loaded: &Loaded, event: &Event, attempt: u32) -> Span {
    let digest = loaded.plugin.digest();
    tracing::debug_span!(
        "plugin.call",
        plugin = loaded.name(),
        digest = digest.get(..8).unwrap_or(digest),
        event.id = event.id,
        attempt,
        outcome = Empty,
        cpu_ms = Empty,
        wall_ms = Empty,
        memory_peak_bytes = Empty,
        host_calls = Empty,
        http_calls = Empty,
        otel.status_code = Empty,
    )
}

/// What a call took, for the metrics, the admin and the log.
pub(super) fn tell(shared: &Shared, loaded: &Loaded, span: &Span, run: &Run) {
    let (wall, cpu) = (
        Duration::from_micros(run.wall_us),
        Duration::from_micros(run.cpu_us),
    );
    let outcome = run.outcome.word();
    let call = PluginCall {
        wall,
        cpu,
        memory_peak_bytes: run.memory_peak_bytes,
        host_calls: run.host_calls,
        http_calls: run.http_calls,
    };
    shared.metrics.plugins.call(loaded.name(), &outcome, &call);
    loaded.counts().for_each(|counts| counts.calls.add(run));
    span.record("outcome", &*outcome)
        .record("cpu_ms", cpu.as_secs_f64() * 1000.0)
        .record("wall_ms", wall.as_secs_f64() * 1000.0)
        .record("memory_peak_bytes", run.memory_peak_bytes)
        .record("host_calls", run.host_calls)
        .record("http_calls", run.http_calls);
    if matches!(run.outcome, Outcome::Fault(_)) {
        span.record("otel.status_code", "ERROR");
    }
    tracing::debug!(parent: span, effects = run.effects.len(), "plugin call");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Reads;

    fn run(wall_us: u64) -> Run {
        Run {
            outcome: Outcome::Done,
            effects: Vec::new(),
            reads: Reads::default(),
            cpu_us: 2,
            wall_us,
            memory_peak_bytes: wall_us,
            host_calls: 3,
            http_calls: 2,
            failed_call: None,
        }
    }

    #[test]
    fn percentiles_are_those_of_the_last_calls_and_the_rest_of_all() {
        let tally = Tally::default();
        assert_eq!(tally.calls(), Calls::default());
        for _ in 0..600 {
            tally.add(&run(1_000_000));
        }
        for wall_us in 1..=512 {
            tally.add(&run(wall_us));
        }
        let calls = Calls {
            count: 1112,
            cpu_us: 2224,
            wall_us: 600_000_000 + 512 * 513 / 2,
            wall_p50_us: Some(256),
            wall_p99_us: Some(507),
            memory_peak_bytes: 1_000_000,
            host_calls: 3336,
            http_calls: 2224,
        };
        assert_eq!(tally.calls(), calls);
        let one = Tally::default();
        one.add(&run(7));
        assert_eq!(
            (one.calls().wall_p50_us, one.calls().wall_p99_us),
            (Some(7), Some(7))
        );
    }
}
