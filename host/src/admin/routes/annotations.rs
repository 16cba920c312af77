//! What people and plugins keep on conversations among themselves. Labels and assignee stand with the conversation.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use duet_rules::annotations::{Annotation, NewNote};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::conversations::{Conversation, existing};
use crate::admin::App;
use crate::admin::access::{Access, Scope, Walled};
use crate::admin::error::ApiError;
use crate::admin::input::{Body, Id, Within};
use crate::admin::shape::{AgentShape, Time, is_false};
use crate::store::wall::Wall;

/// So many notes are shown.
const SHOWN_MAX: usize = 1000;

#[derive(Serialize, ToSchema)]
struct Note {
    /// The plugin that has written it, or `api`.
    author: String,
    /// The author's own word for it.
    key: Option<String>,
    /// Needs the scope `personal`.
    text: Option<String>,
    /// Which person has written it, if that was said.
    agent: Option<AgentShape>,
    at: Time,
    /// The token lacks `personal`, so the text is left out.
    #[serde(skip_serializing_if = "is_false")]
    redacted: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct NoteList {
    notes: Vec<Note>,
}

/// The notes on a conversation, the newest first: at most 1000.
#[utoipa::path(get, path = "/conversations/{id}/notes", params(("id" = i64, Path)), responses(
    (status = 200, body = NoteList),
    (status = 404, description = "There is no such conversation"),
))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Extension(access): Extension<Access>,
    Id(id): Id,
) -> Result<Json<NoteList>, ApiError> {
    existing(&app, wall, id).await?;
    let notes = app.store.notes(id, SHOWN_MAX).await?.into_iter();
    let personal = access.has(Scope::Personal);
    let notes = notes.map(|note| Note {
        author: note.author,
        key: note.note.key,
        text: Some(note.note.text).filter(|_| personal),
        agent: note.note.agent.map(Into::into),
        at: Time::new(note.at_ms),
        redacted: !personal,
    });
    Ok(Json(NoteList {
        notes: notes.collect(),
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// 1 to 4096 bytes.
    text: String,
    /// 1 to 128 bytes: another note under the same key changes nothing.
    key: Option<String>,
    /// Which person has written it.
    agent: Option<AgentShape>,
}

/// Writes a note on a conversation. The customer never sees it; of those that were written by the API, the newest 100 are
/// kept.
#[utoipa::path(post, path = "/conversations/{id}/notes", params(("id" = i64, Path)), request_body = Written, responses(
    (status = 204, description = "It is there"),
    (status = 404, description = "There is no such conversation"),
))]
pub(super) async fn note(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
    Body(written): Body<Written>,
) -> Result<StatusCode, ApiError> {
    let note = Annotation::Note(NewNote {
        key: written.key,
        text: written.text,
        agent: written.agent.map(Into::into),
    });
    note.check().map_err(ApiError::body)?;
    existing(&app, wall, id).await?;
    app.operations.annotate(id, note).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Adds a label to a conversation, which has at most 50; one that is there is fine.
#[utoipa::path(put, path = "/conversations/{id}/labels/{label}", params(("id" = i64, Path), ("label" = String, Path)),
    responses(
        (status = 200, description = "As it is now", body = Conversation),
        (status = 404, description = "There is no such conversation"),
        (status = 409, description = "It has too many labels"),
    ))]
pub(super) async fn add_label(
    State(app): State<App>,
    Walled(wall): Walled,
    Within(id, label): Within,
) -> Result<Json<Conversation>, ApiError> {
    let add = Annotation::AddLabel(label);
    add.check().map_err(ApiError::parameter)?;
    put(&app, wall, id, add).await
}

/// Takes a label off a conversation; one that is not there is fine.
#[utoipa::path(delete, path = "/conversations/{id}/labels/{label}", params(("id" = i64, Path), ("label" = String, Path)),
    responses(
        (status = 200, description = "As it is now", body = Conversation),
        (status = 404, description = "There is no such conversation"),
    ))]
pub(super) async fn remove_label(
    State(app): State<App>,
    Walled(wall): Walled,
    Within(id, label): Within,
) -> Result<Json<Conversation>, ApiError> {
    let remove = Annotation::RemoveLabel(label);
    remove.check().map_err(ApiError::parameter)?;
    put(&app, wall, id, remove).await
}

/// Says who is to see to a conversation. It silences no automation: handing over does.
#[utoipa::path(put, path = "/conversations/{id}/assignment", params(("id" = i64, Path)), request_body = AgentShape,
    responses(
        (status = 200, description = "As it is now", body = Conversation),
        (status = 404, description = "There is no such conversation"),
    ))]
pub(super) async fn assign(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
    Body(agent): Body<AgentShape>,
) -> Result<Json<Conversation>, ApiError> {
    let assign = Annotation::Assign(Some(agent.into()));
    assign.check().map_err(ApiError::body)?;
    put(&app, wall, id, assign).await
}

/// A conversation is nobody's any more.
#[utoipa::path(delete, path = "/conversations/{id}/assignment", params(("id" = i64, Path)), responses(
    (status = 200, description = "As it is now", body = Conversation),
    (status = 404, description = "There is no such conversation"),
))]
pub(super) async fn unassign(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
) -> Result<Json<Conversation>, ApiError> {
    put(&app, wall, id, Annotation::Assign(None)).await
}

/// The answer is the conversation as it is then.
async fn put(
    app: &App,
    wall: Wall,
    id: i64,
    mark: Annotation,
) -> Result<Json<Conversation>, ApiError> {
    existing(app, wall.clone(), id).await?;
    app.operations.annotate(id, mark).await?;
    existing(app, wall, id).await.map(Json)
}
