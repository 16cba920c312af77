//! Spans that leave for a collector, by OTLP over HTTP, where a setting names one: the calls of plugins and the sends.
//! They hold ids, words of Duet's own and figures, and nothing that a customer or a plugin wrote.

use std::time::{Duration, Instant};

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::Throttle;

/// The spans that leave, by their names.
const TOLD: [&str; 2] = ["plugin.call", "send"];
/// How long the last ones may take at the end.
const FLUSH_MAX: Duration = Duration::from_secs(5);
/// What is read of a collector's answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Takes spans and brings them to the collector, in batches and on a thread of its own. What it cannot bring is gone: at
/// most 2,048 spans wait, as the standard has it.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// `url` is the collector's without a path, as `http://127.0.0.1:4318`. To be called on the runtime that makes the calls.
    ///
    /// The standard's variables count beside it: `OTEL_EXPORTER_OTLP_HEADERS` for what a collector wants to be shown,
    /// `OTEL_TRACES_SAMPLER` for a share of the spans, `OTEL_RESOURCE_ATTRIBUTES` for what else tells this gateway from others.
    ///
    /// # Errors
    /// When one of those cannot be used.
    pub fn new(url: &str, client: reqwest::Client) -> anyhow::Result<Traces> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Courier {
                client,
                runtime: Handle::try_current()?,
                url: url.to_owned(),
                throttle: Throttle::default(),
            })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{url}/v1/traces"))
            .build()
            .context("the spans cannot be exported")?;
        let resource = Resource::builder()
            .with_service_name("duet")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Traces {
            provider: SdkTracerProvider::builder()
                .with_resource(resource)
                .with_batch_exporter(exporter)
                .build(),
        })
    }

    /// What takes the spans out of the stream of everything that is told.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("duet"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(filter_fn(leaves))
    }

    /// Brings what is still here.
    pub async fn end(self) {
        let ended =
            tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(FLUSH_MAX));
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "the last spans are lost");
        }
    }
}

/// Log lines do not leave with their span: a plugin's may quote customers.
fn leaves(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && TOLD.contains(&metadata.name())
}

/// Makes the exporter's calls, which come from a thread without a runtime.
#[derive(Debug)]
struct Courier {
    client: reqwest::Client,
    runtime: Handle,
    url: String,
    throttle: Throttle,
}

impl HttpClient for Courier {
    fn send_bytes<'a: 'f, 'f>(
        &'a self,
        request: Request<Bytes>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        Self: 'f,
    {
        Box::pin(async move {
            let called = self
                .runtime
                .spawn(call(self.client.clone(), request))
                .await
                .map_err(HttpError::from)
                .and_then(|answered| answered);
            let lost = match &called {
                Ok(answer) if answer.status().is_success() => return called,
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.to_string(),
            };
            if let Some(count) = self.throttle.pass(Instant::now()) {
                tracing::warn!(url = self.url, error = lost, count, "spans do not arrive");
            }
            called
        })
    }
}

async fn call(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response::builder()
        .status(answer.status())
        .body(body.into())?)
}
