//! An instance's place among the events, and what its runs leave behind. Everything up to the watermark is
//! done; in lanes that are further, a row says how far. An event that went well writes its effects and its
//! lane's place in one transaction, and nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use duet_rules::takeover::Cause;
use rusqlite::{Connection, OptionalExtension, params};

use super::events::newest;
use super::handling::{Handover, Keeps, hand};
use super::ledger::{self, Reason};
use super::media::{Awaited, await_file, hold, sendable};
use super::runs::{self, Record};
use super::timers::Timer;
use super::{Store, StoreError, annotations, businesses, cases, hooks, journal, kv, timers};
use crate::effect::{Agent, Effect, Handling, Reads, Send, Speaker};

/// Where a new instance starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Now,
    /// After this event; 0 is the beginning.
    After(i64),
}

/// Whether an instance may be a business's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Granted,
    NoSuchBusiness,
    /// An instance of this name works for another one, or did.
    OfAnother,
}

/// What is known of an instance's place when it starts.
#[derive(Debug, Default)]
pub struct Place {
    pub watermark: i64,
    /// Lanes that are done beyond the watermark, up to this event.
    pub lanes: HashMap<String, i64>,
    /// Events that have to be tried again.
    pub deliveries: Vec<Delivery>,
}

/// An event that must be tried again.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub seq: i64,
    /// Attempts made so far.
    pub attempt: u32,
    pub next_ms: i64,
    /// Taken from the dead letters: its lane has gone on meanwhile.
    pub redriven: bool,
    /// Which was down, by scheme, host and port.
    pub destination: Option<String>,
}

/// How a run ended.
#[derive(Debug)]
pub enum End {
    Done {
        effects: Vec<Effect>,
        reads: Reads,
    },
    Retry {
        /// Attempts made so far.
        attempt: u32,
        next_ms: i64,
        cause: String,
        /// The destination that is down: the run was no attempt.
        waits_for: Option<String>,
    },
    Dead {
        attempts: u32,
        cause: String,
    },
}

/// A run's result, to be committed in one piece.
#[derive(Debug)]
pub struct Finish {
    pub epoch: i64,
    pub instance: String,
    /// Digest of the component that ran.
    pub digest: String,
    pub lane: String,
    pub seq: i64,
    pub contact: Option<i64>,
    pub now_ms: i64,
    /// How long a person keeps a conversation, in ms, when nothing else is said.
    pub person_ms: i64,
    /// What the instance's store may hold.
    pub store_max: Option<kv::Bounds>,
    /// So many timers it may have at once.
    pub timers_max: Option<u64>,
    /// So many open cases it may have at once.
    pub cases_max: Option<u64>,
    /// So many runs of the instance are kept.
    pub runs_max: u64,
    /// To be kept when the event is done or dead.
    pub record: Option<Record>,
    pub end: End,
}

impl Store {
    /// The place of a business's instance; a new one starts where `from` says.
    pub async fn place(
        &self,
        instance: String,
        business: String,
        from: From,
    ) -> Result<Place, StoreError> {
        self.write(move |connection| place(connection, &instance, &business, from))
            .await
    }

    /// Whether an instance may be this business's. Its store and its place hold what it has seen, so it stays with the
    /// business that it began with.
    pub async fn claim(&self, instance: &str, business: &str) -> Result<Claim, StoreError> {
        self.peek(|connection| claim(connection, instance, business))
    }

    /// These are the instances that plugins.toml names now. The others keep their place for a while, should they
    /// come back.
    pub async fn keep_instances(&self, names: Vec<String>, now_ms: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            let names = serde_json::Value::from(names).to_string();
            connection.execute(
                "UPDATE instances SET gone_ms = CASE WHEN name IN (SELECT value FROM json_each(?1)) THEN NULL
                 ELSE coalesce(gone_ms, ?2) END",
                params![names, now_ms],
            )?;
            Ok(())
        })
        .await
    }

    /// Commits a run with all its effects, or nothing of it. The answer names the sends that wait now.
    pub async fn finish(&self, finish: impl Into<Arc<Finish>>) -> Result<Vec<i64>, StoreError> {
        let finish = finish.into();
        self.write(move |connection| {
            crate::failpoint::hit("dispatch.in_finish");
            apply(connection, &finish)
        })
        .await
    }

    /// Every event up to `watermark` is done: lanes' own places below it are no longer needed.
    pub async fn advance(&self, instance: String, watermark: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE instances SET passed = max(passed, ?2), watermark = max(watermark, ?2) WHERE name = ?1",
                )?
                .execute(params![instance, watermark])?;
            connection
                .prepare_cached("DELETE FROM lanes WHERE instance = ?1 AND seq <= ?2")?
                .execute(params![instance, watermark])?;
            Ok(())
        })
        .await
    }

    /// Gives a dead letter another row of attempts. The answer is its instance and event, unless it is gone.
    pub async fn redrive(
        &self,
        dead_letter: i64,
        now_ms: i64,
    ) -> Result<Option<(String, i64)>, StoreError> {
        self.write(move |connection| redrive(connection, dead_letter, now_ms))
            .await
    }
}

