//! The index of messages' words. Triggers keep it true in the transaction that writes a message; what was there before
//! the index is taken in afterwards, in slices, from the newest on.

use rusqlite::Connection;

use super::{Store, StoreError};

/// Messages of one slice: a few milliseconds of the writer's time.
const SLICE: i64 = 500;

impl Store {
    /// Takes one slice of older messages into the index; false when all are in it.
    pub async fn index_messages(&self) -> Result<bool, StoreError> {
        self.write(|connection| {
            let until: i64 = connection
                .prepare_cached("SELECT until FROM messages_unindexed")?
                .query_row([], |row| row.get(0))?;
            if until <= 0 {
                return Ok(false);
            }
            let next: i64 = connection
                .prepare_cached(
                    "SELECT coalesce(min(id), 1) FROM (SELECT id FROM messages WHERE id <= ?1 ORDER BY id DESC LIMIT ?2)",
                )?
                .query_row([until, SLICE], |row| row.get(0))?;
            connection
                .prepare_cached(
                    "INSERT INTO messages_words (rowid, text)
                     SELECT id, text FROM messages WHERE id BETWEEN ?1 AND ?2 AND text IS NOT NULL",
                )?
                .execute([next, until])?;
            set_unindexed(connection, next - 1)?;
            Ok(next > 1)
        })
        .await
    }
}

/// Writes the index anew, all of it. Where its pages begin it keeps beginnings of words, also of some that are gone:
/// after an erasure none may stay.
pub(super) fn rewrite_index(connection: &Connection) -> Result<(), rusqlite::Error> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute(
        "INSERT INTO messages_words (messages_words) VALUES ('rebuild')",
        [],
    )?;
    set_unindexed(&transaction, 0)?;
    transaction.commit()
}

fn set_unindexed(connection: &Connection, until: i64) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached("UPDATE messages_unindexed SET until = ?1")?
        .execute([until])
        .map(drop)
}
