use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::App;
use crate::admin::error::ApiError;
use crate::admin::input::{Body, MetaId};
use crate::admin::operations::{PartnerWebhook, SetThere};

const ADDRESS_BYTES_MAX: usize = 200;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWebhook {
    /// Where the partner reaches this gateway, such as `https://duet.example.com`: then the webhook is set there by
    /// its API, for each number with a key. Absent: somebody sets it by hand.
    address: Option<String>,
}

/// What has to stand at the partner.
#[derive(Serialize, ToSchema)]
pub(super) struct Webhook {
    /// The whole address, or only its path when nobody has said where the gateway is.
    url: String,
    /// The header that has to come with every webhook.
    header: String,
    /// What it has to hold. Shown this once.
    value: String,
    /// For each number with a key, whether it is set there.
    numbers: Vec<Set>,
    /// What is left to do, in words.
    remaining: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct Set {
    number: String,
    set: bool,
    /// Why not.
    cause: Option<String>,
}

/// Makes a new webhook secret for a business at a partner, and sets it there if the address is given. The secret before
/// it is taken for a day more.
#[utoipa::path(post, path = "/businesses/{id}/webhook", params(("id" = String, Path)), request_body = NewWebhook, responses(
    (status = 200, body = Webhook),
    (status = 404, description = "There is no such business"),
    (status = 409, description = "The business is at no partner"),
))]
pub(super) async fn renew(
    State(app): State<App>,
    MetaId(id): MetaId,
    Body(new): Body<NewWebhook>,
) -> Result<Json<Webhook>, ApiError> {
    let address = new.address.as_deref().map(origin).transpose()?;
    Ok(Json(shape(
        app.operations.renew_webhook(id, address).await?,
    )))
}

/// An address without path. Nothing but this machine is reached without TLS: the secret comes with every webhook.
fn origin(text: &str) -> Result<String, ApiError> {
    let wrong = || {
        ApiError::body(
            "address: must be where the partner reaches the public listener, such as https://duet.example.com",
        )
    };
    if text.len() > ADDRESS_BYTES_MAX {
        return Err(wrong());
    }
    let url = reqwest::Url::parse(text.trim()).map_err(|_| wrong())?;
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let safe = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    match safe && bare && url.username().is_empty() && url.password().is_none() {
        true => Ok(url.origin().ascii_serialization()),
        false => Err(wrong()),
    }
}

fn shape(webhook: PartnerWebhook) -> Webhook {
    let set = |there: SetThere| Set {
        number: there.number,
        set: there.cause.is_none(),
        cause: there.cause,
    };
    Webhook {
        url: webhook.url,
        header: webhook.header.to_owned(),
        value: webhook.value.expose().to_owned(),
        numbers: webhook.numbers.into_iter().map(set).collect(),
        remaining: webhook.remaining,
    }
}
