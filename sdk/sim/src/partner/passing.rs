use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Partner, Target};
use crate::state::lock;

/// What Meta sends to a partner's app goes on, change by change; the worst answer is Meta's, so that it tries again.
pub(super) async fn pass(State(partner): State<Arc<Partner>>, body: Bytes) -> StatusCode {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut worst = StatusCode::OK;
    for entry in list(&body, "entry") {
        for change in list(entry, "changes") {
            let status = pass_one(&partner, entry, change).await;
            worst = worst.max(status);
        }
    }
    worst
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    let list = value.get(name).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

async fn pass_one(partner: &Partner, entry: &Value, change: &Value) -> StatusCode {
    let field = change.get("field").and_then(Value::as_str);
    let field = field.unwrap_or_default();
    let waba = entry.get("id").cloned().unwrap_or_default();
    if matches!(field, "history" | "smb_app_state_sync") {
        let mut data = change.get("value").cloned().unwrap_or_default();
        if let Some(data) = data.as_object_mut() {
            data.insert("id".into(), waba);
        }
        let event = json!({"id": "event", "event": field, "data": data});
        let account = lock(&partner.account).clone();
        return post(partner, &account, &event).await;
    }
    let number = change.pointer("/value/metadata/phone_number_id");
    let channel = partner.channels.iter().find(|channel| match number {
        Some(number) => *number == channel.number.as_str(),
        None => waba == channel.waba.as_str(),
    });
    let target = channel.and_then(|channel| lock(&partner.targets).get(&channel.key).cloned());
    let mut alone = entry.clone();
    if let Some(alone) = alone.as_object_mut() {
        alone.insert("changes".into(), json!([change]));
    }
    let whole = json!({"object": "whatsapp_business_account", "entry": [alone]});
    post(partner, &target.unwrap_or_default(), &whole).await
}

/// Without an address there is nothing to be told, and nothing comes again.
async fn post(partner: &Partner, target: &Target, body: &Value) -> StatusCode {
    if target.url.is_empty() {
        return StatusCode::OK;
    }
    let mut request = partner
        .http
        .post(&target.url)
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string());
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    match request.send().await {
        Ok(answer) => answer.status(),
        Err(_) => StatusCode::BAD_GATEWAY,
    }
}
