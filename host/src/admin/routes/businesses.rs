use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use duet_rules::business::OWN;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::error::ApiError;
use crate::admin::input::{Body, MetaId, MetaIds, Params};
use crate::admin::page::limit;
use crate::admin::shape::Time;
use crate::store::businesses::BusinessRow;

const NAME_BYTES_MAX: usize = 100;
/// Meta's ids have some 20 digits.
const ACCOUNT_BYTES_MAX: usize = 64;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BusinessQuery {
    /// Businesses whose ids come later.
    after: Option<String>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
}

/// A business: whose numbers, tokens and data are walled off from others on the same gateway.
#[derive(Serialize, ToSchema)]
pub(super) struct Business {
    id: String,
    name: String,
    created_at: Time,
    /// Accounts that were given to it.
    accounts: i64,
    /// Numbers that it has.
    numbers: i64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct BusinessList {
    businesses: Vec<Business>,
    next: String,
}

/// The businesses, in the order of their ids. The gateway's own, which has all other numbers, is not among them.
#[utoipa::path(get, path = "/businesses", params(BusinessQuery), responses((status = 200, body = BusinessList)))]
pub(super) async fn list(
    State(app): State<App>,
    Params(query): Params<BusinessQuery>,
) -> Result<Json<BusinessList>, ApiError> {
    let after = query.after.unwrap_or_default();
    let rows = app
        .store
        .businesses(after.clone(), limit(query.limit)?)
        .await?;
    let next = rows.last().map_or(after, |row| row.id.clone());
    Ok(Json(BusinessList {
        businesses: rows.into_iter().map(shape).collect(),
        next,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBusiness {
    /// 1 to 63 of a-z, 0-9 and `-`; it stays.
    id: String,
    /// What people call it, up to 100 bytes; the id if absent.
    name: Option<String>,
}

/// Makes a business.
#[utoipa::path(post, path = "/businesses", request_body = NewBusiness, responses(
    (status = 201, body = Business),
    (status = 409, description = "There is one with this id"),
))]
pub(super) async fn create(
    State(app): State<App>,
    Body(new): Body<NewBusiness>,
) -> Result<(StatusCode, Json<Business>), ApiError> {
    let name = new.name.unwrap_or_else(|| new.id.clone());
    if name.trim().is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(ApiError::body(format!(
            "name: must have 1 to {NAME_BYTES_MAX} bytes"
        )));
    }
    let row = app
        .store
        .create_business(new.id, name, crate::now_ms())
        .await?;
    Ok((StatusCode::CREATED, Json(shape(row))))
}

/// Removes a business that has neither numbers nor accounts.
#[utoipa::path(delete, path = "/businesses/{id}", params(("id" = String, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such business"),
    (status = 409, description = "It still has numbers or accounts"),
))]
pub(super) async fn remove(
    State(app): State<App>,
    MetaId(id): MetaId,
) -> Result<StatusCode, ApiError> {
    app.store.remove_business(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an account (WABA) with its numbers to a business, before they have conversations.
#[utoipa::path(put, path = "/businesses/{id}/accounts/{account}", params(("id" = String, Path), ("account" = String, Path)), responses(
    (status = 204, description = "It is given"),
    (status = 404, description = "There is no such business"),
    (status = 409, description = "Another business has conversations with it"),
))]
pub(super) async fn give_account(
    State(app): State<App>,
    MetaIds(id, account): MetaIds,
) -> Result<StatusCode, ApiError> {
    app.store.give_account(checked(account)?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an account back to the gateway's own business, before its numbers have conversations.
#[utoipa::path(delete, path = "/businesses/{id}/accounts/{account}", params(("id" = String, Path), ("account" = String, Path)), responses(
    (status = 204, description = "It is the gateway's own"),
    (status = 404, description = "The business has no such account"),
    (status = 409, description = "The business has conversations with it"),
))]
pub(super) async fn take_account_back(
    State(app): State<App>,
    MetaIds(id, account): MetaIds,
) -> Result<StatusCode, ApiError> {
    let account = checked(account)?;
    if app.store.business_of_account(&account).await? != Some(id) {
        return Err(ApiError::not_found("the business has no such account"));
    }
    app.store.give_account(account, OWN.to_owned()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn checked(account: String) -> Result<String, ApiError> {
    let digits = account.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if account.is_empty() || account.len() > ACCOUNT_BYTES_MAX || !digits {
        return Err(ApiError::parameter(
            "account: must be Meta's id of a WhatsApp Business Account (WABA)",
        ));
    }
    Ok(account)
}

fn shape(row: BusinessRow) -> Business {
    Business {
        id: row.id,
        name: row.name,
        created_at: Time::new(row.created_ms),
        accounts: row.accounts,
        numbers: row.numbers,
    }
}
