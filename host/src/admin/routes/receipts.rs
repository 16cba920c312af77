use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::error::ApiError;
use crate::admin::input::{Id, Params};
use crate::admin::page::page;
use crate::admin::shape::Time;
use crate::store::views::{self, ReceiptRow};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReceiptQuery {
    /// Receipts with a higher id.
    after: Option<i64>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
    /// Only those in this state.
    #[param(inline)]
    state: Option<Progress>,
}

/// How far a receipt has come.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ReceiptState)]
enum Progress {
    Waiting,
    Done,
    Unreadable,
}

impl From<Progress> for views::ReceiptState {
    fn from(state: Progress) -> views::ReceiptState {
        match state {
            Progress::Waiting => views::ReceiptState::Waiting,
            Progress::Done => views::ReceiptState::Done,
            Progress::Unreadable => views::ReceiptState::Unreadable,
        }
    }
}

impl From<views::ReceiptState> for Progress {
    fn from(state: views::ReceiptState) -> Progress {
        match state {
            views::ReceiptState::Waiting => Progress::Waiting,
            views::ReceiptState::Done => Progress::Done,
            views::ReceiptState::Unreadable => Progress::Unreadable,
        }
    }
}

/// A stored webhook body.
#[derive(Serialize, ToSchema)]
struct Receipt {
    id: i64,
    received_at: Time,
    state: Progress,
    /// Why it is unreadable.
    reason: Option<String>,
    /// Absent once the body is no longer kept.
    bytes: Option<i64>,
    /// It holds history.
    history: Option<bool>,
    /// Which partner has passed it on, such as `360dialog`; absent when it came from Meta.
    provider: Option<String>,
    /// The business whose partner that is.
    business: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ReceiptList {
    receipts: Vec<Receipt>,
    next: i64,
}

/// Stored webhook bodies in the order of arrival, without the bodies.
#[utoipa::path(get, path = "/receipts", params(ReceiptQuery), responses((status = 200, body = ReceiptList)))]
pub(super) async fn list(
    State(app): State<App>,
    Params(query): Params<ReceiptQuery>,
) -> Result<Json<ReceiptList>, ApiError> {
    let page = page(query.after, query.limit)?;
    let found = app
        .store
        .receipts(page, query.state.map(Into::into))
        .await?;
    Ok(Json(ReceiptList {
        receipts: found.receipts.into_iter().map(shape).collect(),
        next: found.next,
    }))
}

/// One body, byte for byte as it came.
#[utoipa::path(get, path = "/receipts/{id}", params(("id" = i64, Path)), responses(
    (status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 404, description = "There is no such receipt, or it is no longer kept"),
))]
pub(super) async fn body(
    State(app): State<App>,
    Id(id): Id,
) -> Result<impl IntoResponse, ApiError> {
    let log = app.receipts.clone();
    let found = tokio::task::spawn_blocking(move || log.get(id))
        .await
        .map_err(|_| ApiError::unavailable())??;
    let receipt = found.ok_or_else(|| ApiError::not_found("there is no such receipt"))?;
    // Never shown as a page: a stranger's bytes may be anything.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, receipt.body))
}

fn shape(row: ReceiptRow) -> Receipt {
    Receipt {
        id: row.id,
        received_at: Time::new(row.received_ms),
        state: row.state.into(),
        reason: row.reason,
        bytes: row.bytes,
        history: row.history,
        provider: row.provider,
        business: row.business,
    }
}
