//! The customers to whom an account has begun conversations, counted as Meta counts them: over all accounts of a
//! portfolio. A customer to whom two of them wrote first counts twice, so that a send rather waits than fails.

use duet_rules::sending::{Cause, OPENED_MS, Openings, Verdict};
use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use super::outbox::{Whose, free};

/// The accounts that share one limit with the account ?1, itself among them.
const PORTFOLIO: &str = "WITH portfolio (waba) AS (SELECT ?1 UNION SELECT b.waba FROM accounts a
    JOIN accounts b ON b.portfolio = a.portfolio WHERE a.waba = ?1)";

/// Meta has told whose account it is (`owner_business_id`).
pub(super) fn belongs(connection: &Connection, waba: &str, owner: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO accounts (waba, portfolio) VALUES (?1, ?2)
             ON CONFLICT (waba) DO UPDATE SET portfolio = excluded.portfolio",
        )?
        .execute([waba, owner])?;
    Ok(())
}

/// Whether one more customer may be written to first: the send `row` into a conversation of this account.
pub(super) fn judge(
    connection: &Connection,
    waba: &str,
    contact: i64,
    row: i64,
    now_ms: i64,
) -> Result<Option<Verdict>, StoreError> {
    forget(connection, waba, now_ms)?;
    let openings = connection
        .prepare_cached(&format!(
            "{PORTFOLIO}
             SELECT (SELECT openings_max FROM accounts WHERE waba IN portfolio ORDER BY openings_max_ms DESC LIMIT 1),
             (SELECT sum(openings) FROM accounts WHERE waba IN portfolio),
             coalesce((SELECT min((SELECT min(o.at_ms) FROM openings o WHERE o.waba = p.waba)) FROM portfolio p), ?3)
             WHERE EXISTS (SELECT 1 FROM accounts WHERE waba = ?1)
             AND NOT EXISTS (SELECT 1 FROM openings o WHERE o.waba IN portfolio AND o.contact =
                 (SELECT coalesce(same_as, id) FROM contacts WHERE id = ?2))"
        ))?
        .query_row(params![waba, contact, now_ms], |row| {
            Ok(Openings {
                max: row.get(0)?,
                count: row.get(1)?,
                oldest_ms: row.get(2)?,
            })
        })
        .optional()?;
    Ok(openings.and_then(|openings| openings.judge(row)))
}

/// A template that begins a conversation leaves.
pub(super) fn opened(
    connection: &Connection,
    waba: &str,
    contact: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    forget(connection, waba, now_ms)?;
    connection
        .prepare_cached(
            "INSERT INTO openings (waba, contact, at_ms) SELECT ?1, coalesce(same_as, id), ?3 FROM contacts WHERE id = ?2
             ON CONFLICT (waba, contact) DO UPDATE SET at_ms = excluded.at_ms",
        )?
        .execute(params![waba, contact, now_ms])?;
    Ok(())
}

/// Meta's limit, `None` for none. The answer is the outbox rows that were held for it: they are judged anew.
pub(super) fn limit(
    connection: &Connection,
    waba: &str,
    max: Option<i64>,
    at_ms: i64,
    now_ms: i64,
) -> Result<Vec<i64>, StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO accounts (waba, openings_max, openings_max_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT (waba) DO UPDATE SET openings_max = excluded.openings_max,
             openings_max_ms = excluded.openings_max_ms WHERE openings_max_ms <= excluded.openings_max_ms",
        )?
        .execute(params![waba, max, at_ms])?;
    let mut portfolio =
        connection.prepare_cached(&format!("{PORTFOLIO} SELECT waba FROM portfolio"))?;
    let accounts = portfolio.query_map([waba], |row| row.get(0))?;
    let accounts: Vec<String> = accounts.collect::<Result<_, _>>()?;
    let mut freed = Vec::new();
    for waba in &accounts {
        freed.extend(free(
            connection,
            Whose::Waba(waba),
            &[Cause::PortfolioLimit],
            now_ms,
        )?);
    }
    Ok(freed)
}

fn forget(connection: &Connection, waba: &str, now_ms: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(&format!(
            "{PORTFOLIO} DELETE FROM openings WHERE waba IN portfolio AND at_ms <= ?2"
        ))?
        .execute(params![waba, now_ms.saturating_sub(OPENED_MS)])?;
    Ok(())
}

/// Those of all accounts that Meta counts no longer.
pub(super) fn forget_all(connection: &Connection, now_ms: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM openings WHERE at_ms <= ?1")?
        .execute([now_ms.saturating_sub(OPENED_MS)])?;
    Ok(())
}
