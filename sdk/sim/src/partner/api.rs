use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Channel, KeyedCall, Partner, Target};
use crate::state::lock;

const BODY_BYTES_MAX: usize = 128 << 20;
const WEBHOOK: &str = "/v1/configs/webhook";

#[derive(Deserialize)]
struct Wanted {
    url: String,
    #[serde(default)]
    headers: HashMap<String, String>,
}

/// Every call of the API.
pub(super) async fn call(State(partner): State<Arc<Partner>>, request: Request) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let key = request.headers().get("d360-api-key");
    let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
    let key = key.to_owned();
    let channel = partner.channels.iter().find(|channel| channel.key == key);
    let answer = match channel {
        None => refused(StatusCode::UNAUTHORIZED, "Invalid API key"),
        Some(channel) => work(&partner, channel, request).await,
    };
    let status = answer.status().as_u16();
    partner.remember(KeyedCall {
        method,
        path,
        key,
        status,
    });
    if partner.hangs.load(Ordering::SeqCst) {
        return std::future::pending().await;
    }
    answer
}

/// An error in 360dialog's own shape.
fn refused(status: StatusCode, message: &str) -> Response {
    let meta =
        json!({"success": false, "http_code": status.as_u16(), "developer_message": message});
    (status, Json(json!({"meta": meta}))).into_response()
}

async fn work(partner: &Partner, channel: &Channel, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    };
    let body = body.to_bytes();
    let content_type = parts.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|text| text.to_str().ok());
    let to_meta = |path: String, body: Bytes| Onward {
        method: parts.method.clone(),
        path,
        content_type,
        body,
    };
    let query = parts.uri.query().unwrap_or_default();
    match (&parts.method, parts.uri.path()) {
        (&Method::POST, WEBHOOK) => set(partner, channel, &body),
        (&Method::GET, WEBHOOK) => {
            let target = lock(&partner.targets).get(&channel.key).cloned();
            shown(&target.unwrap_or_default())
        }
        (&Method::GET, "/v1/configs/templates") => templates(partner, channel).await,
        (&Method::POST, edge @ ("/messages" | "/media")) => {
            let path = format!("/v23.0/{}{edge}", channel.number);
            meta(partner, to_meta(path, body)).await
        }
        // The host is the partner's, path and query are Meta's.
        (&Method::GET, path) if path.starts_with("/whatsapp_business/") => {
            meta(partner, to_meta(format!("{path}?{query}"), body)).await
        }
        (&Method::GET | &Method::DELETE, path) if path.matches('/').count() == 1 => {
            meta(partner, to_meta(format!("/v23.0{path}"), body)).await
        }
        _ => refused(StatusCode::NOT_FOUND, "no such path"),
    }
}

fn set(partner: &Partner, channel: &Channel, body: &[u8]) -> Response {
    let Ok(Wanted { url, headers }) = serde_json::from_slice(body) else {
        return refused(StatusCode::BAD_REQUEST, "url is required");
    };
    let target = Target {
        url,
        headers: headers.into_iter().collect(),
    };
    let answer = shown(&target);
    lock(&partner.targets).insert(channel.key.clone(), target);
    answer
}

fn shown(target: &Target) -> Response {
    let headers: HashMap<_, _> = target.headers.iter().cloned().collect();
    Json(json!({"url": target.url, "headers": headers})).into_response()
}

/// Meta's list in 360dialog's shape.
async fn templates(partner: &Partner, channel: &Channel) -> Response {
    let onward = Onward {
        method: Method::GET,
        path: format!("/v23.0/{}/message_templates?limit=1000", channel.waba),
        content_type: None,
        body: Bytes::new(),
    };
    let answer = meta(partner, onward).await;
    let Ok(body) = answer.into_body().collect().await else {
        return refused(StatusCode::BAD_GATEWAY, "no list");
    };
    let mut list: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let mut templates = list.get_mut("data").map(Value::take).unwrap_or(json!([]));
    for template in templates.as_array_mut().into_iter().flatten() {
        let status = template.get("status").and_then(Value::as_str);
        let status = status.unwrap_or_default().to_lowercase();
        if let Some(template) = template.as_object_mut() {
            template.insert("status".into(), status.into());
        }
    }
    let count = templates.as_array().map_or(0, Vec::len);
    Json(json!({"waba_templates": templates, "count": count, "total": count})).into_response()
}

/// A call as it goes on to Meta.
struct Onward<'a> {
    method: Method,
    path: String,
    content_type: Option<&'a str>,
    body: Bytes,
}

async fn meta(partner: &Partner, onward: Onward<'_>) -> Response {
    let Some((url, token)) = lock(&partner.meta).clone() else {
        return refused(StatusCode::BAD_GATEWAY, "it stands before no sim");
    };
    let mut request = partner
        .http
        .request(onward.method, format!("{url}{}", onward.path))
        .bearer_auth(token)
        .body(onward.body);
    if let Some(content_type) = onward.content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    let Ok(answer) = request.send().await else {
        return refused(StatusCode::BAD_GATEWAY, "Meta has not answered");
    };
    let status = answer.status();
    let content_type = answer.headers().get(CONTENT_TYPE).cloned();
    let Ok(body) = answer.bytes().await else {
        return refused(StatusCode::BAD_GATEWAY, "Meta's answer broke off");
    };
    let mut response = (status, body).into_response();
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}
