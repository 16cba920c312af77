//! Refresh tokens of plugins that came in place of the first ones. What stands here is sealed: it is opened elsewhere.
//!
//! Those of another first token stay for a while: whoever puts that back finds its newest one. With a plugin that is out
//! of `plugins.toml` they go after a week, and with their business at once.

use rusqlite::{OptionalExtension, Row, params};

use super::{Store, StoreError};
use crate::outbound::Whose;
use crate::seal::Sealed;

/// What came of another first token is kept so long.
const OTHERS_KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// A sealed refresh token.
#[derive(Debug, Clone)]
pub struct RefreshToken {
    pub whose: Whose,
    pub sealed: Sealed,
    pub set_ms: i64,
}

const COLUMNS: &str = "business, instance, secret, origin, master, box, set_ms";

impl Store {
    /// The newest one that came in place of a first one.
    pub async fn refresh_token(&self, whose: Whose) -> Result<Option<Sealed>, StoreError> {
        self.read(move |connection| {
            let found = connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM refresh_tokens
                     WHERE instance = ?1 AND secret = ?2 AND origin = ?3 AND business = ?4"
                ))?
                .query_row(
                    params![whose.instance, whose.secret, whose.origin, whose.business],
                    refresh_token,
                )
                .optional()?;
            Ok(found.map(|found| found.sealed))
        })
        .await
    }

    pub async fn refresh_tokens(&self) -> Result<Vec<RefreshToken>, StoreError> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM refresh_tokens");
            let mut statement = connection.prepare_cached(&sql)?;
            let tokens = statement.query_map([], refresh_token)?;
            Ok(tokens.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub async fn keep_refresh_token(&self, token: RefreshToken) -> Result<(), StoreError> {
        self.write(move |connection| {
            let RefreshToken {
                whose,
                sealed,
                set_ms,
            } = &token;
            connection
                .prepare_cached(&format!(
                    "INSERT OR REPLACE INTO refresh_tokens ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
                ))?
                .execute(params![
                    whose.business,
                    whose.instance,
                    whose.secret,
                    whose.origin,
                    sealed.master,
                    sealed.bytes,
                    set_ms
                ])?;
            connection
                .prepare_cached(
                    "DELETE FROM refresh_tokens
                     WHERE instance = ?1 AND secret = ?2 AND origin <> ?3 AND set_ms < ?4",
                )?
                .execute(params![
                    whose.instance,
                    whose.secret,
                    whose.origin,
                    set_ms.saturating_sub(OTHERS_KEPT_MS)
                ])?;
            Ok(())
        })
        .await
    }
}

fn refresh_token(row: &Row<'_>) -> Result<RefreshToken, rusqlite::Error> {
    Ok(RefreshToken {
        whose: Whose {
            business: row.get(0)?,
            instance: row.get(1)?,
            secret: row.get(2)?,
            origin: row.get(3)?,
        },
        sealed: Sealed {
            master: row.get(4)?,
            bytes: row.get(5)?,
        },
        set_ms: row.get(6)?,
    })
}
