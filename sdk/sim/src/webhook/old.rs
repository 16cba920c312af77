//! Old messages as the field `history` brings them: chunks of one phase, each a body of at most 3 MB, and the
//! media that follow in two other shapes.

use std::iter::Peekable;

use serde_json::{Map, Value, json};

use super::escape;
use crate::world::{Customer, NumberState};

/// Meta's limit on a body, as far as chunks fill it.
pub(crate) const BODY_BYTES_MAX: usize = 3_000_000;
/// Envelope and metadata of a chunk at most.
const FRAME_BYTES: usize = 1024;

/// One old message.
#[derive(Clone, Debug)]
pub(crate) struct Old {
    /// Number of the customer in whose thread it stands.
    pub(crate) customer: u32,
    pub(crate) from_me: bool,
    pub(crate) id: String,
    pub(crate) at_ms: u64,
    pub(crate) phase: u8,
    pub(crate) media: bool,
    pub(crate) text: String,
}

/// One element of `value.history`.
pub(crate) struct Chunk {
    pub(crate) phase: u8,
    /// Customers whose thread, or part of it, stands here.
    pub(crate) customers: Vec<u32>,
    pub(crate) messages: usize,
    pub(crate) media: usize,
    pub(crate) value: Value,
}

/// How chunks are packed.
#[derive(Clone, Copy)]
pub(crate) struct Packing {
    pub(crate) user_ids: bool,
    /// As in the one published real chunk: lower case, `from_me`, newest first.
    pub(crate) lower_case: bool,
    pub(crate) messages_max: usize,
    /// Messages of the whole history, which progress is measured by.
    pub(crate) total: usize,
}

/// Packs messages that come phase by phase and customer by customer; holds one chunk at a time.
pub(crate) struct Chunks<'a, I: Iterator<Item = Old>, P: Fn(u32) -> Customer> {
    number: &'a NumberState,
    packing: Packing,
    customer: P,
    old: Peekable<I>,
    phase: Option<u8>,
    order: u32,
    done: usize,
}

impl<'a, I: Iterator<Item = Old>, P: Fn(u32) -> Customer> Chunks<'a, I, P> {
    pub(crate) fn new(number: &'a NumberState, packing: Packing, old: I, customer: P) -> Self {
        Self {
            number,
            packing,
            customer,
            old: old.peekable(),
            phase: None,
            order: 0,
            done: 0,
        }
    }

    /// The messages of one customer that still fit; `room` loses their bytes.
    fn thread(&mut self, phase: u8, chunk: &mut Chunk, room: &mut usize) -> Option<Value> {
        let index = self.old.peek().filter(|old| old.phase == phase)?.customer;
        let customer = (self.customer)(index);
        let mut thread = head(&customer, self.packing.user_ids);
        let head_bytes = bytes(&thread) + 16;
        let mut messages = Vec::new();
        while let Some(old) = self.old.peek()
            && old.phase == phase
            && old.customer == index
            && chunk.messages < self.packing.messages_max.max(1)
        {
            let message = message(self.number, &customer, old, &self.packing);
            let more = bytes(&message) + 1 + if messages.is_empty() { head_bytes } else { 0 };
            // A message too long for any chunk gets one of its own.
            if more > *room && chunk.messages > 0 {
                break;
            }
            *room = room.saturating_sub(more);
            chunk.messages += 1;
            chunk.media += usize::from(old.media);
            messages.push(message);
            self.old.next();
        }
        if messages.is_empty() {
            return None;
        }
        if self.packing.lower_case {
            messages.reverse();
        }
        chunk.customers.push(index);
        thread.insert("messages".into(), json!(messages));
        Some(Value::Object(thread))
    }
}

