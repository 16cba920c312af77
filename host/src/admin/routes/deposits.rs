use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use duet_rules::business::OWN;
use duet_rules::media::upload_type;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::Params;
use crate::media::{Deposit, DepositError, NoRoom};
use crate::store::wall::Wall;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DepositQuery {
    /// Whose file it is; the token's business if absent, or the gateway's own.
    business: Option<String>,
}

/// A file that can be sent.
#[derive(Serialize, ToSchema)]
pub(super) struct GivenFile {
    /// By this a message names it, as in `{"type": "image", "image": {"file": "<sha256>"}}`.
    sha256: String,
    mime_type: String,
    bytes: u64,
}

/// Takes a file that messages of a business are to carry. The body is the file, `Content-Type` its type; both must be
/// what WhatsApp takes. The same bytes twice are one file. It is kept as files of messages are.
#[utoipa::path(post, path = "/media", params(DepositQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
        (status = 201, description = "It is on disk, and messages can name it", body = GivenFile),
        (status = 404, description = "There is no such business"),
        (status = 408, description = "It came too slowly"),
        (status = 409, description = "There is no room for it"),
        (status = 413, description = "It is too large to be sent"),
        (status = 503, description = "As many files are being handed over as may be at once, by this business or by all, or the room is kept for files that are coming; hand it over again soon"),
    ))]
pub(super) async fn take(
    State(app): State<App>,
    Walled(wall): Walled,
    Params(query): Params<DepositQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<GivenFile>), ApiError> {
    let business = owner(&app, &wall, query.business).await?;
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let mime_type = upload_type(text(header::CONTENT_TYPE).unwrap_or_default())
        .map_err(|problem| ApiError::parameter(format!("Content-Type: {problem}")))?;
    let deposit = Deposit {
        business,
        mime_type,
        bytes: text(header::CONTENT_LENGTH).and_then(|bytes| bytes.parse().ok()),
    };
    let (digest, file) = app.deposits.take(deposit, body.into_data_stream()).await?;
    let given = GivenFile {
        sha256: digest.to_string(),
        mime_type: file.mime_type,
        bytes: file.bytes,
    };
    Ok((StatusCode::CREATED, Json(given)))
}

/// What is behind the wall is not there.
async fn owner(app: &App, wall: &Wall, asked: Option<String>) -> Result<String, ApiError> {
    let business = match (asked, wall.business()) {
        (Some(asked), _) => asked,
        (None, own) => own.unwrap_or(OWN).to_owned(),
    };
    let is_made = business == OWN || app.store.has_business(business.clone()).await?;
    if wall.shows(&business) && is_made {
        return Ok(business);
    }
    Err(ApiError::not_found("there is no such business"))
}

impl From<DepositError> for ApiError {
    fn from(error: DepositError) -> ApiError {
        match error {
            DepositError::TooLarge(_) => ApiError::file_too_large(error.to_string()),
            DepositError::NoRoom(NoRoom::Full { .. }) => ApiError::refused(error.to_string(), None),
            DepositError::Empty | DepositError::Broken(_) => ApiError::body(error.to_string()),
            DepositError::Stalled(_) | DepositError::Slow(_) => {
                ApiError::too_slow(error.to_string())
            }
            DepositError::NoRoom(NoRoom::Coming { .. }) | DepositError::NoPlace(_) => {
                ApiError::busy(error.to_string())
            }
            // Swept in the moment between its place and its row.
            DepositError::Store(crate::store::StoreError::Conflict) => ApiError::unavailable(),
            DepositError::Store(error) | DepositError::NoRoom(NoRoom::Store(error)) => error.into(),
            DepositError::Disk(error) => {
                tracing::error!(%error, "a file that was handed over cannot be kept");
                ApiError::unavailable()
            }
        }
    }
}
