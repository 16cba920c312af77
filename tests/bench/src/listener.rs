//! The gateway's listener by itself, and its counterpart that checks the signature and stores nothing.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use duet::receive::{Receive, serve};
use duet::store::receipts::ReceiptLog;
use duet_rules::signature::{Secret, verify};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;

use crate::APP_SECRET;

const BODY_BYTES_MAX: usize = 4 << 20;
const QUEUE_MAX: usize = 8192;
const QUEUE_BYTES_MAX: usize = 256 << 20;

#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Folder of the receipt log; without one nothing is stored
    #[arg(long)]
    store: Option<PathBuf>,
}

/// Prints the address, then serves until the standard input ends.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?);
        let stop = tokio::task::spawn_blocking(|| {
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
        });
        let secrets = vec![Secret::new(APP_SECRET)];
        match &options.store {
            Some(folder) => {
                let log = ReceiptLog::open(folder, QUEUE_MAX, QUEUE_BYTES_MAX)?;
                let receive =
                    Receive::new(secrets, String::new(), BODY_BYTES_MAX, log, Arc::default());
                serve(listener, Arc::new(receive), async { drop(stop.await) }).await;
            }
            None => {
                let secrets: Arc<[Secret]> = secrets.into();
                tokio::select! { _ = stop => {}, () = store_nothing(listener, secrets) => {} }
            }
        }
        Ok(())
    })
}

/// The same server with the same settings, down to the answer.
async fn store_nothing(listener: TcpListener, secrets: Arc<[Secret]>) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(std::time::Duration::from_secs(10));
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let secrets = Arc::clone(&secrets);
        let service = service_fn(move |request| {
            let secrets = Arc::clone(&secrets);
            async move { Ok::<_, Infallible>(answer(request, &secrets).await) }
        });
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn answer(request: Request<Incoming>, secrets: &[Secret]) -> Response<Full<Bytes>> {
    let signature = request.headers().get("x-hub-signature-256").cloned();
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX)
        .collect()
        .await;
    let body = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let signature = signature.as_ref().map(HeaderValue::as_bytes);
    let mut answer = Response::new(Full::default());
    if verify(signature, &body, secrets).is_err() {
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
    }
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}
