//! The history sync: three phases of old messages in chunks, placeholders for media, and the media that follow
//! in two other shapes.

use rand::seq::SliceRandom;
use serde_json::{Map, Value, json};

use super::{PlayError, number};
use crate::clock::DAY_MS;
use crate::config::HistoryPlan;
use crate::error::title;
use crate::state::{State, lock};
use crate::wamid::{self, Author};
use crate::webhook::old::{self, Chunks, Old, Packing};
use crate::webhook::{Change, Signature, to_bytes};
use crate::world::{Customer, NumberState};

/// Messages of one sync at most.
const MESSAGES_MAX: u32 = 200_000;
/// WhatsApp's limit on a text.
const TEXT_BYTES_MAX: u32 = 4096;
/// Media older than this never come.
const MEDIA_MS: u64 = 14 * DAY_MS;

pub(crate) fn run(state: &State, id: Option<&str>, plan: &HistoryPlan) -> Result<(), PlayError> {
    if plan.conversations.saturating_mul(plan.messages) > MESSAGES_MAX {
        return Err(PlayError(format!(
            "a history has at most {MESSAGES_MAX} messages"
        )));
    }
    let number = number(&lock(&state.world), id)?;
    if plan.silent {
        return Ok(());
    }
    if plan.declined {
        decline(state, &number, plan.without_envelope);
        return Ok(());
    }
    let customers = customers(state, &number, plan);
    let messages = messages(state, &number, plan, &customers);
    let packing = Packing {
        user_ids: state.config.user_ids,
        lower_case: plan.lower_case,
        messages_max: plan.chunk_messages as usize,
        total: messages.len(),
    };
    let customer = |index: u32| customers.get(index as usize).cloned().unwrap_or_default();
    let mut chunks: Vec<Value> = Chunks::new(&number, packing, messages.iter().cloned(), customer)
        .map(|chunk| chunk.value)
        .collect();
    if plan.shuffled {
        chunks.shuffle(&mut *lock(&state.dice));
    }
    if plan.complete_first {
        chunks.sort_by_key(|chunk| chunk.pointer("/metadata/progress") != Some(&json!(100)));
    }
    for chunk in chunks {
        post(
            state,
            &number,
            Map::from_iter([("history".to_owned(), json!([chunk]))]),
        );
    }
    if plan.media_follow_up {
        follow_ups(state, &number, &customers, &messages);
    }
    Ok(())
}

fn decline(state: &State, number: &NumberState, without_envelope: bool) {
    let code = 2_593_109;
    let error = json!({
        "code": code,
        "title": title(code),
        "message": title(code),
        "error_data": {"details": "History sharing is turned off by the business"},
    });
    let value = Map::from_iter([("history".to_owned(), json!([{"errors": [error]}]))]);
    if !without_envelope {
        return post(state, number, value);
    }
    let mut bare = Map::from_iter([
        ("messaging_product".to_owned(), json!("whatsapp")),
        ("metadata".to_owned(), number.metadata()),
    ]);
    bare.extend(value);
    super::raw::deliver(state, to_bytes(&bare).into(), Signature::Right);
}

fn customers(state: &State, number: &NumberState, plan: &HistoryPlan) -> Vec<Customer> {
    let world = lock(&state.world);
    let phone = |n: u32| format!("{}", 919_800_000_001_u64 + u64::from(n));
    (0..plan.conversations)
        .map(|n| {
            world
                .customers
                .portrait(&number.number.id, &number.number.waba, &phone(n))
        })
        .collect()
}

/// All old messages, newest phase first, oldest first within a conversation.
fn messages(
    state: &State,
    number: &NumberState,
    plan: &HistoryPlan,
    customers: &[Customer],
) -> Vec<Old> {
    let now_ms = state.clock.now_ms();
    let mut dice = lock(&state.dice);
    let phases = plan.phases.len().max(1);
    let mut all = Vec::new();
    for (share, phase) in plan.phases.iter().enumerate() {
        let (newest, oldest) = match phase {
            0 => (0, DAY_MS),
            1 => (DAY_MS, 90 * DAY_MS),
            _ => (90 * DAY_MS, 180 * DAY_MS),
        };
        // The last phases take what does not divide evenly.
        let count = (plan.messages as usize + share) / phases;
        for (index, customer) in (0_u32..).zip(customers) {
            for n in 0..count {
                let age = oldest - (oldest - newest) / (count as u64 + 1) * (n as u64 + 1);
                let from_me = n % 2 == 1;
                let (peer, author) = if from_me {
                    (&number.number.digits, Author::Business)
                } else {
                    (&customer.phone, Author::Customer)
                };
                all.push(Old {
                    customer: index,
                    from_me,
                    id: wamid::new(peer, author, &mut *dice),
                    at_ms: now_ms.saturating_sub(age),
                    phase: *phase,
                    media: plan.media_every > 0 && (n + 1) % plan.media_every as usize == 0,
                    text: text(plan, n + 1, *phase),
                });
            }
        }
    }
    all
}

fn text(plan: &HistoryPlan, n: usize, phase: u8) -> String {
    let text = format!("Old message {n} of phase {phase}");
    let bytes = plan.text_bytes.min(TEXT_BYTES_MAX) as usize;
    format!("{text:.<bytes$}")
}

/// The media of the last 14 days.
fn follow_ups(state: &State, number: &NumberState, customers: &[Customer], messages: &[Old]) {
    let now_ms = state.clock.now_ms();
    for old in messages
        .iter()
        .filter(|old| old.media && now_ms.saturating_sub(old.at_ms) < MEDIA_MS)
    {
        let Some(customer) = customers.get(old.customer as usize) else {
            continue;
        };
        let file = super::raw::keep_media(state, "image/jpeg", old.id.clone().into_bytes().into());
        let Ok(image) = super::raw::media_object(state, &file, None) else {
            continue;
        };
        let user_ids = state.config.user_ids;
        let value = old::again(number, customer, old, ("image", image), user_ids);
        post(state, number, value);
    }
}

fn post(state: &State, number: &NumberState, value: Map<String, Value>) {
    state.post(
        Change::of(number, "history", "history", state.clock.now_ms(), value),
        0,
    );
}
