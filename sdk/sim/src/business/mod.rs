//! A believable business: people, an address book, months of old messages and live traffic, all of it a pure
//! function of its [`Options`], a number and a time. Nothing is kept: every iterator makes its webhooks one at a
//! time, each a body of at most 3 MB, so that 200,000 messages need no more memory than one chunk.
//!
//! [`Business`] plans; [`Sim::business`](crate::Sim::business) delivers the plan and says in a [`Report`] what
//! was sent. Deliberately absent: a model of what people mean. Texts come from small tables of phrases.

mod dice;
mod file;
mod history;
mod live;
mod options;
mod people;
mod phrases;
mod report;

use crate::config::Number;
use crate::webhook::envelope::{self, Change};
use crate::webhook::to_bytes;
use crate::world::{Customer, NumberState};
pub(crate) use file::File;
pub use options::{Language, Options};
pub use report::Report;

/// A plan of one business. The same options, number and time give the same bytes.
pub struct Business {
    options: Options,
    number: NumberState,
    user_ids: bool,
    now_ms: u64,
}

/// What a webhook of the plan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Entries of the address book: `smb_app_state_sync`.
    Contacts,
    /// A chunk of old messages of this phase: `history`.
    History(u8),
    /// The media of one placeholder: `history` in its other two shapes.
    FollowUp,
    /// A customer writes: `messages`.
    Message,
    /// The person on the phone writes: `smb_message_echoes`.
    Echo,
    /// An echo's message was sent, delivered or read: `messages`.
    Status,
}

/// One webhook of the plan.
pub struct Webhook {
    /// What it is about.
    pub part: Part,
    /// People whose contact, thread or message it holds, by their place in the business.
    pub people: Vec<u32>,
    /// Messages in it, placeholders among them.
    pub messages: usize,
    /// Media among them: placeholders in a chunk, the file itself in the other parts.
    pub media: usize,
    change: Change,
    file: Option<File>,
}

impl Webhook {
    /// The whole body in Meta's spelling, as it is signed.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        to_bytes(&envelope::body(
            vec![self.change.clone()],
            &Default::default(),
        ))
    }

    /// True for what may be as large as a body can be.
    pub(crate) fn is_chunk(&self) -> bool {
        matches!(self.part, Part::Contacts | Part::History(_))
    }

    /// What is put on its way, and the file that must be there before.
    pub(crate) fn into_parts(self) -> (Change, Option<File>) {
        (self.change, self.file)
    }
}

impl Business {
    /// Plans a business whose present is `now_ms`, milliseconds since 1970. `user_ids` as in
    /// [`Config`](crate::Config).
    ///
    /// # Errors
    /// When the options contradict each other or a limit; the text says which and what to change.
    pub fn new(
        options: Options,
        number: Number,
        user_ids: bool,
        now_ms: u64,
    ) -> Result<Self, String> {
        options.check()?;
        Ok(Self {
            options,
            number: NumberState::new(number, now_ms),
            user_ids,
            now_ms,
        })
    }

    /// The phone's address book, in webhooks of up to 500 entries.
    pub fn contacts(&self) -> impl Iterator<Item = Webhook> + '_ {
        people::address_book(self)
    }

    /// The history sync: chunks of phase 0 (the last day), 1 (to day 90) and 2 (to day 180), each at most 3 MB.
    pub fn history(&self) -> impl Iterator<Item = Webhook> + '_ {
        history::chunks(self)
    }

    /// The media of the last 14 days, customers' as `messages`, the business's as `message_echoes`.
    pub fn follow_ups(&self) -> impl Iterator<Item = Webhook> + '_ {
        history::follow_ups(self)
    }

    /// Live traffic without an end: customers write, the phone answers, its messages get statuses.
    pub fn live(&self) -> impl Iterator<Item = Webhook> + '_ {
        live::traffic(self)
    }

    /// Everybody with a thread or a place in the address book.
    pub(crate) fn people(&self) -> impl Iterator<Item = Customer> + '_ {
        (0..self.options.people()).map(|index| people::person(self, index))
    }

    /// A webhook about `value`, which keeps its order among those of `peer`.
    fn webhook(
        &self,
        part: Part,
        peer: &str,
        people: Vec<u32>,
        value: serde_json::Map<String, serde_json::Value>,
        at_ms: u64,
    ) -> Webhook {
        let field = match part {
            Part::Contacts => "smb_app_state_sync",
            Part::History(_) | Part::FollowUp => "history",
            Part::Message | Part::Status => "messages",
            Part::Echo => "smb_message_echoes",
        };
        Webhook {
            part,
            people,
            messages: 0,
            media: 0,
            change: Change::of(&self.number, field, peer, at_ms, value),
            file: None,
        }
    }
}
