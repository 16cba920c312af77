use axum::Json;
use axum::extract::State;
use duet_rules::coexistence::Kind;
use duet_rules::history::{Phase, State as Came};
use serde::Serialize;
use utoipa::ToSchema;

use super::{HistoryImport, import, known};
use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::MetaId;
use crate::admin::shape::Time;

/// Whether the chats of a number came over.
#[derive(Serialize, ToSchema)]
pub(in crate::admin) struct History {
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

/// Whether the chats of a number came over, by phase.
#[utoipa::path(get, path = "/numbers/{id}/history", params(("id" = String, Path)), responses(
    (status = 200, body = History),
    (status = 404, description = "There is no such number"),
))]
pub(in crate::admin) async fn history(
    State(app): State<App>,
    Walled(wall): Walled,
    MetaId(id): MetaId,
) -> Result<Json<History>, ApiError> {
    let row = known(&app, wall, id, crate::now_ms()).await?;
    let summary = match row.history.state {
        Came::None => row.history_sync.state.summary(Kind::History),
        _ => row.history.summary(),
    };
    Ok(Json(History {
        import: import(&row),
        summary,
        last_at: Time::maybe(row.history.last_ms),
        phases: row.history.phases.iter().map(phase).collect(),
    }))
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
