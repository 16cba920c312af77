use axum::Json;
use axum::extract::State;
use duet_rules::coexistence::Kind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Number, known, number};
use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::{Body, MetaId};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct AskFor {
    /// Both if absent.
    kinds: Option<Vec<SyncKind>>,
    /// Although it may have been asked for before: Meta then refuses with 2593107, and what it gave once it does not
    /// give again.
    #[serde(default)]
    again: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SyncKind {
    Contacts,
    History,
}

#[derive(Serialize, ToSchema)]
pub(in crate::admin) struct AskedFor {
    asked: Vec<SyncKind>,
    /// What was not asked for, and why.
    not_asked: Vec<NotAsked>,
    number: Number,
}

#[derive(Serialize, ToSchema)]
struct NotAsked {
    kind: SyncKind,
    reason: String,
}

/// Asks Meta for the number's contacts and history. Meta takes one request of each within 24 hours after the number was
/// connected, so nothing that may have been accepted is asked for twice.
#[utoipa::path(post, path = "/numbers/{id}/sync", params(("id" = String, Path)), request_body = AskFor, responses(
    (status = 200, body = AskedFor),
    (status = 404, description = "There is no such number"),
    (status = 409, description = "None of it may be asked for; the message says why"),
))]
pub(in crate::admin) async fn sync(
    State(app): State<App>,
    Walled(wall): Walled,
    MetaId(id): MetaId,
    Body(body): Body<AskFor>,
) -> Result<Json<AskedFor>, ApiError> {
    known(&app, wall.clone(), id.clone(), crate::now_ms()).await?;
    let kinds = body.kinds.map_or_else(
        || Kind::ALL.to_vec(),
        |kinds| kinds.into_iter().map(Kind::from).collect(),
    );
    let reports = app
        .operations
        .ask_syncs(id.clone(), kinds, body.again)
        .await?;
    let (mut asked, mut not_asked) = (Vec::new(), Vec::new());
    for report in reports {
        let kind = report.kind.into();
        match report.not_asked {
            None => asked.push(kind),
            Some(reason) => not_asked.push(NotAsked { kind, reason }),
        }
    }
    if asked.is_empty() && !not_asked.is_empty() {
        let reasons: Vec<_> = not_asked.into_iter().map(|one| one.reason).collect();
        return Err(ApiError::refused(reasons.join(" "), None));
    }
    let now_ms = crate::now_ms();
    let number = number(known(&app, wall, id, now_ms).await?, now_ms);
    Ok(Json(AskedFor {
        asked,
        not_asked,
        number,
    }))
}

impl From<SyncKind> for Kind {
    fn from(kind: SyncKind) -> Kind {
        match kind {
            SyncKind::Contacts => Kind::Contacts,
            SyncKind::History => Kind::History,
        }
    }
}

impl From<Kind> for SyncKind {
    fn from(kind: Kind) -> SyncKind {
        match kind {
            Kind::Contacts => SyncKind::Contacts,
            Kind::History => SyncKind::History,
        }
    }
}
