//! - `history`: whether the chats came over
//! - `leaving`: the ways out
//! - `sync`: requests for contacts and history

mod history;
mod leaving;
mod sync;

use axum::Json;
use axum::extract::State;
use duet_rules::coexistence::{Pulse, reason_means};
use duet_rules::history::{Kept, State as Came};
use duet_rules::sending::Standing;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::{MetaId, Params};
use crate::admin::page::limit;
use crate::admin::shape::Time;
use crate::store::syncs::SyncRow;
use crate::store::views::NumberRow;
use crate::store::wall::Wall;

pub(in crate::admin) use history::{__path_history, history};
pub(in crate::admin) use leaving::{__path_leaving, leaving};
pub(in crate::admin) use sync::{__path_sync, sync};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::admin) struct NumberQuery {
    /// Numbers whose ids come later.
    after: Option<String>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
}

/// A business number.
#[derive(Serialize, ToSchema)]
pub(in crate::admin) struct Number {
    /// Meta's phone_number_id.
    id: String,
    display: Option<String>,
    waba: Option<String>,
    /// Whose it is; empty for the gateway's own business.
    business: String,
    /// `connecting`, `syncing-contacts`, `syncing-history`, `live`, `at-risk` (the app has been silent for 10 days),
    /// `offboarded` (moving to another phone), `reconnecting` (said to be back, not confirmed by Meta yet) or
    /// `disconnected`.
    state: &'static str,
    /// Since when it is on the Cloud API, moving, back or off, as Meta told it; absent if nothing was ever told.
    state_since: Option<Time>,
    /// When it was connected, as far as it is known.
    connected_at: Option<Time>,
    /// Why and by whom it was disconnected, in Meta's words.
    reason: Option<String>,
    initiated_by: Option<String>,
    /// What the reason means, and what to do.
    reason_means: Option<&'static str>,
    contacts: ContactsImport,
    history: HistoryImport,
    /// When the app on the phone last showed life.
    app_seen_at: Option<Time>,
    /// Unless the app is opened before, Meta disconnects the number.
    app_due_at: Option<Time>,
    /// The app has been silent for 13 days.
    urgent: bool,
    standing: NumberStanding,
}

/// What Meta's webhooks have said against the number or its account. The doctor asks Meta for the quality itself.
#[derive(Serialize, ToSchema)]
struct NumberStanding {
    /// The gravest of it and what it means, or that there is nothing.
    summary: &'static str,
    /// Meta has flagged the number; campaigns wait.
    quality_low: bool,
    /// Meta has raised a critical alert that nobody has acknowledged; campaigns wait.
    alerted: bool,
    /// The account is disabled.
    locked: bool,
    /// Until when the account may not begin conversations, if that is not over.
    restricted_until: Option<Time>,
}

#[derive(Serialize, ToSchema)]
struct ContactsImport {
    /// `none` (not asked for), `not-sent`, `asked`, `awaited` (accepted, nothing came yet), `unknown` (the answer was lost),
    /// `silent` (nothing came for six hours), `synced`, `spent` (2593107), `late` (2593108) or `refused`.
    state: &'static str,
    /// What has happened and what is still possible.
    summary: String,
    request: Option<SyncRequest>,
}

#[derive(Serialize, ToSchema)]
struct HistoryImport {
    /// While nothing has come, as for contacts, or `declined` (not shared by the business); then `syncing`, `stalled`
    /// (nothing has come for a day), `complete` or `incomplete` (it is over, and chunks are missing).
    state: &'static str,
    /// Percent.
    progress: Option<i64>,
    /// The oldest phase of which something came: 0 = the last day, 1 = up to 90 days, 2 = up to 180 days.
    phase: Option<i64>,
    /// Messages that came with it and are kept.
    messages: i64,
    /// Those of them whose media has not come.
    missing: i64,
    request: Option<SyncRequest>,
}

