//! Business numbers and their life, by the table of `rules::coexistence`. A number that may send again lets its
//! held rows go at once.

use duet_rules::coexistence::{Number, Pulse, Sign, State};
use duet_rules::sending::Cause;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::alarms::{self, Alarm};
use super::businesses;
use super::outbox::{Whose, free};
use super::wall::Wall;
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

    /// Whether there is such a number before the wall.
    pub async fn number_is_known(&self, wall: &Wall, id: &str) -> Result<bool, StoreError> {
        self.peek(|connection| is_known(connection, wall, id))
    }

    /// What Meta said of a number that it was asked about at `asked_ms`, `None` when it gives no verdict. The answer is
    /// the state now, unless there is no such number, and the outbox rows that may leave.
    pub async fn number_on_app(
        &self,
        id: String,
        verdict: Option<bool>,
        asked_ms: i64,
        now_ms: i64,
    ) -> Result<Option<(State, Vec<i64>)>, StoreError> {
        self.write(move |connection| {
            let sign = verdict.map_or(Sign::NoVerdict, Sign::OnApp);
            let freed = live_on(connection, &id, sign, asked_ms, now_ms)?.freed;
            Ok(read(connection, &id)?.map(|number| (number.state, freed)))
        })
        .await
    }

    /// Raises an alarm for each number whose app has been silent for too long, once for each silence, and settles
    /// those of numbers that are well. The answer is what was raised.
    pub async fn watch_pulses(&self, now_ms: i64) -> Result<Vec<Alarm>, StoreError> {
        self.write(move |connection| {
            let mut numbers = connection.prepare_cached(
                "SELECT id, state, state_since_ms, app_seen_ms, reason, initiated_by FROM numbers WHERE app_seen_ms IS NOT NULL",
            )?;
            let numbers = numbers.query_map([], |row| Ok((row.get(0)?, life(row, 1)?)))?;
            let numbers: Vec<(String, Number)> = numbers.collect::<Result<_, _>>()?;
            let mut raised = Vec::new();
            for (id, number) in numbers {
                raised.extend(watch_pulse(connection, &id, &number, now_ms)?);
            }
            Ok(raised)
        })
        .await
    }
}

fn watch_pulse(
    connection: &Connection,
    id: &str,
    number: &Number,
    now_ms: i64,
) -> Result<Option<Alarm>, StoreError> {
    let pulse = number.pulse(now_ms);
    let over: &[&str] = match pulse {
        Pulse::Well => &[alarms::APP_SILENT, alarms::APP_SILENT_URGENT],
        Pulse::AtRisk => &[alarms::APP_SILENT_URGENT],
        Pulse::Urgent => &[],
    };
    alarms::settle(connection, over, id, now_ms)?;
    let (name, detail) = match pulse {
        Pulse::Well => return Ok(None),
        Pulse::AtRisk => (
            alarms::APP_SILENT,
            "the app on the phone was not used for 10 days; after 14 Meta disconnects the number: open it",
        ),
        Pulse::Urgent => (
            alarms::APP_SILENT_URGENT,
            "the app on the phone was not used for 13 days; Meta disconnects the number tomorrow: open it now",
        ),
    };
    if alarms::was_raised(connection, name, id, number.app_seen_ms.unwrap_or(0))? {
        return Ok(None);
    }
    let alarm = Alarm::new(name, Some(id.to_owned()), detail);
    Ok(alarms::raise(connection, &alarm, now_ms)?.then_some(alarm))
}

/// Whether there is such a number before the wall.
pub(super) fn is_known(connection: &Connection, wall: &Wall, id: &str) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM numbers WHERE id = ?1 AND (?2 IS NULL OR business = ?2)")?
        .exists(params![id, wall])?)
}

/// What a sign has changed.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Outbox rows that were held for the number's state and may leave now.
    pub(super) freed: Vec<i64>,
    /// The state, if it is another one now.
    pub(super) to: Option<State>,
}

/// The number's row, made or completed. It has the business of its account; one that talks already stays where it is,
/// and an account that nobody has given away is its number's.
pub(super) fn complete(
    connection: &Connection,
    id: &str,
    display: Option<&str>,
    waba: Option<&str>,
) -> Result<(), StoreError> {
    let changed = connection
        .prepare_cached(
            "INSERT INTO numbers (id, display, waba, state) VALUES (?1, ?2, ?3, 'live')
             ON CONFLICT (id) DO UPDATE SET display = coalesce(?2, display), waba = coalesce(?3, waba)
             WHERE (?2 IS NOT NULL AND display IS NOT ?2) OR (?3 IS NOT NULL AND waba IS NOT ?3)",
        )?
        .execute(params![id, display, waba])?;
    if changed > 0 && waba.is_some() {
        businesses::join(connection, id)?;
    }
    Ok(())
}

/// The numbers that an account's word is about: the one with this phone, else those of the account. A phone that
/// is not known yet can only be the account's one number. `within`: only of this business, whoever else has the phone.
pub(super) fn meant(
    connection: &Connection,
    waba: Option<&str>,
    phone: Option<&str>,
    within: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT id FROM numbers WHERE (waba = ?1 OR display = ?2) AND (?3 IS NULL OR business = ?3)
         ORDER BY display IS NOT ?2, id",
    )?;
    let rows = query.query_map(params![waba, phone, within], |row| row.get(0))?;
    let found: Vec<String> = rows.collect::<Result<_, _>>()?;
    if phone.is_none() || found.len() == 1 {
        return Ok(found);
    }
    let mut of_phone = connection.prepare_cached(
        "SELECT id FROM numbers WHERE display = ?1 AND (?2 IS NULL OR business = ?2)",
    )?;
    let rows = of_phone.query_map([phone, within], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Applies a sign to a number.
pub(super) fn live_on(
    connection: &Connection,
    id: &str,
    sign: Sign<'_>,
    at_ms: i64,
    now_ms: i64,
) -> Result<Moved, StoreError> {
    let Some(number) = read(connection, id)? else {
        return Ok(Moved::default());
    };
    let next = number.after(sign, at_ms);
    if next == number {
        return Ok(Moved::default());
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
    if sign == Sign::Added && next.state == State::Live {
        if number.state == State::Disconnected {
            connected_anew(connection, id, at_ms.min(now_ms))?;
        } else {
            onboarded(connection, id, at_ms.min(now_ms))?;
        }
    }
    let to = (next.state != number.state).then_some(next.state);
    let mut moved = Moved {
        to,
        ..Moved::default()
    };
    if to == Some(State::Live) {
        let names = [alarms::NUMBER_OFFBOARDED, alarms::NUMBER_DISCONNECTED];
        alarms::settle(connection, &names, id, now_ms)?;
        moved.freed = free(connection, Whose::Number(id), &Cause::OF_NUMBERS, now_ms)?;
    }
    Ok(moved)
}

/// When the number was connected, as far as nobody knows better.
fn onboarded(connection: &Connection, number: &str, at_ms: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE numbers SET onboarded_ms = ?2 WHERE id = ?1 AND onboarded_ms IS NULL",
        )?
        .execute(params![number, at_ms])?;
    Ok(())
}

/// A number that is connected anew brings its contacts and its history anew, and may ask for them again.
pub(super) fn connected_anew(
    connection: &Connection,
    number: &str,
    at_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM history_chunks WHERE number = ?1")?
        .execute([number])?;
    connection
        .prepare_cached(
            "UPDATE numbers SET contacts_state = 'none', history_declined = 0, onboarded_ms = ?2 WHERE id = ?1",
        )?
        .execute(params![number, at_ms])?;
    Ok(())
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
