use axum::extract::State;
use axum::{Extension, Json};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::{Access, Scope, Walled};
use crate::admin::error::ApiError;
use crate::admin::input::{Body, Id, Params};
use crate::admin::operations::OperationError;
use crate::admin::page::page;
use crate::admin::shape::Time;
use crate::store::views::{DeadLetterFilter, DeadLetterRow, Page};

/// One call redrives so many at most.
const REDRIVE_MAX: u32 = 10_000;
/// So many at a time: they share the store's commits.
const REDRIVE_TOGETHER: usize = 64;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeadLetterQuery {
    /// Dead letters with a higher id.
    after: Option<i64>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
    /// Only those of this plugin.
    plugin: Option<String>,
}

/// An event that a plugin gave up on, or a send that died.
#[derive(Serialize, ToSchema)]
struct DeadLetter {
    id: i64,
    plugin: String,
    event: i64,
    /// The event's kind, while the event is kept.
    kind: Option<String>,
    conversation: Option<i64>,
    /// The send that died, if it was one.
    outbox: Option<i64>,
    /// A plugin's words may quote the customer: absent without the scope `personal`.
    cause: Option<String>,
    attempts: i64,
    at: Time,
}

#[derive(Serialize, ToSchema)]
pub(super) struct DeadLetterList {
    #[serde(rename = "dead-letters")]
    dead_letters: Vec<DeadLetter>,
    next: i64,
}

/// Dead letters, oldest first.
#[utoipa::path(get, path = "/dead-letters", params(DeadLetterQuery), responses((status = 200, body = DeadLetterList)))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Extension(access): Extension<Access>,
    Params(query): Params<DeadLetterQuery>,
) -> Result<Json<DeadLetterList>, ApiError> {
    let page = page(query.after, query.limit)?;
    let personal = access.has(Scope::Personal);
    let rows = app
        .store
        .dead_letters(
            wall,
            page,
            DeadLetterFilter {
                instance: query.plugin,
            },
        )
        .await?;
    let next = rows.last().map_or(page.after, |row| row.id);
    Ok(Json(DeadLetterList {
        dead_letters: rows.into_iter().map(|row| shape(row, personal)).collect(),
        next,
    }))
}

#[derive(Serialize, ToSchema)]
pub(super) struct Redriven {
    /// How many events are handled again, or sends leave again.
    redriven: u64,
    /// Dead sends, which leave again only one by one.
    left: u64,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RedriveQuery {
    /// Also sends what the customer may have got already, since Meta's answer was lost.
    even_if_sent: Option<bool>,
}

/// Has the event of one dead letter handled again, or its send leave again through the usual gate.
#[utoipa::path(post, path = "/dead-letters/{id}/redrive", params(("id" = i64, Path), RedriveQuery), responses(
    (status = 200, body = Redriven),
    (status = 404, description = "There is no such dead letter"),
    (status = 409, description = "It is a send that the customer may have got"),
))]
pub(super) async fn redrive(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
    Params(query): Params<RedriveQuery>,
) -> Result<Json<Redriven>, ApiError> {
    let before = Page {
        after: id.saturating_sub(1),
        limit: 1,
    };
    let row = app
        .store
        .dead_letters(wall, before, DeadLetterFilter::default())
        .await?
        .pop();
    match row.filter(|row| row.id == id) {
        None => Err(ApiError::not_found("there is no such dead letter")),
        Some(row) => {
            let even_if_sent = query.even_if_sent.unwrap_or(false);
            match row.outbox {
                Some(_) => app.operations.redrive_send(id, even_if_sent).await?,
                None => app.operations.redrive(id).await?,
            }
            Ok(Json(Redriven {
                redriven: 1,
                left: 0,
            }))
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RedriveFilter {
    /// Only those of this plugin; all if absent.
    plugin: Option<String>,
}

/// Has the events of up to 10,000 dead letters handled again, oldest first; without a body those of all plugins.
#[utoipa::path(post, path = "/dead-letters/redrive", request_body = Option<RedriveFilter>, responses((status = 200, body = Redriven)))]
pub(super) async fn redrive_many(
    State(app): State<App>,
    Walled(wall): Walled,
    Body(filter): Body<Option<RedriveFilter>>,
) -> Result<Json<Redriven>, ApiError> {
    let page = Page {
        after: 0,
        limit: REDRIVE_MAX,
    };
    let rows = app
        .store
        .dead_letters(
            wall,
            page,
            DeadLetterFilter {
                instance: filter.and_then(|filter| filter.plugin),
            },
        )
        .await?;
    let (sends, events): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.outbox.is_some());
    let mut answers = stream::iter(events)
        .map(|row| app.operations.redrive(row.id))
        .buffered(REDRIVE_TOGETHER);
    let mut redriven = 0;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(()) => redriven += 1,
            // Somebody else was faster.
            Err(OperationError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(Redriven {
        redriven,
        left: u64::try_from(sends.len()).unwrap_or(u64::MAX),
    }))
}

fn shape(row: DeadLetterRow, personal: bool) -> DeadLetter {
    DeadLetter {
        id: row.id,
        plugin: row.instance,
        event: row.seq,
        kind: row.kind,
        conversation: row.conversation,
        outbox: row.outbox,
        cause: personal.then_some(row.cause),
        attempts: row.attempts,
        at: Time::new(row.at_ms),
    }
}
