use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::{MetaId, Params};
use crate::admin::page::page;
use crate::admin::shape::Time;
use crate::plugin::LogLine;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PluginLogQuery {
    /// Lines with a higher seq.
    after: Option<i64>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
}

/// A line that a plugin has written.
#[derive(Serialize, ToSchema)]
struct PluginLogLine {
    seq: i64,
    at: Time,
    /// `debug`, `info`, `warn` or `error`.
    level: &'static str,
    /// The id of the event that it handled.
    event: String,
    text: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct PluginLogList {
    logs: Vec<PluginLogLine>,
    next: i64,
    /// Lines that were too fast, since the gateway started.
    dropped: u64,
}

/// The last lines that a plugin has written, oldest first: at most 1000, in memory alone. They may quote customers.
#[utoipa::path(get, path = "/plugins/{name}/logs", params(("name" = String, Path), PluginLogQuery), responses(
    (status = 200, body = PluginLogList),
    (status = 404, description = "There is no such plugin"),
))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    MetaId(name): MetaId,
    Params(query): Params<PluginLogQuery>,
) -> Result<Json<PluginLogList>, ApiError> {
    let page = page(query.after, query.limit)?;
    let plugins = app.operations.plugins().await?;
    let seen = |business: &str| wall.shows(business);
    if !plugins
        .iter()
        .any(|plugin| plugin.name == name && seen(&plugin.business))
    {
        return Err(ApiError::not_found("there is no such plugin"));
    }
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let log = app.operations.plugin_log(name, page.after, limit).await?;
    Ok(Json(PluginLogList {
        next: log.lines.last().map_or(page.after, |line| line.seq),
        logs: log.lines.into_iter().map(shape).collect(),
        dropped: log.dropped,
    }))
}

fn shape(line: LogLine) -> PluginLogLine {
    PluginLogLine {
        seq: line.seq,
        at: Time::new(line.at_ms),
        level: line.level,
        event: line.event,
        text: line.text,
    }
}
