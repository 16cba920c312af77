use axum::Json;
use axum::extract::State;
use duet_rules::coexistence::Pulse;
use duet_rules::history::{Kept, Phase, Report};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::error::ApiError;
use crate::admin::input::{MetaId, Params};
use crate::admin::page::limit;
use crate::admin::shape::Time;
use crate::store::views::NumberRow;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NumberQuery {
    /// Numbers whose ids come later.
    after: Option<String>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
}

/// A business number.
#[derive(Serialize, ToSchema)]
struct Number {
    /// Meta's phone_number_id.
    id: String,
    display: Option<String>,
    waba: Option<String>,
    /// Whose it is; empty for the gateway's own business.
    business: String,
    /// `live`, `at-risk` (the app has been silent for 10 days), `offboarded` (moving to another phone),
    /// `reconnecting` (said to be back, not confirmed by Meta yet) or `disconnected`.
    state: &'static str,
    /// When that began, as Meta told it; absent if nothing was ever told.
    state_since: Option<Time>,
    /// Why and by whom it was disconnected, in Meta's words.
    reason: Option<String>,
    initiated_by: Option<String>,
    contacts: ContactsImport,
    history: HistoryImport,
    /// When the app on the phone last showed life.
    app_seen_at: Option<Time>,
    /// Unless the app is opened before, Meta disconnects the number.
    app_due_at: Option<Time>,
    /// The app has been silent for 13 days.
    urgent: bool,
}

#[derive(Serialize, ToSchema)]
struct ContactsImport {
    state: String,
}

#[derive(Serialize, ToSchema)]
struct HistoryImport {
    /// `none`, `declined` (not shared by the business), `syncing`, `stalled` (nothing has come for a day), `complete`
    /// or `incomplete` (it is over, and chunks are missing).
    state: &'static str,
    /// Percent.
    progress: Option<i64>,
    /// Messages that came with it and are kept.
    messages: i64,
    /// Those of them whose media has not come.
    missing: i64,
}

/// Whether the chats of a number came over.
#[derive(Serialize, ToSchema)]
pub(super) struct History {
    #[serde(flatten)]
    import: HistoryImport,
    /// The whole of it in a sentence or two.
    summary: String,
    /// When its last chunk came.
    last_at: Option<Time>,
    phases: Vec<HistoryPhase>,
}

#[derive(Serialize, ToSchema)]
struct HistoryPhase {
    /// 0 = the last day, 1 = up to 90 days, 2 = up to 180 days; -1 where Meta told none.
    phase: i64,
    /// Chunks that came.
    chunks: usize,
    /// Numbers of those that did not, though later ones did; at most 100.
    chunks_missing: Vec<i64>,
    /// Messages in its chunks. Fewer are kept when Meta repeats some or a contact was erased.
    messages_told: i64,
    messages: i64,
    conversations: i64,
    media: HistoryMedia,
}

/// Messages with media.
#[derive(Serialize, ToSchema)]
struct HistoryMedia {
    told: i64,
    came: i64,
    /// Older than 14 days when the number was connected: Meta never sends these.
    too_old: i64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct NumberList {
    numbers: Vec<Number>,
    next: String,
}

/// The business numbers, in the order of their ids.
#[utoipa::path(get, path = "/numbers", params(NumberQuery), responses((status = 200, body = NumberList)))]
pub(super) async fn list(
    State(app): State<App>,
    Params(query): Params<NumberQuery>,
) -> Result<Json<NumberList>, ApiError> {
    let after = query.after.unwrap_or_default();
    let now_ms = crate::now_ms();
    let rows = app
        .store
        .numbers(after.clone(), limit(query.limit)?, now_ms)
        .await?;
    let numbers: Vec<_> = rows.into_iter().map(|row| number(row, now_ms)).collect();
    let next = numbers.last().map_or(after, |number| number.id.clone());
    Ok(Json(NumberList { numbers, next }))
}

/// Whether the chats of a number came over, by phase.
#[utoipa::path(get, path = "/numbers/{id}/history", params(("id" = String, Path)), responses(
    (status = 200, body = History),
    (status = 404, description = "There is no such number"),
))]
pub(super) async fn history(
    State(app): State<App>,
    MetaId(id): MetaId,
) -> Result<Json<History>, ApiError> {
    let report = app.store.history(id, crate::now_ms()).await?;
    let report = report.ok_or_else(|| ApiError::not_found("there is no such number"))?;
    let phases = report.phases.iter().map(phase).collect();
    Ok(Json(History {
        import: import(&report),
        summary: report.summary(),
        last_at: Time::maybe(report.last_ms),
        phases,
    }))
}

fn import(report: &Report) -> HistoryImport {
    let sum = |of: fn(&Kept) -> i64| report.phases.iter().map(|phase| of(&phase.kept)).sum();
    HistoryImport {
        state: report.state.as_str(),
        progress: report.progress,
        messages: sum(|kept| kept.messages),
        missing: sum(|kept| kept.media.saturating_sub(kept.media_came)),
    }
}

fn phase(phase: &Phase) -> HistoryPhase {
    HistoryPhase {
        phase: phase.phase,
        chunks: phase.chunks,
        chunks_missing: phase.chunks_missing.clone(),
        messages_told: phase.messages_told,
        messages: phase.kept.messages,
        conversations: phase.kept.conversations,
        media: HistoryMedia {
            told: phase.kept.media,
            came: phase.kept.media_came,
            too_old: phase.kept.media_too_old,
        },
    }
}

fn number(row: NumberRow, now_ms: i64) -> Number {
    let pulse = row.life.pulse(now_ms);
    Number {
        id: row.id,
        display: row.display,
        waba: row.waba,
        business: row.business,
        state: if pulse == Pulse::Well {
            row.life.state.as_str()
        } else {
            "at-risk"
        },
        state_since: (row.life.since_ms > 0).then(|| Time::new(row.life.since_ms)),
        app_due_at: Time::maybe(row.life.app_due_ms()),
        app_seen_at: Time::maybe(row.life.app_seen_ms),
        urgent: pulse == Pulse::Urgent,
        reason: row.life.reason,
        initiated_by: row.life.initiated_by,
        contacts: ContactsImport {
            state: row.contacts_state,
        },
        history: import(&row.history),
    }
}
