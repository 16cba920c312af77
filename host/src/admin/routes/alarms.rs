use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::{Id, Params};
use crate::admin::page::page;
use crate::admin::shape::Time;
use crate::store::views::{AlarmRow, NoticeRow};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AlarmQuery {
    /// Alarms with a higher id.
    after: Option<i64>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
    /// Only those that nobody has acknowledged, or only the others.
    open: Option<bool>,
    /// Only those about this number, by Meta's phone_number_id.
    number: Option<String>,
}

/// Something that an admin should look at.
#[derive(Serialize, ToSchema)]
struct Alarm {
    id: i64,
    /// `app-wrote-to-opted-out`, `app-used-up-rate`, `quality-low`, `account-restricted`, `account-alert`,
    /// `account-alert-critical` (campaigns wait until it is acknowledged), `app-silent` (for 10 days),
    /// `app-silent-urgent` (for 13), `number-offboarded`, `number-disconnected`, `contacts-missing` and `history-missing`
    /// (asked for in vain), `token-refused`, `templates-refused`, `foreign-webhook` (of a business that its sender may
    /// not speak of), or `plugin-quarantined` (it faults on one event after another, and gets none for a while).
    name: String,
    number: Option<String>,
    contact: Option<i64>,
    /// Whose it is, `""` for the gateway's own business; absent: it is about the whole gateway.
    business: Option<String>,
    /// The plugin's name in plugins.toml.
    plugin: Option<String>,
    /// The event that raised it last; absent when none did.
    event: Option<i64>,
    at: Time,
    last_at: Time,
    /// How often it was raised while open.
    times: i64,
    detail: String,
    /// By somebody, or by itself.
    acknowledged_at: Option<Time>,
    /// It was over by itself.
    settled: bool,
    /// What has left of it, or is to leave: the newest 20 that were sent, and what waits.
    notices: Vec<Notice>,
}

/// What is said of an alarm, by one way.
#[derive(Serialize, ToSchema)]
struct Notice {
    /// `webhook`, `mail` or `template`.
    channel: String,
    /// `pending`, `sent` (a template: it stands in the outbox), or `dead` (given up).
    state: String,
    at: Time,
    attempts: i64,
    /// Why it has not left.
    cause: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AlarmList {
    alarms: Vec<Alarm>,
    next: i64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Acknowledged {
    acknowledged: bool,
}

/// Alarms, in the order in which they were first raised.
#[utoipa::path(get, path = "/alarms", params(AlarmQuery), responses((status = 200, body = AlarmList)))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Params(query): Params<AlarmQuery>,
) -> Result<Json<AlarmList>, ApiError> {
    let page = page(query.after, query.limit)?;
    let rows = app
        .store
        .alarms(wall, page, query.open, query.number)
        .await?;
    let next = rows.last().map_or(page.after, |row| row.id);
    Ok(Json(AlarmList {
        alarms: rows.into_iter().map(shape).collect(),
        next,
    }))
}

/// An admin has seen it; what happens from now on raises a new one.
#[utoipa::path(post, path = "/alarms/{id}/acknowledge", params(("id" = i64, Path)), responses(
    (status = 200, body = Acknowledged),
    (status = 404, description = "There is no such open alarm"),
))]
pub(super) async fn acknowledge(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
) -> Result<Json<Acknowledged>, ApiError> {
    if app.store.acknowledge(wall, id, crate::now_ms()).await? {
        Ok(Json(Acknowledged { acknowledged: true }))
    } else {
        Err(ApiError::not_found("there is no such open alarm"))
    }
}

fn shape(row: AlarmRow) -> Alarm {
    Alarm {
        id: row.id,
        name: row.name,
        number: row.number,
        contact: row.contact,
        business: row.business,
        plugin: row.plugin,
        event: (row.seq > 0).then_some(row.seq),
        at: Time::new(row.at_ms),
        last_at: Time::new(row.last_ms),
        times: row.times,
        detail: row.detail,
        acknowledged_at: Time::maybe(row.acknowledged_ms),
        settled: row.settled,
        notices: row.notices.into_iter().map(notice).collect(),
    }
}

fn notice(row: NoticeRow) -> Notice {
    Notice {
        channel: row.channel,
        state: row.state,
        at: Time::new(row.at_ms),
        attempts: row.attempts,
        cause: row.cause,
    }
}
