//! The last gate before a send: the rule of `rules::sending` on what the tables say now.

use duet_rules::media::Digest;
use duet_rules::sending::{
    Cause, Due, Limits, Pace, Row, Speaker, Verdict, Waiting, files, gate, kind, with_ids,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::super::access;
use super::super::alarms::Alarm;
use super::super::conversations::{Conversation, conversation};
use super::super::media::{HeldFile, Ready, Upload, ready};
use super::super::templates::{template, want};
use super::super::{openings, pace};
use super::{Gate, Outgoing, StoreError, head_of};

/// The end of an upload frees what waits for it; this only bounds the wait should that word be lost.
const UPLOAD_RECHECK_MS: i64 = 300_000;

/// A row that waits.
struct Candidate {
    instance: String,
    seq: i64,
    conversation: i64,
    speaker: Speaker,
    message: String,
    next_ms: i64,
    attempt: u32,
    created_ms: i64,
    /// Why it has waited so far, if it has.
    cause: Option<String>,
}

pub(super) fn begin(
    connection: &Connection,
    id: i64,
    limits: &Limits,
    now_ms: i64,
) -> Result<Gate, StoreError> {
    let Some(row) = candidate(connection, id)? else {
        return Ok(Gate::Gone);
    };
    if head_of(connection, row.conversation)?.is_some_and(|head| head.id != id) {
        return Ok(Gate::Behind);
    }
    if row.next_ms > now_ms {
        return Ok(Gate::Held {
            until_ms: row.next_ms,
            cause: "not-due".into(),
            raised: None,
        });
    }
    let Some(conversation) = conversation(connection, row.conversation)? else {
        return close(connection, id, "cancelled", None, "conversation-gone");
    };
    let Ok(message) = serde_json::from_str::<Value>(&row.message) else {
        return close(connection, id, "refused", None, "message-unreadable");
    };
    let Some(to) = conversation.to.clone() else {
        return close(connection, id, "refused", None, "no-addressee");
    };
    let kind = kind(&message);
    let asked = Row {
        id,
        seq: row.seq,
        instance: &row.instance,
        speaker: row.speaker,
        kind,
        template: template(connection, &conversation.number, &message)?,
    };
    let waiting = Waiting {
        since_ms: row.created_ms,
        cause: row.cause.as_deref(),
    };
    let patient = |verdict| limits.patience.judge(verdict, waiting, now_ms);
    let mut verdict = patient(gate(&asked, &conversation.state(), now_ms));
    let Some(ready) = files_of(connection, id, &conversation.number, &message, now_ms)? else {
        return close(connection, id, "refused", None, "file-gone");
    };
    // Before the rates: who waits for an upload takes nothing of them.
    if verdict == Verdict::Go && matches!(ready, Ready::Missing(_)) {
        verdict = patient(Verdict::Hold {
            until_ms: now_ms.saturating_add(UPLOAD_RECHECK_MS),
            cause: Cause::FileUploading,
        });
    }
    if verdict == Verdict::Go {
        let pace = &limits.pace;
        verdict = patient(take(connection, pace, &asked, &row, &conversation, now_ms)?);
    }
    match verdict {
        Verdict::Cancel { cause } => close(connection, id, "cancelled", None, cause.as_str()),
        Verdict::Refuse { code, cause } => {
            if cause == Cause::TemplateUnknown {
                want(connection, &conversation.number, now_ms)?;
            }
            close(connection, id, "refused", Some(code), cause.as_str())
        }
        Verdict::Hold { until_ms, cause } => {
            if let (Cause::FileUploading, Ready::Missing(file)) = (cause, ready) {
                access::tried(connection, &conversation, now_ms)?;
                hold(connection, id, until_ms, cause.as_str(), None)?;
                return Ok(Gate::Upload(Box::new(upload(id, conversation, file))));
            }
            let raised = match cause {
                Cause::TokenMissing | Cause::TokenSealed => {
                    access::tell(connection, &conversation.number, cause, now_ms)?
                }
                _ => None,
            };
            hold(connection, id, until_ms, cause.as_str(), raised)
        }
        Verdict::Go => {
            access::tried(connection, &conversation, now_ms)?;
            leave(connection, id, now_ms)?;
            let (files, uploaded_again) = match ready {
                Ready::All { ids, again } => (ids, again),
                Ready::Missing(_) => (Vec::new(), false),
            };
            Ok(Gate::Go(Box::new(Outgoing {
                id,
                instance: row.instance,
                conversation: row.conversation,
                business: conversation.business,
                attempt: row.attempt.saturating_add(1),
                number: conversation.number,
                to,
                kind,
                message: with_ids(message, &files),
                files,
                uploaded_again,
            })))
        }
    }
}

/// The request may leave as soon as this is on disk.
fn leave(connection: &Connection, id: i64, now_ms: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE outbox SET state = 'sending', attempt = attempt + 1, sending_ms = ?2, unknown_ms = NULL
             WHERE id = ?1",
        )?
        .execute(params![id, now_ms])?;
    Ok(())
}

