//! What comes in from outside, read so that every refusal is JSON and names its place.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A body takes at most so long to arrive.
const BODY_WAIT_MAX: Duration = Duration::from_secs(30);

/// How the extractor begins whatever it says of a query; the caller made one, and knows.
const EXTRACTOR: &str = "Failed to deserialize query string: ";

/// Query parameters.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Params(value)),
            Err(rejection) => {
                let told = rejection.body_text();
                let told = told.strip_prefix(EXTRACTOR).unwrap_or(&told);
                Err(ApiError::parameter(told))
            }
        }
    }
}

/// The one `{id}` of a path.
pub(super) struct Id(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<i64>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Id(id)),
            Err(_) => Err(ApiError::parameter("id: must be a whole number")),
        }
    }
}

/// The one `{id}` of a path, where Meta or the admin gives the ids.
pub(super) struct MetaId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for MetaId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(MetaId(id)),
            Err(rejection) => Err(ApiError::parameter(rejection.body_text())),
        }
    }
}

/// The `{id}` of a path, and the name of something within it.
pub(super) struct Within(pub(super) i64, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Within {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<(i64, String)>::from_request_parts(parts, state).await {
            Ok(Path((id, name))) => Ok(Within(id, name)),
            Err(_) => Err(ApiError::parameter("id: must be a whole number")),
        }
    }
}

/// The `{id}` of a path and the id of something within it, where Meta or the admin gives both.
pub(super) struct MetaIds(pub(super) String, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for MetaIds {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(Path((outer, inner))) => Ok(MetaIds(outer, inner)),
            Err(rejection) => Err(ApiError::parameter(rejection.body_text())),
        }
    }
}

/// A JSON body, whatever its content type says. An empty one counts as `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = tokio::time::timeout(BODY_WAIT_MAX, Bytes::from_request(request, state))
            .await
            .map_err(|_| ApiError::body("the body did not come in time"))?
            .map_err(|rejection| match rejection.status().as_u16() {
                413 => ApiError::body_too_large(),
                _ => ApiError::body(rejection.body_text()),
            })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text)
            .map(Body)
            .map_err(|error| ApiError::body(error.to_string()))
    }
}
