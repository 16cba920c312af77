//! The threads that run plugins: a runtime of their own, below the intake's priority, with so many places.

use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

/// Added to the niceness of each thread, so that receiving and storing webhooks goes first.
const NICE: i32 = 5;

/// One plugin gets one place of so many.
const SHARE: usize = 4;

pub struct PluginThreads {
    handle: Handle,
    /// Taken only when dropped.
    runtime: Option<Runtime>,
    /// Bounds the memory that all guests together can hold.
    places: Semaphore,
    share: usize,
}

impl PluginThreads {
    /// `threads` workers; at most `runs_max` runs at once, the others wait for a place before their time begins.
    pub fn new(threads: usize, runs_max: usize) -> std::io::Result<Arc<PluginThreads>> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("duet-plugin")
            .enable_all()
            .on_thread_start(|| {
                // On Linux this is the thread's own niceness. Where it is refused, all threads are equal.
                let _ = rustix::process::nice(NICE);
            })
            .build()?;
        let handle = runtime.handle().clone();
        let places = Semaphore::new(runs_max.clamp(1, Semaphore::MAX_PERMITS));
        Ok(Arc::new(PluginThreads {
            handle,
            runtime: Some(runtime),
            places,
            share: runs_max.div_ceil(SHARE),
        }))
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.handle.spawn(work)
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
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
