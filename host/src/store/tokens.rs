//! The admin API's bearer tokens. Only their SHA-256 is kept: a token cannot be read back.

use rusqlite::{OptionalExtension, Row, params};

use super::views::Page;
use super::{Store, StoreError, businesses};

#[derive(Debug, Clone)]
pub struct TokenRow {
    pub id: i64,
    pub name: String,
    /// Space-separated.
    pub scopes: String,
    /// Whose things it sees; all, when absent.
    pub business: Option<String>,
    pub created_ms: i64,
    /// Never, when absent.
    pub expires_ms: Option<i64>,
    /// Within a minute.
    pub last_used_ms: Option<i64>,
}

const COLUMNS: &str = "id, name, scopes, created_ms, expires_ms, last_used_ms, business";
/// Uses closer together than this are not written down.
const LAST_USED_STEP_MS: i64 = 60_000;

impl Store {
    /// Makes a token; `None` when there is no such business.
    pub async fn create_token(
        &self,
        name: String,
        hash: [u8; 32],
        scopes: String,
        business: Option<String>,
        now_ms: i64,
        expires_ms: Option<i64>,
    ) -> Result<Option<TokenRow>, StoreError> {
        self.write(move |connection| {
            if !businesses::is_known(connection, business.as_deref().unwrap_or_default())? {
                return Ok(None);
            }
            let id = connection
                .prepare_cached(
                    "INSERT INTO tokens (name, hash, scopes, created_ms, expires_ms, business) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .insert(params![name, hash, scopes, now_ms, expires_ms, business])?;
            Ok(Some(TokenRow { id, name, scopes, business, created_ms: now_ms, expires_ms, last_used_ms: None }))
        })
        .await
    }

    /// The token with this hash, unless it has expired by `now_ms`.
    pub async fn token_by_hash(
        &self,
        hash: [u8; 32],
        now_ms: i64,
    ) -> Result<Option<TokenRow>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM tokens WHERE hash = ?1 AND coalesce(expires_ms > ?2, 1)"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement
                .query_row(params![hash, now_ms], token)
                .optional()?)
        })
        .await
    }

    /// Remembers that a token was used, at most once a minute.
    pub async fn touch_token(&self, id: i64, now_ms: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE tokens SET last_used_ms = ?2 WHERE id = ?1 AND coalesce(last_used_ms < ?2 - ?3, 1)",
                )?
                .execute(params![id, now_ms, LAST_USED_STEP_MS])?;
            Ok(())
        })
        .await
    }

    pub async fn tokens(&self, page: Page) -> Result<Vec<TokenRow>, StoreError> {
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM tokens WHERE id > ?1 ORDER BY id LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![page.after, page.limit], token)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// False when there is no such token.
    pub async fn revoke_token(&self, id: i64) -> Result<bool, StoreError> {
        self.write(move |connection| {
            Ok(connection
                .prepare_cached("DELETE FROM tokens WHERE id = ?1")?
                .execute([id])?
                > 0)
        })
        .await
    }
}

impl TokenRow {
    /// Whether the use at `now_ms` is worth a write.
    pub fn stale(&self, now_ms: i64) -> bool {
        self.last_used_ms
            .is_none_or(|used| used < now_ms.saturating_sub(LAST_USED_STEP_MS))
    }
}

fn token(row: &Row<'_>) -> Result<TokenRow, rusqlite::Error> {
    Ok(TokenRow {
        id: row.get(0)?,
        name: row.get(1)?,
        scopes: row.get(2)?,
        created_ms: row.get(3)?,
        expires_ms: row.get(4)?,
        last_used_ms: row.get(5)?,
        business: row.get(6)?,
    })
}
