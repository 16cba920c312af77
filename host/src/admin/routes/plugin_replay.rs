use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::error::ApiError;
use crate::admin::input::{MetaId, Params};
use crate::admin::shape::Time;
use crate::dispatch::{Rehearsed, Replay, Rerun};
use crate::plugin::{COMPONENT_BYTES_MAX, Component};
use crate::store::runs::Which;

/// A component takes at most so long to arrive.
const BODY_WAIT_MAX: Duration = Duration::from_secs(120);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReplayQuery {
    /// Only the event with this seq.
    event: Option<i64>,
    /// The last so many kept runs; all if absent.
    last: Option<u64>,
}

/// A version of a plugin, run over events that were handled before.
#[derive(Serialize, ToSchema)]
pub(super) struct PluginReplay {
    plugin: String,
    version: String,
    /// SHA-256 of the component, hex.
    digest: String,
    /// Runs that came to the same, and so on for the others.
    same: usize,
    differs: usize,
    faults: usize,
    skipped: usize,
    /// Oldest first.
    runs: Vec<PluginRerun>,
}

#[derive(Serialize, ToSchema)]
struct PluginRerun {
    /// The event's.
    seq: i64,
    /// The event's id; absent when it is gone.
    event: Option<String>,
    kind: Option<String>,
    /// When it was handled.
    at: Time,
    /// SHA-256 of the component that handled it, hex.
    digest: String,
    /// Whether the settings are other ones now.
    other_settings: bool,
    /// `same`, `differs`, `faults` or `skipped`.
    result: &'static str,
    /// How it ended then.
    was: Option<String>,
    /// How it ends now.
    is: Option<String>,
    /// What it does otherwise, a line each. It may quote customers.
    differs: Vec<String>,
    /// What it asked for that was not asked for then. Nothing of it was made or looked up.
    unmatched: Vec<String>,
    /// Why it was skipped.
    cause: Option<String>,
}

/// Runs the component of a plugin, or the one in the body, over the plugin's last runs: it reads and is answered what was
/// read and answered then. What it would do is told and not done, and a call that was not made then is not made.
#[utoipa::path(post, path = "/plugins/{name}/replay", params(("name" = String, Path), ReplayQuery),
    request_body(content = Vec<u8>, content_type = "application/wasm"), responses(
        (status = 200, body = PluginReplay),
        (status = 404, description = "There is no such plugin"),
        (status = 409, description = "No such run is kept, or the component does not load; the message says why"),
        (status = 413, description = "The component is too large"),
    ))]
pub(super) async fn replay(
    State(app): State<App>,
    MetaId(name): MetaId,
    Params(query): Params<ReplayQuery>,
    body: Body,
) -> Result<Json<PluginReplay>, ApiError> {
    let which = match (query.event, query.last) {
        (Some(_), Some(_)) => {
            return Err(ApiError::parameter("last: not together with event"));
        }
        (Some(seq), None) => Which::Event(seq),
        (None, Some(0)) => return Err(ApiError::parameter("last: must be at least 1")),
        (None, last) => Which::Last(last.unwrap_or(u64::MAX)),
    };
    let component = component(body).await?;
    let replay = app.operations.replay(name.clone(), which, component);
    Ok(Json(shape(name, replay.await?)))
}

/// Nothing where the body is empty.
async fn component(body: Body) -> Result<Option<Component>, ApiError> {
    let read = tokio::time::timeout(BODY_WAIT_MAX, to_bytes(body, COMPONENT_BYTES_MAX));
    let bytes = read
        .await
        .map_err(|_| ApiError::too_slow("the component did not come in time"))?
        .map_err(|_| {
            ApiError::file_too_large(format!(
                "the component did not come whole, or has more than {COMPONENT_BYTES_MAX} bytes"
            ))
        })?;
    Ok((!bytes.is_empty()).then(|| Component::new(&*bytes)))
}

fn shape(plugin: String, replay: Replay) -> PluginReplay {
    let count = |word: &str| replay.count(word);
    PluginReplay {
        plugin,
        same: count("same"),
        differs: count("differs"),
        faults: count("faults"),
        skipped: count("skipped"),
        version: replay.version,
        digest: replay.digest,
        runs: replay.runs.into_iter().map(rerun).collect(),
    }
}

fn rerun(run: Rerun) -> PluginRerun {
    let result = run.word();
    let (event, kind) = run.event.unzip();
    let (is, differs, unmatched, cause) = match run.result {
        Rehearsed::Ran {
            is,
            differs,
            unmatched,
            ..
        } => (Some(is), differs, unmatched, None),
        Rehearsed::Skipped(cause) => (None, Vec::new(), Vec::new(), Some(cause)),
    };
    PluginRerun {
        seq: run.seq,
        event,
        kind,
        at: Time::new(run.at_ms),
        digest: run.digest,
        other_settings: run.other_settings,
        result,
        was: run.was,
        is,
        differs,
        unmatched,
        cause,
    }
}
