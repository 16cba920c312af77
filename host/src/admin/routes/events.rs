use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::{Access, Scope, Walled};
use crate::admin::error::ApiError;
use crate::admin::input::Params;
use crate::admin::page::page;
use crate::admin::shape::{Time, is_false, raw};
use crate::event;
use crate::store::views::{EventFilter, Kinds};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventQuery {
    /// Events with a higher seq.
    after: Option<i64>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
    /// One kind, or a family as in `message.*`.
    kind: Option<String>,
    /// Only those of this conversation.
    conversation: Option<i64>,
}

/// One thing that happened.
#[derive(Serialize, ToSchema)]
struct Event {
    /// Order of arrival, without gaps that could fill later.
    seq: i64,
    /// The same whenever Meta repeats it.
    id: String,
    kind: String,
    /// The only plugin that sees it; absent for what all may see.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<String>,
    /// Meta's phone_number_id.
    number: Option<String>,
    waba: Option<String>,
    contact: Option<i64>,
    conversation: Option<i64>,
    /// Meta's time.
    at: Option<Time>,
    received_at: Time,
    receipt: i64,
    /// Imported with the history.
    history: bool,
    /// Meta's JSON of this one element; needs the scope `personal`.
    #[schema(value_type = Option<Object>)]
    body: Option<Box<RawValue>>,
    /// Meta's contacts entry that came with it; needs the scope `personal`.
    #[schema(value_type = Option<Object>)]
    context: Option<Box<RawValue>>,
    /// The token lacks `personal`, so body and context are left out.
    #[serde(skip_serializing_if = "is_false")]
    redacted: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct EventList {
    events: Vec<Event>,
    next: i64,
}

/// Events in the order of arrival.
#[utoipa::path(get, path = "/events", params(EventQuery), responses((status = 200, body = EventList)))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Extension(access): Extension<Access>,
    Params(query): Params<EventQuery>,
) -> Result<Json<EventList>, ApiError> {
    let page = page(query.after, query.limit)?;
    let kinds = query.kind.as_deref().map(Kinds::new);
    let found = app
        .store
        .events(
            wall,
            page,
            EventFilter {
                kinds,
                conversation: query.conversation,
            },
        )
        .await?;
    let personal = access.has(Scope::Personal);
    let events = found
        .events
        .into_iter()
        .map(|event| shape(event, personal))
        .collect();
    Ok(Json(EventList {
        events,
        next: found.next,
    }))
}

fn shape(event: event::Event, personal: bool) -> Event {
    let shown = |text: &str| if personal { raw(text) } else { None };
    Event {
        seq: event.seq,
        id: event.id,
        kind: event.kind,
        plugin: event.instance,
        number: event.number,
        waba: event.waba,
        contact: event.contact,
        conversation: event.conversation,
        at: Time::maybe(event.at_ms),
        received_at: Time::new(event.received_ms),
        receipt: event.receipt,
        history: event.history,
        body: shown(&event.body),
        context: event.context.as_deref().and_then(shown),
        redacted: !personal,
    }
}
