//! Who has a conversation, and whom it is with.

use duet_rules::coexistence::State;
use duet_rules::sending::{Access, Addressee, ConversationState, Marketing, Standing};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::access::access;
use super::{Store, StoreError, handling, standing};
use crate::effect::Handling;
use crate::event::ContactView;

/// A conversation as policy sees it; times in ms since 1970.
#[derive(Debug, Clone)]
pub struct Conversation {
    pub id: i64,
    /// Whose it is; `""` is the gateway's own.
    pub business: String,
    pub number: String,
    /// The account of the number, once an element has named it.
    pub waba: Option<String>,
    pub number_state: State,
    pub contact: i64,
    /// As stored: a person's time may have run out.
    pub handling: Handling,
    pub handling_until_ms: Option<i64>,
    /// The event that made it so; 0 if none did.
    pub handling_seq: i64,
    /// The instance that made it so, if a plugin did.
    pub handling_by: Option<String>,
    pub window_until_ms: Option<i64>,
    pub marketing: Marketing,
    pub standing: Standing,
    /// Instances that a person's takeover does not silence.
    pub speaking: Vec<String>,
    pub access: Access,
    /// Whom a send goes to; nobody when neither phone nor user id is known.
    pub to: Option<Addressee>,
}

impl Conversation {
    /// Whether a person has it now.
    pub fn with_person(&self, now_ms: i64) -> bool {
        self.handling == Handling::Person
            && self.handling_until_ms.is_none_or(|until| until > now_ms)
    }

    /// As the sending rules look at it.
    pub fn state(&self) -> ConversationState<'_> {
        ConversationState {
            handling: self.handling,
            handling_until_ms: self.handling_until_ms,
            handling_seq: self.handling_seq,
            handling_by: self.handling_by.as_deref(),
            window_until_ms: self.window_until_ms,
            marketing: self.marketing,
            standing: self.standing,
            speaking: &self.speaking,
            access: self.access,
            number: self.number_state,
        }
    }
}

impl Store {
    /// A conversation, unless there is none with this id.
    pub async fn conversation(&self, id: i64) -> Result<Option<Conversation>, StoreError> {
        self.peek(|connection| conversation(connection, id))
    }

    /// What plugins of its business may know of a contact.
    pub async fn contact(
        &self,
        business: &str,
        id: i64,
    ) -> Result<Option<ContactView>, StoreError> {
        self.peek(|connection| {
            let contact = connection
                .prepare_cached(
                    "SELECT id, coalesce(saved_name, name), wa_id, user_id FROM contacts WHERE id = ?1 AND business = ?2",
                )?
                .query_row(params![id, business], |row| {
                    Ok(ContactView {
                        id: row.get(0)?,
                        name: row.get(1)?,
                        wa_id: row.get(2)?,
                        user_id: row.get(3)?,
                    })
                })
                .optional()?;
            Ok(contact)
        })
    }
}

pub(super) fn conversation(
    connection: &Connection,
    id: i64,
) -> Result<Option<Conversation>, StoreError> {
    let conversation = connection
        .prepare_cached(&format!(
            "SELECT c.id, c.number, n.state, c.contact, c.handling, c.handling_until_ms, c.handling_seq,
             c.handling_by, c.window_until_ms, p.wa_id, p.user_id, p.marketing_stopped, c.marketing_capped_ms,
             n.waba, (SELECT settings FROM handling_settings h WHERE h.number = c.number), p.business,
             {}
             FROM conversations c JOIN numbers n ON n.id = c.number LEFT JOIN accounts a ON a.waba = n.waba
             JOIN contacts p ON p.id = c.contact WHERE c.id = ?1",
            standing::COLUMNS
        ))?
        .query_row(params![id, super::alarms::ACCOUNT_ALERT_CRITICAL], read)
        .optional()?;
    let Some(mut conversation) = conversation else {
        return Ok(None);
    };
    conversation.access = access(connection, &conversation.business, &conversation.number)?;
    Ok(Some(conversation))
}

fn read(row: &Row<'_>) -> Result<Conversation, rusqlite::Error> {
    let (state, handling): (String, String) = (row.get(2)?, row.get(4)?);
    let (wa_id, user_id): (Option<String>, Option<String>) = (row.get(9)?, row.get(10)?);
    let settings: Option<String> = row.get(14)?;
    Ok(Conversation {
        id: row.get(0)?,
        number: row.get(1)?,
        number_state: State::from_word(&state),
        contact: row.get(3)?,
        handling: Handling::from_word(&handling),
        handling_until_ms: row.get(5)?,
        handling_seq: row.get(6)?,
        handling_by: row.get(7)?,
        window_until_ms: row.get(8)?,
        marketing: Marketing {
            stopped: row.get(11)?,
            capped_until_ms: row.get(12)?,
        },
        standing: standing::read(row, 16)?,
        waba: row.get(13)?,
        speaking: settings.map_or_else(Vec::new, |text| handling::read(&text).speaking),
        business: row.get(15)?,
        access: Access::Open,
        to: Addressee::of(wa_id.as_deref(), user_id.as_deref()),
    })
}