/// The last request for it since the number was connected.
#[derive(Serialize, ToSchema)]
struct SyncRequest {
    asked_at: Time,
    /// Until when Meta takes one.
    until: Option<Time>,
    /// Meta's id of the request, for its support.
    id: Option<String>,
    /// Meta's code, when it refused.
    code: Option<i64>,
    /// Why it was not accepted.
    cause: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::admin) struct NumberList {
    numbers: Vec<Number>,
    next: String,
}

/// The business numbers, in the order of their ids.
#[utoipa::path(get, path = "/numbers", params(NumberQuery), responses((status = 200, body = NumberList)))]
pub(in crate::admin) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Params(query): Params<NumberQuery>,
) -> Result<Json<NumberList>, ApiError> {
    let after = query.after.unwrap_or_default();
    let now_ms = crate::now_ms();
    let rows = app
        .store
        .numbers(wall, after.clone(), limit(query.limit)?, now_ms)
        .await?;
    let numbers: Vec<_> = rows.into_iter().map(|row| number(row, now_ms)).collect();
    let next = numbers.last().map_or(after, |number| number.id.clone());
    Ok(Json(NumberList { numbers, next }))
}

/// One business number.
#[utoipa::path(get, path = "/numbers/{id}", params(("id" = String, Path)), responses(
    (status = 200, body = Number),
    (status = 404, description = "There is no such number"),
))]
pub(in crate::admin) async fn one(
    State(app): State<App>,
    Walled(wall): Walled,
    MetaId(id): MetaId,
) -> Result<Json<Number>, ApiError> {
    let now_ms = crate::now_ms();
    Ok(Json(number(known(&app, wall, id, now_ms).await?, now_ms)))
}

async fn known(app: &App, wall: Wall, id: String, now_ms: i64) -> Result<NumberRow, ApiError> {
    let row = app.store.number(wall, id, now_ms).await?;
    row.ok_or_else(|| ApiError::not_found("there is no such number"))
}

fn number(row: NumberRow, now_ms: i64) -> Number {
    Number {
        contacts: contacts(&row.contacts),
        history: import(&row),
        state: row.stage.as_str(),
        state_since: (row.life.since_ms > 0).then(|| Time::new(row.life.since_ms)),
        connected_at: Time::maybe(row.onboarded_ms),
        app_due_at: Time::maybe(row.life.app_due_ms()),
        app_seen_at: Time::maybe(row.life.app_seen_ms),
        urgent: row.life.pulse(now_ms) == Pulse::Urgent,
        standing: standing(row.standing, now_ms),
        id: row.id,
        display: row.display,
        waba: row.waba,
        business: row.business,
        reason_means: row.life.reason.as_deref().and_then(reason_means),
        reason: row.life.reason,
        initiated_by: row.life.initiated_by,
    }
}

fn standing(of: Standing, now_ms: i64) -> NumberStanding {
    NumberStanding {
        summary: of.summary(now_ms),
        quality_low: of.flagged,
        alerted: of.alerted,
        locked: of.locked,
        restricted_until: (of.restricted_until_ms > now_ms)
            .then(|| Time::new(of.restricted_until_ms)),
    }
}

fn contacts(row: &SyncRow) -> ContactsImport {
    ContactsImport {
        state: row.state.as_str(),
        summary: row.state.summary(row.kind),
        request: request(row),
    }
}

fn import(row: &NumberRow) -> HistoryImport {
    let phases = &row.history.phases;
    let sum = |of: fn(&Kept) -> i64| phases.iter().map(|phase| of(&phase.kept)).sum();
    let nothing = row.history.state == Came::None;
    HistoryImport {
        state: if nothing {
            row.history_sync.state.as_str()
        } else {
            row.history.state.as_str()
        },
        progress: row.history.progress,
        phase: phases.last().map(|phase| phase.phase),
        messages: sum(|kept| kept.messages),
        missing: sum(|kept| kept.media.saturating_sub(kept.media_came)),
        request: request(&row.history_sync),
    }
}

fn request(row: &SyncRow) -> Option<SyncRequest> {
    Some(SyncRequest {
        asked_at: Time::new(row.asked_ms?),
        until: Time::maybe(row.window_until_ms),
        id: row.request_id.clone(),
        code: row.code,
        cause: row.cause.clone(),
    })
}
