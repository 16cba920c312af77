//! Connecting numbers: what was asked for, and how far it has come. Every step that is taken commits with what it
//! has learnt, so that a crash repeats at most the step that it has cut.

use duet_rules::coexistence::{Sign, State};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::wall::Wall;
use super::{Store, StoreError, numbers, templates};

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Which numbers of the account are in the app.
    LookUp,
    /// The app is subscribed to the account's webhooks.
    Subscribe,
    /// Contacts are asked for, then the history.
    Contacts,
    History,
    Done,
}

/// An account that was connected from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRow {
    pub waba: String,
    /// The only number that is meant.
    pub number: Option<String>,
    /// The business had just ended the signup when it began.
    pub fresh: bool,
    pub step: Step,
    pub begun_ms: i64,
    pub done_ms: Option<i64>,
    /// Why the step could not be taken last time.
    pub cause: Option<String>,
}

impl Store {
    /// Begins to connect an account's numbers, or begins again.
    pub async fn open_connection(
        &self,
        waba: String,
        number: Option<String>,
        fresh: bool,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO connections (waba, number, fresh, step, begun_ms) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (waba) DO UPDATE SET step = excluded.step, begun_ms = excluded.begun_ms,
                     done_ms = NULL, cause = NULL, fresh = excluded.fresh OR (fresh AND done_ms IS NULL),
                     number = CASE WHEN done_ms IS NULL AND number IS NOT excluded.number THEN NULL ELSE excluded.number END",
                )?
                .execute(params![waba, number, fresh, Step::LookUp.as_str(), now_ms])?;
            Ok(())
        })
        .await
    }

    /// Whether the store can write: it notes when it was asked.
    pub async fn probe(&self, now_ms: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO meta VALUES ('probed_ms', ?1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                )?
                .execute([now_ms.to_string()])?;
            Ok(())
        })
        .await
    }

    /// At most `limit` accounts whose connection is not done.
    pub async fn open_connections(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT waba FROM connections WHERE step <> 'done' ORDER BY begun_ms LIMIT ?1",
            )?;
            let rows = query.query_map([limit], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// An account's connection, with the numbers that belong to it while it is not done.
    pub async fn connection(
        &self,
        waba: String,
    ) -> Result<Option<(ConnectionRow, Vec<String>)>, StoreError> {
        self.read(move |connection| {
            let Some(found) = of(connection, &waba)? else {
                return Ok(None);
            };
            Ok(Some((found, connecting(connection, &waba)?)))
        })
        .await
    }

    /// Connections after the account `after`, in the order of the accounts.
    pub async fn connections(
        &self,
        wall: Wall,
        after: String,
        limit: u32,
    ) -> Result<Vec<ConnectionRow>, StoreError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT waba, number, fresh, step, begun_ms, done_ms, cause FROM connections
                 WHERE waba > ?1 AND (?3 IS NULL OR coalesce((SELECT business FROM accounts a WHERE a.waba = connections.waba), '') = ?3)
                 ORDER BY waba LIMIT ?2",
            )?;
            let rows = query.query_map(params![after, limit, wall], connection_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The numbers of the account that are in the app, each with its phone: they are connected from here on. What came
    /// before, and what was asked for, counts no more for one that was disconnected or has just been signed up.
    pub async fn connection_found(
        &self,
        waba: String,
        found: Vec<(String, Option<String>)>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            let Some((fresh, begun_ms)) = connection
                .prepare_cached("SELECT fresh, begun_ms FROM connections WHERE waba = ?1")?
                .query_row([&waba], |row| Ok((row.get::<_, bool>(0)?, row.get(1)?)))
                .optional()?
            else {
                return Ok(());
            };
            // A signup tells the account and not the number; with one number it can only be that.
            let anew = fresh && found.len() == 1;
            for (number, display) in &found {
                numbers::complete(connection, number, display.as_deref(), Some(&waba))?;
                join(connection, number, anew, begun_ms, now_ms)?;
            }
            step(connection, &waba, Step::Subscribe)
        })
        .await
    }

    /// The step before this one is taken.
    pub async fn connection_step(&self, waba: String, next: Step) -> Result<(), StoreError> {
        self.write(move |connection| step(connection, &waba, next))
            .await
    }

    /// The step could not be taken now.
    pub async fn connection_stuck(&self, waba: String, cause: String) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached("UPDATE connections SET cause = ?2 WHERE waba = ?1")?
                .execute(params![waba, cause])?;
            Ok(())
        })
        .await
    }

    /// All steps are taken; the account's templates are read anew.
    pub async fn connection_done(&self, waba: String, now_ms: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            for number in connecting(connection, &waba)? {
                templates::want(connection, &number, now_ms)?;
            }
            connection
                .prepare_cached("UPDATE numbers SET connecting = 0 WHERE waba = ?1")?
                .execute([&waba])?;
            connection
                .prepare_cached("UPDATE connections SET done_ms = ?2 WHERE waba = ?1")?
                .execute(params![waba, now_ms])?;
            step(connection, &waba, Step::Done)
        })
        .await
    }
}

