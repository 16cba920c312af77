//! Sends and the gate before each. Rows come with the effects of a run; here they leave.
//!
//! Promises: a row is `sending` on disk before its request leaves, and within a conversation the lowest
//! open row goes first; only a campaign that is held lets what comes after it pass. No row is sent again once its request may have reached Meta, unless Meta itself
//! refused it. What happened to a row and what it changes commit together.

mod begin;
#[cfg(test)]
pub(crate) mod fixture;
mod redrive;
mod settle;
#[cfg(test)]
mod tests;

use duet_rules::media::Digest;
use duet_rules::sending::{Addressee, Cause, Kind, Limits, kind};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

pub use redrive::Redriven;
pub(super) use settle::settle_in;

use super::access;
use super::alarms::Alarm;
use super::intake::{Part, place};
use super::media::{Upload, begin_anew};
use super::{Store, StoreError};
use super::{ledger, marketing};

/// Why a row died that nobody ever heard of again.
const CAUSE_LOST: &str = "Meta's answer was lost and no status has come since; whether the customer got the message is not known";

/// The first open row of a conversation: the only one that may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub id: i64,
    pub conversation: i64,
    pub open: Open,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Waits, not before `next_ms`.
    Pending { next_ms: i64 },
    /// Its request is on the way, or was when its sender ended.
    Sending,
    /// Its answer was lost, `since_ms`.
    Unknown { since_ms: i64 },
}

/// What the gate says about a row. Each answer is on disk already.
#[derive(Debug, Clone, PartialEq)]
pub enum Gate {
    /// It is `sending` now: send it.
    Go(Box<Outgoing>),
    /// A person has spoken, it has waited for too long, or the conversation is gone.
    Cancelled { cause: String },
    /// Meta would refuse it, with this code if it has one.
    Refused { code: Option<i64>, cause: String },
    /// Not before `until_ms`. An alarm was raised with it if there is one.
    Held {
        until_ms: i64,
        cause: String,
        raised: Option<Alarm>,
    },
    /// It waits until Meta has its file.
    Upload(Box<Upload>),
    /// Meta has been told that we have an echo, or a customer's choice, which is not taken in yet.
    Unheard,
    /// An earlier row of its conversation is open.
    Behind,
    /// It is no longer pending.
    Gone,
}

/// A row on its way out.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    pub id: i64,
    pub instance: String,
    pub conversation: i64,
    /// Whose number it is; `""` is the gateway's own.
    pub business: String,
    /// 1 on the first try.
    pub attempt: u32,
    /// Meta's `phone_number_id`.
    pub number: String,
    pub to: Addressee,
    pub kind: Kind,
    pub message: Value,
    /// The ids by which it names its files.
    pub files: Vec<(Digest, String)>,
    /// They were uploaded once more for it, since Meta did not have them.
    pub uploaded_again: bool,
}

/// What becomes of a row that was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Tried again.
    Retry { at_ms: i64 },
    /// Nothing has left the machine: tried again, and the attempt does not count.
    Unsent { at_ms: i64 },
    /// Meta's last word.
    Failed,
    /// Given up: becomes a dead letter.
    Dead,
}

/// Above every row's number.
const YIELDED: i64 = 1 << 62;
/// The order in which a conversation's open rows leave, in SQL: as they were made, and behind all others a campaign
/// that is held, by [`Cause::YIELDING`].
fn order() -> String {
    let causes = Cause::YIELDING.map(|cause| format!("'{}'", cause.as_str()));
    format!(
        "CASE WHEN state = 'pending' AND cause IN ({}) THEN id + {YIELDED} ELSE id END",
        causes.join(", ")
    )
}