impl<I: Iterator<Item = Old>, P: Fn(u32) -> Customer> Iterator for Chunks<'_, I, P> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let phase = self.old.peek()?.phase;
        self.order = if self.phase == Some(phase) {
            self.order + 1
        } else {
            1
        };
        self.phase = Some(phase);
        let mut chunk = Chunk {
            phase,
            customers: Vec::new(),
            messages: 0,
            media: 0,
            value: Value::Null,
        };
        let mut room = BODY_BYTES_MAX - FRAME_BYTES;
        let mut threads = Vec::new();
        while let Some(thread) = self.thread(phase, &mut chunk, &mut room) {
            threads.push(thread);
        }
        self.done += chunk.messages;
        let progress = (self.done * 100 / self.packing.total.max(1)).min(100);
        let metadata = json!({"phase": phase, "chunk_order": self.order, "progress": progress});
        chunk.value = json!({"metadata": metadata, "threads": threads});
        Some(chunk)
    }
}

fn bytes(value: &impl serde::Serialize) -> usize {
    escape::to_bytes(value).len()
}

/// A thread without its messages.
fn head(customer: &Customer, user_ids: bool) -> Map<String, Value> {
    let mut thread = Map::new();
    let mut context = Map::new();
    if !customer.phone_hidden {
        thread.insert("id".into(), json!(customer.phone));
        context.insert("wa_id".into(), json!(customer.phone));
    }
    let ids = customer.user_ids(user_ids, ["user_id", "parent_user_id"]);
    if !ids.is_empty() {
        context.extend(ids);
        context.extend(
            customer
                .username
                .as_ref()
                .map(|name| ("username".to_owned(), json!(name))),
        );
        thread.insert("context".into(), Value::Object(context));
    }
    thread
}

/// Who sent it, its id and its time.
fn sender(
    number: &NumberState,
    customer: &Customer,
    old: &Old,
    user_ids: bool,
) -> Map<String, Value> {
    let mut message = Map::new();
    if old.from_me {
        message.insert("from".into(), json!(number.number.digits));
    } else {
        if !customer.phone_hidden {
            message.insert("from".into(), json!(customer.phone));
        }
        message.extend(customer.user_ids(user_ids, ["from_user_id", "from_parent_user_id"]));
    }
    message.insert("id".into(), json!(old.id));
    message.insert("timestamp".into(), json!((old.at_ms / 1000).to_string()));
    message
}

fn message(number: &NumberState, customer: &Customer, old: &Old, packing: &Packing) -> Value {
    let mut message = sender(number, customer, old, packing.user_ids);
    if old.media {
        message.insert("type".into(), json!("media_placeholder"));
    } else {
        message.insert("type".into(), json!("text"));
        message.insert("text".into(), json!({"body": old.text}));
    }
    let status = match (packing.lower_case, old.from_me) {
        (true, true) => json!({"status": "read", "from_me": true}),
        // In the one real chunk even old inbound messages are pending.
        (true, false) => json!({"status": "pending", "from_me": false}),
        (false, true) => json!({"status": "READ"}),
        (false, false) => json!({"status": "DELIVERED"}),
    };
    message.insert("history_context".into(), status);
    Value::Object(message)
}

/// The value that brings a message outside a chunk, such as the media of a placeholder: a customer's as
/// `messages`, the business's as `message_echoes`.
pub(crate) fn again(
    number: &NumberState,
    customer: &Customer,
    old: &Old,
    (kind, body): (&str, Value),
    user_ids: bool,
) -> Map<String, Value> {
    let mut message = sender(number, customer, old, user_ids);
    message.insert("type".into(), json!(kind));
    message.insert(kind.to_owned(), body);
    let list = if old.from_me {
        if !customer.phone_hidden {
            message.insert("to".into(), json!(customer.phone));
        }
        message.extend(customer.user_ids(user_ids, ["to_user_id", "to_parent_user_id"]));
        "message_echoes"
    } else {
        "messages"
    };
    let mut value = Map::new();
    if user_ids || customer.phone_hidden {
        value.insert("contacts".into(), json!([customer.contact(true)]));
    }
    value.insert(list.to_owned(), json!([message]));
    value
}
