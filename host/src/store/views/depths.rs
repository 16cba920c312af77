use std::collections::HashMap;

use rusqlite::Connection;

use crate::store::{Store, StoreError};

/// How much waits, for the metrics.
#[derive(Debug, Clone, Default)]
pub struct Depths {
    /// Open sends by state.
    pub outbox: HashMap<String, i64>,
    pub deliveries: i64,
    pub dead_letters: i64,
    /// Files of messages that are not fetched yet.
    pub media: i64,
    /// Bytes of those that are.
    pub media_bytes: i64,
    /// The last receipt that intake has taken in whole.
    pub live_receipt: i64,
}

/// What an instance could not do at once, and has still to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Troubles {
    /// Events that wait for another attempt.
    pub waiting: i64,
    pub dead: i64,
    /// Timers that are set.
    pub timers: i64,
}

impl Store {
    pub async fn depths(&self) -> Result<Depths, StoreError> {
        self.read(depths).await
    }

    /// Each instance's troubles, by its name.
    pub async fn troubles(&self) -> Result<HashMap<String, Troubles>, StoreError> {
        self.read(|connection| {
            let mut troubles: HashMap<String, Troubles> = HashMap::new();
            for (name, count) in counts(
                connection,
                "SELECT instance, count(*) FROM deliveries GROUP BY 1",
            )? {
                troubles.entry(name).or_default().waiting = count;
            }
            for (name, count) in counts(
                connection,
                "SELECT instance, count(*) FROM dead_letters GROUP BY 1",
            )? {
                troubles.entry(name).or_default().dead = count;
            }
            for (name, count) in counts(connection, "SELECT instance, timers FROM timer_usage")? {
                troubles.entry(name).or_default().timers = count;
            }
            Ok(troubles)
        })
        .await
    }
}

fn depths(connection: &Connection) -> Result<Depths, StoreError> {
    let one = |sql: &str| -> Result<i64, StoreError> {
        Ok(connection
            .prepare_cached(sql)?
            .query_row([], |row| row.get(0))?)
    };
    let open = "SELECT state, count(*) FROM outbox WHERE state IN ('pending', 'sending', 'unknown') GROUP BY 1";
    Ok(Depths {
        outbox: counts(connection, open)?,
        deliveries: one("SELECT count(*) FROM deliveries")?,
        dead_letters: one("SELECT count(*) FROM dead_letters")?,
        media: one("SELECT count(*) FROM media WHERE state = 'remote'")?,
        media_bytes: one("SELECT bytes FROM media_usage")?,
        live_receipt: one("SELECT receipt FROM intake WHERE part = 'live'")?,
    })
}

fn counts(connection: &Connection, sql: &str) -> Result<HashMap<String, i64>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
