//! Who asks. The root token may do everything; further tokens have scopes and are kept as hashes.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::error::ApiError;
use crate::config::Secret;
use crate::now_ms;
use crate::store::wall::Wall;

/// A longer header is no token.
const HEADER_BYTES_MAX: usize = 1024;
/// What every made token begins with, so that a secret scanner knows it.
const PREFIX: &str = "duet_";

/// What a token lets its holder do. No scope includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See what there is, without what people wrote.
    Read,
    /// Reload, redrive, hand over, send.
    Operate,
    /// See what people wrote; export and erase contacts.
    Personal,
    /// Make and revoke tokens.
    Admin,
}

impl Scope {
    pub const ALL: [Scope; 4] = [Scope::Read, Scope::Operate, Scope::Personal, Scope::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Operate => "operate",
            Scope::Personal => "personal",
            Scope::Admin => "admin",
        }
    }
}

/// What the token that came with a request opens.
#[derive(Debug, Clone)]
pub(super) struct Access {
    scopes: Vec<Scope>,
    /// Of which business it sees what there is.
    wall: Wall,
}

impl Access {
    pub(super) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// How far a route sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It asks for the wall, by [`Walled`], and shows what is before it.
    Business,
    /// It shows or does what concerns all businesses at once: no token of one business may.
    Gateway,
}

/// The wall of the one who asks, for the route to pass on to the store.
pub(super) struct Walled(pub(super) Wall);

impl<S: Send + Sync> FromRequestParts<S> for Walled {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let access = parts.extensions.get::<Access>();
        access
            .map(|access| Walled(access.wall.clone()))
            .ok_or_else(ApiError::unauthorized)
    }
}

/// `DUET_ADMIN_TOKEN`, kept so that comparing takes the same time whatever was presented.
pub struct RootToken {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl RootToken {
    /// None when the system gives no random bytes.
    pub fn new(token: &Secret) -> Option<RootToken> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        let tag = hmac::sign(&key, token.expose().as_bytes());
        Some(RootToken { key, tag })
    }

    fn is(&self, presented: &str) -> bool {
        hmac::verify(&self.key, presented.as_bytes(), self.tag.as_ref()).is_ok()
    }
}

/// A new token and its hash.
pub(super) fn make_token() -> Result<(String, [u8; 32]), ApiError> {
    make(PREFIX)
}

/// A text that nobody guesses, behind `prefix`, and its hash.
pub(super) fn make(prefix: &str) -> Result<(String, [u8; 32]), ApiError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ApiError::unavailable())?;
    let token = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash = hash(&token);
    Ok((token, hash))
}

pub(super) fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    hash.iter_mut()
        .zip(digest.as_ref())
        .for_each(|(to, from)| *to = *from);
    hash
}

/// Stands before everything under `/api/v1`, known path or not.
pub(super) async fn authenticate(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let presented = presented(request.headers()).map(str::to_owned);
    let access = match presented {
        Some(token) => access(&app, &token).await,
        None => Ok(None),
    };
    match access {
        Ok(Some(access)) => {
            request.extensions_mut().insert(access);
            next.run(request).await
        }
        Ok(None) => ApiError::unauthorized().into_response(),
        Err(error) => error.into_response(),
    }
}

/// The token of a request, if it brings one.
pub(super) fn presented(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && value.len() <= HEADER_BYTES_MAX).then(|| token.trim())
}

async fn access(app: &App, token: &str) -> Result<Option<Access>, ApiError> {
    if app.root.is(token) {
        return Ok(Some(Access {
            scopes: Scope::ALL.to_vec(),
            wall: Wall::none(),
        }));
    }
    if !token.starts_with(PREFIX) {
        return Ok(None);
    }
    let now = now_ms();
    // The lookup is by hash: its timing tells nothing about a token that somebody guesses at.
    let Some(row) = app.store.token_by_hash(hash(token), now).await? else {
        return Ok(None);
    };
    if row.stale(now)
        && let Err(error) = app.store.touch_token(row.id, now).await
    {
        tracing::debug!(%error, "a token's last use was not noted");
    }
    Ok(Some(Access {
        scopes: scopes(&row.scopes),
        wall: row
            .business
            .as_deref()
            .map_or_else(Wall::none, Wall::around),
    }))
}

/// The scopes that a token row names.
pub(super) fn scopes(text: &str) -> Vec<Scope> {
    Scope::ALL
        .into_iter()
        .filter(|scope| text.split(' ').any(|word| word == scope.as_str()))
        .collect()
}

/// Stands before each route of a group.
pub(super) async fn require(scope: Scope, reach: Reach, request: Request, next: Next) -> Response {
    match request.extensions().get::<Access>() {
        Some(access) if access.has(scope) => {
            if reach == Reach::Gateway && !access.wall.is_none() {
                return ApiError::beyond_the_wall().into_response();
            }
            next.run(request).await
        }
        Some(_) => ApiError::missing_scope(scope).into_response(),
        None => ApiError::unauthorized().into_response(),
    }
}