/// An account's connection.
pub(super) fn of(connection: &Connection, waba: &str) -> Result<Option<ConnectionRow>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT waba, number, fresh, step, begun_ms, done_ms, cause FROM connections WHERE waba = ?1",
        )?
        .query_row([waba], connection_row)
        .optional()?)
}

fn join(
    connection: &Connection,
    number: &str,
    anew: bool,
    begun_ms: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    let (state, onboarded_ms): (String, Option<i64>) = connection
        .prepare_cached("SELECT state, onboarded_ms FROM numbers WHERE id = ?1")?
        .query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let was_gone = State::from_word(&state) == State::Disconnected;
    if anew || was_gone {
        numbers::live_on(
            connection,
            number,
            Sign::Added,
            begun_ms.max(now_ms),
            now_ms,
        )?;
    }
    // Whoever was gone has forgotten already.
    if anew && !was_gone && onboarded_ms.is_some_and(|onboarded| onboarded < begun_ms) {
        numbers::connected_anew(connection, number, begun_ms)?;
    }
    connection
        .prepare_cached(
            "UPDATE numbers SET connecting = 1, onboarded_ms = coalesce(onboarded_ms, ?2) WHERE id = ?1",
        )?
        .execute(params![number, begun_ms])?;
    Ok(())
}

fn connecting(connection: &Connection, waba: &str) -> Result<Vec<String>, StoreError> {
    let mut query = connection
        .prepare_cached("SELECT id FROM numbers WHERE waba = ?1 AND connecting ORDER BY id")?;
    let rows = query.query_map([waba], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn step(connection: &Connection, waba: &str, next: Step) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE connections SET step = ?2, cause = NULL WHERE waba = ?1")?
        .execute(params![waba, next.as_str()])?;
    Ok(())
}

fn connection_row(row: &Row<'_>) -> Result<ConnectionRow, rusqlite::Error> {
    let step: String = row.get(3)?;
    Ok(ConnectionRow {
        waba: row.get(0)?,
        number: row.get(1)?,
        fresh: row.get(2)?,
        step: Step::from_word(&step),
        begun_ms: row.get(4)?,
        done_ms: row.get(5)?,
        cause: row.get(6)?,
    })
}

impl Step {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Step::LookUp => "look-up",
            Step::Subscribe => "subscribe",
            Step::Contacts => "contacts",
            Step::History => "history",
            Step::Done => "done",
        }
    }

    fn from_word(word: &str) -> Step {
        match word {
            "subscribe" => Step::Subscribe,
            "contacts" => Step::Contacts,
            "history" => Step::History,
            "done" => Step::Done,
            _ => Step::LookUp,
        }
    }
}