/// Whose rows are freed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose<'a> {
    Number(&'a str),
    Waba(&'a str),
    Business(&'a str),
}

/// Rows that were held for one of these causes are judged anew: the answer is which.
pub(super) fn free(
    connection: &Connection,
    whose: Whose<'_>,
    causes: &[Cause],
    now_ms: i64,
) -> Result<Vec<i64>, StoreError> {
    let causes: Vec<&str> = causes.iter().map(|cause| cause.as_str()).collect();
    let causes = serde_json::json!(causes).to_string();
    let (column, id) = match whose {
        Whose::Number(id) => ("id", id),
        Whose::Waba(id) => ("waba", id),
        Whose::Business(id) => ("business", id),
    };
    // The states are all named so that the index of open rows serves.
    let mut held = connection.prepare_cached(&format!(
        "UPDATE outbox SET next_ms = ?2 WHERE state IN ('pending', 'sending', 'unknown') AND state = 'pending'
         AND next_ms > ?2 AND cause IN (SELECT value FROM json_each(?3)) AND conversation IN
         (SELECT c.id FROM numbers n JOIN conversations c ON c.number = n.id WHERE n.{column} = ?1) RETURNING id",
    ))?;
    let rows = held.query_map(params![id, now_ms, causes], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Store {
    /// This store's id, 16 hex digits: a part of our mark on every send.
    pub async fn store_id(&self) -> Result<String, StoreError> {
        self.read(settle::store_id).await
    }

    /// Takes over what an earlier process left `sending`: its answers are lost, so the rows are `unknown`
    /// from now on; a read mark is just sent again. What waits for an upload asks for it anew. The answer counts the
    /// first.
    pub async fn outbox_take_over(&self, now_ms: i64) -> Result<usize, StoreError> {
        self.write(move |connection| take_over(connection, now_ms))
            .await
    }

    /// The heads of at most `limit` conversations with open rows, after the conversation given.
    pub async fn outbox_heads(&self, after: i64, limit: usize) -> Result<Vec<Head>, StoreError> {
        self.read(move |connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut query = connection.prepare_cached(&format!(
                "SELECT o.id, o.conversation, o.state, o.next_ms, o.unknown_ms FROM
                 (SELECT conversation, min({}) AS first FROM outbox
                  WHERE state IN ('pending', 'sending', 'unknown') AND conversation > ?1
                  GROUP BY conversation ORDER BY conversation LIMIT ?2) AS head
                 JOIN outbox o ON o.id = head.first % {YIELDED} ORDER BY o.conversation",
                order()
            ))?;
            Ok(query
                .query_map(params![after, limit], head)?
                .collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The conversations of these rows and these conversations, each with its head if a row is open.
    pub async fn outbox_heads_of(
        &self,
        rows: Vec<i64>,
        conversations: Vec<i64>,
    ) -> Result<Vec<(i64, Option<Head>)>, StoreError> {
        self.read(move |connection| {
            let mut wanted: std::collections::BTreeSet<i64> = conversations.into_iter().collect();
            for row in rows {
                wanted.extend(conversation_of(connection, row)?);
            }
            wanted
                .into_iter()
                .map(|conversation| Ok((conversation, head_of(connection, conversation)?)))
                .collect()
        })
        .await
    }

    /// The last gate before a send, in the transaction that sets `sending`. `newest_forbidding` is asked there: the
    /// newest acknowledged receipt that may forbid a send.
    pub async fn begin_send(
        &self,
        id: i64,
        limits: Limits,
        now_ms: i64,
        newest_forbidding: impl FnOnce() -> i64 + Send + 'static,
    ) -> Result<Gate, StoreError> {
        self.write(move |connection| {
            // Asked before the tables are read, so that nothing slips in between.
            let newest = newest_forbidding();
            if place(connection, Part::Live)?.receipt < newest {
                return Ok(Gate::Unheard);
            }
            begin::begin(connection, id, &limits, now_ms)
        })
        .await
    }

    /// Meta has taken it: `wamid` is the message's id, absent for a read mark. A row that a status has
    /// settled meanwhile stays as it is. The answer is the rows that may leave because the token was taken.
    pub async fn sent(
        &self,
        id: i64,
        wamid: Option<String>,
        now_ms: i64,
    ) -> Result<Vec<i64>, StoreError> {
        self.write(move |connection| {
            settle::sent(connection, id, wamid.as_deref(), now_ms)?;
            access::taken(connection, id, now_ms)
        })
        .await
    }

    /// It was not sent. False when a status has told otherwise meanwhile.
    pub async fn send_failed(
        &self,
        id: i64,
        code: Option<i64>,
        cause: String,
        after: After,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| fail(connection, id, code, &cause, after, now_ms))
            .await
    }

    /// Nobody knows whether it was sent: the row is `unknown` until a status tells, or it expires. False
    /// when a status has told already.
    pub async fn send_lost(&self, id: i64, now_ms: i64) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let changed = connection
                .prepare_cached(
                    "UPDATE outbox SET state = 'unknown', unknown_ms = ?2 WHERE id = ?1 AND state = 'sending'",
                )?
                .execute(params![id, now_ms])?;
            Ok(changed > 0)
        })
        .await
    }

    /// An unknown row whose answer is missing for `hold_ms` dies: it becomes a dead letter and its
    /// conversation goes on. False when it is not that far, or settled.
    pub async fn expire_unknown(
        &self,
        id: i64,
        now_ms: i64,
        hold_ms: i64,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let changed = connection
                .prepare_cached(
                    "UPDATE outbox SET state = 'dead', cause = ?3
                     WHERE id = ?1 AND state = 'unknown' AND unknown_ms <= ?2",
                )?
                .execute(params![id, now_ms.saturating_sub(hold_ms), CAUSE_LOST])?;
            if changed > 0 {
                bury(connection, id, CAUSE_LOST, now_ms)?;
            }
            Ok(changed > 0)
        })
        .await
    }
}

fn take_over(connection: &Connection, now_ms: i64) -> Result<usize, StoreError> {
    begin_anew(connection, now_ms)?;
    let left: Vec<(i64, String)> = connection
        .prepare("SELECT id, message FROM outbox WHERE state IN ('pending', 'sending', 'unknown') AND state = 'sending'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, message) in &left {
        let message: Value = serde_json::from_str(message).unwrap_or_default();
        let state = if kind(&message) == Kind::MarkRead {
            "pending"
        } else {
            "unknown"
        };
        connection
            .prepare_cached(
                "UPDATE outbox SET state = ?2, unknown_ms = ?3, next_ms = ?3 WHERE id = ?1",
            )?
            .execute(params![id, state, now_ms])?;
    }
    Ok(left.len())
}

fn conversation_of(connection: &Connection, id: i64) -> Result<Option<i64>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT conversation FROM outbox WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?)
}

