use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::{Id, Params};
use crate::admin::page::page;
use crate::store::views::ContactRow;
use crate::store::wall::Wall;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ContactQuery {
    /// Contacts with a higher id.
    after: Option<i64>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
    /// Only those that this phone number, user id or id may mean; not paged.
    find: Option<String>,
}

/// A customer.
#[derive(Serialize, ToSchema)]
struct Contact {
    id: i64,
    /// Whose contact it is; empty for the gateway's own business.
    business: String,
    name: Option<String>,
    /// Digits of the phone number, unless hidden.
    wa_id: Option<String>,
    /// Meta's business-scoped user id.
    user_id: Option<String>,
    username: Option<String>,
    /// The name in the phone's address book.
    saved_name: Option<String>,
    /// Asked not to get marketing messages.
    marketing_stopped: bool,
    /// The contact that stands for the same person: messages and takeovers go on there.
    same_as: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ContactList {
    contacts: Vec<Contact>,
    next: i64,
}

/// Contacts, in the order of their ids.
#[utoipa::path(get, path = "/contacts", params(ContactQuery), responses((status = 200, body = ContactList)))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Params(query): Params<ContactQuery>,
) -> Result<Json<ContactList>, ApiError> {
    let page = page(query.after, query.limit)?;
    let rows = match query.find {
        Some(name) => app.store.find_contacts(wall, name).await?,
        None => app.store.contacts(wall, page).await?,
    };
    let next = rows.last().map_or(page.after, |row| row.id);
    Ok(Json(ContactList {
        contacts: rows.into_iter().map(shape).collect(),
        next,
    }))
}

/// Everything that is kept of a contact.
#[utoipa::path(get, path = "/contacts/{id}/export", params(("id" = i64, Path)), responses(
    (status = 200, body = Object),
    (status = 404, description = "There is no such contact"),
))]
pub(super) async fn export(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
) -> Result<Json<Value>, ApiError> {
    existing(&app, wall, id).await?;
    Ok(Json(app.operations.export(id).await?))
}

/// Undoes that a contact was joined with another (`same_as`), for good: what is to come goes by its own phone and
/// user id. What has come stays where it is.
#[utoipa::path(post, path = "/contacts/{id}/separate", params(("id" = i64, Path)), responses(
    (status = 204, description = "It stands for itself"),
    (status = 404, description = "There is no such contact"),
))]
pub(super) async fn separate(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    if app.store.separate_contact(wall, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("there is no such contact"))
    }
}

async fn existing(app: &App, wall: Wall, id: i64) -> Result<(), ApiError> {
    match app.store.has_contact(wall, id).await? {
        true => Ok(()),
        false => Err(ApiError::not_found("there is no such contact")),
    }
}

/// Leaves no byte of a contact: messages, events, receipts and what plugins have stored of it.
#[utoipa::path(delete, path = "/contacts/{id}", params(("id" = i64, Path)), responses(
    (status = 200, description = "How much was erased", body = Object),
    (status = 404, description = "There is no such contact"),
))]
pub(super) async fn erase(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
) -> Result<Json<Value>, ApiError> {
    existing(&app, wall, id).await?;
    Ok(Json(app.operations.erase(id).await?))
}

fn shape(row: ContactRow) -> Contact {
    Contact {
        id: row.id,
        business: row.business,
        name: row.name,
        wa_id: row.wa_id,
        user_id: row.user_id,
        username: row.username,
        saved_name: row.saved_name,
        marketing_stopped: row.marketing_stopped,
        same_as: row.same_as,
    }
}
