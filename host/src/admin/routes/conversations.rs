use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::{Body, Id, Params};
use crate::admin::page::page;
use crate::admin::shape::{AgentShape, Time};
use crate::effect;
use crate::now_ms;
use crate::store::views::{ConversationFilter, ConversationRow};
use crate::store::wall::Wall;

/// Nobody hands a conversation over for longer than a year.
const HANDLING_SECONDS_MAX: u64 = 366 * 24 * 60 * 60;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ConversationQuery {
    /// Conversations with a higher id.
    after: Option<i64>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
    /// Only those of this number (Meta's phone_number_id).
    number: Option<String>,
    /// Only those of this contact.
    contact: Option<i64>,
    /// Only those that it has now.
    #[param(inline)]
    handling: Option<Handling>,
    /// Only those with this label.
    label: Option<String>,
    /// Only those that are assigned to the agent with this id.
    assignee: Option<String>,
}

/// Who has a conversation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Handling {
    Automation,
    Person,
}

impl From<effect::Handling> for Handling {
    fn from(handling: effect::Handling) -> Handling {
        match handling {
            effect::Handling::Automation => Handling::Automation,
            effect::Handling::Person => Handling::Person,
        }
    }
}

impl From<Handling> for effect::Handling {
    fn from(handling: Handling) -> effect::Handling {
        match handling {
            Handling::Automation => effect::Handling::Automation,
            Handling::Person => effect::Handling::Person,
        }
    }
}

/// One customer and one business number.
#[derive(Serialize, ToSchema)]
pub(super) struct Conversation {
    id: i64,
    /// Whose it is; empty for the gateway's own business.
    business: String,
    /// Meta's phone_number_id.
    number: String,
    contact: ConversationContact,
    handling: Handling,
    /// Until when a person has it.
    handling_until: Option<Time>,
    /// The plugin that handed it over, if one did.
    handling_by: Option<String>,
    /// Until when a free-form message may be sent.
    window_until: Option<Time>,
    /// Until when messages cost nothing, since the customer came through an advertisement and was answered within a day.
    free_until: Option<Time>,
    last_at: Option<Time>,
    labels: Vec<String>,
    /// Who is to see to it.
    assignee: Option<AgentShape>,
}

#[derive(Serialize, ToSchema)]
struct ConversationContact {
    id: i64,
    name: Option<String>,
    wa_id: Option<String>,
    user_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ConversationList {
    conversations: Vec<Conversation>,
    next: i64,
}

/// Conversations, in the order in which they began.
#[utoipa::path(get, path = "/conversations", params(ConversationQuery), responses((status = 200, body = ConversationList)))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Params(query): Params<ConversationQuery>,
) -> Result<Json<ConversationList>, ApiError> {
    let page = page(query.after, query.limit)?;
    let handling = query.handling.map(effect::Handling::from);
    let filter = ConversationFilter {
        number: query.number,
        contact: query.contact,
        handling,
        label: query.label,
        assignee: query.assignee,
    };
    let rows = app
        .store
        .conversations(wall, page, filter, now_ms())
        .await?;
    let next = rows.last().map_or(page.after, |row| row.id);
    Ok(Json(ConversationList {
        conversations: rows.into_iter().map(shape).collect(),
        next,
    }))
}

/// One conversation.
#[utoipa::path(get, path = "/conversations/{id}", params(("id" = i64, Path)), responses(
    (status = 200, body = Conversation),
    (status = 404, description = "There is no such conversation"),
))]
pub(super) async fn one(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
) -> Result<Json<Conversation>, ApiError> {
    existing(&app, wall, id).await.map(Json)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HandlingChange {
    handling: Handling,
    /// How long a person has it; as the number's settings say if absent.
    seconds: Option<u64>,
}

/// Gives a conversation to a person, or back to the automations.
#[utoipa::path(post, path = "/conversations/{id}/handling", params(("id" = i64, Path)), request_body = HandlingChange,
    responses(
        (status = 200, description = "As it is now", body = Conversation),
        (status = 404, description = "There is no such conversation"),
    ))]
pub(super) async fn set_handling(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
    Body(change): Body<HandlingChange>,
) -> Result<Json<Conversation>, ApiError> {
    match (change.handling, change.seconds) {
        (Handling::Automation, Some(_)) => {
            return Err(ApiError::body(
                "seconds: only a person has a conversation for a time",
            ));
        }
        (Handling::Person, Some(seconds)) if seconds == 0 || seconds > HANDLING_SECONDS_MAX => {
            return Err(ApiError::body(format!(
                "seconds: must be 1 to {HANDLING_SECONDS_MAX}"
            )));
        }
        _ => {}
    }
    existing(&app, wall.clone(), id).await?;
    app.operations
        .set_handling(id, change.handling.into(), change.seconds)
        .await?;
    existing(&app, wall, id).await.map(Json)
}

pub(super) async fn existing(app: &App, wall: Wall, id: i64) -> Result<Conversation, ApiError> {
    let row = app.store.conversation_view(wall, id, now_ms()).await?;
    row.map(shape)
        .ok_or_else(|| ApiError::not_found("there is no such conversation"))
}

fn shape(row: ConversationRow) -> Conversation {
    Conversation {
        id: row.id,
        business: row.contact.business,
        number: row.number,
        contact: ConversationContact {
            id: row.contact.id,
            name: row.contact.saved_name.or(row.contact.name),
            wa_id: row.contact.wa_id,
            user_id: row.contact.user_id,
        },
        handling: row.handling.into(),
        handling_until: Time::maybe(row.handling_until_ms),
        handling_by: row.handling_by,
        window_until: Time::maybe(row.window_until_ms),
        free_until: Time::maybe(row.free_until_ms),
        last_at: Time::maybe(row.last_ms),
        labels: row.labels,
        assignee: row.assignee.map(Into::into),
    }
}
