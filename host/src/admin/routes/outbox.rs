use axum::extract::State;
use axum::{Extension, Json};
use duet_rules::sending::Agent;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::{Access, Scope, Walled};
use crate::admin::error::ApiError;
use crate::admin::input::Params;
use crate::admin::page::page;
use crate::admin::shape::{AgentShape, Time, is_false, raw};
use crate::store::views::{OutboxFilter, OutboxRow};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OutboxQuery {
    /// Sends with a higher id.
    after: Option<i64>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
    /// Only those that are so now.
    #[param(inline)]
    state: Option<SendState>,
    /// Only those into this conversation.
    conversation: Option<i64>,
}

/// Where a send stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SendState {
    /// Waits for its turn, or for its next attempt.
    Pending,
    /// Its request is on the way.
    Sending,
    /// Its answer was lost; a status may still settle it.
    Unknown,
    Sent,
    /// A person has spoken before it could leave.
    Cancelled,
    /// Meta would not have taken it, so it was not tried.
    Refused,
    /// Meta has said no for good.
    Failed,
    /// Given up; it is among the dead letters.
    Dead,
}

impl SendState {
    fn as_str(self) -> &'static str {
        match self {
            SendState::Pending => "pending",
            SendState::Sending => "sending",
            SendState::Unknown => "unknown",
            SendState::Sent => "sent",
            SendState::Cancelled => "cancelled",
            SendState::Refused => "refused",
            SendState::Failed => "failed",
            SendState::Dead => "dead",
        }
    }
}

/// A send.
#[derive(Serialize, ToSchema)]
struct OutboxSend {
    id: i64,
    /// The plugin that asked for it, or `api`.
    plugin: String,
    /// The plugin's component at that time.
    digest: String,
    /// The event that caused it.
    event: i64,
    conversation: i64,
    /// `automation` or `person`.
    speaker: String,
    /// Which person, where a plugin has said so.
    agent: Option<AgentShape>,
    state: String,
    /// Meta's message object without addressee; needs the scope `personal`.
    #[schema(value_type = Option<Object>)]
    message: Option<Box<RawValue>>,
    /// Attempts made so far.
    attempts: i64,
    /// When the next attempt is due, while it waits for one.
    next_at: Option<Time>,
    created_at: Time,
    sending_at: Option<Time>,
    wamid: Option<String>,
    /// Meta's error code, when it was not sent.
    code: Option<i64>,
    cause: Option<String>,
    /// The token lacks `personal`, so the message is left out.
    #[serde(skip_serializing_if = "is_false")]
    redacted: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct OutboxList {
    outbox: Vec<OutboxSend>,
    next: i64,
}

/// Sends, in the order in which they were asked for.
#[utoipa::path(get, path = "/outbox", params(OutboxQuery), responses((status = 200, body = OutboxList)))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Extension(access): Extension<Access>,
    Params(query): Params<OutboxQuery>,
) -> Result<Json<OutboxList>, ApiError> {
    let page = page(query.after, query.limit)?;
    let filter = OutboxFilter {
        state: query.state.map(SendState::as_str),
        conversation: query.conversation,
    };
    let rows = app.store.outbox(wall, page, filter).await?;
    let next = rows.last().map_or(page.after, |row| row.id);
    let personal = access.has(Scope::Personal);
    Ok(Json(OutboxList {
        outbox: rows.into_iter().map(|row| shape(row, personal)).collect(),
        next,
    }))
}

fn shape(row: OutboxRow, personal: bool) -> OutboxSend {
    let waits = row.state == "pending";
    OutboxSend {
        id: row.id,
        plugin: row.instance,
        digest: row.digest,
        event: row.seq,
        conversation: row.conversation,
        speaker: row.speaker,
        agent: row.agent.as_deref().and_then(Agent::read).map(Into::into),
        state: row.state,
        message: if personal { raw(&row.message) } else { None },
        attempts: row.attempt,
        next_at: waits.then(|| Time::new(row.next_ms)),
        created_at: Time::new(row.created_ms),
        sending_at: Time::maybe(row.sending_ms),
        wamid: row.wamid,
        code: row.code,
        // Meta's words may quote the message.
        cause: row.cause.filter(|_| personal),
        redacted: !personal,
    }
}
