//! Attempts: a lane takes what is due, builds and signs the body, posts it, and puts it back for a later
//! attempt unless the answer was 200.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use duet_rules::signature::{Secret, sign};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::envelope::{self, Change};
use super::escape;
use super::outlet::Parcel;
use crate::mood::WebhookMood;
use crate::state::{State, lock};
use crate::world::{Mark, WebhookState};

/// One attempt to deliver a webhook.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// Order of the attempts, from 1.
    pub seq: u64,
    /// The body's number; attempts and copies of one body share it.
    pub body_id: u64,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// `delivered`, `retry`, `gave_up`, `copy`.
    pub outcome: &'static str,
    /// What the body is about: its fields, joined by commas.
    pub fields: String,
    /// Bytes of the body.
    pub bytes: usize,
    /// How long the attempt took.
    pub ms: u64,
    /// When it began.
    pub at_ms: u64,
}

/// Takes a body with the value of its signature header, and answers with a status, or not at all.
pub type Inbox = Arc<
    dyn Fn(Bytes, Option<String>) -> Pin<Box<dyn Future<Output = Option<u16>> + Send>>
        + Send
        + Sync,
>;

/// A delivery with its bytes, so that it can be replayed.
#[derive(Clone)]
pub(crate) struct Posted {
    pub(crate) delivery: Delivery,
    pub(crate) body: Bytes,
}

/// Which signature a body carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Signature {
    Right,
    Wrong,
    None,
}

/// A body on its way. Every attempt carries the same bytes.
#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) id: u64,
    pub(crate) body: Bytes,
    pub(crate) fields: String,
    pub(crate) lane: String,
    pub(crate) url: Option<String>,
    pub(crate) signature: Signature,
    pub(crate) attempt: u32,
    /// When the first attempt began, by the sim's clock.
    pub(crate) first_ms: Option<u64>,
    /// How often another app has still to refuse it.
    pub(crate) resends: u32,
    /// It was answered with 200 before.
    pub(crate) taken: bool,
    /// Statuses in it, for the record of what became of them.
    pub(crate) marks: Vec<Mark>,
}

/// No field of Meta's.
const UNKNOWN_FIELD: &str = "loyalty_points_update";
/// A body comes again at most this often.
const RESENDS_MAX: u32 = 100;
/// A body waits no longer than this for company.
const BATCH_WINDOW_MS_MAX: u64 = 60_000;

static BODIES: AtomicU64 = AtomicU64::new(0);

impl Letter {
    pub(crate) fn new(body: Bytes, fields: String, lane: String, signature: Signature) -> Self {
        let id = BODIES.fetch_add(1, Ordering::Relaxed) + 1;
        Self {
            id,
            body,
            fields,
            lane,
            url: None,
            signature,
            attempt: 1,
            first_ms: None,
            resends: 0,
            taken: false,
            marks: Vec::new(),
        }
    }
}

/// Works through one lane until the sim stops.
pub(super) async fn run(state: Arc<State>, mut lane: mpsc::UnboundedReceiver<(u64, Parcel)>) {
    while let Some((generation, parcel)) = lane.recv().await {
        if !state.outlet.is_current(generation) {
            state.outlet.done(1);
            continue;
        }
        match parcel {
            Parcel::Letter(letter) => {
                post(&state, letter, 1, generation).await;
                state.outlet.done(1);
            }
            Parcel::Change(first) => {
                let mood = lock(&state.mood).webhook;
                let (changes, letters) = gather(&state, &mut lane, first, &mood).await;
                let count = changes.len();
                for letter in split(&state, changes, &mood) {
                    post(&state, letter, mood.copies.clamp(1, 100), generation).await;
                }
                state.outlet.done(count);
                for letter in letters {
                    post(&state, letter, 1, generation).await;
                    state.outlet.done(1);
                }
            }
        }
    }
}

