//! The threads that run plugins: a runtime of their own, below the intake's priority, with so many places. A run that
//! computes for long goes on in another one, so that short runs never queue behind it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::{JoinHandle, JoinSet};
use tracing::Instrument;

/// Added to the niceness of each thread, so that receiving and storing webhooks goes first.
const NICE: i32 = 5;
/// A run that has computed for so long, half a tick of the engine's clock, is a long one.
const LONG_US: u64 = 5_000;
/// After a long run of a plugin, or when nothing is known of it, so many of its runs begin among the long ones.
const LONG_AHEAD: u32 = 8;
/// A thread of the long runs that stays between two ticks for so long gets none of a busy machine's time.
const STARVED: Duration = Duration::from_millis(250);
/// For so long after that long runs go on among the short ones.
const STARVED_AHEAD: Duration = Duration::from_secs(10);

/// One plugin gets one place of so many, and of those that are kept for plugins that have none there is one of so many.
const SHARE: usize = 4;

pub struct PluginThreads {
    handle: Handle,
    /// For long runs.
    long: Handle,
    /// Both; taken only when dropped.
    runtimes: Option<[Runtime; 2]>,
    /// Both bound the memory that all guests together can hold. These are for whoever comes first,
    places: Semaphore,
    /// and these for plugins of which nothing runs: runs that wait for a system that hangs hold their places for long.
    firsts: Semaphore,
    share: usize,
    born: Instant,
    /// Milliseconds after that; until then no run goes to the threads for long ones.
    starved_until_ms: AtomicU64,
}

