//! The listener. Plain hyper around the router, since a lost answer means closing a connection without a byte.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Put among a response's extensions, it closes the connection instead of answering.
#[derive(Clone)]
pub(crate) struct HangUp;

/// Serves until the task is aborted; its connections end with it.
pub(crate) async fn serve(listener: TcpListener, router: axum::Router, connections_max: usize) {
    let places = Arc::new(Semaphore::new(
        connections_max.clamp(1, Semaphore::MAX_PERMITS),
    ));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file handles, most likely: the next round frees some.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let router = router.clone();
                async move { answer(&router, request.map(Body::new)).await }
            });
            // An error here is the peer's or our own hanging up.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}

/// The router's answer; an error stands for a connection that closes without a byte.
pub(crate) async fn answer(
    router: &axum::Router,
    request: Request<Body>,
) -> std::io::Result<Response<Body>> {
    let Ok(response) = TowerToHyperService::new(router.clone()).call(request).await;
    if response.extensions().get::<HangUp>().is_some() {
        return Err(std::io::ErrorKind::ConnectionAborted.into());
    }
    Ok(response)
}
