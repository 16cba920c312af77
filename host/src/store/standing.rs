//! What Meta says of a number's quality and of an account. The newer word counts, by Meta's time.

use duet_rules::sending::{AccountWord, Cause};
use rusqlite::{Connection, params};

use super::StoreError;
use super::outbox::{Whose, free};

/// A number's quality. The answer is the outbox rows that were held for it and may leave now.
pub(super) fn quality(
    connection: &Connection,
    number: &str,
    flagged: bool,
    at_ms: i64,
    now_ms: i64,
) -> Result<Vec<i64>, StoreError> {
    let changed = connection
        .prepare_cached(
            "UPDATE numbers SET flagged = ?2, flagged_ms = ?3 WHERE id = ?1 AND flagged_ms <= ?3",
        )?
        .execute(params![number, flagged, at_ms])?;
    if flagged || changed == 0 {
        return Ok(Vec::new());
    }
    free(
        connection,
        Whose::Number(number),
        &[Cause::QualityLow],
        now_ms,
    )
}

/// A word about an account.
pub(super) fn account(
    connection: &Connection,
    waba: &str,
    word: AccountWord,
    at_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO accounts (waba) VALUES (?1)")?
        .execute([waba])?;
    match word {
        AccountWord::Locked | AccountWord::Reinstated => {
            connection
                .prepare_cached("UPDATE accounts SET locked = ?2, locked_ms = ?3 WHERE waba = ?1 AND locked_ms <= ?3")?
                .execute(params![waba, word == AccountWord::Locked, at_ms])?;
        }
        AccountWord::Restricted { until_ms } => {
            connection
                .prepare_cached(
                    "UPDATE accounts SET restricted_until_ms = ?2, restricted_ms = ?3
                     WHERE waba = ?1 AND restricted_ms <= ?3",
                )?
                .execute(params![waba, until_ms, at_ms])?;
        }
        AccountWord::Warned => {}
    }
    Ok(())
}