/// A run on its way.
type Driven<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl PluginThreads {
    /// `threads` workers; at most `runs_max` runs at once, the others wait for a place before their time begins.
    pub fn new(threads: usize, runs_max: usize) -> std::io::Result<Arc<PluginThreads>> {
        let runtimes = [
            runtime(threads, "duet-plugin", nicer)?,
            // They leave a core to the rest: what they do inside the kernel is not interrupted.
            runtime(threads.saturating_sub(1), "duet-long", idle)?,
        ];
        let [handle, long] = runtimes.each_ref().map(|runtime| runtime.handle().clone());
        let runs_max = runs_max.clamp(1, Semaphore::MAX_PERMITS);
        let firsts = runs_max / SHARE;
        Ok(Arc::new(PluginThreads {
            handle,
            long,
            runtimes: Some(runtimes),
            places: Semaphore::new(runs_max - firsts),
            firsts: Semaphore::new(firsts),
            share: runs_max.div_ceil(SHARE),
            born: Instant::now(),
            starved_until_ms: AtomicU64::new(0),
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
        mut run: Driven<T>,
        computed_us: &AtomicU64,
        habit: &Habit,
    ) -> Option<T> {
        let is_long = || computed_us.load(Ordering::Relaxed) >= LONG_US;
        let mut goes = habit.is_long() && !self.starved();
        let ended = loop {
            if goes {
                match self.among_the_long(run).await? {
                    Ok(ended) => break ended,
                    Err(starved) => run = starved,
                }
            }
            let here = poll_fn(|context| match run.as_mut().poll(context) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending if is_long() && !self.starved() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            match here.await {
                Some(ended) => break ended,
                None => goes = true,
            }
        };
        habit.ended(is_long());
        Some(ended)
    }

    /// Drives a run in the threads for long ones, or gives it back when they get no time. None when the gateway is ending.
    async fn among_the_long<T: Send + 'static>(
        &self,
        mut run: Driven<T>,
    ) -> Option<Result<T, Driven<T>>> {
        let driven = async move {
            let ended = poll_fn(|context| {
                let began = Instant::now();
                match run.as_mut().poll(context) {
                    Poll::Ready(ended) => Poll::Ready(Some(ended)),
                    Poll::Pending if began.elapsed() >= STARVED => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            });
            ended.await.ok_or(run)
        };
        let mut task = JoinSet::new();
        task.spawn_on(driven.in_current_span(), &self.long);
        match task.join_next().await? {
            Ok(ended) => {
                if ended.is_err() {
                    self.starve();
                }
                Some(ended)
            }
            Err(broken) => match broken.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => None,
            },
        }
    }

    fn starved(&self) -> bool {
        self.age_ms() < self.starved_until_ms.load(Ordering::Relaxed)
    }

    fn starve(&self) {
        let ahead = u64::try_from(STARVED_AHEAD.as_millis()).unwrap_or(u64::MAX);
        let until_ms = self.age_ms().saturating_add(ahead);
        self.starved_until_ms.store(until_ms, Ordering::Relaxed);
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What one plugin may hold of the places: its runs may wait for seconds, and others want to run.
    pub(super) fn share(&self) -> Share {
        Share {
            first: Semaphore::new(1),
            more: Semaphore::new(self.share.saturating_sub(1)),
        }
    }

    /// A place for one run of a plugin, held until it is dropped.
    pub(super) async fn place<'a>(&'a self, share: &'a Share) -> Place<'a> {
        // No semaphore is ever closed; without a permit the run goes on all the same.
        let (of_share, is_first) = tokio::select! {
            biased;
            first = share.first.acquire() => (first.ok(), true),
            more = share.more.acquire() => (more.ok(), false),
        };
        let of_all = tokio::select! {
            biased;
            first = self.firsts.acquire(), if is_first => first.ok(),
            place = self.places.acquire() => place.ok(),
        };
        Place {
            _of_share: of_share,
            _of_all: of_all,
        }
    }
}

/// What one plugin holds of the places.
pub(super) struct Share {
    first: Semaphore,
    more: Semaphore,
}

/// A run's right to hold its memory.
pub(super) struct Place<'a> {
    _of_share: Option<SemaphorePermit<'a>>,
    _of_all: Option<SemaphorePermit<'a>>,
}

impl Drop for PluginThreads {
    fn drop(&mut self) {
        // An async context must not block on the workers, and a spinning guest must not hold up the end.
        for runtime in self.runtimes.take().into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

fn runtime(threads: usize, name: &str, gives_way: fn()) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name(name)
        .enable_all()
        .on_thread_start(gives_way)
        .build()
}

/// Makes this thread give way to receiving and storing. Where it is refused, all threads are equal.
fn nicer() {
    // On Linux this is the thread's own niceness.
    let _ = rustix::process::nice(NICE);
}

/// Makes this thread give way to whatever else wants to run, at once: one that is only nicer goes on to the end of its
/// slice, and a message that wakes up a dozen threads one after the other would wait for as many slices.
fn idle() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
}

/// Whether a plugin's runs compute for long, as far as the last ones tell.
#[derive(Debug)]
pub(super) struct Habit(AtomicU32);

impl Default for Habit {
    fn default() -> Habit {
        Habit(AtomicU32::new(LONG_AHEAD))
    }
}

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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn plugins_of_which_nothing_is_known_begin_among_the_long_ones() {
        let habit = Habit::default();
        for _ in 0..LONG_AHEAD {
            assert!(habit.is_long());
            habit.ended(false);
        }
        assert!(!habit.is_long());
        habit.ended(true);
        assert!(habit.is_long());
    }

    #[test]
    fn whoever_waits_for_long_leaves_places_to_plugins_that_have_none() {
        let threads = PluginThreads::new(1, 64).unwrap();
        let hanging: Vec<Share> = (0..5).map(|_| threads.share()).collect();
        let mut held = Vec::new();
        for share in &hanging {
            while let Some(place) = threads.place(share).now_or_never() {
                held.push(place);
            }
        }
        assert!(held.len() < 64, "{}", held.len());
        let (one, other) = (threads.share(), threads.share());
        let first = threads.place(&one).now_or_never();
        assert!(first.is_some());
        assert!(
            threads.place(&one).now_or_never().is_none(),
            "all others are taken"
        );
        assert!(threads.place(&other).now_or_never().is_some());
        drop(first);
        assert!(threads.place(&one).now_or_never().is_some());
    }
}
