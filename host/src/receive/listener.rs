//! Connections of the public listener: HTTP/1.1 and 2, bounded in number, header size and time. At the end it
//! takes no new connection and answers what it has accepted.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Receive;

const CONNECTIONS_MAX: usize = 4096;
/// For the first request to begin, and for each head of HTTP/1.1, also on a connection that is kept.
const HEADER_WAIT_MAX: Duration = Duration::from_secs(10);
/// A connection without a request is closed after so long.
const IDLE_MAX: Duration = Duration::from_secs(60);
const HEADER_BYTES_MAX: usize = 32 * 1024;
const STREAMS_MAX: u32 = 256;
/// What was accepted is answered within this time when the gateway stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Serves until `stop` completes, then answers what was accepted.
pub async fn serve(listener: TcpListener, receive: Arc<Receive>, stop: impl Future<Output = ()>) {
    let builder = builder();
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stop = std::pin::pin!(stop);
    loop {
        // No place means no accept: the kernel's backlog waits, and Meta comes again.
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let activity = Arc::new(Activity::default());
                let connection = connection(&builder, stream, receive.clone(), activity.clone());
                let watched = graceful.watch(connection);
                tokio::spawn(async move {
                    tokio::select! {
                        // A client that breaks off is its own business.
                        _ = watched => {}
                        () = activity.idle() => {}
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly: waiting lets others finish.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_MAX, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some connections were still open when the gateway stopped");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT_MAX)
        .max_buf_size(HEADER_BYTES_MAX * 2);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(20));
    builder
}

/// What happens on a connection, so that one on which nothing happens does not keep its place.
#[derive(Default)]
struct Activity {
    /// Requests so far.
    begun: AtomicU64,
    /// Requests now.
    running: AtomicU64,
}

impl Activity {
    /// Completes when no request has run for as long as a connection may be idle.
    async fn idle(&self) {
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            let wait = if begun == 0 {
                HEADER_WAIT_MAX
            } else {
                IDLE_MAX
            };
            tokio::time::sleep(wait).await;
            let silent = self.begun.load(Ordering::Relaxed) == begun;
            if silent && self.running.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}

/// A request that is being answered.
struct Running(Arc<Activity>);

impl Running {
    fn begin(activity: Arc<Activity>) -> Running {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        activity.running.fetch_add(1, Ordering::Relaxed);
        Running(activity)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

fn connection(
    builder: &Builder<TokioExecutor>,
    stream: TcpStream,
    receive: Arc<Receive>,
    activity: Arc<Activity>,
) -> impl hyper_util::server::graceful::GracefulConnection<Error: Send> + Send + 'static {
    let service = service_fn(move |request| {
        let receive = receive.clone();
        let running = Running::begin(activity.clone());
        async move {
            let answer = receive.answer(request).await;
            drop(running);
            Ok::<_, Infallible>(answer)
        }
    });
    builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned()
}
