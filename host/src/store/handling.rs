//! Who has a conversation: how long a person keeps it, by the settings of its number, and the story of all changes.

use duet_rules::sending::Agent;
use duet_rules::takeover::{self, Cause, Change, Settings};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::wall::Wall;
use super::{Store, StoreError};
use crate::effect::Handling;

/// So many changes of a conversation are kept.
const CHANGES_MAX: i64 = 200;

/// How long a person keeps a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// As the settings of its number say, or longer if it is theirs for longer already; so many ms where they say
    /// nothing.
    Usual(i64),
    /// Until then, or longer if it is theirs for longer already.
    AtLeast(i64),
    /// Until then, whatever was said before.
    Exactly(i64),
}

/// A conversation goes to a person, or back to the automations.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handover<'a> {
    pub(super) conversation: i64,
    pub(super) handling: Handling,
    pub(super) keeps: Keeps,
    /// Its place among the events. What has a later one and was said before stands.
    pub(super) seq: i64,
    /// The event that makes it so, unless none does.
    pub(super) event: Option<i64>,
    pub(super) at_ms: i64,
    pub(super) cause: Cause,
    /// The instance, or `api`.
    pub(super) who: Option<&'a str>,
    /// Which person gets it, if that is known.
    pub(super) agent: Option<&'a Agent>,
    /// The instance that may still say the words of its own handover.
    pub(super) by: Option<&'a str>,
}

impl Store {
    /// How the conversations of a number are handled; `None` when there is no such number.
    pub async fn handling_settings(
        &self,
        wall: Wall,
        number: String,
    ) -> Result<Option<Settings>, StoreError> {
        self.read(move |connection| {
            let known = connection
                .prepare_cached(
                    "SELECT h.settings FROM numbers n LEFT JOIN handling_settings h ON h.number = n.id
                     WHERE n.id = ?1 AND (?2 IS NULL OR n.business = ?2)",
                )?
                .query_row(params![number, wall], |row| row.get::<_, Option<String>>(0))
                .optional()?;
            Ok(known.map(|text| text.as_deref().map_or_else(Settings::default, read)))
        })
        .await
    }

    /// Sets them, for what is said from now on. False when there is no such number.
    pub async fn set_handling_settings(
        &self,
        wall: Wall,
        number: String,
        settings: Settings,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let text = serde_json::json!(settings).to_string();
            let set = connection
                .prepare_cached(
                    "INSERT INTO handling_settings (number, settings) SELECT id, ?2 FROM numbers
                     WHERE id = ?1 AND (?3 IS NULL OR business = ?3)
                     ON CONFLICT (number) DO UPDATE SET settings = excluded.settings",
                )?
                .execute(params![number, text, wall])?;
            Ok(set > 0)
        })
        .await
    }

    /// Who had a conversation when, oldest first: at most the last 200 changes and what time has made of them.
    pub async fn handling_story(
        &self,
        conversation: i64,
        now_ms: i64,
    ) -> Result<Vec<Change>, StoreError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT handling, cause, who, seq, at_ms, until_ms, agent FROM handovers WHERE conversation = ?1 ORDER BY id",
            )?;
            let stored = query.query_map([conversation], change)?;
            let stored: Vec<Change> = stored.collect::<Result<_, _>>()?;
            Ok(takeover::story(stored, now_ms))
        })
        .await
    }

    /// The person who was given a conversation last, if that was said.
    pub async fn agent_of(&self, conversation: i64) -> Result<Option<Agent>, StoreError> {
        self.peek(|connection| {
            let told: Option<Option<String>> = connection
                .prepare_cached(
                    "SELECT agent FROM handovers WHERE conversation = ?1 ORDER BY id DESC LIMIT 1",
                )?
                .query_row([conversation], |row| row.get(0))
                .optional()?;
            Ok(told.flatten().as_deref().and_then(Agent::read))
        })
    }
}

/// What an admin has set; the usual if that cannot be read.
pub(super) fn read(text: &str) -> Settings {
    serde_json::from_str(text).unwrap_or_default()
}

