//! What happened: pages of the records, and the state of the whole.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State as Shared};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ring::Ring;
use crate::state::{State, lock};

#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    /// Waits up to this long for something newer than `after`.
    #[serde(default)]
    wait_ms: u64,
}

const LIMIT_MAX: usize = 10_000;
const WAIT_MS_MAX: u64 = 60_000;

async fn page<T: Clone, V: Serialize>(
    ring: &Ring<T>,
    name: &str,
    page: Page,
    view: impl Fn(T) -> V,
) -> Json<Value> {
    if page.wait_ms > 0 {
        ring.wait(
            page.after.saturating_add(1),
            Duration::from_millis(page.wait_ms.min(WAIT_MS_MAX)),
        )
        .await;
    }
    let (entries, next) = ring.after(page.after, page.limit.unwrap_or(1000).min(LIMIT_MAX));
    let entries: Vec<V> = entries.into_iter().map(view).collect();
    Json(json!({name: entries, "next": next}))
}

pub(super) async fn sent(
    Shared(state): Shared<Arc<State>>,
    Query(query): Query<Page>,
) -> Json<Value> {
    page(&state.sent, "sent", query, |sent| sent).await
}

pub(super) async fn requests(
    Shared(state): Shared<Arc<State>>,
    Query(query): Query<Page>,
) -> Json<Value> {
    page(&state.requests, "requests", query, |request| request).await
}

pub(super) async fn deliveries(
    Shared(state): Shared<Arc<State>>,
    Query(query): Query<Page>,
) -> Json<Value> {
    page(&state.deliveries, "deliveries", query, |posted| {
        posted.delivery
    })
    .await
}

pub(super) async fn transcript(
    Shared(state): Shared<Arc<State>>,
    Query(query): Query<Page>,
) -> Json<Value> {
    page(&state.transcript, "transcript", query, |line| line).await
}

pub(crate) fn state(state: &State) -> Value {
    let webhook = lock(&state.webhook).clone();
    let mood = json!(*lock(&state.mood));
    let world = lock(&state.world);
    let numbers: Vec<Value> = world
        .numbers
        .values()
        .map(|number| {
            json!({
                "id": number.number.id,
                "digits": number.number.digits,
                "waba": number.number.waba,
                "standing": number.standing,
                "contacts_requested": number.contacts_requested,
                "history_requested": number.history_requested,
                "register_calls": number.register_calls,
                "business": world.reports.get(&number.number.id),
            })
        })
        .collect();
    json!({
        "at_ms": state.clock.now_ms(),
        "webhook": webhook,
        "numbers": numbers,
        "customers": world.customers.len(),
        "sent": state.sent.total(),
        "requests": state.requests.total(),
        "deliveries": state.deliveries.total(),
        "webhooks": {"pending": state.outlet.pending(), "dropped": state.outlet.dropped()},
        "mood": mood,
    })
}
