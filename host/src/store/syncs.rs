//! Requests for a number's contacts and history, by the table of `rules::coexistence::Sync`: each is stored before it
//! is made, so that a crash leaves none behind that nobody knows of.

use duet_rules::coexistence::{Kind, Outcome, Request, Sync, WINDOW_MS};
use rusqlite::{Connection, OptionalExtension, params};

use super::alarms::{self, Alarm};
use super::{Store, StoreError};

/// What came of a call, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    /// Meta's number of the request; its support asks for it.
    pub request_id: Option<String>,
    /// Why it was not accepted, without the number.
    pub cause: Option<String>,
}

/// Where a kind stands, with its last request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRow {
    pub kind: Kind,
    pub state: Sync,
    /// Absent while nobody has asked.
    pub asked_ms: Option<i64>,
    /// Until when Meta takes a request, as far as it is known when the number was connected.
    pub window_until_ms: Option<i64>,
    pub request_id: Option<String>,
    pub code: Option<i64>,
    pub cause: Option<String>,
}

impl Store {
    /// Where both kinds stand; `None` when there is no such number.
    pub async fn syncs(
        &self,
        number: String,
        now_ms: i64,
    ) -> Result<Option<[SyncRow; 2]>, StoreError> {
        self.read(move |connection| both(connection, &number, now_ms))
            .await
    }

    /// Notes that a kind is about to be asked for; the answer is the request, or why it must not be made. `None`: there
    /// is no such number.
    pub async fn begin_sync(
        &self,
        number: String,
        kind: Kind,
        again: bool,
        now_ms: i64,
    ) -> Result<Option<Result<i64, String>>, StoreError> {
        self.write(move |connection| {
            let Some(rows) = both(connection, &number, now_ms)? else {
                return Ok(None);
            };
            let Some(row) = rows.into_iter().find(|row| row.kind == kind) else {
                return Ok(None);
            };
            if let Err(reason) = row.state.may_ask(kind, again, row.window_until_ms, now_ms) {
                return Ok(Some(Err(reason)));
            }
            let until_ms = row.window_until_ms.unwrap_or(now_ms.saturating_add(WINDOW_MS));
            let id = connection
                .prepare_cached(
                    "INSERT INTO sync_requests (number, kind, asked_ms, window_until_ms) VALUES (?1, ?2, ?3, ?4)",
                )?
                .insert(params![number, kind.as_str(), now_ms, until_ms])?;
            Ok(Some(Ok(id)))
        })
        .await
    }

    /// Keeps what came of a request.
    pub async fn end_sync(&self, id: i64, answer: Answer, now_ms: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            let code = match answer.outcome {
                Outcome::Refused(code) => Some(code),
                _ => None,
            };
            connection
                .prepare_cached(
                    "UPDATE sync_requests SET outcome = ?2, answered_ms = ?3, request_id = ?4, code = ?5, cause = ?6
                     WHERE id = ?1",
                )?
                .execute(params![
                    id,
                    answer.outcome.as_str(),
                    now_ms,
                    answer.request_id,
                    code,
                    answer.cause
                ])?;
            Ok(())
        })
        .await
    }

    /// What an earlier process was asking for when it ended may have been accepted.
    pub async fn resume_syncs(&self) -> Result<(), StoreError> {
        self.write(|connection| {
            connection
                .prepare_cached(
                    "UPDATE sync_requests SET outcome = 'unknown', cause = 'the gateway ended before the answer came'
                     WHERE outcome = 'asked'",
                )?
                .execute([])?;
            Ok(())
        })
        .await
    }

    /// Raises an alarm for each request that has ended without bringing anything, once, and settles those of numbers
    /// that are well. The answer is what was raised.
    pub async fn watch_syncs(&self, now_ms: i64) -> Result<Vec<Alarm>, StoreError> {
        self.write(move |connection| {
            let mut numbers =
                connection.prepare_cached("SELECT DISTINCT number FROM sync_requests")?;
            let numbers: Vec<String> = numbers
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut raised = Vec::new();
            for number in numbers {
                for row in both(connection, &number, now_ms)?.into_iter().flatten() {
                    raised.extend(watch(connection, &number, &row, now_ms)?);
                }
            }
            Ok(raised)
        })
        .await
    }
}

fn watch(
    connection: &Connection,
    number: &str,
    row: &SyncRow,
    now_ms: i64,
) -> Result<Option<Alarm>, StoreError> {
    let name = match row.kind {
        Kind::Contacts => alarms::CONTACTS_MISSING,
        Kind::History => alarms::HISTORY_MISSING,
    };
    if !row.state.has_failed() {
        alarms::settle(connection, &[name], number, now_ms)?;
        return Ok(None);
    }
    if alarms::was_raised(connection, name, number, row.asked_ms.unwrap_or(0))? {
        return Ok(None);
    }
    let alarm = Alarm::new(name, Some(number.to_owned()), row.state.summary(row.kind));
    Ok(alarms::raise(connection, &alarm, now_ms)?.then_some(alarm))
}

/// Where both kinds stand. What was asked for before the number was connected the last time is over.
pub(super) fn both(
    connection: &Connection,
    number: &str,
    now_ms: i64,
) -> Result<Option<[SyncRow; 2]>, StoreError> {
    let known: Option<(Option<i64>, bool, bool, bool)> = connection
        .prepare_cached(
            "SELECT onboarded_ms, contacts_state = 'synced', history_declined,
                    EXISTS (SELECT 1 FROM history_chunks WHERE number = id) FROM numbers WHERE id = ?1",
        )?
        .query_row([number], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((onboarded_ms, contacts_came, declined, history_came)) = known else {
        return Ok(None);
    };
    let of = |kind: Kind, came: bool, declined: bool| -> Result<SyncRow, StoreError> {
        let (last, mut row) = last(connection, number, kind, onboarded_ms)?;
        row.state = Sync::of(last, came, declined, now_ms);
        Ok(row)
    };
    Ok(Some([
        of(Kind::Contacts, contacts_came, false)?,
        of(Kind::History, history_came, declined)?,
    ]))
}

fn last(
    connection: &Connection,
    number: &str,
    kind: Kind,
    onboarded_ms: Option<i64>,
) -> Result<(Option<Request>, SyncRow), StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT asked_ms, outcome, code, window_until_ms, request_id, cause FROM sync_requests
             WHERE number = ?1 AND kind = ?2 AND asked_ms >= ?3 ORDER BY id DESC LIMIT 1",
        )?
        .query_row(
            params![number, kind.as_str(), onboarded_ms.unwrap_or(0)],
            |row| {
                let (asked_ms, outcome, code): (i64, String, Option<i64>) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                let last = Request {
                    asked_ms,
                    outcome: Outcome::from_word(&outcome, code),
                };
                let row = SyncRow {
                    kind,
                    state: Sync::None,
                    asked_ms: Some(asked_ms),
                    window_until_ms: Some(row.get(3)?),
                    request_id: row.get(4)?,
                    code,
                    cause: row.get(5)?,
                };
                Ok((Some(last), row))
            },
        )
        .optional()?;
    Ok(found.unwrap_or_else(|| {
        let row = SyncRow {
            kind,
            state: Sync::None,
            asked_ms: None,
            window_until_ms: onboarded_ms.map(|onboarded| onboarded.saturating_add(WINDOW_MS)),
            request_id: None,
            code: None,
            cause: None,
        };
        (None, row)
    }))
}
