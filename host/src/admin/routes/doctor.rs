use axum::Json;
use axum::extract::State;
use duet_rules::readiness::Verdict;
use serde::Serialize;
use utoipa::ToSchema;

use super::connections::{Found, found};
use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;

#[derive(Serialize, ToSchema)]
pub(super) struct Examination {
    /// The worst of the findings: `well`, `doubt` or `problem`.
    verdict: &'static str,
    findings: Vec<Found>,
}

/// Looks at everything that the numbers need, at Meta's and here: token, permissions, webhook fields, subscriptions,
/// each number's place, quality and syncs, the clock. Nothing is changed.
#[utoipa::path(get, path = "/doctor", responses((status = 200, body = Examination)))]
pub(super) async fn examine(
    State(app): State<App>,
    Walled(wall): Walled,
) -> Result<Json<Examination>, ApiError> {
    let examined = app.operations.examine(wall).await?;
    let verdicts = examined.iter().map(|one| one.finding.verdict);
    let verdict = verdicts.max().unwrap_or(Verdict::Well);
    let findings = examined
        .into_iter()
        .map(|one| found(one.about, one.finding))
        .collect();
    Ok(Json(Examination {
        verdict: verdict.as_str(),
        findings,
    }))
}
