//! An instance's own keys and values. Writes arrive as effects and commit with their event; what a run has
//! read is compared again at the commit, so that the run stands only if it still holds.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError};
use crate::effect::Reads;

impl Store {
    /// The value of a key, unless it has expired.
    pub async fn kv_get(
        &self,
        instance: &str,
        key: &str,
        now_ms: i64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.peek(|connection| get(connection, instance, key, now_ms))
    }

    /// Keys that start with `prefix`, after `after`, in order, at most `limit`.
    pub async fn kv_list(
        &self,
        instance: String,
        prefix: String,
        after: Option<String>,
        limit: usize,
        now_ms: i64,
    ) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| {
            list(
                connection,
                &instance,
                &prefix,
                after.as_deref(),
                limit,
                now_ms,
            )
        })
        .await
    }
}

fn get(
    connection: &Connection,
    instance: &str,
    key: &str,
    now_ms: i64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let stored = connection
        .prepare_cached(
            "SELECT value FROM kv WHERE instance = ?1 AND key = ?2
             AND (expires_ms IS NULL OR expires_ms > ?3)",
        )?
        .query_row(params![instance, key, now_ms], |row| row.get(0))
        .optional()?;
    Ok(stored)
}

fn list(
    connection: &Connection,
    instance: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    now_ms: i64,
) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT key FROM kv WHERE instance = ?1 AND key >= ?2 AND key <> ?3 AND key < coalesce(?4, x'')
         AND (expires_ms IS NULL OR expires_ms > ?5) ORDER BY key LIMIT ?6",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let after = after.unwrap_or_default();
    let from = prefix.max(after);
    // Text is less than any blob.
    let wanted = params![instance, from, after, behind(prefix), now_ms, limit];
    let keys = statement
        .query_map(wanted, |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(keys)
}

/// The first text behind all that begin with `prefix`, in SQLite's order; nothing if there is none.
fn behind(prefix: &str) -> Option<String> {
    let mut rest = prefix.to_owned();
    while let Some(last) = rest.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            rest.push(next);
            return Some(rest);
        }
    }
    None
}

/// Whether everything that a run has read is still so.
pub(super) fn unchanged(
    connection: &Connection,
    instance: &str,
    reads: &Reads,
    now_ms: i64,
) -> Result<bool, StoreError> {
    if reads.torn {
        return Ok(false);
    }
    for (key, seen) in &reads.keys {
        if Reads::seen(get(connection, instance, key, now_ms)?.as_deref()) != *seen {
            return Ok(false);
        }
    }
    for read in &reads.lists {
        let after = read.after.as_deref();
        if list(
            connection,
            instance,
            &read.prefix,
            after,
            read.limit,
            now_ms,
        )? != read.keys
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What an instance's store may hold at most.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Of keys and values together.
    pub bytes_max: u64,
    pub keys_max: u64,
}

/// Refuses what has grown beyond the grant.
pub(super) fn within(
    connection: &Connection,
    instance: &str,
    bounds: Bounds,
) -> Result<(), StoreError> {
    let (keys, bytes): (i64, i64) = connection
        .prepare_cached("SELECT keys, bytes FROM kv_usage WHERE instance = ?1")?
        .query_row([instance], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or_default();
    let over = |held: i64, max: u64| u64::try_from(held).is_ok_and(|held| held > max);
    if over(keys, bounds.keys_max) {
        return Err(StoreError::Bound {
            limit: "store.keys_max",
            held: keys,
            max: bounds.keys_max,
        });
    }
    if over(bytes, bounds.bytes_max) {
        return Err(StoreError::Bound {
            limit: "store.bytes_max",
            held: bytes,
            max: bounds.bytes_max,
        });
    }
    Ok(())
}

pub(super) fn set(
    connection: &Connection,
    instance: &str,
    key: &str,
    value: &[u8],
    expires_ms: Option<i64>,
    contact: Option<i64>,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO kv (instance, key, value, expires_ms, contact) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (instance, key) DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms, contact = coalesce(excluded.contact, contact)",
        )?
        .execute(params![instance, key, value, expires_ms, contact])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, instance: &str, key: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM kv WHERE instance = ?1 AND key = ?2")?
        .execute(params![instance, key])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn behind_a_prefix_is_the_next_text_of_its_length_or_shorter() {
        let cases = [
            ("", None),
            ("a", Some("b")),
            ("ab/", Some("ab0")),
            ("z\u{7f}", Some("z\u{80}")),
            ("a\u{d7ff}", Some("a\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
        ];
        for (prefix, end) in cases {
            assert_eq!(behind(prefix).as_deref(), end, "{prefix:?}");
        }
    }
}
