//! Which version of each plugin was withdrawn as a canary, and why.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError};

/// A version that is no canary any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// SHA-256 of the component, hex.
    pub digest: String,
    /// From its manifest.
    pub version: String,
    pub cause: String,
    /// Ms since 1970.
    pub at_ms: i64,
}

impl Store {
    /// The version of an instance that was withdrawn last, unless it may be tried again.
    pub async fn withdrawn(&self, instance: &str) -> Result<Option<Withdrawn>, StoreError> {
        self.peek(|connection| {
            let withdrawn = connection
                .prepare_cached(
                    "SELECT digest, version, cause, withdrawn_ms FROM canaries WHERE instance = ?1",
                )?
                .query_row([instance], |row| {
                    Ok(Withdrawn {
                        digest: row.get(0)?,
                        version: row.get(1)?,
                        cause: row.get(2)?,
                        at_ms: row.get(3)?,
                    })
                })
                .optional()?;
            Ok(withdrawn)
        })
    }

    /// Remembers that a version was withdrawn.
    pub async fn withdraw(&self, instance: String, withdrawn: Withdrawn) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO canaries (instance, digest, version, cause, withdrawn_ms) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET digest = excluded.digest, version = excluded.version, cause = excluded.cause,
                     withdrawn_ms = excluded.withdrawn_ms",
                )?
                .execute(params![
                    instance,
                    withdrawn.digest,
                    withdrawn.version,
                    withdrawn.cause,
                    withdrawn.at_ms
                ])?;
            Ok(())
        })
        .await
    }

    /// Whatever was withdrawn of an instance may be tried again.
    pub async fn try_again(&self, instance: String) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached("DELETE FROM canaries WHERE instance = ?1")?
                .execute([instance])?;
            Ok(())
        })
        .await
    }
}
