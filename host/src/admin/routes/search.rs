use axum::Json;
use axum::extract::State;
use duet_rules::search;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::messages::{Message, shape};
use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::Params;
use crate::admin::page::{limit, message_cursor, message_place};
use crate::store::views::{FoundRow, MessagePlace, Search, Wanted};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// Words that all have to be there, "phrases" in double quotes, and beginn* for words that begin so; case and
    /// accents make no difference.
    q: String,
    /// Only messages of this number.
    number: Option<String>,
    /// Only messages of this conversation.
    conversation: Option<i64>,
    /// A `next` of this list.
    after: Option<String>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
}

/// A message that holds the words.
#[derive(Serialize, ToSchema)]
struct Found {
    conversation: i64,
    number: String,
    /// The words, each in `[` and `]`, with those around them.
    snippet: String,
    #[serde(flatten)]
    message: Message,
}

#[derive(Serialize, ToSchema)]
pub(super) struct FoundList {
    messages: Vec<Found>,
    next: String,
}

/// Messages that hold words, newest first: what they say now, not what they said before an edit.
#[utoipa::path(get, path = "/messages/search", params(SearchQuery), responses((status = 200, body = FoundList)))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Params(asked): Params<SearchQuery>,
) -> Result<Json<FoundList>, ApiError> {
    let query =
        search::query(&asked.q).map_err(|error| ApiError::parameter(format!("q: {error}")))?;
    let after = asked.after.unwrap_or_default();
    let wanted = Wanted {
        query,
        number: asked.number,
        conversation: asked.conversation,
        before: message_place(&after)?,
        limit: limit(asked.limit)?,
    };
    let rows = match app.store.search_messages(wall, wanted).await? {
        Search::Found(rows) => rows,
        Search::TooBroad => {
            return Err(ApiError::parameter(
                "q: too many messages hold these words; add a word, a number or a conversation",
            ));
        }
    };
    let last = rows.last().map(|row| MessagePlace {
        at_ms: row.message.at_ms,
        id: row.message.id,
    });
    Ok(Json(FoundList {
        messages: rows.into_iter().map(found).collect(),
        next: last.map_or(after, message_cursor),
    }))
}

fn found(row: FoundRow) -> Found {
    Found {
        conversation: row.conversation,
        number: row.number,
        snippet: row.snippet,
        message: shape(row.message, true),
    }
}
