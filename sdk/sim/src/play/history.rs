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
use crate::webhook::Change;
use crate::world::{Customer, NumberState};

/// Messages of one sync at most.
const MESSAGES_MAX: u32 = 200_000;
/// Media older than this never come.
const MEDIA_MS: u64 = 14 * DAY_MS;

/// One old message.
struct Old {
    customer: usize,
    from_me: bool,
    id: String,
    at_ms: u64,
    phase: u8,
    media: bool,
    text: String,
}

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
        post(
            state,
            &number,
            Map::from_iter([("history".to_owned(), json!([{"errors": [declined()]}]))]),
        );
        return Ok(());
    }
    let customers = customers(state, &number, plan);
    let messages = messages(state, &number, plan, &customers);
    let mut chunks = chunks(state, &number, plan, &customers, &messages);
    if plan.shuffled {
        chunks.shuffle(&mut *lock(&state.dice));
    }
    for chunk in chunks {
        post(
            state,
            &number,
            Map::from_iter([("history".to_owned(), json!([chunk]))]),
        );
    }
    if plan.media_follow_up {
        follow_up(state, &number, &customers, &messages);
    }
    Ok(())
}

fn declined() -> Value {
    let code = 2_593_109;
    json!({
        "code": code,
        "title": title(code),
        "message": title(code),
        "error_data": {"details": "History sharing is turned off by the business"},
    })
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
        for (index, customer) in customers.iter().enumerate() {
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
                    text: format!("Old message {} of phase {phase}", n + 1),
                });
            }
        }
    }
    all
}

fn chunks(
    state: &State,
    number: &NumberState,
    plan: &HistoryPlan,
    customers: &[Customer],
    messages: &[Old],
) -> Vec<Value> {
    let size = plan.chunk_messages.max(1) as usize;
    let mut chunks = Vec::new();
    let mut done = 0;
    for phase in messages.chunk_by(|a, b| a.phase == b.phase) {
        for (order, part) in phase.chunks(size).enumerate() {
            done += part.len();
            let progress = done * 100 / messages.len().max(1);
            let metadata = json!({"phase": part.first().map_or(0, |old| old.phase), "chunk_order": order + 1, "progress": progress});
            let threads: Vec<Value> = part
                .chunk_by(|a, b| a.customer == b.customer)
                .filter_map(|same| {
                    Some(thread(
                        state,
                        number,
                        plan,
                        customers.get(same.first()?.customer)?,
                        same,
                    ))
                })
                .collect();
            chunks.push(json!({"metadata": metadata, "threads": threads}));
        }
    }
    chunks
}

fn thread(
    state: &State,
    number: &NumberState,
    plan: &HistoryPlan,
    customer: &Customer,
    messages: &[Old],
) -> Value {
    let mut messages: Vec<Value> = messages
        .iter()
        .map(|old| old_message(number, plan, customer, old))
        .collect();
    if plan.lower_case {
        messages.reverse();
    }
    let mut thread = Map::from_iter([("id".to_owned(), json!(customer.phone))]);
    if state.config.user_ids {
        thread.insert(
            "context".into(),
            json!({"wa_id": customer.phone, "user_id": customer.user_id}),
        );
    }
    thread.insert("messages".into(), json!(messages));
    Value::Object(thread)
}

fn old_message(number: &NumberState, plan: &HistoryPlan, customer: &Customer, old: &Old) -> Value {
    let from = if old.from_me {
        &number.number.digits
    } else {
        &customer.phone
    };
    let kind = if old.media {
        "media_placeholder"
    } else {
        "text"
    };
    let mut message = Map::from_iter([
        ("from".to_owned(), json!(from)),
        ("id".to_owned(), json!(old.id)),
        (
            "timestamp".to_owned(),
            json!((old.at_ms / 1000).to_string()),
        ),
        ("type".to_owned(), json!(kind)),
    ]);
    if !old.media {
        message.insert("text".into(), json!({"body": old.text}));
    }
    let status = match (plan.lower_case, old.from_me) {
        (true, true) => json!({"status": "read", "from_me": true}),
        // In the one real chunk even old inbound messages are pending.
        (true, false) => json!({"status": "pending", "from_me": false}),
        (false, true) => json!({"status": "READ"}),
        (false, false) => json!({"status": "DELIVERED"}),
    };
    message.insert("history_context".into(), status);
    Value::Object(message)
}

/// The media of the last 14 days: customers' as `messages`, the business's as `message_echoes`.
fn follow_up(state: &State, number: &NumberState, customers: &[Customer], messages: &[Old]) {
    let now_ms = state.clock.now_ms();
    for old in messages
        .iter()
        .filter(|old| old.media && now_ms.saturating_sub(old.at_ms) < MEDIA_MS)
    {
        let Some(customer) = customers.get(old.customer) else {
            continue;
        };
        let file = super::raw::keep_media(state, "image/jpeg", old.id.clone().into_bytes().into());
        let Ok(image) = super::raw::media_object(state, &file, None) else {
            continue;
        };
        let (from, list) = if old.from_me {
            (&number.number.digits, "message_echoes")
        } else {
            (&customer.phone, "messages")
        };
        let mut message = json!({"from": from, "id": old.id, "timestamp": (old.at_ms / 1000).to_string(), "type": "image", "image": image});
        if let Some(message) = message.as_object_mut().filter(|_| old.from_me) {
            message.insert("to".into(), json!(customer.phone));
        }
        let mut value = Map::new();
        if state.config.user_ids {
            value.insert("contacts".into(), json!([customer.contact(true)]));
        }
        value.insert(list.to_owned(), json!([message]));
        post(state, number, value);
    }
}

fn post(state: &State, number: &NumberState, value: Map<String, Value>) {
    state.post(
        Change::of(number, "history", "history", state.clock.now_ms(), value),
        0,
    );
}