/// The first change and those that may travel with it; letters met on the way are handed back.
async fn gather(
    state: &State,
    lane: &mut mpsc::UnboundedReceiver<(u64, Parcel)>,
    first: Change,
    mood: &WebhookMood,
) -> (Vec<Change>, Vec<Letter>) {
    let (mut changes, mut letters) = (vec![first], Vec::new());
    let closes = tokio::time::Instant::now()
        + Duration::from_millis(mood.batch_window_ms.min(BATCH_WINDOW_MS_MAX));
    while changes.len() < mood.batch_max.clamp(1, 1000) && letters.is_empty() {
        let next = match lane.try_recv() {
            Ok(next) => Some(next),
            Err(_) if mood.batch_window_ms == 0 => None,
            Err(_) => tokio::time::timeout_at(closes, lane.recv())
                .await
                .ok()
                .flatten(),
        };
        match next {
            None => break,
            Some((generation, _)) if !state.outlet.is_current(generation) => state.outlet.done(1),
            Some((_, Parcel::Change(change))) => changes.push(change),
            Some((_, Parcel::Letter(letter))) => letters.push(letter),
        }
    }
    (changes, letters)
}

/// Letters for changes: one, or several when WABAs with different callbacks met in a batch.
fn split(state: &State, changes: Vec<Change>, mood: &WebhookMood) -> Vec<Letter> {
    let mut by_url: Vec<(Option<String>, Vec<Change>)> = Vec::new();
    for change in changes {
        let subscription = lock(&state.world).subscriptions.get(&change.waba).cloned();
        // Meta sends nothing about a WABA that the app is not subscribed to.
        let Some(subscription) = subscription else {
            continue;
        };
        match by_url
            .iter_mut()
            .find(|(url, _)| *url == subscription.override_uri)
        {
            Some((_, same)) => same.push(change),
            None => by_url.push((subscription.override_uri, vec![change])),
        }
    }
    let signature = if mood.wrong_secret {
        Signature::Wrong
    } else {
        Signature::Right
    };
    let letter = |(url, changes): (Option<String>, Vec<Change>)| {
        let lane = changes
            .first()
            .map(|change| change.lane.clone())
            .unwrap_or_default();
        let marks = {
            let ledger = &mut lock(&state.world).ledger;
            let values = changes.iter().map(|change| &change.value);
            values.flat_map(|value| ledger.enter(value)).collect()
        };
        let changes = oddities(changes, mood);
        let mut fields: Vec<_> = changes.iter().map(|change| change.field).collect();
        fields.dedup();
        let fields = fields.join(",");
        let body = escape::to_bytes(&envelope::body(changes, mood));
        Letter {
            url,
            marks,
            resends: mood.resends.min(RESENDS_MAX),
            ..Letter::new(body.into(), fields, lane, signature)
        }
    };
    by_url.into_iter().map(letter).collect()
}

/// What a body carries that a strict reader does not expect.
fn oddities(mut changes: Vec<Change>, mood: &WebhookMood) -> Vec<Change> {
    if mood.without_metadata {
        for value in changes.iter_mut().filter_map(|c| c.value.as_object_mut()) {
            value.remove("metadata");
        }
    }
    let odd = changes.last().filter(|_| mood.unknown_field);
    let odd = odd.map(|last| Change {
        field: UNKNOWN_FIELD,
        value: json!({"event": "POINTS_EARNED", "points": 7}),
        ..last.clone()
    });
    changes.extend(odd);
    changes
}

