//! Which versions of each plugin were live last, so that there is a way back.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::{Store, StoreError};

/// Versions of one instance: the one that is live, and the one before it.
const KEPT_MAX: i64 = 2;

/// A version that was live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// SHA-256 of the component, hex.
    pub digest: String,
    /// From its manifest.
    pub version: String,
    /// When it took over last, ms since 1970.
    pub live_ms: i64,
}

impl Store {
    /// The last versions of an instance, newest first.
    pub async fn versions(&self, instance: &str) -> Result<Vec<Version>, StoreError> {
        self.peek(|connection| versions(connection, instance))
    }

    /// A version has taken over. The answer is the digests of all versions that are known, of whatever instance.
    pub async fn went_live(
        &self,
        instance: String,
        version: Version,
    ) -> Result<BTreeSet<String>, StoreError> {
        self.write(move |connection| went_live(connection, &instance, &version))
            .await
    }
}

fn versions(connection: &Connection, instance: &str) -> Result<Vec<Version>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT digest, version, live_ms FROM versions WHERE instance = ?1 ORDER BY turn DESC",
    )?;
    let rows = statement.query_map([instance], |row| {
        Ok(Version {
            digest: row.get(0)?,
            version: row.get(1)?,
            live_ms: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn went_live(
    connection: &Connection,
    instance: &str,
    version: &Version,
) -> Result<BTreeSet<String>, StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO versions (instance, digest, version, live_ms, turn)
             VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(turn), 0) + 1 FROM versions WHERE instance = ?1))
             ON CONFLICT DO UPDATE SET version = excluded.version, live_ms = excluded.live_ms, turn = excluded.turn",
        )?
        .execute(params![
            instance,
            version.digest,
            version.version,
            version.live_ms
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM versions WHERE instance = ?1 AND digest NOT IN
             (SELECT digest FROM versions WHERE instance = ?1 ORDER BY turn DESC LIMIT ?2)",
        )?
        .execute(params![instance, KEPT_MAX])?;
    let mut statement = connection.prepare_cached("SELECT DISTINCT digest FROM versions")?;
    let digests = statement.query_map([], |row| row.get(0))?;
    Ok(digests.collect::<Result<_, _>>()?)
}
