//! The calls of plugins: each is on disk before it is made, and again with its answer, as long as its event is not done.
//! What an answer repeats of a secret was masked before it came here.

use std::sync::Arc;

use duet_rules::journal::{Entry, Hash};
use rusqlite::{Connection, Row, params};
use serde_json::json;

use super::{Store, StoreError};
use crate::outbound::{Answered, CallError, Response};

/// Whose calls they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub instance: String,
    pub seq: i64,
    /// 1 on the first try.
    pub attempt: u32,
    /// Of the process that makes them.
    pub epoch: i64,
}

/// What an attempt saw when it made its first call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    pub now_ms: i64,
    pub seed: [u8; 16],
    /// Of the component.
    pub digest: String,
    /// SHA-256 of the settings.
    pub settings: Hash,
}

/// A call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    pub request: Hash,
    pub occurrence: u32,
    pub safe: bool,
}

/// What is known of an event's calls.
#[derive(Debug, Default)]
pub struct Past {
    /// By attempt.
    pub attempts: Vec<(u32, Circumstances)>,
    /// In the order in which they were begun.
    pub entries: Vec<Entry<Answered>>,
}

impl Store {
    /// What an instance has called about an event before.
    pub async fn past_calls(&self, instance: &str, seq: i64) -> Result<Past, StoreError> {
        self.peek(|connection| past(connection, instance, seq))
    }

    /// Keeps calls before they are made. `forgotten` are entries of the same attempt that no run of it will ask for.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when another process has taken over: then the calls are that one's.
    pub async fn begin_calls(
        &self,
        run: Arc<Run>,
        circumstances: Arc<Circumstances>,
        begun: Vec<Begun>,
        forgotten: Vec<i64>,
    ) -> Result<(), StoreError> {
        self.write(move |connection| begin(connection, &run, &circumstances, &begun, &forgotten))
            .await
    }

    /// Keeps what a call has brought.
    pub async fn answer_call(
        &self,
        run: Arc<Run>,
        begun: Begun,
        answered: Answered,
    ) -> Result<(), StoreError> {
        self.write(move |connection| answer(connection, &run, &begun, &answered))
            .await
    }
}

fn past(connection: &Connection, instance: &str, seq: i64) -> Result<Past, StoreError> {
    let attempts: Vec<_> = connection
        .prepare_cached(
            "SELECT attempt, now_ms, seed, digest, settings FROM attempts WHERE instance = ?1 AND seq = ?2",
        )?
        .query_map(params![instance, seq], |row| {
            let circumstances = Circumstances {
                now_ms: row.get(1)?,
                seed: row.get(2)?,
                digest: row.get(3)?,
                settings: row.get(4)?,
            };
            Ok((row.get(0)?, circumstances))
        })?
        .collect::<Result<_, _>>()?;
    if attempts.is_empty() {
        return Ok(Past::default());
    }
    let entries = connection
        .prepare_cached(
            "SELECT id, attempt, request, occurrence, safe, status, headers, body, error FROM journal
             WHERE instance = ?1 AND seq = ?2 ORDER BY id",
        )?
        .query_map(params![instance, seq], entry)?
        .collect::<Result<_, _>>()?;
    Ok(Past { attempts, entries })
}

