use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::App;
use crate::admin::error::ApiError;
use crate::admin::input::MetaId;
use crate::admin::shape::Time;

/// The version that all events go to again.
#[derive(Serialize, ToSchema)]
pub(super) struct PluginRollback {
    plugin: String,
    version: String,
    /// SHA-256 of the component, hex.
    digest: String,
    /// When that version took over before.
    live_at: Time,
    /// The file that it was written to; absent when only a canary was withdrawn.
    file: Option<String>,
    /// The version that is no canary any more.
    withdrawn: Option<String>,
    /// Other plugins whose component is the same file: they went back, too.
    others: Vec<String>,
    /// Whether it runs now.
    live: bool,
    /// Why it does not.
    cause: Option<String>,
}

/// Puts the version of a plugin back that was live before the one in its file: the component's file is replaced by the
/// component as it was. Once more undoes it. While a canary runs, it withdraws that and changes no file.
#[utoipa::path(post, path = "/plugins/{name}/rollback", params(("name" = String, Path)), responses(
    (status = 200, body = PluginRollback),
    (status = 404, description = "There is no such plugin"),
    (status = 409, description = "No version before this one is kept, or the file cannot be written; the message says why"),
))]
pub(super) async fn roll_back(
    State(app): State<App>,
    MetaId(name): MetaId,
) -> Result<Json<PluginRollback>, ApiError> {
    let (back, report) = app.operations.roll_back(name.clone()).await?;
    let live = report
        .as_ref()
        .is_some_and(|report| report.runs(&back.version.digest));
    Ok(Json(PluginRollback {
        plugin: name,
        live_at: Time::new(back.version.live_ms),
        file: back.file.map(|file| file.display().to_string()),
        withdrawn: back.withdrawn,
        others: back.others,
        live,
        cause: report.and_then(|report| report.cause),
        version: back.version.version,
        digest: back.version.digest,
    }))
}