/// What the send has of its files at Meta's; `None` when one of them has gone.
fn files_of(
    connection: &Connection,
    id: i64,
    number: &str,
    message: &Value,
    now_ms: i64,
) -> Result<Option<Ready>, StoreError> {
    let named = files(message).unwrap_or_default().into_iter();
    let named: Vec<Digest> = named.map(|file| file.digest).collect();
    ready(connection, id, number, &named, now_ms)
}

fn upload(outbox: i64, conversation: Conversation, file: HeldFile) -> Upload {
    Upload {
        outbox,
        business: conversation.business,
        number: conversation.number,
        digest: file.digest,
        mime_type: file.mime_type,
        bytes: file.bytes,
    }
}

/// What is counted comes last: a send that does not leave takes nothing from it.
fn take(
    connection: &Connection,
    rates: &Pace,
    asked: &Row<'_>,
    row: &Candidate,
    conversation: &Conversation,
    now_ms: i64,
) -> Result<Verdict, StoreError> {
    let open = |until_ms: i64| until_ms > now_ms;
    let begins = asked.template.is_some() && !conversation.window_until_ms.is_some_and(open);
    let waba = conversation.waba.as_deref().filter(|_| begins);
    if let Some(waba) = waba
        && let Some(held) =
            openings::judge(connection, waba, conversation.contact, asked.id, now_ms)?
    {
        return Ok(held);
    }
    let due = Due {
        kind: asked.kind,
        speaker: asked.speaker,
        waited: [Cause::NumberRate, Cause::CampaignRate]
            .iter()
            .any(|cause| row.cause.as_deref() == Some(cause.as_str())),
    };
    let before = pace::taken(connection, row.conversation)?;
    let (verdict, after) = rates.judge(due, before, now_ms);
    pace::keep(connection, row.conversation, &before, &after)?;
    if let Some(waba) = waba.filter(|_| verdict == Verdict::Go) {
        openings::opened(connection, waba, conversation.contact, now_ms)?;
    }
    Ok(verdict)
}

fn candidate(connection: &Connection, id: i64) -> Result<Option<Candidate>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT instance, seq, conversation, speaker, message, next_ms, attempt, cause, created_ms FROM outbox
             WHERE id = ?1 AND state = 'pending'",
        )?
        .query_row([id], |row| {
            let speaker: String = row.get(3)?;
            Ok(Candidate {
                instance: row.get(0)?,
                seq: row.get(1)?,
                conversation: row.get(2)?,
                speaker: if speaker == "person" {
                    Speaker::Person
                } else {
                    Speaker::Automation
                },
                message: row.get(4)?,
                next_ms: row.get(5)?,
                attempt: row.get(6)?,
                cause: row.get(7)?,
                created_ms: row.get(8)?,
            })
        })
        .optional()?)
}

/// The gate's no.
fn close(
    connection: &Connection,
    id: i64,
    state: &str,
    code: Option<i64>,
    cause: &str,
) -> Result<Gate, StoreError> {
    connection
        .prepare_cached("UPDATE outbox SET state = ?2, code = ?3, cause = ?4 WHERE id = ?1")?
        .execute(params![id, state, code, cause])?;
    let cause = cause.to_owned();
    Ok(if state == "cancelled" {
        Gate::Cancelled { cause }
    } else {
        Gate::Refused { code, cause }
    })
}

/// The gate's not yet.
fn hold(
    connection: &Connection,
    id: i64,
    until_ms: i64,
    cause: &str,
    raised: Option<Alarm>,
) -> Result<Gate, StoreError> {
    connection
        .prepare_cached("UPDATE outbox SET next_ms = ?2, cause = ?3 WHERE id = ?1")?
        .execute(params![id, until_ms, cause])?;
    Ok(Gate::Held {
        until_ms,
        cause: cause.to_owned(),
        raised,
    })
}
