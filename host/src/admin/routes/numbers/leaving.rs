use axum::Json;
use axum::extract::State;
use duet_rules::coexistence::WAYS;
use serde::Serialize;
use utoipa::ToSchema;

use super::known;
use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::MetaId;

#[derive(Serialize, ToSchema)]
pub(in crate::admin) struct Leaving {
    number: String,
    ways: Vec<WayOut>,
}

/// One way out of coexistence. None is a call of the gateway's: the owner taps it in the app.
#[derive(Serialize, ToSchema)]
struct WayOut {
    /// What is left of the two.
    keeps: &'static str,
    /// What to do, one after the other.
    steps: &'static [&'static str],
    lost: &'static [&'static str],
    /// What comes of it here.
    here: &'static str,
}

/// The ways out for a number: what to tap in the app, and what is lost.
#[utoipa::path(get, path = "/numbers/{id}/leaving", params(("id" = String, Path)), responses(
    (status = 200, body = Leaving),
    (status = 404, description = "There is no such number"),
))]
pub(in crate::admin) async fn leaving(
    State(app): State<App>,
    Walled(wall): Walled,
    MetaId(id): MetaId,
) -> Result<Json<Leaving>, ApiError> {
    let row = known(&app, wall, id, crate::now_ms()).await?;
    let way = |way: duet_rules::coexistence::Way| WayOut {
        keeps: way.keeps,
        steps: way.steps,
        lost: way.lost,
        here: way.here,
    };
    Ok(Json(Leaving {
        number: row.id,
        ways: WAYS.into_iter().map(way).collect(),
    }))
}
