//! Cases that other systems keep of conversations. Each change is an event in the conversation's lane, in its transaction.

use duet_rules::cases::{CLOSED_MAX, Case, CaseEntry};
use duet_rules::sending::Agent;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::conversations::conversation;
use super::lanes::Finish;
use super::own::{Own, make};
use super::{Store, StoreError};

/// So many of a conversation are shown.
const SHOWN_MAX: i64 = 100;

/// What a plugin makes of a case of its own.
pub(super) enum Deed<'a> {
    /// Opens it, or opens it again and changes it.
    Open {
        conversation: i64,
        case: &'a Case,
    },
    Change(&'a Case),
    /// By its key.
    Close(&'a str),
}

const COLUMNS: &str =
    "instance, key, conversation, title, url, status, assignee, opened_ms, closed_ms";

impl Store {
    /// A case of an instance's.
    pub async fn case(
        &self,
        instance: String,
        key: String,
    ) -> Result<Option<CaseEntry>, StoreError> {
        self.read(move |connection| entry(connection, &instance, &key))
            .await
    }

    /// Those of a conversation, the newest first: at most 100. Whoever asks may see the conversation.
    pub async fn cases(&self, conversation: i64) -> Result<Vec<CaseEntry>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM cases WHERE conversation = ?1 ORDER BY opened_ms DESC, instance, key LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([conversation, SHOWN_MAX], read)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn entry(
    connection: &Connection,
    instance: &str,
    key: &str,
) -> Result<Option<CaseEntry>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM cases WHERE instance = ?1 AND key = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([instance, key], read).optional()?)
}

fn read(row: &Row<'_>) -> Result<CaseEntry, rusqlite::Error> {
    let assignee: Option<String> = row.get(6)?;
    Ok(CaseEntry {
        instance: row.get(0)?,
        conversation: row.get(2)?,
        case: Case {
            key: row.get(1)?,
            title: row.get(3)?,
            url: row.get(4)?,
            status: row.get(5)?,
            assignee: assignee.as_deref().and_then(Agent::read),
        },
        opened_ms: row.get(7)?,
        closed_ms: row.get(8)?,
    })
}

/// Does it, and makes the event that says so. What is not there any more is let be.
pub(super) fn act(
    connection: &Connection,
    finish: &Finish,
    deed: &Deed<'_>,
) -> Result<(), StoreError> {
    let key = match deed {
        Deed::Open { case, .. } | Deed::Change(case) => &case.key,
        Deed::Close(key) => *key,
    };
    let was = entry(connection, &finish.instance, key)?;
    let was_open = was.as_ref().is_some_and(|was| was.closed_ms.is_none());
    let (case, open) = match (deed, &was) {
        (Deed::Open { case, .. }, _) => (*case, true),
        (Deed::Change(case), Some(_)) => (*case, was_open),
        (Deed::Close(_), Some(was)) => (&was.case, false),
        (Deed::Change(_) | Deed::Close(_), None) => return Ok(()),
    };
    let id = match (&was, deed) {
        (Some(was), _) => was.conversation,
        (None, Deed::Open { conversation, .. }) => *conversation,
        (None, Deed::Change(_) | Deed::Close(_)) => return Ok(()),
    };
    let Some(found) = conversation(connection, id)? else {
        return Ok(());
    };
    let before = was.as_ref().map(|was| (&was.case, was_open));
    let Some(turn) = case.turn(before, open) else {
        return Ok(());
    };
    let opened_ms = match &was {
        Some(was) if was_open || !open => was.opened_ms,
        _ => finish.now_ms,
    };
    let closed_ms = match &was {
        _ if open => None,
        Some(was) => was.closed_ms.or(Some(finish.now_ms)),
        None => Some(finish.now_ms),
    };
    connection
        .prepare_cached(
            "INSERT INTO cases (instance, key, conversation, title, url, status, assignee, opened_ms, closed_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (instance, key) DO UPDATE SET title = excluded.title, url = excluded.url,
             status = excluded.status, assignee = excluded.assignee, opened_ms = excluded.opened_ms,
             closed_ms = excluded.closed_ms",
        )?
        .execute(params![
            finish.instance,
            case.key,
            id,
            case.title,
            case.url,
            case.status,
            case.assignee.as_ref().map(Agent::json),
            opened_ms,
            closed_ms
        ])?;
    if !open {
        connection
            .prepare_cached(
                "DELETE FROM cases WHERE (instance, key) IN (SELECT instance, key FROM cases
                 WHERE conversation = ?1 AND closed_ms IS NOT NULL ORDER BY closed_ms DESC LIMIT -1 OFFSET ?2)",
            )?
            .execute([id, CLOSED_MAX])?;
    }
    let own = Own {
        kind: turn.kind(),
        about: &format!("{}/{}", finish.instance, case.key),
        business: found.business,
        instance: None,
        number: Some(found.number),
        contact: Some(found.contact),
        conversation: Some(id),
        at_ms: finish.now_ms,
        now_ms: finish.now_ms,
        body: case.body(&finish.instance, open),
    };
    make(connection, own).map(drop)
}

/// Refuses what has grown beyond the grant.
pub(super) fn within(connection: &Connection, instance: &str, max: u64) -> Result<(), StoreError> {
    let held: i64 = connection
        .prepare_cached("SELECT count(*) FROM cases WHERE instance = ?1 AND closed_ms IS NULL")?
        .query_row([instance], |row| row.get(0))?;
    match u64::try_from(held) {
        Ok(held_now) if held_now > max => Err(StoreError::Bound {
            limit: "cases.max",
            held,
            max,
        }),
        _ => Ok(()),
    }
}
