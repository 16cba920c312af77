//! What people and plugins keep on a conversation among themselves. Each change is an event in the conversation's lane, in
//! its transaction.

use std::sync::Arc;

use duet_rules::annotations::{Annotation, Marks, NOTES_MAX, NewNote, Note};
use duet_rules::plugins_toml::API;
use duet_rules::sending::Agent;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::conversations::conversation;
use super::own::{Own, make};
use super::{Store, StoreError};
use crate::event::Event;

/// What is done to a conversation, and by whom.
pub(super) struct Done<'a> {
    pub(super) conversation: i64,
    /// The instance, or `api`.
    pub(super) by: &'a str,
    pub(super) annotation: &'a Annotation,
    pub(super) now_ms: i64,
}

/// The event that says so, unless nothing has changed; or why it is refused.
pub type Annotated<T> = Result<Option<T>, String>;

impl Store {
    /// Does it for the admin API. Nothing changes where there is no such conversation.
    pub async fn annotate(
        &self,
        conversation: i64,
        annotation: Annotation,
        now_ms: i64,
    ) -> Result<Annotated<Arc<Event>>, StoreError> {
        self.write(move |connection| {
            let done = Done {
                conversation,
                by: API,
                annotation: &annotation,
                now_ms,
            };
            let annotated = act(connection, &done)?;
            Ok(annotated.map(|event| event.map(Arc::new)))
        })
        .await
    }

    /// Labels and assignee of a conversation. Whoever asks may see it.
    pub async fn marks(&self, conversation: i64) -> Result<Marks, StoreError> {
        self.peek(|connection| marks(connection, conversation))
    }

    /// The notes of a conversation, the newest first, at most so many. Whoever asks may see it.
    pub async fn notes(&self, conversation: i64, limit: usize) -> Result<Vec<Note>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT author, key, text, agent, at_ms FROM notes WHERE conversation = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map([conversation, limit], note)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn note(row: &Row<'_>) -> Result<Note, rusqlite::Error> {
    let agent: Option<String> = row.get(3)?;
    Ok(Note {
        author: row.get(0)?,
        note: NewNote {
            key: row.get(1)?,
            text: row.get(2)?,
            agent: agent.as_deref().and_then(Agent::read),
        },
        at_ms: row.get(4)?,
    })
}

fn marks(connection: &Connection, conversation: i64) -> Result<Marks, StoreError> {
    let mut labels =
        connection.prepare_cached("SELECT label FROM labels WHERE conversation = ?1")?;
    let labels = labels.query_map([conversation], |row| row.get(0))?;
    let assignee: Option<String> = connection
        .prepare_cached("SELECT agent FROM assignments WHERE conversation = ?1")?
        .query_row([conversation], |row| row.get(0))
        .optional()?;
    Ok(Marks {
        labels: labels.collect::<Result<_, _>>()?,
        assignee: assignee.as_deref().and_then(Agent::read),
    })
}

/// Does it, and makes the event that says so. What is refused has changed nothing.
pub(super) fn act(
    connection: &Connection,
    done: &Done<'_>,
) -> Result<Annotated<Event>, StoreError> {
    let Some(found) = conversation(connection, done.conversation)? else {
        return Ok(Ok(None));
    };
    let changed = match done.annotation {
        Annotation::Note(note) => write(connection, done, note)?,
        mark => match marks(connection, done.conversation)?.apply(mark) {
            Ok(changed) => changed,
            Err(refusal) => return Ok(Err(refusal)),
        },
    };
    if !changed {
        return Ok(Ok(None));
    }
    set(connection, done)?;
    let own = Own {
        kind: done.annotation.kind().to_owned(),
        about: &done.conversation.to_string(),
        business: found.business,
        instance: None,
        number: Some(found.number),
        contact: Some(found.contact),
        conversation: Some(done.conversation),
        at_ms: done.now_ms,
        now_ms: done.now_ms,
        body: done.annotation.body(done.by),
    };
    Ok(Ok(Some(make(connection, own)?)))
}

/// False when its author has one of the same key there.
fn write(connection: &Connection, done: &Done<'_>, note: &NewNote) -> Result<bool, StoreError> {
    let written = connection
        .prepare_cached(
            "INSERT INTO notes (conversation, author, key, text, agent, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (conversation, author, key) WHERE key IS NOT NULL DO NOTHING",
        )?
        .execute(params![
            done.conversation,
            done.by,
            note.key,
            note.text,
            note.agent.as_ref().map(Agent::json),
            done.now_ms
        ])?;
    if written == 0 {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "DELETE FROM notes WHERE id IN (SELECT id FROM notes
             WHERE conversation = ?1 AND author = ?2 ORDER BY id DESC LIMIT -1 OFFSET ?3)",
        )?
        .execute(params![done.conversation, done.by, NOTES_MAX])?;
    Ok(true)
}

/// Writes down a mark that changes something.
fn set(connection: &Connection, done: &Done<'_>) -> Result<(), StoreError> {
    let id = done.conversation;
    match done.annotation {
        Annotation::Note(_) => {}
        Annotation::AddLabel(label) => {
            connection
                .prepare_cached("INSERT INTO labels (conversation, label) VALUES (?1, ?2)")?
                .execute(params![id, label])?;
        }
        Annotation::RemoveLabel(label) => {
            connection
                .prepare_cached("DELETE FROM labels WHERE conversation = ?1 AND label = ?2")?
                .execute(params![id, label])?;
        }
        Annotation::Assign(Some(agent)) => {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO assignments (conversation, agent) VALUES (?1, ?2)",
                )?
                .execute(params![id, agent.json()])?;
        }
        Annotation::Assign(None) => {
            connection
                .prepare_cached("DELETE FROM assignments WHERE conversation = ?1")?
                .execute([id])?;
        }
    }
    Ok(())
}
