//! What other systems keep of conversations.

use axum::Json;
use axum::extract::State;
use duet_rules::cases::CaseEntry;
use serde::Serialize;
use utoipa::ToSchema;

use super::conversations::existing;
use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::Id;
use crate::admin::shape::{AgentShape, Time};

/// A case that another system keeps of a conversation, as a plugin has told it.
#[derive(Serialize, ToSchema)]
struct Case {
    /// The plugin whose case it is.
    plugin: String,
    /// The other system's own id of it.
    key: String,
    title: Option<String>,
    /// Where people look at it.
    url: Option<String>,
    /// The other system's own word for how it stands.
    status: Option<String>,
    assignee: Option<AgentShape>,
    open: bool,
    /// For the last time.
    opened_at: Time,
    closed_at: Option<Time>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CaseList {
    cases: Vec<Case>,
}

/// The cases of a conversation, the newest first: at most 100.
#[utoipa::path(get, path = "/conversations/{id}/cases", params(("id" = i64, Path)), responses(
    (status = 200, body = CaseList),
    (status = 404, description = "There is no such conversation"),
))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
) -> Result<Json<CaseList>, ApiError> {
    existing(&app, wall, id).await?;
    let cases = app.store.cases(id).await?;
    Ok(Json(CaseList {
        cases: cases.into_iter().map(shape).collect(),
    }))
}

fn shape(entry: CaseEntry) -> Case {
    let case = entry.case;
    Case {
        plugin: entry.instance,
        key: case.key,
        title: case.title,
        url: case.url,
        status: case.status,
        assignee: case.assignee.map(Into::into),
        open: entry.closed_ms.is_none(),
        opened_at: Time::new(entry.opened_ms),
        closed_at: Time::maybe(entry.closed_ms),
    }
}
