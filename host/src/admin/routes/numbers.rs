use axum::Json;
use axum::extract::State;
use duet_rules::coexistence::Pulse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::error::ApiError;
use crate::admin::input::Params;
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
    state: String,
    /// Percent.
    progress: Option<i64>,
    messages: i64,
    /// Messages whose media was promised and has not come.
    missing: i64,
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
    let rows = app
        .store
        .numbers(after.clone(), limit(query.limit)?)
        .await?;
    let now_ms = crate::now_ms();
    let numbers: Vec<_> = rows.into_iter().map(|row| number(row, now_ms)).collect();
    let next = numbers.last().map_or(after, |number| number.id.clone());
    Ok(Json(NumberList { numbers, next }))
}

fn number(row: NumberRow, now_ms: i64) -> Number {
    let pulse = row.life.pulse(now_ms);
    Number {
        id: row.id,
        display: row.display,
        waba: row.waba,
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
        history: HistoryImport {
            state: row.history_state,
            progress: row.history_progress,
            messages: row.history_messages,
            missing: row.history_missing,
        },
    }
}