/// Gives a conversation, and those of its number with the same person, to a person or back to the automations.
pub(super) fn hand(connection: &Connection, handover: &Handover<'_>) -> Result<(), StoreError> {
    let until_ms = match handover.keeps {
        _ if handover.handling == Handling::Automation => None,
        Keeps::Usual(usual_ms) => Some(ends_ms(connection, handover, usual_ms)?),
        Keeps::AtLeast(until_ms) | Keeps::Exactly(until_ms) => Some(until_ms),
    };
    let anew = matches!(handover.keeps, Keeps::Exactly(_));
    for conversation in of_same_person(connection, handover.conversation)? {
        let kept: Option<Option<i64>> = connection
            .prepare_cached(
                "UPDATE conversations SET
                 handling_until_ms = CASE WHEN ?2 = 'person' AND handling = 'person' AND NOT ?6
                 THEN max(coalesce(handling_until_ms, 0), ?3) ELSE ?3 END,
                 handling = ?2, handling_seq = ?4, handling_by = ?5
                 WHERE id = ?1 AND handling_seq <= ?4 RETURNING handling_until_ms",
            )?
            .query_row(
                params![
                    conversation,
                    handover.handling.as_str(),
                    until_ms,
                    handover.seq,
                    handover.by,
                    anew
                ],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(kept) = kept {
            tell(connection, conversation, handover, kept)?;
        }
    }
    Ok(())
}

/// The end of a person's time after a word, by the settings of the conversation's number.
fn ends_ms(
    connection: &Connection,
    handover: &Handover<'_>,
    usual_ms: i64,
) -> Result<i64, StoreError> {
    let settings: Option<String> = connection
        .prepare_cached(
            "SELECT h.settings FROM conversations c JOIN handling_settings h ON h.number = c.number WHERE c.id = ?1",
        )?
        .query_row([handover.conversation], |row| row.get(0))
        .optional()?;
    let settings = settings.map(|text| read(&text)).unwrap_or_default();
    // What the API has let in can be used; a later binary may know fewer time zones.
    let terms = settings.check().unwrap_or_default();
    Ok(terms.ends_ms(handover.at_ms, usual_ms))
}

/// Adds a change to the story. The same cause again, while the person still has it, only prolongs the newest.
fn tell(
    connection: &Connection,
    conversation: i64,
    handover: &Handover<'_>,
    until_ms: Option<i64>,
) -> Result<(), StoreError> {
    let (handling, cause) = (handover.handling.as_str(), handover.cause.as_str());
    let agent = handover.agent.map(Agent::json);
    let prolonged = connection
        .prepare_cached(
            "UPDATE handovers SET last_seq = ?5, last_ms = max(last_ms, ?6), until_ms = ?7
             WHERE id = (SELECT max(id) FROM handovers WHERE conversation = ?1)
             AND handling = ?2 AND cause = ?3 AND who IS ?4 AND agent IS ?8 AND coalesce(until_ms, ?6) >= ?6",
        )?
        .execute(params![
            conversation,
            handling,
            cause,
            handover.who,
            handover.seq,
            handover.at_ms,
            until_ms,
            agent
        ])?;
    if prolonged > 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO handovers (conversation, handling, cause, who, seq, at_ms, last_seq, last_ms, until_ms, agent)
             VALUES (?1, ?2, ?3, ?4, ?8, ?6, ?5, ?6, ?7, ?9)",
        )?
        .execute(params![
            conversation,
            handling,
            cause,
            handover.who,
            handover.seq,
            handover.at_ms,
            until_ms,
            handover.event.unwrap_or_default(),
            agent
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM handovers WHERE conversation = ?1 AND id <=
             (SELECT id FROM handovers WHERE conversation = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute([conversation, CHANGES_MAX])?;
    Ok(())
}

/// The contact has been found to be several: what one of their conversations was last told is told of the others, which
/// are handled like it from now on.
pub(super) fn join(connection: &Connection, contact: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "WITH person AS (
                 SELECT c.id, c.number, c.handling_seq FROM conversations c JOIN contacts k ON k.id = c.contact
                 WHERE k.id = ?1 OR k.same_as = ?1)
             INSERT INTO handovers (conversation, handling, cause, who, seq, at_ms, last_seq, last_ms, until_ms, agent)
             SELECT p.id, h.handling, h.cause, h.who, h.seq, h.at_ms, h.last_seq, h.last_ms, h.until_ms, h.agent
             FROM person p JOIN person o ON o.number = p.number AND o.id <> p.id
             JOIN handovers h ON h.conversation = o.id AND h.last_seq = p.handling_seq
             WHERE NOT EXISTS (SELECT 1 FROM handovers x WHERE x.conversation = p.id AND x.last_seq = p.handling_seq)
             GROUP BY p.id",
        )?
        .execute([contact])?;
    Ok(())
}

fn change(row: &Row<'_>) -> Result<Change, rusqlite::Error> {
    let (handling, cause): (String, String) = (row.get(0)?, row.get(1)?);
    let agent: Option<String> = row.get(6)?;
    Ok(Change {
        handling: Handling::from_word(&handling),
        cause: Cause::from_word(&cause).unwrap_or(Cause::Api),
        who: row.get(2)?,
        agent: agent.as_deref().and_then(Agent::read),
        seq: row.get(3)?,
        at_ms: row.get(4)?,
        until_ms: row.get(5)?,
    })
}

/// The conversation, and those of the number with the same person under another id.
fn of_same_person(connection: &Connection, conversation: i64) -> Result<Vec<i64>, StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT o.id FROM conversations c JOIN contacts k ON k.id = c.contact
         JOIN contacts p ON p.id = coalesce(k.same_as, k.id) OR p.same_as = coalesce(k.same_as, k.id)
         JOIN conversations o ON o.contact = p.id AND o.number = c.number WHERE c.id = ?1",
    )?;
    let rows = query.query_map([conversation], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
