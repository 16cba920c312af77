use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::App;
use crate::telemetry::{Metrics, PluginNow};
use crate::version::{Versions, versions};

/// The process is alive.
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "Alive", body = String)))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// A webhook would be taken now.
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, description = "Ready", body = String),
    (status = 503, description = "Not ready, and why", body = String),
))]
pub(super) async fn readyz(State(app): State<App>) -> impl IntoResponse {
    match (app.ready)() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// The versions of the gateway and of what decides how it behaves.
#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    duet: &'static str,
    /// The sandbox in which plugins run.
    wasmtime: &'static str,
    sqlite: &'static str,
    /// The version of `duet:plugin` that plugins are built for.
    contract: &'static str,
}

/// What runs here.
#[utoipa::path(get, path = "/version", responses((status = 200, body = Version)))]
pub(super) async fn version() -> Json<Version> {
    let Versions {
        duet,
        wasmtime,
        sqlite,
        contract,
    } = versions();
    Json(Version {
        duet,
        wasmtime,
        sqlite,
        contract,
    })
}

/// OpenMetrics text for Prometheus.
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"),
))]
pub(super) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    match app.store.depths().await {
        Ok(depths) => {
            for state in ["pending", "sending", "unknown"] {
                app.metrics
                    .outbox(state, depths.outbox.get(state).copied().unwrap_or(0));
            }
            app.metrics.dead_letters.set(depths.dead_letters);
            app.metrics.queue("deliveries", depths.deliveries);
            app.metrics.queue("media", depths.media);
            app.metrics.media_bytes.set(depths.media_bytes);
            let lag = app
                .receipts
                .acknowledged()
                .saturating_sub(depths.live_receipt);
            app.metrics.intake_lag_receipts.set(lag.max(0));
        }
        // The counters are still worth an answer; the depths keep their last value.
        Err(error) => tracing::warn!(%error, "the metrics could not ask the store"),
    }
    let plugins = app.operations.plugins().await.unwrap_or_default();
    let plugins = plugins.into_iter().map(|report| PluginNow {
        name: report.name,
        state: report.state,
        depth: report.depth,
        log_lines_dropped: report.log_lines_dropped,
    });
    (
        [(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)],
        app.metrics.text(plugins),
    )
}
