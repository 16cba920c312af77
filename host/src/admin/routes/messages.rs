use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use duet_rules::webhook::is_unshown;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::conversations::existing;
use crate::admin::App;
use crate::admin::access::{Access, Scope, Walled};
use crate::admin::error::ApiError;
use crate::admin::input::{Body, Id, Params};
use crate::admin::page::{limit, message_cursor, message_place};
use crate::admin::shape::{Time, is_false};
use crate::store::views::{MessagePlace, MessageRow};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MessageQuery {
    /// A `next` of this list.
    after: Option<String>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Message {
    /// The wamid; `m` and a number where Meta has given none yet.
    id: String,
    /// `in` or `out`.
    direction: String,
    /// `live`, `echo`, `history` or `duet`.
    origin: String,
    #[serde(rename = "type")]
    kind: String,
    /// Needs the scope `personal`.
    text: Option<String>,
    at: Time,
    status: Option<String>,
    /// Meta's error code when it failed.
    status_error: Option<i64>,
    /// The id of the message that it answers.
    reply_to: Option<String>,
    media: Option<Media>,
    edited: bool,
    /// What it said before it was edited, oldest first; needs the scope `personal`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Earlier>,
    /// Deleted for everyone on the phones; `text` is what it said.
    revoked: bool,
    /// Meta does not hand it to the API: open the conversation in the app to see it.
    look_in_app: bool,
    /// Meta's `errors[]`, whole, of one that failed or that is only in the app; needs the scope `personal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    errors: Option<Value>,
    /// The token lacks `personal`, so the text is left out.
    #[serde(skip_serializing_if = "is_false")]
    redacted: bool,
}

/// What a message said until it was edited.
#[derive(Serialize, ToSchema)]
struct Earlier {
    text: Option<String>,
    until: Time,
}

/// The file of a message; `GET /conversations/{id}/messages/{message}/media` gives it.
#[derive(Serialize, ToSchema)]
struct Media {
    /// `remote` (not fetched yet), `stored`, `failed`, `expired`, `too-large` or `removed`.
    state: String,
    mime_type: Option<String>,
    /// Hex once it is stored, before that in Meta's spelling.
    sha256: Option<String>,
    bytes: Option<i64>,
    /// Needs the scope `personal`.
    filename: Option<String>,
    /// Why it is not stored.
    cause: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct MessageList {
    messages: Vec<Message>,
    next: String,
}

/// A conversation's messages, oldest first.
#[utoipa::path(get, path = "/conversations/{id}/messages", params(("id" = i64, Path), MessageQuery), responses(
    (status = 200, body = MessageList),
    (status = 404, description = "There is no such conversation"),
))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Extension(access): Extension<Access>,
    Id(id): Id,
    Params(query): Params<MessageQuery>,
) -> Result<Json<MessageList>, ApiError> {
    let after = query.after.unwrap_or_default();
    let (place, limit) = (message_place(&after)?, limit(query.limit)?);
    existing(&app, wall, id).await?;
    let rows = app.store.messages(id, place, limit).await?;
    let last = rows.last().map(|row| MessagePlace {
        at_ms: row.at_ms,
        id: row.id,
    });
    let personal = access.has(Scope::Personal);
    let messages = rows.into_iter().map(|row| shape(row, personal)).collect();
    Ok(Json(MessageList {
        messages,
        next: last.map_or(after, message_cursor),
    }))
}

/// A send's place in the outbox.
#[derive(Serialize, ToSchema)]
pub(super) struct Queued {
    outbox: i64,
}

/// Sends a message as a person: it takes the conversation over. The body is Meta's message object without
/// its addressee, as in `{"type": "text", "text": {"body": "Good morning"}}`.
#[utoipa::path(post, path = "/conversations/{id}/messages", params(("id" = i64, Path)),
    request_body(content = Object), responses(
        (status = 202, description = "It waits in the outbox", body = Queued),
        (status = 404, description = "There is no such conversation"),
        (status = 409, description = "Meta's rules do not allow it now"),
    ))]
pub(super) async fn send(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
    Body(message): Body<Map<String, Value>>,
) -> Result<(StatusCode, Json<Queued>), ApiError> {
    if let Some(key) = [
        "to",
        "recipient",
        "recipient_type",
        "messaging_product",
        "biz_opaque_callback_data",
    ]
    .into_iter()
    .find(|key| message.contains_key(*key))
    {
        return Err(ApiError::body(format!(
            "{key}: leave it out, the gateway fills it in"
        )));
    }
    if !message.get("type").is_some_and(Value::is_string) {
        return Err(ApiError::body(
            "type: must name the type of the message, as in \"text\"",
        ));
    }
    existing(&app, wall, id).await?;
    let outbox = app
        .operations
        .send_as_person(id, Value::Object(message))
        .await?;
    Ok((StatusCode::ACCEPTED, Json(Queued { outbox })))
}

pub(super) fn shape(row: MessageRow, personal: bool) -> Message {
    let is_in_app_only = is_unshown(&row.kind);
    let earlier = row.earlier.into_iter().filter(|_| personal);
    Message {
        id: row.wamid.unwrap_or_else(|| format!("m{}", row.id)),
        direction: row.direction,
        origin: row.origin,
        kind: row.kind,
        text: row.text.filter(|_| personal),
        at: Time::new(row.at_ms),
        status: row.status,
        status_error: row.status_error,
        reply_to: row.reply_to,
        media: row.media.map(|media| Media {
            state: media.state,
            mime_type: media.mime_type,
            sha256: media.sha256,
            bytes: media.bytes,
            filename: media.filename.filter(|_| personal),
            cause: media.cause,
        }),
        edited: row.edited,
        earlier: earlier
            .map(|version| Earlier {
                text: version.text,
                until: Time::new(version.until_ms),
            })
            .collect(),
        revoked: row.revoked,
        look_in_app: is_in_app_only,
        errors: row
            .errors
            .filter(|_| personal)
            .and_then(|errors| serde_json::from_str(&errors).ok()),
        redacted: !personal,
    }
}
