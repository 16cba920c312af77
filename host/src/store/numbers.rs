//! Business numbers and their life, by the table of `rules::coexistence`. A number that may send again lets its
//! held rows go at once.

use duet_rules::coexistence::{Number, Sign, State};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Store, StoreError};

impl Store {
    /// At most `limit` numbers of which only Meta can say whether they are in the app.
    pub async fn open_numbers(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT id FROM numbers WHERE state IN ('offboarded', 'reconnecting') ORDER BY id LIMIT ?1",
            )?;
            let rows = query.query_map([limit], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What Meta said of a number, `None` when it gives no verdict. The answer is the state now, unless there is
    /// no such number, and the outbox rows that may leave.
    pub async fn number_on_app(
        &self,
        id: String,
        verdict: Option<bool>,
        now_ms: i64,
    ) -> Result<Option<(State, Vec<i64>)>, StoreError> {
        self.write(move |connection| {
            let sign = verdict.map_or(Sign::NoVerdict, Sign::OnApp);
            let freed = live_on(connection, &id, sign, now_ms, now_ms)?;
            Ok(read(connection, &id)?.map(|number| (number.state, freed)))
        })
        .await
    }
}

/// The number's row, made or completed.
pub(super) fn complete(
    connection: &Connection,
    id: &str,
    display: Option<&str>,
    waba: Option<&str>,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO numbers (id, display, waba, state) VALUES (?1, ?2, ?3, 'live')
             ON CONFLICT (id) DO UPDATE SET display = coalesce(?2, display), waba = coalesce(?3, waba)
             WHERE (?2 IS NOT NULL AND display IS NOT ?2) OR (?3 IS NOT NULL AND waba IS NOT ?3)",
        )?
        .execute(params![id, display, waba])?;
    Ok(())
}

/// The numbers that an account's word is about: the one with this phone, else those of the account. A phone that
/// is not known yet can only be the account's one number.
pub(super) fn meant(
    connection: &Connection,
    waba: Option<&str>,
    phone: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT id FROM numbers WHERE waba = ?1 OR display = ?2 ORDER BY display IS NOT ?2, id",
    )?;
    let rows = query.query_map(params![waba, phone], |row| row.get(0))?;
    let found: Vec<String> = rows.collect::<Result<_, _>>()?;
    if phone.is_none() || found.len() == 1 {
        return Ok(found);
    }
    let mut of_phone = connection.prepare_cached("SELECT id FROM numbers WHERE display = ?1")?;
    let rows = of_phone.query_map([phone], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Applies a sign to a number. The answer is the outbox rows that were held for its state and may leave now.
pub(super) fn live_on(
    connection: &Connection,
    id: &str,
    sign: Sign<'_>,
    at_ms: i64,
    now_ms: i64,
) -> Result<Vec<i64>, StoreError> {
    let Some(number) = read(connection, id)? else {
        return Ok(Vec::new());
    };
    let next = number.after(sign, at_ms);
    if next == number {
        return Ok(Vec::new());
    }
    connection
        .prepare_cached(
            "UPDATE numbers SET state = ?2, state_since_ms = ?3, app_seen_ms = ?4, reason = ?5, initiated_by = ?6
             WHERE id = ?1",
        )?
        .execute(params![
            id,
            next.state.as_str(),
            next.since_ms,
            next.app_seen_ms,
            next.reason,
            next.initiated_by
        ])?;
    if sign == Sign::Added && number.state == State::Disconnected {
        forget_imports(connection, id)?;
    }
    if next.state == State::Live && number.state != State::Live {
        return free(connection, id, now_ms);
    }
    Ok(Vec::new())
}

/// A number that is connected anew brings its contacts and its history anew.
fn forget_imports(connection: &Connection, number: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM history_chunks WHERE number = ?1")?
        .execute([number])?;
    connection
        .prepare_cached(
            "UPDATE numbers SET contacts_state = 'none', history_declined = 0 WHERE id = ?1",
        )?
        .execute([number])?;
    Ok(())
}

fn free(connection: &Connection, number: &str, now_ms: i64) -> Result<Vec<i64>, StoreError> {
    let mut held = connection.prepare_cached(
        "UPDATE outbox SET next_ms = ?2 WHERE state = 'pending' AND next_ms > ?2 AND cause LIKE 'number-%'
         AND conversation IN (SELECT id FROM conversations WHERE number = ?1) RETURNING id",
    )?;
    let rows = held.query_map(params![number, now_ms], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read(connection: &Connection, id: &str) -> Result<Option<Number>, StoreError> {
    let number = connection
        .prepare_cached(
            "SELECT state, state_since_ms, app_seen_ms, reason, initiated_by FROM numbers WHERE id = ?1",
        )?
        .query_row([id], |row| life(row, 0))
        .optional()?;
    Ok(number)
}

/// A number's life from the five columns that begin at `first`.
pub(super) fn life(row: &Row<'_>, first: usize) -> Result<Number, rusqlite::Error> {
    let state: String = row.get(first)?;
    Ok(Number {
        state: State::from_word(&state),
        since_ms: row.get(first + 1)?,
        app_seen_ms: row.get(first + 2)?,
        reason: row.get(first + 3)?,
        initiated_by: row.get(first + 4)?,
    })
}
