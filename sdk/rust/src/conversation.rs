//! A conversation: what can be said in it, and who has it.

use crate::bindings::duet::plugin::types::Speaker;
use crate::bindings::duet::plugin::{conversations, messages};
use crate::message::{Message, mark_read};
use crate::{Result, reject};

pub use crate::bindings::duet::plugin::conversations::State;
pub use crate::bindings::duet::plugin::messages::Refusal;
pub use crate::bindings::duet::plugin::types::{Agent, Handling};

/// One conversation with one customer over one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation {
    /// Duet's id.
    pub id: u64,
}

/// What became of a send.
#[derive(Debug, Clone)]
pub enum Sent {
    /// It is in the outbox, and leaves when the event is done.
    Queued,
    /// It will not be sent, and that is in order: a person has the conversation, or Meta would not let it through.
    Refused(Refusal),
}

impl Conversation {
    /// Sends a text. Needs the grant `messages`, as all sends do.
    pub fn reply_text(self, text: &str) -> Result<Sent> {
        self.send(Message::text(text))
    }

    /// Sends any message, spoken by an automation.
    ///
    /// Only what the author or the admin must correct is an error: an invalid message or a missing grant.
    pub fn send(self, message: Message) -> Result<Sent> {
        self.say(&Speaker::Automation, &message)
    }

    /// Sends a message that a person wrote, from a bridge to an agents' desk for example; this takes the
    /// conversation over. Needs the grant `speak = ["person"]`.
    pub fn send_as_person(self, message: Message) -> Result<Sent> {
        self.say(&Speaker::Person(None), &message)
    }

    /// The same, by this person: `GET /api/v1/conversations/{id}/handling` tells who had the conversation.
    pub fn send_as(self, agent: Agent, message: Message) -> Result<Sent> {
        self.say(&Speaker::Person(Some(agent)), &message)
    }

    /// Shows the customer two blue ticks at the message with this id of Meta's, and at those before it.
    pub fn mark_read(self, message_id: &str) -> Result<Sent> {
        self.say(&Speaker::Automation, &mark_read(message_id))
    }

    /// Who has the conversation, and until when. Needs the grant `conversations`.
    pub fn state(self) -> Option<State> {
        conversations::get(self.id)
    }

    /// Hands the conversation to a person, for so many seconds or for Duet's default: automations fall silent.
    /// Needs `handling = true` in the grant `conversations`.
    pub fn hand_over(self, seconds: Option<u32>) -> Result {
        conversations::hand_over(self.id, None, seconds).map_err(reject)
    }

    /// The same to this person. Needs the same grant.
    pub fn hand_over_to(self, agent: &Agent, seconds: Option<u32>) -> Result {
        conversations::hand_over(self.id, Some(agent), seconds).map_err(reject)
    }

    /// Gives the conversation back: automations may speak again. Needs the same grant.
    pub fn give_back(self) -> Result {
        conversations::give_back(self.id).map_err(reject)
    }

    fn say(self, speaker: &Speaker, message: &Message) -> Result<Sent> {
        match messages::send(self.id, speaker, &message.to_string()) {
            Ok(()) => Ok(Sent::Queued),
            Err(refusal) if ["invalid", "not-granted"].contains(&refusal.code.as_str()) => {
                Err(reject(format_args!(
                    "send refused: {}: {}",
                    refusal.code, refusal.detail
                )))
            }
            Err(refusal) => Ok(Sent::Refused(refusal)),
        }
    }
}
