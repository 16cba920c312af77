use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::App;
use crate::admin::error::ApiError;
use crate::admin::input::MetaId;

/// A canary that was put in the live version's place.
#[derive(Serialize, ToSchema)]
pub(super) struct PluginPromotion {
    plugin: String,
    version: String,
    /// SHA-256 of the component, hex.
    digest: String,
    /// The file that it was written to.
    file: String,
    /// Other plugins whose component is the same file: they have it, too.
    others: Vec<String>,
    /// Whether it is the live version now.
    live: bool,
    /// Why it is not.
    cause: Option<String>,
}

/// Makes the canary of a plugin its live version: the live component's file is replaced by the canary's component.
/// A rollback undoes it.
#[utoipa::path(post, path = "/plugins/{name}/promote", params(("name" = String, Path)), responses(
    (status = 200, body = PluginPromotion),
    (status = 404, description = "There is no such plugin"),
    (status = 409, description = "No canary of it runs, or the file cannot be written; the message says why"),
))]
pub(super) async fn promote(
    State(app): State<App>,
    MetaId(name): MetaId,
) -> Result<Json<PluginPromotion>, ApiError> {
    let (promoted, report) = app.operations.promote(name.clone()).await?;
    let live = report
        .as_ref()
        .is_some_and(|report| report.runs(&promoted.digest));
    Ok(Json(PluginPromotion {
        plugin: name,
        version: promoted.version,
        digest: promoted.digest,
        file: promoted.file.display().to_string(),
        others: promoted.others,
        live,
        cause: report.and_then(|report| report.cause),
    }))
}
