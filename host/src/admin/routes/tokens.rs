use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::{Scope, make_token, scopes};
use crate::admin::error::ApiError;
use crate::admin::input::{Body, Id, Params};
use crate::admin::page::page;
use crate::admin::shape::Time;
use crate::now_ms;
use crate::store::tokens::TokenRow;

const NAME_BYTES_MAX: usize = 100;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TokenQuery {
    /// Tokens with a higher id.
    after: Option<i64>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
}

/// A token, without its text.
#[derive(Serialize, ToSchema)]
struct Token {
    id: i64,
    name: String,
    scopes: Vec<Scope>,
    /// It sees and changes only what is this business's; null for all. Empty for the gateway's own.
    business: Option<String>,
    created_at: Time,
    /// Never, if absent.
    expires_at: Option<Time>,
    /// Within a minute.
    last_used_at: Option<Time>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TokenList {
    tokens: Vec<Token>,
    next: i64,
}

/// Tokens beside the root token.
#[utoipa::path(get, path = "/tokens", params(TokenQuery), responses((status = 200, body = TokenList)))]
pub(super) async fn list(
    State(app): State<App>,
    Params(query): Params<TokenQuery>,
) -> Result<Json<TokenList>, ApiError> {
    let page = page(query.after, query.limit)?;
    let rows = app.store.tokens(page).await?;
    let next = rows.last().map_or(page.after, |row| row.id);
    Ok(Json(TokenList {
        tokens: rows.into_iter().map(shape).collect(),
        next,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// What it is for, up to 100 bytes.
    name: String,
    scopes: Vec<Scope>,
    /// Sees and changes only what is this business's, `""` for the gateway's own; everything if absent.
    business: Option<String>,
    /// RFC 3339; never if absent.
    #[schema(value_type = Option<Time>)]
    expires_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct MadeToken {
    /// Shown this once.
    token: String,
    #[serde(flatten)]
    kept: Token,
}

/// Makes a token. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/tokens", request_body = NewToken, responses((status = 201, body = MadeToken)))]
pub(super) async fn create(
    State(app): State<App>,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), ApiError> {
    if new.name.trim().is_empty() || new.name.len() > NAME_BYTES_MAX {
        return Err(ApiError::body(format!(
            "name: must have 1 to {NAME_BYTES_MAX} bytes"
        )));
    }
    if new.scopes.is_empty() {
        return Err(ApiError::body(
            "scopes: name at least one of read, operate, personal, admin",
        ));
    }
    let now = now_ms();
    let expires_ms = new.expires_at.map(|text| expiry(&text, now)).transpose()?;
    let words: Vec<_> = Scope::ALL
        .iter()
        .filter(|scope| new.scopes.contains(scope))
        .map(|scope| scope.as_str())
        .collect();
    let (token, hash) = make_token()?;
    let row = app
        .store
        .create_token(
            new.name,
            hash,
            words.join(" "),
            new.business,
            now,
            expires_ms,
        )
        .await?;
    let row = row.ok_or_else(|| {
        ApiError::body("business: there is none with this id; make it first, or leave it out")
    })?;
    Ok((
        StatusCode::CREATED,
        Json(MadeToken {
            token,
            kept: shape(row),
        }),
    ))
}

fn expiry(text: &str, now: i64) -> Result<i64, ApiError> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| ApiError::body("expires_at: must be a time as in 2030-01-31T12:00:00Z"))?;
    let ms = time.as_millisecond();
    if ms <= now {
        return Err(ApiError::body("expires_at: is over already"));
    }
    Ok(ms)
}

/// Revokes a token at once.
#[utoipa::path(delete, path = "/tokens/{id}", params(("id" = i64, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such token"),
))]
pub(super) async fn revoke(State(app): State<App>, Id(id): Id) -> Result<StatusCode, ApiError> {
    match app.store.revoke_token(id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found("there is no such token")),
    }
}

fn shape(row: TokenRow) -> Token {
    Token {
        id: row.id,
        name: row.name,
        scopes: scopes(&row.scopes),
        business: row.business,
        created_at: Time::new(row.created_ms),
        expires_at: Time::maybe(row.expires_ms),
        last_used_at: Time::maybe(row.last_used_ms),
    }
}