fn claim(connection: &Connection, instance: &str, business: &str) -> Result<Claim, StoreError> {
    if !businesses::is_known(connection, business)? {
        return Ok(Claim::NoSuchBusiness);
    }
    let other = connection
        .prepare_cached("SELECT 1 FROM instances WHERE name = ?1 AND business <> ?2")?
        .query_row([instance, business], |_| Ok(()))
        .optional()?;
    Ok(other.map_or(Claim::Granted, |()| Claim::OfAnother))
}

fn place(
    connection: &Connection,
    instance: &str,
    business: &str,
    from: From,
) -> Result<Place, StoreError> {
    let newest = newest(connection)?;
    let start = match from {
        From::Now => newest,
        From::After(seq) => seq.clamp(0, newest),
    };
    let made = connection.execute(
        "INSERT OR IGNORE INTO instances (name, watermark, passed, business) VALUES (?1, ?2, ?2, ?3)",
        params![instance, start, business],
    )?;
    if made > 0 {
        ledger::begins(connection, instance, start)?;
    }
    let watermark = connection.query_row(
        "SELECT watermark FROM instances WHERE name = ?1",
        [instance],
        |row| row.get(0),
    )?;
    let lanes = connection
        .prepare("SELECT lane, seq FROM lanes WHERE instance = ?1")?
        .query_map([instance], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let deliveries = connection
        .prepare("SELECT seq, attempt, next_ms, redriven, destination FROM deliveries WHERE instance = ?1 ORDER BY seq")?
        .query_map([instance], |row| {
            Ok(Delivery {
                seq: row.get(0)?,
                attempt: row.get(1)?,
                next_ms: row.get(2)?,
                redriven: row.get(3)?,
                destination: row.get(4)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(Place {
        watermark,
        lanes,
        deliveries,
    })
}

fn apply(connection: &Connection, finish: &Finish) -> Result<Vec<i64>, StoreError> {
    let epoch: i64 = connection
        .prepare_cached("SELECT epoch FROM leases WHERE scope = '*'")?
        .query_row([], |row| row.get(0))?;
    if epoch != finish.epoch {
        return Err(StoreError::LeaseLost(finish.epoch));
    }
    if erased(connection, finish.seq)? {
        // Whatever the run has made of it, it is about somebody who has left.
        pass(connection, finish)?;
        return Ok(Vec::new());
    }
    if finished(connection, finish)? {
        return Ok(Vec::new());
    }
    match &finish.end {
        End::Done { effects, reads } => {
            if !kv::unchanged(connection, &finish.instance, reads, finish.now_ms)? {
                return Err(StoreError::Conflict);
            }
            let waiting = commit_effects(connection, finish, effects)?;
            ledger::ran(connection, finish.seq, &finish.instance, "done")?;
            pass(connection, finish)?;
            keep(connection, finish)?;
            Ok(waiting)
        }
        End::Retry {
            attempt,
            next_ms,
            cause,
            waits_for,
        } => {
            connection
                .prepare_cached(
                    "INSERT INTO deliveries (instance, seq, attempt, next_ms, cause, destination)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (instance, seq) DO UPDATE SET attempt = excluded.attempt,
                     next_ms = excluded.next_ms, cause = excluded.cause, destination = excluded.destination",
                )?
                .execute(params![
                    finish.instance,
                    finish.seq,
                    attempt,
                    next_ms,
                    cause,
                    waits_for
                ])?;
            if waits_for.is_some() {
                journal::ask_anew(connection, &finish.instance, finish.seq, attempt + 1)?;
            } else {
                journal::trim(connection, &finish.instance, finish.seq)?;
                ledger::ran(connection, finish.seq, &finish.instance, "retried")?;
            }
            Ok(Vec::new())
        }
        End::Dead { attempts, cause } => {
            connection
                .prepare_cached(
                    "INSERT INTO dead_letters (instance, seq, cause, attempts, at_ms, business)
                     VALUES (?1, ?2, ?3, ?4, ?5, coalesce((SELECT business FROM instances WHERE name = ?1), ''))",
                )?
                .execute(params![finish.instance, finish.seq, cause, attempts, finish.now_ms])?;
            hooks::fail(connection, finish.seq)?;
            ledger::ran(connection, finish.seq, &finish.instance, "dead")?;
            pass(connection, finish)?;
            keep(connection, finish)?;
            Ok(Vec::new())
        }
    }
}

fn keep(connection: &Connection, finish: &Finish) -> Result<(), StoreError> {
    match &finish.record {
        Some(record) => runs::keep(connection, finish, record),
        None => Ok(()),
    }
}

fn erased(connection: &Connection, seq: i64) -> Result<bool, StoreError> {
    let stands = connection
        .prepare_cached("SELECT 1 FROM events WHERE seq = ?1")?
        .query_row([seq], |_| Ok(()))
        .optional()?;
    Ok(stands.is_none())
}

/// Whether the lane is past the event already, unless it was asked for again: whoever ran it twice, it is done once.
fn finished(connection: &Connection, finish: &Finish) -> Result<bool, StoreError> {
    let past = connection
        .prepare_cached(
            "SELECT 1 WHERE (EXISTS (SELECT 1 FROM lanes WHERE instance = ?1 AND lane = ?2 AND seq >= ?3)
                 OR EXISTS (SELECT 1 FROM instances WHERE name = ?1 AND watermark >= ?3))
             AND NOT EXISTS (SELECT 1 FROM deliveries WHERE instance = ?1 AND seq = ?3 AND redriven = 1)",
        )?
        .query_row(params![finish.instance, finish.lane, finish.seq], |_| Ok(()))
        .optional()?;
    Ok(past.is_some())
}

/// The lane goes past the event, and nothing remains to be tried again.
fn pass(connection: &Connection, finish: &Finish) -> Result<(), StoreError> {
    journal::forget(connection, &finish.instance, finish.seq)?;
    connection
        .prepare_cached("DELETE FROM deliveries WHERE instance = ?1 AND seq = ?2")?
        .execute(params![finish.instance, finish.seq])?;
    connection
        .prepare_cached(
            "INSERT INTO lanes (instance, lane, seq) VALUES (?1, ?2, ?3)
             ON CONFLICT (instance, lane) DO UPDATE SET seq = max(seq, excluded.seq)",
        )?
        .execute(params![finish.instance, finish.lane, finish.seq])?;
    Ok(())
}

fn commit_effects(
    connection: &Connection,
    finish: &Finish,
    effects: &[Effect],
) -> Result<Vec<i64>, StoreError> {
    let mut waiting = Vec::new();
    let (mut written, mut timed, mut opened) = (false, false, false);
    for effect in effects {
        match effect {
            Effect::Set {
                key,
                value,
                expires_ms,
            } => {
                written = true;
                kv::set(
                    connection,
                    &finish.instance,
                    key,
                    value,
                    *expires_ms,
                    finish.contact,
                )?;
            }
            Effect::Delete { key } => kv::delete(connection, &finish.instance, key)?,
            Effect::Send(send) => waiting.extend(enqueue(connection, finish, send)?),
            Effect::Handle {
                conversation,
                handling,
                agent,
                until_ms,
            } => {
                let by = author(connection, finish, *conversation, *handling)?;
                let usual = Keeps::Usual(finish.person_ms);
                let handover = Handover {
                    conversation: *conversation,
                    handling: *handling,
                    keeps: until_ms.map_or(usual, Keeps::AtLeast),
                    seq: finish.seq,
                    event: Some(finish.seq),
                    at_ms: finish.now_ms,
                    cause: Cause::Plugin,
                    who: Some(&finish.instance),
                    agent: agent.as_ref(),
                    by: by.as_deref(),
                };
                hand(connection, &handover)?;
            }
            Effect::SetTimer {
                name,
                at_ms,
                payload,
                conversation,
            } => {
                timed = true;
                let timer = Timer {
                    name,
                    at_ms: *at_ms,
                    payload,
                    conversation: *conversation,
                };
                timers::set(connection, finish, &timer)?;
            }
            Effect::CancelTimer { name } => timers::cancel(connection, &finish.instance, name)?,
            Effect::AwaitFile {
                conversation,
                message,
            } => {
                let awaited = Awaited {
                    instance: &finish.instance,
                    conversation: *conversation,
                    message,
                };
                await_file(connection, &awaited, finish.now_ms)?;
            }
            Effect::OpenCase { conversation, case } => {
                opened = true;
                let conversation = *conversation;
                cases::act(
                    connection,
                    finish,
                    &cases::Deed::Open { conversation, case },
                )?;
            }
            Effect::ChangeCase { case } => {
                cases::act(connection, finish, &cases::Deed::Change(case))?;
            }
            Effect::CloseCase { key } => {
                cases::act(connection, finish, &cases::Deed::Close(key))?;
            }
            Effect::Annotate {
                conversation,
                annotation,
            } => {
                let done = annotations::Done {
                    conversation: *conversation,
                    by: &finish.instance,
                    annotation,
                    now_ms: finish.now_ms,
                };
                // There was room when the run looked: it looks again, and is told.
                if annotations::act(connection, &done)?.is_err() {
                    return Err(StoreError::Conflict);
                }
            }
            Effect::Answer(answer) => hooks::answer(connection, finish.seq, answer)?,
        }
    }
    if let (true, Some(bounds)) = (written, finish.store_max) {
        kv::within(connection, &finish.instance, bounds)?;
    }
    if let (true, Some(max)) = (timed, finish.timers_max) {
        timers::within(connection, &finish.instance, max)?;
    }
    if let (true, Some(max)) = (opened, finish.cases_max) {
        cases::within(connection, &finish.instance, max)?;
    }
    Ok(waiting)
}

/// Who is to count as having handed the conversation over. Where a person has it already, a plugin that hands it
/// over again has changed nothing, and gets no leave to speak.
fn author(
    connection: &Connection,
    finish: &Finish,
    conversation: i64,
    handling: Handling,
) -> Result<Option<String>, StoreError> {
    let own = Some(finish.instance.clone());
    Ok(
        match super::conversations::conversation(connection, conversation)? {
            Some(found) if handling == Handling::Person && found.with_person(finish.now_ms) => {
                found.handling_by
            }
            _ => own,
        },
    )
}

/// Puts a send into the outbox. An automation that comes after another one's answer is refused here.
fn enqueue(
    connection: &Connection,
    finish: &Finish,
    send: &Send,
) -> Result<Option<i64>, StoreError> {
    let answered = send.speaker == Speaker::Automation && answered(connection, finish)?;
    let files = sendable(connection, send.conversation, &send.message)?;
    let (state, cause) = match &files {
        _ if answered => ("cancelled", Some("answered")),
        // It was there when the run asked.
        Err(_) => ("refused", Some("file-gone")),
        Ok(_) => ("pending", None),
    };
    let id = connection
        .prepare_cached(
            "INSERT INTO outbox (instance, digest, seq, conversation, speaker, message, state, next_ms, created_ms, cause, agent)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10)",
        )?
        .insert(params![
            finish.instance,
            finish.digest,
            finish.seq,
            send.conversation,
            send.speaker.as_str(),
            send.message.to_string(),
            state,
            finish.now_ms,
            cause,
            send.agent.as_ref().map(Agent::json)
        ])?;
    ledger::said(connection, id, "sends")?;
    if let (Ok(files), "pending") = (files, state) {
        hold(connection, id, &files, finish.now_ms)?;
    }
    if send.speaker == Speaker::Person {
        let handover = Handover {
            conversation: send.conversation,
            handling: Handling::Person,
            keeps: Keeps::Usual(finish.person_ms),
            seq: finish.seq,
            event: Some(finish.seq),
            at_ms: finish.now_ms,
            cause: Cause::Agent,
            who: Some(&finish.instance),
            agent: send.agent.as_ref(),
            by: Some(&finish.instance),
        };
        hand(connection, &handover)?;
    }
    Ok((state == "pending").then_some(id))
}

/// Whether another instance has spoken because of the same event.
fn answered(connection: &Connection, finish: &Finish) -> Result<bool, StoreError> {
    let other = connection
        .prepare_cached(
            "SELECT 1 FROM outbox WHERE seq = ?1 AND instance <> ?2 AND speaker = 'automation'
             AND state NOT IN ('cancelled', 'refused', 'failed') AND json_extract(message, '$.status') IS NULL LIMIT 1",
        )?
        .query_row(params![finish.seq, finish.instance], |_| Ok(()))
        .optional()?;
    Ok(other.is_some())
}

fn redrive(
    connection: &Connection,
    dead_letter: i64,
    now_ms: i64,
) -> Result<Option<(String, i64)>, StoreError> {
    let found: Option<(String, i64)> = connection
        .query_row(
            "SELECT instance, seq FROM dead_letters WHERE id = ?1 AND outbox IS NULL",
            [dead_letter],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    if let Some((instance, seq)) = &found {
        connection.execute(
            "INSERT OR REPLACE INTO deliveries (instance, seq, attempt, next_ms, cause, redriven)
             VALUES (?1, ?2, 0, ?3, 'redriven', 1)",
            params![instance, seq, now_ms],
        )?;
        ledger::because(connection, Reason::Redriven, || {
            connection.execute("DELETE FROM dead_letters WHERE id = ?1", [dead_letter])?;
            Ok(())
        })?;
    }
    Ok(found)
}