fn head_of(connection: &Connection, conversation: i64) -> Result<Option<Head>, StoreError> {
    Ok(connection
        .prepare_cached(&format!(
            "SELECT id, conversation, state, next_ms, unknown_ms FROM outbox
             WHERE conversation = ?1 AND state IN ('pending', 'sending', 'unknown') ORDER BY {} LIMIT 1",
            order()
        ))?
        .query_row([conversation], head)
        .optional()?)
}

fn head(row: &rusqlite::Row<'_>) -> Result<Head, rusqlite::Error> {
    let state: String = row.get(2)?;
    let open = match state.as_str() {
        "sending" => Open::Sending,
        "unknown" => Open::Unknown {
            since_ms: row.get::<_, Option<i64>>(4)?.unwrap_or(0),
        },
        _ => Open::Pending {
            next_ms: row.get(3)?,
        },
    };
    Ok(Head {
        id: row.get(0)?,
        conversation: row.get(1)?,
        open,
    })
}

fn fail(
    connection: &Connection,
    id: i64,
    code: Option<i64>,
    cause: &str,
    after: After,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let (state, uncounted, next_ms) = match after {
        After::Retry { at_ms } => ("pending", 0, at_ms),
        After::Unsent { at_ms } => ("pending", 1, at_ms),
        After::Failed => ("failed", 0, now_ms),
        After::Dead => ("dead", 0, now_ms),
    };
    let changed = connection
        .prepare_cached(
            "UPDATE outbox SET state = ?2, attempt = attempt - ?3, next_ms = ?4, code = ?5, cause = ?6
             WHERE id = ?1 AND state = 'sending'",
        )?
        .execute(params![id, state, uncounted, next_ms, code, cause])?;
    if changed > 0 && after == After::Dead {
        bury(connection, id, cause, now_ms)?;
    }
    if let Some(code) = code {
        learn(connection, id, code, now_ms)?;
    }
    Ok(changed > 0)
}

/// What Meta's refusal of a row tells about its customer.
pub(super) fn learn(
    connection: &Connection,
    id: i64,
    code: i64,
    at_ms: i64,
) -> Result<(), StoreError> {
    match conversation_of(connection, id)? {
        Some(conversation) => marketing::learn(connection, conversation, code, at_ms),
        None => Ok(()),
    }
}

/// Writes the dead letter of a row.
pub(super) fn bury(
    connection: &Connection,
    id: i64,
    cause: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO dead_letters (instance, seq, outbox, cause, attempts, at_ms, business)
             SELECT o.instance, o.seq, o.id, ?2, o.attempt, ?3, coalesce(k.business, '') FROM outbox o
             LEFT JOIN conversations c ON c.id = o.conversation LEFT JOIN contacts k ON k.id = c.contact WHERE o.id = ?1",
        )?
        .execute(params![id, cause, now_ms])?;
    ledger::said(connection, id, "dead")
}
