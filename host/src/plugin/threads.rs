//! The threads that run plugins: a runtime of their own, below the intake's priority, with so many places. A run that
//! computes for long goes on in another one, so that short runs never queue behind it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::Poll;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::{JoinHandle, JoinSet};
use tracing::Instrument;

/// Added to the niceness of each thread, so that receiving and storing webhooks goes first. Long runs are no lower:
/// whoever maps memory may have to wait for one that was stopped while it did the same.
const NICE: i32 = 5;
/// A run that has computed for so long, half a tick of the engine's clock, is a long one.
const LONG_US: u64 = 5_000;
/// After a long run of a plugin so many of its runs begin among the long ones.
const LONG_AHEAD: u32 = 8;

/// One plugin gets one place of so many.
const SHARE: usize = 4;

pub struct PluginThreads {
    handle: Handle,
    /// For long runs.
    long: Handle,
    /// Both; taken only when dropped.
    runtimes: Option<[Runtime; 2]>,
    /// Bounds the memory that all guests together can hold.
    places: Semaphore,
    share: usize,
}

impl PluginThreads {
    /// `threads` workers; at most `runs_max` runs at once, the others wait for a place before their time begins.
    pub fn new(threads: usize, runs_max: usize) -> std::io::Result<Arc<PluginThreads>> {
        let runtimes = [
            runtime(threads, "duet-plugin")?,
            // They leave a core to the rest: who wakes up beside one that computes may wait for its slice to end.
            runtime(threads.saturating_sub(1), "duet-long")?,
        ];
        let [handle, long] = runtimes.each_ref().map(|runtime| runtime.handle().clone());
        let places = Semaphore::new(runs_max.clamp(1, Semaphore::MAX_PERMITS));
        Ok(Arc::new(PluginThreads {
            handle,
            long,
            runtimes: Some(runtimes),
            places,
            share: runs_max.div_ceil(SHARE),
        }))
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.handle.spawn(work)
    }

    /// Drives a run to its end: where it is called, and among the long ones once it has computed for long, or from the
    /// beginning where its plugin's `habit` is such. `computed_us` is what it has computed so far. None when the gateway
    /// is ending. Dropping the future stops the run.
    pub(super) async fn drive<T: Send + 'static>(
        &self,
        mut run: Pin<Box<dyn Future<Output = T> + Send>>,
        computed_us: &AtomicU64,
        habit: &Habit,
    ) -> Option<T> {
        let is_long = || computed_us.load(Ordering::Relaxed) >= LONG_US;
        if !habit.is_long() {
            let short = poll_fn(|context| match run.as_mut().poll(context) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending if is_long() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            if let Some(ended) = short.await {
                habit.ended(is_long());
                return Some(ended);
            }
        }
        let mut task = JoinSet::new();
        task.spawn_on(run.in_current_span(), &self.long);
        let ended = task.join_next().await?;
        habit.ended(is_long());
        match ended {
            Ok(ended) => Some(ended),
            Err(broken) => match broken.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => None,
            },
        }
    }

    /// How many places one plugin may hold: its runs may wait for seconds, and others want to run.
    pub(super) fn share(&self) -> usize {
        self.share
    }

    /// A place for one run, held until it is dropped.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed; without a permit the run goes on all the same.
        self.places.acquire().await.ok()
    }
}

impl Drop for PluginThreads {
    fn drop(&mut self) {
        // An async context must not block on the workers, and a spinning guest must not hold up the end.
        for runtime in self.runtimes.take().into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

fn runtime(threads: usize, name: &str) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name(name)
        .enable_all()
        .on_thread_start(|| {
            // On Linux this is the thread's own niceness. Where it is refused, all threads are equal.
            let _ = rustix::process::nice(NICE);
        })
        .build()
}

/// Whether a plugin's runs compute for long, as far as the last ones tell.
#[derive(Debug, Default)]
pub(super) struct Habit(AtomicU32);

impl Habit {
    fn is_long(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    fn ended(&self, long: bool) {
        // Two that end at once may count as one: it is a guess in any case.
        let ahead = self.0.load(Ordering::Relaxed);
        let ahead = if long {
            LONG_AHEAD
        } else {
            ahead.saturating_sub(1)
        };
        self.0.store(ahead, Ordering::Relaxed);
    }
}
