use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use duet_rules::business::OWN;
use duet_rules::partner::SECRET_BYTES_MIN;
use duet_rules::provider::Provider;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::error::ApiError;
use crate::admin::input::{Body, MetaId, MetaIds, Params};
use crate::admin::page::limit;
use crate::admin::shape::Time;
use crate::config::Secret;
use crate::keyring::Access;
use crate::store::businesses::BusinessRow;
use crate::store::secrets::Route;

const NAME_BYTES_MAX: usize = 100;
/// Meta's ids have some 20 digits.
const META_ID_BYTES_MAX: usize = 64;
/// Meta's tokens have some 200 bytes.
const SECRET_BYTES_MAX: usize = 4096;

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
    app.operations.remove_business(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a business reaches WhatsApp. What is absent stays as it is; no secret can be read again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccess {
    /// `meta` or `360dialog`.
    provider: Option<String>,
    /// The partner's API, if it is not at the usual address; `""` takes that one again.
    base_url: Option<String>,
    /// Meta's phone_number_id of the number that the token is for; absent when it is for all of the business. A
    /// partner's key is for one, which becomes the business's.
    number: Option<String>,
    /// The access token of Meta's API, or the key of the partner's.
    token: Option<String>,
    /// What the partner shows with its webhooks, in the header `Authorization` that was set there; at least 24 bytes.
    /// `POST /businesses/{id}/webhook` makes one.
    webhook_secret: Option<String>,
}

/// Sets how a business reaches WhatsApp, and with which token. It is used at once, and held sends go.
#[utoipa::path(put, path = "/businesses/{id}/access", params(("id" = String, Path)), request_body = NewAccess, responses(
    (status = 204, description = "It is set"),
    (status = 404, description = "There is no such business"),
    (status = 409, description = "Another business has conversations with the number"),
))]
pub(super) async fn set_access(
    State(app): State<App>,
    MetaId(id): MetaId,
    Body(new): Body<NewAccess>,
) -> Result<StatusCode, ApiError> {
    let number = new.number.map(|number| meta_id("number", number));
    let access = Access {
        route: route(new.provider, new.base_url)?,
        number: number.transpose()?.unwrap_or_default(),
        token: new.token.map(|text| secret("token", &text)).transpose()?,
        webhook: new
            .webhook_secret
            .map(|text| webhook_secret(&text))
            .transpose()?,
    };
    if access.route.is_none() && access.token.is_none() && access.webhook.is_none() {
        return Err(ApiError::body(
            "name at least one of provider, token, webhook_secret",
        ));
    }
    app.operations.set_access(id, access).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn route(provider: Option<String>, base: Option<String>) -> Result<Option<Route>, ApiError> {
    let base = base.filter(|base| !base.is_empty());
    let Some(word) = provider else {
        return match base {
            None => Ok(None),
            Some(_) => Err(ApiError::body("base_url: name the provider with it")),
        };
    };
    let provider = Provider::from_word(&word)
        .ok_or_else(|| ApiError::body("provider: must be meta or 360dialog"))?;
    if provider == Provider::Meta && base.is_some() {
        return Err(ApiError::body(
            "base_url: Meta's API is at DUET_GRAPH_URL for all",
        ));
    }
    Ok(Some(Route { provider, base }))
}

fn webhook_secret(text: &str) -> Result<Secret, ApiError> {
    let secret = secret("webhook_secret", text)?;
    if secret.expose().len() < SECRET_BYTES_MIN {
        return Err(ApiError::body(format!(
            "webhook_secret: must have at least {SECRET_BYTES_MIN} bytes, so that nobody guesses it"
        )));
    }
    Ok(secret)
}

fn secret(name: &str, text: &str) -> Result<Secret, ApiError> {
    let text = text.trim();
    if text.is_empty() || text.len() > SECRET_BYTES_MAX {
        return Err(ApiError::body(format!(
            "{name}: must have 1 to {SECRET_BYTES_MAX} bytes"
        )));
    }
    Ok(Secret::new(text))
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
    let account = meta_id("account", account)?;
    app.store.give_account(account, id).await?;
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
    let account = meta_id("account", account)?;
    if app.store.business_of_account(&account).await? != Some(id) {
        return Err(ApiError::not_found("the business has no such account"));
    }
    app.store.give_account(account, OWN.to_owned()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn meta_id(name: &str, id: String) -> Result<String, ApiError> {
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if id.is_empty() || id.len() > META_ID_BYTES_MAX || !plain {
        let message = format!("{name}: must be Meta's id of it, such as 102290129340398");
        return Err(ApiError::parameter(message));
    }
    Ok(id)
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
