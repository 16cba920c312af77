use rusqlite::{OptionalExtension, Row, params};

use super::contacts::{COLUMNS as CONTACT, contact};
use super::{ContactRow, Page};
use crate::effect::{Agent, Handling};
use crate::store::wall::Wall;
use crate::store::{Store, StoreError};

#[derive(Debug, Clone)]
pub struct ConversationRow {
    pub id: i64,
    /// Meta's `phone_number_id`.
    pub number: String,
    pub contact: ContactRow,
    /// Who has it at the asked moment.
    pub handling: Handling,
    /// Until when a person has it; absent when the automations have it.
    pub handling_until_ms: Option<i64>,
    /// The instance that handed it over, if a plugin did.
    pub handling_by: Option<String>,
    /// Until when a free-form message may be sent.
    pub window_until_ms: Option<i64>,
    /// Until when messages are free, since the customer came through an advertisement.
    pub free_until_ms: Option<i64>,
    pub last_ms: Option<i64>,
    /// In the order of their bytes.
    pub labels: Vec<String>,
    pub assignee: Option<Agent>,
}

#[derive(Debug, Clone, Default)]
pub struct ConversationFilter {
    pub number: Option<String>,
    pub contact: Option<i64>,
    pub handling: Option<Handling>,
    pub label: Option<String>,
    /// By the agent's id.
    pub assignee: Option<String>,
}

const COLUMNS: &str =
    "c.id, c.number, c.window_until_ms, c.last_ms, c.handling_until_ms, c.handling_by,
    c.handling = 'person' AND coalesce(c.handling_until_ms > ?1, 1), c.free_until_ms,
    (SELECT json_group_array(l.label) FROM (SELECT label FROM labels WHERE conversation = c.id ORDER BY label) l),
    (SELECT agent FROM assignments WHERE conversation = c.id)";

impl Store {
    /// Conversations in the order of their ids, as they stand at `now_ms`.
    pub async fn conversations(
        &self,
        wall: Wall,
        page: Page,
        filter: ConversationFilter,
        now_ms: i64,
    ) -> Result<Vec<ConversationRow>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS}, {CONTACT} FROM conversations c JOIN contacts k ON k.id = c.contact
                 WHERE c.id > ?2 AND (?3 IS NULL OR c.number = ?3) AND (?4 IS NULL OR c.contact = ?4)
                 AND (?5 IS NULL OR (c.handling = 'person' AND coalesce(c.handling_until_ms > ?1, 1)) = ?5)
                 AND (?7 IS NULL OR k.business = ?7)
                 AND (?8 IS NULL OR EXISTS (SELECT 1 FROM labels WHERE conversation = c.id AND label = ?8))
                 AND (?9 IS NULL OR EXISTS (SELECT 1 FROM assignments
                                            WHERE conversation = c.id AND json_extract(agent, '$.id') = ?9))
                 ORDER BY c.id LIMIT ?6"
            );
            let person = filter.handling.map(|handling| handling == Handling::Person);
            let mut statement = connection.prepare_cached(&sql)?;
            let values = params![
                now_ms,
                page.after,
                filter.number,
                filter.contact,
                person,
                page.limit,
                wall,
                filter.label,
                filter.assignee
            ];
            let rows = statement.query_map(values, conversation)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// One conversation as it stands at `now_ms`.
    pub async fn conversation_view(
        &self,
        wall: Wall,
        id: i64,
        now_ms: i64,
    ) -> Result<Option<ConversationRow>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS}, {CONTACT} FROM conversations c JOIN contacts k ON k.id = c.contact WHERE c.id = ?2
                 AND (?3 IS NULL OR k.business = ?3)"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement.query_row(params![now_ms, id, wall], conversation).optional()?)
        })
        .await
    }
}

fn conversation(row: &Row<'_>) -> Result<ConversationRow, rusqlite::Error> {
    let person: bool = row.get(6)?;
    let (labels, assignee): (String, Option<String>) = (row.get(8)?, row.get(9)?);
    Ok(ConversationRow {
        id: row.get(0)?,
        number: row.get(1)?,
        window_until_ms: row.get(2)?,
        last_ms: row.get(3)?,
        handling: if person {
            Handling::Person
        } else {
            Handling::Automation
        },
        handling_until_ms: if person { row.get(4)? } else { None },
        handling_by: if person { row.get(5)? } else { None },
        free_until_ms: row.get(7)?,
        labels: serde_json::from_str(&labels).unwrap_or_default(),
        assignee: assignee.as_deref().and_then(Agent::read),
        contact: contact(row, 10)?,
    })
}
