//! The last gate before a send: the rule of `rules::sending` on what the tables say now.

use duet_rules::media::Digest;
use duet_rules::sending::{
    Addressee, Cause, Due, Limits, Pace, Row, Speaker, Verdict, Waiting, files, gate, kind,
    with_ids,
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

/// A row with all that its message needs to be judged and sent.
struct Whole {
    id: i64,
    row: Candidate,
    conversation: Conversation,
    message: Value,
    to: Addressee,
    ready: Ready,
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
    let ready = files_of(connection, id, &conversation.number, &message, now_ms)?;
    let Some(ready) = ready else {
        return close(connection, id, "refused", None, "file-gone");
    };
    let whole = Whole {
        id,
        row,
        conversation,
        message,
        to,
        ready,
    };
    let verdict = whole.judge(connection, limits, now_ms)?;
    if !matches!(verdict, Verdict::Hold { .. }) {
        whole.hand_on(connection)?;
    }
    match verdict {
        Verdict::Go => whole.go(connection, now_ms),
        Verdict::Hold { until_ms, cause } => whole.wait(connection, until_ms, cause, now_ms),
        Verdict::Refuse { code, cause } => whole.refuse(connection, code, cause, now_ms),
        Verdict::Cancel { cause } => close(connection, id, "cancelled", None, cause.as_str()),
    }
}

impl Whole {
    fn judge(
        &self,
        connection: &Connection,
        limits: &Limits,
        now_ms: i64,
    ) -> Result<Verdict, StoreError> {
        let (row, conversation) = (&self.row, &self.conversation);
        let asked = Row {
            id: self.id,
            seq: row.seq,
            instance: &row.instance,
            speaker: row.speaker,
            kind: kind(&self.message),
            template: template(connection, &conversation.number, &self.message)?,
        };
        let waiting = Waiting {
            since_ms: row.created_ms,
            cause: row.cause.as_deref(),
        };
        let patient = |verdict| limits.patience.judge(verdict, waiting, now_ms);
        let verdict = patient(gate(&asked, &conversation.state(), now_ms));
        if verdict != Verdict::Go {
            return Ok(verdict);
        }
        // Before the rates: who waits for an upload takes nothing of them.
        if matches!(self.ready, Ready::Missing(_)) {
            return Ok(patient(Verdict::Hold {
                until_ms: now_ms.saturating_add(UPLOAD_RECHECK_MS),
                cause: Cause::FileUploading,
            }));
        }
        let taken = take(connection, &limits.pace, &asked, row, conversation, now_ms)?;
        Ok(patient(taken))
    }

    /// What stands behind a row that waits no longer has waited for the same number or token, though nobody looked at
    /// it.
    fn hand_on(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut lasting = Cause::OF_NUMBERS.iter().chain(&Cause::OF_TOKENS);
        let cause = self.row.cause.as_deref();
        if lasting.any(|lasting| cause == Some(lasting.as_str())) {
            // The states are all named so that the index of open rows serves.
            connection
                .prepare_cached(
                    "UPDATE outbox SET cause = ?2 WHERE conversation = ?1 AND cause IS NULL
                     AND state IN ('pending', 'sending', 'unknown') AND state = 'pending'",
                )?
                .execute(params![self.row.conversation, cause])?;
        }
        Ok(())
    }

    fn refuse(
        self,
        connection: &Connection,
        code: i64,
        cause: Cause,
        now_ms: i64,
    ) -> Result<Gate, StoreError> {
        if cause == Cause::TemplateUnknown {
            want(connection, &self.conversation.number, now_ms)?;
        }
        close(connection, self.id, "refused", Some(code), cause.as_str())
    }

    fn wait(
        self,
        connection: &Connection,
        until_ms: i64,
        cause: Cause,
        now_ms: i64,
    ) -> Result<Gate, StoreError> {
        let (id, conversation) = (self.id, self.conversation);
        if let (Cause::FileUploading, Ready::Missing(file)) = (cause, self.ready) {
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

    fn go(self, connection: &Connection, now_ms: i64) -> Result<Gate, StoreError> {
        access::tried(connection, &self.conversation, now_ms)?;
        leave(connection, self.id, now_ms)?;
        let (files, uploaded_again) = match self.ready {
            Ready::All { ids, again } => (ids, again),
            Ready::Missing(_) => (Vec::new(), false),
        };
        Ok(Gate::Go(Box::new(Outgoing {
            id: self.id,
            instance: self.row.instance,
            conversation: self.row.conversation,
            business: self.conversation.business,
            attempt: self.row.attempt.saturating_add(1),
            number: self.conversation.number,
            to: self.to,
            kind: kind(&self.message),
            message: with_ids(self.message, &files),
            files,
            uploaded_again,
        })))
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
