//! What Meta says of a number's quality and of an account. The newer word counts, by Meta's time.

use duet_rules::sending::{AccountWord, Cause, Standing};
use rusqlite::{Connection, Row, params};

use super::StoreError;
use super::alarms::ACCOUNT_ALERT_CRITICAL;
use super::outbox::{Whose, free};

/// Of the number `n` and its account `a`; `?2` is [`ACCOUNT_ALERT_CRITICAL`].
pub(super) const COLUMNS: &str =
    "n.flagged, coalesce(a.locked, 0), coalesce(a.restricted_until_ms, 0),
    EXISTS (SELECT 1 FROM alarms l WHERE l.name = ?2 AND coalesce(l.number, '') = n.id
        AND coalesce(l.contact, 0) = 0 AND l.acknowledged_ms IS NULL)";

/// [`COLUMNS`], of which the first stands at `first`.
pub(super) fn read(row: &Row<'_>, first: usize) -> Result<Standing, rusqlite::Error> {
    Ok(Standing {
        flagged: row.get(first)?,
        locked: row.get(first + 1)?,
        restricted_until_ms: row.get(first + 2)?,
        alerted: row.get(first + 3)?,
    })
}

/// What Meta has said last of a number that is known, and of its account.
pub(super) fn of_number(connection: &Connection, number: &str) -> Result<Standing, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM numbers n LEFT JOIN accounts a ON a.waba = n.waba WHERE n.id = ?1"
    );
    Ok(connection
        .prepare_cached(&sql)?
        .query_row(params![number, ACCOUNT_ALERT_CRITICAL], |row| read(row, 0))?)
}

/// A number's quality. The answer is the outbox rows that were held for it and may leave now; none at all for a word that
/// is older than one before it.
pub(super) fn quality(
    connection: &Connection,
    number: &str,
    flagged: bool,
    at_ms: i64,
    now_ms: i64,
) -> Result<Option<Vec<i64>>, StoreError> {
    let changed = connection
        .prepare_cached(
            "UPDATE numbers SET flagged = ?2, flagged_ms = ?3 WHERE id = ?1 AND flagged_ms <= ?3",
        )?
        .execute(params![number, flagged, at_ms])?;
    if changed == 0 {
        return Ok(None);
    }
    if flagged {
        return Ok(Some(Vec::new()));
    }
    let held = [Cause::QualityLow];
    free(connection, Whose::Number(number), &held, now_ms).map(Some)
}

/// Meta's alerts about a number were over at that time.
pub(super) fn alerts_over(
    connection: &Connection,
    number: &str,
    at_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE numbers SET alerts_over_ms = max(alerts_over_ms, ?2) WHERE id = ?1",
        )?
        .execute(params![number, at_ms])?;
    Ok(())
}

/// Whether an alert of that time was not over when Meta last said so of the number.
pub(super) fn alert_counts(
    connection: &Connection,
    number: &str,
    at_ms: i64,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT alerts_over_ms <= ?2 FROM numbers WHERE id = ?1")?
        .query_row(params![number, at_ms], |row| row.get(0))?)
}

/// Whether an account may not begin conversations now.
pub(super) fn is_barred(
    connection: &Connection,
    waba: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT locked OR restricted_until_ms > ?2 FROM accounts WHERE waba = ?1")?
        .query_row(params![waba, now_ms], |row| row.get(0))?)
}

/// A word about an account. False when it is older than one before it.
pub(super) fn account(
    connection: &Connection,
    waba: &str,
    word: AccountWord,
    at_ms: i64,
) -> Result<bool, StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO accounts (waba) VALUES (?1)")?
        .execute([waba])?;
    let changed = match word {
        AccountWord::Locked | AccountWord::Reinstated => connection
            .prepare_cached(
                "UPDATE accounts SET locked = ?2, locked_ms = ?3 WHERE waba = ?1 AND locked_ms <= ?3",
            )?
            .execute(params![waba, word == AccountWord::Locked, at_ms])?,
        AccountWord::Restricted { until_ms } => connection
            .prepare_cached(
                "UPDATE accounts SET restricted_until_ms = ?2, restricted_ms = ?3
                 WHERE waba = ?1 AND restricted_ms <= ?3",
            )?
            .execute(params![waba, until_ms, at_ms])?,
        AccountWord::Warned => return Ok(true),
    };
    Ok(changed > 0)
}
