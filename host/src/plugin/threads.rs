//! The threads that run plugins: a runtime of their own, below the intake's priority, with so many places.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle};

/// Added to the niceness of each thread, so that receiving and storing webhooks goes first.
const NICE: i32 = 5;

pub struct PluginThreads {
    handle: Handle,
    /// Taken only when dropped.
    runtime: Option<Runtime>,
    /// Bounds the memory that all guests together can hold.
    places: Arc<Semaphore>,
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
        let places = Arc::new(Semaphore::new(runs_max.clamp(1, Semaphore::MAX_PERMITS)));
        Ok(Arc::new(PluginThreads {
            handle,
            runtime: Some(runtime),
            places,
        }))
    }

    /// Runs a future on these threads, from any runtime. Dropping the returned future aborts it.
    pub(super) async fn run<F>(&self, future: F) -> Result<F::Output, JoinError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let places = Arc::clone(&self.places);
        let task = self.handle.spawn(async move {
            // The semaphore is never closed; without a permit the run goes on all the same.
            let _place = places.acquire_owned().await.ok();
            future.await
        });
        AbortOnDrop(task).finish().await
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

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    async fn finish(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