fn entry(row: &Row<'_>) -> Result<Entry<Answered>, rusqlite::Error> {
    let status: Option<u16> = row.get(5)?;
    let error: Option<String> = row.get(8)?;
    let answer = match (status, error) {
        (Some(status), _) => {
            let headers: Option<String> = row.get(6)?;
            let headers = headers.and_then(|headers| serde_json::from_str(&headers).ok());
            let body: Option<Vec<u8>> = row.get(7)?;
            Some(Ok(Response {
                status,
                headers: headers.unwrap_or_default(),
                body: body.unwrap_or_default(),
            }))
        }
        (None, Some(error)) => {
            let (code, detail) = serde_json::from_str(&error).unwrap_or_default();
            Some(Err(CallError { code, detail }))
        }
        (None, None) => None,
    };
    Ok(Entry {
        id: row.get(0)?,
        attempt: row.get(1)?,
        request: row.get(2)?,
        occurrence: row.get(3)?,
        // Whoever runs knows what it runs.
        same: true,
        safe: row.get(4)?,
        success: status.is_some_and(is_success),
        answer,
    })
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

fn begin(
    connection: &Connection,
    run: &Run,
    circumstances: &Circumstances,
    begun: &[Begun],
    forgotten: &[i64],
) -> Result<(), StoreError> {
    let epoch: i64 = connection
        .prepare_cached("SELECT epoch FROM leases WHERE scope = '*'")?
        .query_row([], |row| row.get(0))?;
    if epoch != run.epoch {
        return Err(StoreError::LeaseLost(run.epoch));
    }
    let mut forget = connection.prepare_cached("DELETE FROM journal WHERE id = ?1")?;
    for id in forgotten {
        forget.execute([id])?;
    }
    // Of an event that was erased meanwhile nothing is kept.
    let kept = connection
        .prepare_cached(
            "INSERT INTO attempts (instance, seq, attempt, now_ms, seed, digest, settings)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM events WHERE seq = ?2)
             ON CONFLICT DO UPDATE SET now_ms = excluded.now_ms, seed = excluded.seed,
             digest = excluded.digest, settings = excluded.settings",
        )?
        .execute(params![
            run.instance,
            run.seq,
            run.attempt,
            circumstances.now_ms,
            circumstances.seed,
            circumstances.digest,
            circumstances.settings
        ])?;
    if kept == 0 {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO journal (instance, seq, attempt, request, occurrence, safe) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET status = NULL, headers = NULL, body = NULL, error = NULL",
    )?;
    for call in begun {
        insert.execute(params![
            run.instance,
            run.seq,
            run.attempt,
            call.request,
            call.occurrence,
            call.safe
        ])?;
    }
    Ok(())
}

fn answer(
    connection: &Connection,
    run: &Run,
    begun: &Begun,
    answered: &Answered,
) -> Result<(), StoreError> {
    let (response, error) = match answered {
        Ok(response) => (Some(response), None),
        Err(error) => (None, Some(json!([error.code, error.detail]).to_string())),
    };
    connection
        .prepare_cached(
            "UPDATE journal SET status = ?6, headers = ?7, body = ?8, error = ?9
             WHERE instance = ?1 AND seq = ?2 AND attempt = ?3 AND request = ?4 AND occurrence = ?5",
        )?
        .execute(params![
            run.instance,
            run.seq,
            run.attempt,
            begun.request,
            begun.occurrence,
            response.map(|response| response.status),
            response.map(|response| json!(response.headers).to_string()),
            response.map(|response| &response.body),
            error
        ])?;
    Ok(())
}

/// The event is done or dead: nobody will ask again.
pub(super) fn forget(connection: &Connection, instance: &str, seq: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM attempts WHERE instance = ?1 AND seq = ?2")?
        .execute(params![instance, seq])?;
    Ok(())
}

/// The same attempt is made again later: what it has changed stays done, and all else is asked anew; with a clock of its
/// own where it has changed nothing.
pub(super) fn ask_anew(
    connection: &Connection,
    instance: &str,
    seq: i64,
    attempt: u32,
) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM attempts WHERE instance = ?1 AND seq = ?2 AND attempt = ?3 AND NOT EXISTS (
             SELECT 1 FROM journal j WHERE j.instance = ?1 AND j.seq = ?2 AND j.attempt = ?3
             AND j.safe = 0 AND j.status BETWEEN 200 AND 299)",
        "UPDATE journal SET status = NULL, headers = NULL, body = NULL, error = NULL
         WHERE instance = ?1 AND seq = ?2 AND attempt = ?3
         AND NOT (safe = 0 AND coalesce(status, 0) BETWEEN 200 AND 299)",
    ] {
        connection
            .prepare_cached(sql)?
            .execute(params![instance, seq, attempt])?;
    }
    Ok(())
}

/// An attempt has failed: what it only asked for is asked again, and of what has changed nothing it is enough to know
/// that it was asked for.
pub(super) fn trim(connection: &Connection, instance: &str, seq: i64) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM journal WHERE instance = ?1 AND seq = ?2 AND safe = 1",
        "UPDATE journal SET headers = NULL, body = NULL, error = NULL
         WHERE instance = ?1 AND seq = ?2 AND coalesce(status, 0) NOT BETWEEN 200 AND 299",
    ] {
        connection
            .prepare_cached(sql)?
            .execute(params![instance, seq])?;
    }
    Ok(())
}
