//! `POST /{phone}/messages`: sends, read receipts and typing. An accepted send is recorded, answered and
//! followed by its statuses.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::recipient::{self, Recipient};
use super::request::Call;
use super::send_body::{self, Checked};
use super::{Answer, templates};
use crate::error::GraphError;
use crate::mood::{Deed, Trouble};
use crate::state::{Sent, State, lock};
use crate::wamid::{self, Author};
use crate::webhook::status::Subject;
use crate::world::{Customer, NumberState, Standing, World};

/// The answer, and whether the message was swallowed.
pub(super) fn post(
    state: &Arc<State>,
    number: &str,
    call: &Call,
    struck: &[Trouble],
) -> (Answer, bool) {
    match try_post(state, number, call, struck) {
        Ok((answer, swallowed)) => (Ok(answer), swallowed),
        Err(error) => (Err(error), false),
    }
}

fn try_post(
    state: &Arc<State>,
    number: &str,
    call: &Call,
    struck: &[Trouble],
) -> Result<(Value, bool), GraphError> {
    let known = lock(&state.world)
        .numbers
        .get(number)
        .map(|known| known.standing);
    let standing = known.ok_or_else(|| GraphError::unknown_object(number))?;
    let body = call.object()?;
    if body.contains_key("status") {
        send_body::product(body)?;
        return Ok((mark_read(state, body)?, false));
    }
    let checked = send_body::check(body)?;
    let recipient = recipient::of(body)?;
    match standing {
        Standing::Connected => {}
        Standing::Offboarded => {
            return Err(GraphError::of(
                133_010,
                "The number is being moved to another phone; sends are suspended.",
            ));
        }
        Standing::Removed => {
            return Err(GraphError::of(
                10,
                "The business disconnected this number from the app.",
            ));
        }
    }
    if let Recipient::UserIdAsPhone(input) = &recipient {
        let id = wamid::new(input, Author::Business, &mut *lock(&state.dice));
        let contact = json!({"input": input, "wa_id": input});
        return Ok((
            json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": id}]}),
            true,
        ));
    }
    let send = accept(state, number, &recipient, body, &checked)?;
    let answer = send.answer(&recipient, &checked.kind);
    record(state, &send, &checked, call);
    follow_up(state, send, struck);
    Ok((answer, false))
}

/// A send that passed every check.
struct Accepted {
    subject: Subject,
    /// Meta accepts it and refuses it later with this code.
    fails_later: Option<(u32, String)>,
}

fn accept(
    state: &State,
    number: &str,
    recipient: &Recipient,
    body: &Map<String, Value>,
    checked: &Checked,
) -> Result<Accepted, GraphError> {
    let now_ms = state.clock.now_ms();
    let mut world = lock(&state.world);
    let number = world
        .numbers
        .get(number)
        .cloned()
        .ok_or_else(|| GraphError::unknown_object(number))?;
    let customer = customer(&world, &number, recipient);
    if customer.phone == number.number.digits {
        return Err(GraphError::of(
            131_021,
            "The recipient's phone number is the sender's.",
        ));
    }
    if let Some(id) = &checked.media_id
        && world.media.get(id, now_ms).is_none()
    {
        return Err(GraphError::of(
            131_009,
            format!("Parameter Invalid: media id {id} does not exist or has expired."),
        ));
    }
    let window_open = state.config.open_window || customer.window_open(now_ms);
    let (category, refusal) = if checked.kind == "template" {
        let category = templates::check(&world.templates, body)?;
        if category == "authentication" && matches!(recipient, Recipient::UserId(_)) {
            return Err(GraphError::of(
                131_062,
                "Authentication templates need a phone number.",
            ));
        }
        let stopped = category == "marketing" && customer.marketing_stopped;
        (
            category,
            stopped.then(|| {
                (
                    131_050,
                    "The user has stopped marketing messages from this business.".to_owned(),
                )
            }),
        )
    } else {
        let late = "More than 24 hours have passed since the customer last replied to this number.";
        (
            "service".to_owned(),
            (!window_open).then(|| (131_047, late.to_owned())),
        )
    };
    if let Some((code, details)) = refusal.clone().filter(|_| !state.config.refuse_late) {
        return Err(GraphError::of(code, details));
    }
    let peer = if customer.phone.is_empty() {
        customer.user_id.clone()
    } else {
        customer.phone.clone()
    };
    if lock(&state.mood).rate_limits {
        world
            .rates
            .send(&number.number.id, &peer, now_ms)
            .map_err(|code| GraphError::of(code, "Too many messages in too short a time."))?;
    }
    let id = wamid::new(&peer, Author::Business, &mut *lock(&state.dice));
    if world
        .customers
        .get(&number.number.id, &customer.phone)
        .is_some()
    {
        world
            .customers
            .meet(&number.number.id, &number.number.waba, &customer.phone)
            .got_last_id = Some(id.clone());
    }
    let by_user_id = matches!(recipient, Recipient::UserId(_));
    let subject = Subject {
        number,
        customer,
        id,
        opaque: checked.opaque.clone(),
        category,
        window_open,
        by_user_id,
    };
    Ok(Accepted {
        subject,
        fails_later: refusal,
    })
}

fn customer(world: &World, number: &NumberState, recipient: &Recipient) -> Customer {
    let number = &number.number;
    match recipient {
        Recipient::Phone { digits, .. } | Recipient::UserIdAsPhone(digits) => {
            world.customers.portrait(&number.id, &number.waba, digits)
        }
        Recipient::UserId(id) => {
            let unknown = || Customer {
                user_id: id.clone(),
                name: "Customer".into(),
                ..Customer::default()
            };
            world
                .customers
                .by_user_id(&number.id, id)
                .cloned()
                .unwrap_or_else(unknown)
        }
    }
}

