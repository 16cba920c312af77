//! CPU time of a run: what its thread spends inside the future, nothing while it waits.
//!
//! A guest that waits in an import is not polled, so waiting costs nothing however often it waits; many short
//! bursts add up, since every poll is measured. The epoch's tick bounds one poll, so a spinning guest is stopped
//! at most one tick late. The thread's CPU clock is read, not the wall clock: a busy machine is not the guest's fault.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use rustix::time::{ClockId, clock_gettime};

/// The budget is used up; the future was dropped at a point where it waited.
#[derive(Debug)]
pub(super) struct BudgetSpent;

/// Runs a future until it is ready or has used `us_max` microseconds of CPU.
pub(super) struct Metered<F> {
    future: Pin<Box<F>>,
    us_max: u64,
    us: Arc<AtomicU64>,
}

impl<F: Future> Metered<F> {
    /// `us` is added to as the future runs, and can be read whatever becomes of it.
    pub(super) fn new(future: F, us_max: u64, us: Arc<AtomicU64>) -> Self {
        Metered {
            future: Box::pin(future),
            us_max,
            us,
        }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = Result<F::Output, BudgetSpent>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let before = thread_cpu_us();
        let polled = self.future.as_mut().poll(cx);
        let burst = thread_cpu_us().saturating_sub(before);
        let spent = self
            .us
            .fetch_add(burst, Ordering::Relaxed)
            .saturating_add(burst);
        match polled {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if spent > self.us_max => Poll::Ready(Err(BudgetSpent)),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn thread_cpu_us() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(nanos / 1_000)
}
