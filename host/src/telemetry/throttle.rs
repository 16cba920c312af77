use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines of one kind are at least so far apart.
const APART: Duration = Duration::from_secs(60);

/// Lets the first occasion of a line through, then at most one a minute.
#[derive(Debug, Default)]
pub struct Throttle {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    count: u64,
}

impl Throttle {
    /// How many occasions there were since the last line, this one included; `None` when it is too soon for a line.
    pub fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += 1;
        let soon = |last| now.saturating_duration_since(last) < APART;
        if state.last.is_some_and(soon) {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_occasion_passes_and_then_one_a_minute_with_the_count() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let passed: Vec<_> = [0, 1, 59, 60, 61, 200]
            .map(|seconds| throttle.pass(start + Duration::from_secs(seconds)))
            .into();
        assert_eq!(passed, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