async fn post(state: &State, mut letter: Letter, copies: u32, generation: u64) {
    let began = Instant::now();
    let first_ms = *letter.first_ms.get_or_insert(state.clock.now_ms());
    let answer = attempt(state, &letter).await;
    if !state.outlet.is_current(generation) {
        // The sim was reset meanwhile: the new record and the new outlet do not know this body.
        return;
    }
    let rules = &state.config.delivery;
    let wait_ms = rules
        .retry_first_ms
        .saturating_mul(1_u64.checked_shl(letter.attempt - 1).unwrap_or(u64::MAX))
        .min(rules.retry_max_ms);
    let delivered = matches!(answer, Ok(200));
    let age_ms = state.clock.now_ms().saturating_sub(first_ms);
    let over = age_ms.saturating_add(wait_ms) > rules.horizon_ms;
    let outcome = if delivered && letter.taken {
        "copy"
    } else if delivered {
        "delivered"
    } else if over {
        "gave_up"
    } else {
        "retry"
    };
    let resent = delivered && letter.resends > 0 && !over;
    if resent || outcome == "retry" {
        let next = Letter {
            attempt: letter.attempt.saturating_add(1),
            resends: letter.resends - u32::from(resent),
            taken: letter.taken || resent,
            ..letter.clone()
        };
        // Before the record, so that whoever has seen the attempt may let time pass for the next one.
        state.outlet.letter(next, Duration::from_millis(wait_ms));
    }
    record(state, &letter, &answer, outcome, began);
    for _ in 1..copies {
        let began = Instant::now();
        let answer = attempt(state, &letter).await;
        record(state, &letter, &answer, "copy", began);
    }
}

async fn attempt(state: &State, letter: &Letter) -> Result<u16, String> {
    let signed = |secret: &Secret| sign(secret, &letter.body);
    let signature = match letter.signature {
        Signature::Right => Some(signed(&state.secret)),
        Signature::Wrong => Some(signed(&Secret::new("wrong"))),
        Signature::None => None,
    };
    if let Some(inbox) = &state.inbox {
        let wait = Duration::from_millis(state.config.delivery.timeout_ms);
        let answer = tokio::time::timeout(wait, inbox(letter.body.clone(), signature)).await;
        return answer.ok().flatten().ok_or("no answer".to_owned());
    }
    let default = lock(&state.webhook).clone();
    let url = letter
        .url
        .clone()
        .or(default)
        .ok_or("no webhook address is set")?;
    let mut request = state
        .http
        .post(url)
        .timeout(Duration::from_millis(state.config.delivery.timeout_ms))
        .header("content-type", "application/json")
        .header("user-agent", "facebookexternalua")
        .body(letter.body.clone());
    if let Some(signature) = signature {
        request = request.header("x-hub-signature-256", signature);
    }
    let response = request.send().await.map_err(|error| reason(&error))?;
    let status = response.status().as_u16();
    // Reading the rest lets the connection be used again; what it says does not matter to Meta.
    let _ = response.bytes().await;
    Ok(status)
}

fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "no answer in time".into()
    } else if error.is_connect() {
        "no connection".into()
    } else {
        error.to_string()
    }
}

fn record(
    state: &State,
    letter: &Letter,
    answer: &Result<u16, String>,
    outcome: &'static str,
    began: Instant,
) {
    let webhook = match (outcome, answer) {
        (_, Ok(200)) => Some(WebhookState::Delivered),
        ("retry", _) => Some(WebhookState::Retrying),
        ("gave_up", _) => Some(WebhookState::Failed),
        // A copy that was refused says nothing about the body.
        _ => None,
    };
    if let Some(webhook) = webhook.filter(|_| !letter.marks.is_empty()) {
        let default = lock(&state.webhook).clone();
        let uri = letter.url.clone().or(default);
        lock(&state.world)
            .ledger
            .mark(&letter.marks, webhook, uri.as_deref());
    }
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let delivery = Delivery {
        seq: 0,
        body_id: letter.id,
        attempt: letter.attempt,
        status: answer.as_ref().ok().copied(),
        error: answer.as_ref().err().cloned(),
        outcome,
        fields: letter.fields.clone(),
        bytes: letter.body.len(),
        ms,
        at_ms: state.clock.now_ms().saturating_sub(ms),
    };
    if outcome == "gave_up" || (outcome == "retry" && letter.attempt == 1) {
        let why = answer
            .as_ref()
            .map_or_else(Clone::clone, |status| format!("answer {status}"));
        state.say(
            "meta",
            &letter.fields,
            format!(
                "webhook not delivered ({why}), {}",
                outcome.replace('_', " ")
            ),
        );
    }
    let body = letter.body.clone();
    state
        .deliveries
        .push(letter.body.len() + 128, |seq| Posted {
            delivery: Delivery { seq, ..delivery },
            body,
        });
}
