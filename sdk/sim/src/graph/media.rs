//! Media: upload, description, short-lived URL, bytes, deletion.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Query, Request};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use bytes::Bytes;
use serde_json::json;
use std::collections::HashMap;

use super::Answer;
use super::request::{self, Call};
use crate::clock::DAY_MS;
use crate::error::GraphError;
use crate::mood::Deed;
use crate::state::{State, lock};

/// Where media URLs point, on the sim itself.
pub(super) const DOWNLOADS: &str = "/whatsapp_business/attachments/";

/// An uploaded id lives 30 days.
const UPLOAD_MS: u64 = 30 * DAY_MS;

pub(super) async fn upload(state: &State, number: &str, call: &Call) -> Answer {
    if !lock(&state.world).numbers.contains_key(number) {
        return Err(GraphError::unknown_object(number));
    }
    let form = Form::read(call).await?;
    if form.product.as_deref() != Some("whatsapp") {
        return Err(GraphError::parameter(
            "The parameter messaging_product is required.",
        ));
    }
    let file = form
        .file
        .ok_or_else(|| GraphError::parameter("The parameter file is required."))?;
    let mime_type = form.mime_type.filter(|mime_type| mime_type.contains('/'));
    let mime_type =
        mime_type.ok_or_else(|| GraphError::parameter("The parameter type is required."))?;
    if duet_rules::media::upload_type(&mime_type) != Ok(mime_type.as_str()) {
        return Err(GraphError::parameter(format!(
            "Param file must be a file with one of the types that are supported. Received file of type '{mime_type}'."
        )));
    }
    if file.len() > state.config.limits.media_file_bytes_max {
        return Err(GraphError::of(131_053, "The file is too large."));
    }
    let id = lock(&state.world).media.add(
        &mime_type,
        file,
        state.clock.now_ms().saturating_add(UPLOAD_MS),
    );
    Ok(json!({"id": id}))
}

#[derive(Default)]
struct Form {
    product: Option<String>,
    mime_type: Option<String>,
    file: Option<Bytes>,
}

impl Form {
    async fn read(call: &Call) -> Result<Self, GraphError> {
        let broken = || GraphError::parameter("Invalid multipart form data");
        let request = Request::builder().header(CONTENT_TYPE, &call.content_type);
        let mut request = request
            .body(Body::from(call.bytes.clone()))
            .map_err(|_| broken())?;
        // The request's own limit has bounded these bytes already.
        DefaultBodyLimit::disable().apply(&mut request);
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|_| broken())?;
        let mut form = Self::default();
        while let Some(part) = parts.next_field().await.map_err(|_| broken())? {
            match part.name() {
                Some("messaging_product") => {
                    form.product = Some(part.text().await.map_err(|_| broken())?)
                }
                Some("type") => form.mime_type = Some(part.text().await.map_err(|_| broken())?),
                Some("file") => {
                    let mime_type = part.content_type().map(str::to_owned);
                    form.file = Some(part.bytes().await.map_err(|_| broken())?);
                    form.mime_type = form.mime_type.or(mime_type);
                }
                _ => {}
            }
        }
        Ok(form)
    }
}

pub(super) fn get(state: &State, id: &str) -> Answer {
    let now_ms = state.clock.now_ms();
    let world = lock(&state.world);
    let file = world
        .media
        .get(id, now_ms)
        .ok_or_else(|| GraphError::unknown_object(id))?;
    let size = file.bytes.len();
    let file_size = if state.config.media_size_as_number {
        json!(size)
    } else {
        json!(size.to_string())
    };
    Ok(json!({
        "messaging_product": "whatsapp",
        "url": url(state, id),
        "mime_type": file.mime_type,
        "sha256": hex::encode(file.sha256),
        "file_size": file_size,
        "id": id,
    }))
}

/// A URL that dies when `ext` has passed, in milliseconds by the sim's clock.
pub(crate) fn url(state: &State, id: &str) -> String {
    let dies_ms = state
        .clock
        .now_ms()
        .saturating_add(state.config.media_url_ms);
    format!(
        "{}{DOWNLOADS}?mid={id}&ext={dies_ms}&hash={}",
        state.url,
        mac(state, id, dies_ms)
    )
}

/// Ties id and expiry together, so that neither can be changed.
fn mac(state: &State, id: &str, dies_ms: u64) -> String {
    let tag = duet_rules::signature::sign(&state.secret, format!("{id}/{dies_ms}").as_bytes());
    tag.trim_start_matches("sha256=").chars().take(32).collect()
}

pub(super) fn delete(state: &State, id: &str) -> Answer {
    if lock(&state.world).media.remove(id) {
        Ok(json!({"success": true}))
    } else {
        Err(GraphError::unknown_object(id))
    }
}

/// Type and bytes behind a URL; like Meta's, it wants the bearer token as well. A mood calls it `download`.
pub(super) fn download(state: &State, request: &Request) -> Result<(String, Bytes), GraphError> {
    let (expired, struck) = {
        let (mut mood, mut dice) = (lock(&state.mood), lock(&state.dice));
        (
            mood.token_expired,
            mood.strike("download", None, &mut *dice),
        )
    };
    let bearer = request::header(request.headers(), AUTHORIZATION);
    request::check_bearer(state, bearer.as_deref(), expired)?;
    if let Some(trouble) = struck.iter().find(|trouble| trouble.deed == Deed::Fail) {
        let refused = GraphError::of(trouble.code, "The sim was asked to fail this call.");
        return Err(refused.with_status(trouble.http));
    }
    let gone = || {
        GraphError::plain(
            StatusCode::NOT_FOUND,
            131_052,
            "The URL has expired or never existed",
        )
    };
    let Query(query) =
        Query::<HashMap<String, String>>::try_from_uri(request.uri()).map_err(|_| gone())?;
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let (id, dies_ms) = (text("mid"), text("ext").parse().unwrap_or(0_u64));
    let now_ms = state.clock.now_ms();
    if now_ms >= dies_ms || text("hash") != mac(state, id, dies_ms) {
        return Err(gone());
    }
    let world = lock(&state.world);
    let file = world.media.get(id, now_ms).ok_or_else(gone)?;
    Ok((file.mime_type.clone(), file.bytes.clone()))
}