impl Accepted {
    fn answer(&self, recipient: &Recipient, kind: &str) -> Value {
        let contact = match recipient {
            Recipient::Phone { digits, input } => json!({"input": input, "wa_id": digits}),
            Recipient::UserId(id) | Recipient::UserIdAsPhone(id) => {
                json!({"input": id, "user_id": id})
            }
        };
        let mut message = Map::from_iter([("id".to_owned(), json!(self.subject.id))]);
        if kind == "template" {
            message.insert("message_status".into(), json!("accepted"));
        }
        json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]})
    }

    fn peer(&self) -> &str {
        let customer = &self.subject.customer;
        if customer.phone.is_empty() {
            &customer.user_id
        } else {
            &customer.phone
        }
    }
}

fn record(state: &State, send: &Accepted, checked: &Checked, call: &Call) {
    let body = call.json.clone().unwrap_or_default();
    state.say("gateway", send.peer(), summary(&body, &checked.kind));
    let (id, number, to) = (
        send.subject.id.clone(),
        send.subject.number.number.id.clone(),
        send.peer().to_owned(),
    );
    let (kind, opaque, at_ms) = (
        checked.kind.clone(),
        checked.opaque.clone(),
        state.clock.now_ms(),
    );
    state.sent.push(call.bytes.len() + 256, |seq| Sent {
        seq,
        id,
        number,
        to,
        kind,
        body,
        opaque,
        at_ms,
    });
}

/// One line for the transcript.
fn summary(body: &Value, kind: &str) -> String {
    let text = |pointer: &str| {
        body.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match kind {
        "text" => text("/text/body").to_owned(),
        "template" => format!("[template {}]", text("/template/name")),
        "interactive" => format!(
            "[{}] {}",
            text("/interactive/type"),
            text("/interactive/body/text")
        ),
        "reaction" => format!("[reaction {}]", text("/reaction/emoji")),
        other => format!("[{other}]"),
    }
}

fn follow_up(state: &State, send: Accepted, struck: &[Trouble]) {
    let subject = &send.subject;
    let has = |deed: Deed| struck.iter().find(|trouble| trouble.deed == deed);
    if has(Deed::NoStatuses).is_some() {
        return;
    }
    let delays = state.config.statuses;
    let asked = has(Deed::FailLater).map(|trouble| {
        (
            trouble.code,
            "The sim was asked to fail this message.".to_owned(),
        )
    });
    if let Some((code, details)) = asked.or(send.fails_later) {
        // Meta speaks of a failure instead of `delivered`, often after `sent`.
        let delay = delays.delivered_ms.or(delays.sent_ms).unwrap_or(0);
        let failed = subject.failed(state.config.user_ids, state.clock.now_ms(), code, &details);
        state.post(failed, delay);
        return;
    }
    let (mut delivered_ms, mut read_ms) = (delays.delivered_ms, delays.read_ms);
    if has(Deed::ReadFirst).is_some() {
        (delivered_ms, read_ms) = (read_ms, delivered_ms);
    }
    if has(Deed::SkipDelivered).is_some() {
        delivered_ms = None;
    }
    // The word stands in nobody's list; other words than Meta documents have been seen.
    let unknown_ms = has(Deed::UnknownStatus).and(delays.read_ms.or(Some(0)));
    for (status, delay) in [
        ("sent", delays.sent_ms),
        ("delivered", delivered_ms),
        ("read", read_ms),
        ("in_orbit", unknown_ms),
    ] {
        if let Some(delay) = delay {
            let change = subject.status(state.config.user_ids, state.clock.now_ms(), status);
            state.post(change, delay);
        }
    }
}

fn mark_read(state: &State, body: &Map<String, Value>) -> Answer {
    if body.get("status").and_then(Value::as_str) != Some("read") {
        return Err(GraphError::parameter("Param status must be one of {READ}."));
    }
    let id = body
        .get("message_id")
        .and_then(Value::as_str)
        .ok_or_else(|| GraphError::of(131_008, "Parameter 'message_id' is mandatory."))?;
    if !id.starts_with("wamid.") {
        return Err(GraphError::of(131_009, "Parameter Invalid: message_id"));
    }
    if let Some(typing) = body.get("typing_indicator")
        && typing.get("type").and_then(Value::as_str) != Some("text")
    {
        return Err(GraphError::of(
            131_009,
            "Parameter Invalid: typing_indicator.type",
        ));
    }
    let what = if body.contains_key("typing_indicator") {
        "[read, typing]"
    } else {
        "[read]"
    };
    state.say("gateway", id, what);
    Ok(json!({"success": true}))
}

impl State {
    /// Puts a change on its way after `delay_ms` and whatever the mood adds.
    pub(crate) fn post(&self, change: crate::webhook::Change, delay_ms: u64) {
        use rand::Rng;
        let mood = lock(&self.mood).webhook;
        let (crossed_ms, lane) = match mood.reorder_ms {
            0 => (0, None),
            window => {
                let mut dice = lock(&self.dice);
                (dice.random_range(0..=window), Some(dice.random()))
            }
        };
        let delay_ms = delay_ms
            .saturating_add(crossed_ms)
            .saturating_add(mood.delay_ms)
            .min(crate::clock::DAY_MS);
        self.outlet
            .change(change, Duration::from_millis(delay_ms), lane);
    }
}
