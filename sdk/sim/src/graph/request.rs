//! A Graph request taken apart: version, object, edge, query, token, body.

use std::collections::HashMap;

use axum::extract::{Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value};

use crate::error::GraphError;
use crate::state::State;

pub(super) struct Call {
    pub(super) method: Method,
    /// The path without its version.
    pub(super) segments: Vec<String>,
    pub(super) query: HashMap<String, String>,
    pub(super) content_type: String,
    pub(super) bytes: Bytes,
    /// The body, when it is JSON.
    pub(super) json: Option<Value>,
    authorization: Option<String>,
}

impl Call {
    /// The last word of the path, by which a mood names the call; `object` for a bare id.
    pub(super) fn name(&self) -> &str {
        match self.segments.as_slice() {
            [_, .., last] => last,
            _ => "object",
        }
    }

    /// The token in the header or the query, as it is given.
    pub(super) fn token(&self) -> Option<&str> {
        let query = self.query.get("access_token").map(String::as_str);
        self.authorization.as_deref().or(query)
    }

    /// The body as an object, or what Meta says otherwise.
    pub(super) fn object(&self) -> Result<&Map<String, Value>, GraphError> {
        self.json
            .as_ref()
            .and_then(Value::as_object)
            .ok_or_else(|| GraphError::parameter("Invalid JSON in the request body"))
    }
}

pub(super) async fn read(state: &State, request: Request) -> Result<Call, GraphError> {
    let (parts, body) = request.into_parts();
    let segments = segments(parts.uri.path())?;
    let query = Query::try_from_uri(&parts.uri)
        .map(|Query(query)| query)
        .unwrap_or_default();
    let content_type = header(&parts.headers, CONTENT_TYPE).unwrap_or_default();
    let multipart = content_type.starts_with("multipart/");
    let limits = &state.config.limits;
    // A form's own lines come on top of the file.
    let bytes_max = if multipart {
        limits.media_file_bytes_max + 64 * 1024
    } else {
        limits.body_bytes_max
    };
    let bytes = match Limited::new(body, bytes_max).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return Err(GraphError::plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                1,
                "Request body is too large or broke off",
            ));
        }
    };
    let json = (!multipart && !bytes.is_empty())
        .then(|| serde_json::from_slice(&bytes).ok())
        .flatten();
    let authorization = header(&parts.headers, AUTHORIZATION);
    Ok(Call {
        method: parts.method,
        segments,
        query,
        content_type,
        bytes,
        json,
        authorization,
    })
}

/// Splits a path and takes a version such as `v23.0` off its front.
fn segments(path: &str) -> Result<Vec<String>, GraphError> {
    let mut segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(str::to_owned)
        .collect();
    let Some(first) = segments.first() else {
        return Ok(segments);
    };
    if let Some(version) = first.strip_prefix('v') {
        let valid = version.split_once('.').is_some_and(|(major, minor)| {
            major.parse::<u16>().is_ok() && minor.parse::<u16>().is_ok()
        });
        if !valid {
            return Err(GraphError::plain(
                StatusCode::BAD_REQUEST,
                100,
                "Invalid version format. Use format like 'v23.0'",
            ));
        }
        segments.remove(0);
    }
    Ok(segments)
}

pub(super) fn header(headers: &HeaderMap, name: axum::http::HeaderName) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

pub(super) fn check_token(state: &State, call: &Call, expired: bool) -> Result<(), GraphError> {
    check_bearer(state, call.token(), expired)
}

/// Takes `Bearer <token>` or the bare token of a query.
pub(super) fn check_bearer(
    state: &State,
    given: Option<&str>,
    expired: bool,
) -> Result<(), GraphError> {
    let token = given.map(|given| given.strip_prefix("Bearer ").unwrap_or(given).trim());
    match token {
        None | Some("") => Err(GraphError::token(
            "An access token is required to request this resource",
            None,
        )),
        Some(_) if expired => Err(GraphError::token(
            "Error validating access token: Session has expired",
            Some(463),
        )),
        Some(token) if token != state.config.token => Err(GraphError::token(
            "Invalid OAuth access token - Cannot parse access token",
            None,
        )),
        Some(_) => Ok(()),
    }
}
