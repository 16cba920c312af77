//! Whether the API takes a business's token. What it does not take holds the sends of that business, or of the one
//! number that it is about, and of nobody else; a send that succeeds and a new token free them.

use duet_rules::business::OWN;
use duet_rules::meta_error;
use duet_rules::sending::{Access, Cause};
use rusqlite::{Connection, OptionalExtension, params};

use super::alarms::{self, Alarm};
use super::calls;
use super::conversations::Conversation;
use super::outbox::{Whose, free};
use super::secrets::Purpose;
use super::{Store, StoreError};

/// A token that the API has refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedToken {
    pub business: String,
    pub number: String,
    /// The number that the token is for, `""` when it is for all of the business.
    pub scope: String,
    /// When it was set, ms since 1970: another one that was set meanwhile is not to blame.
    pub set_ms: i64,
    /// Meta's code.
    pub code: i64,
}

/// A token that the process cannot use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    pub business: String,
    pub number: String,
    pub cause: Cause,
}

impl Store {
    /// A send was refused for its token: it goes back into the outbox, uncounted, and waits with all others that the
    /// token is for. The answer is the alarm, if it is a new one.
    pub async fn token_refused(
        &self,
        id: i64,
        token: RefusedToken,
        now_ms: i64,
    ) -> Result<Option<Alarm>, StoreError> {
        self.write(move |connection| refused(connection, id, &token, now_ms))
            .await
    }

    /// For the start: which tokens cannot be used now. All others are tried, refused ones too.
    pub async fn tokens_opened(
        &self,
        unusable: Vec<Unusable>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection.execute("DELETE FROM refusals WHERE cause <> 'token-refused'", [])?;
            connection.execute("UPDATE refusals SET next_ms = ?1", [now_ms])?;
            for Unusable {
                business,
                number,
                cause,
            } in &unusable
            {
                connection.execute(
                    "INSERT OR REPLACE INTO refusals VALUES (?1, ?2, ?3, NULL, ?4, ?4)",
                    params![business, number, cause.as_str(), now_ms],
                )?;
            }
            // The states are all named so that the index of open rows serves.
            connection.execute(
                "UPDATE outbox SET next_ms = ?1 WHERE state IN ('pending', 'sending', 'unknown') AND state = 'pending'
                 AND next_ms > ?1 AND cause IN ('token-missing', 'token-sealed', 'token-refused')",
                [now_ms],
            )?;
            Ok(())
        })
        .await
    }
}

/// What is known of a number's token.
pub(super) fn access(
    connection: &Connection,
    business: &str,
    number: &str,
) -> Result<Access, StoreError> {
    let held: Option<(String, i64)> = connection
        .prepare_cached(
            "SELECT cause, next_ms FROM refusals WHERE business = ?1 AND number IN ('', ?2) ORDER BY next_ms DESC LIMIT 1",
        )?
        .query_row([business, number], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match held {
        Some((cause, _)) if cause == Cause::TokenSealed.as_str() => Access::Sealed,
        Some((cause, _)) if cause == Cause::TokenMissing.as_str() => Access::Missing,
        Some((_, next_ms)) => Access::Refused { next_ms },
        None if business == OWN => Access::Open,
        None if set_ms(connection, business, number)?.is_none() => Access::Missing,
        None => Access::Open,
    })
}

/// When the token was set that is for this number, or for all of its business.
fn set_ms(
    connection: &Connection,
    business: &str,
    number: &str,
) -> Result<Option<i64>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT set_ms FROM secrets WHERE business = ?1 AND purpose = ?2 AND number IN ('', ?3)
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row(params![business, Purpose::Access.as_str(), number], |row| {
            row.get(0)
        })
        .optional()?)
}

/// A send is about to try the token: while it is refused, the next one comes later.
pub(super) fn tried(
    connection: &Connection,
    conversation: &Conversation,
    now_ms: i64,
) -> Result<(), StoreError> {
    if let Access::Refused { .. } = conversation.access {
        let (business, number) = (&conversation.business, &conversation.number);
        postpone(connection, business, number, now_ms)?;
    }
    Ok(())
}

pub(super) fn postpone(
    connection: &Connection,
    business: &str,
    number: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let mut refusals = connection.prepare_cached(
        "SELECT number, since_ms FROM refusals WHERE business = ?1 AND number IN ('', ?2)",
    )?;
    let rows = refusals.query_map([business, number], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows: Vec<(String, i64)> = rows.collect::<Result<_, _>>()?;
    for (scope, since_ms) in rows {
        connection
            .prepare_cached("UPDATE refusals SET next_ms = ?3 WHERE business = ?1 AND number = ?2")?
            .execute(params![business, scope, Access::retry_ms(since_ms, now_ms)])?;
    }
    Ok(())
}

/// The send `id`, or the upload for it, was refused for its token.
pub(super) fn refused(
    connection: &Connection,
    id: i64,
    token: &RefusedToken,
    now_ms: i64,
) -> Result<Option<Alarm>, StoreError> {
    let (next_ms, alarm) = hold(connection, token, now_ms)?;
    connection
        .prepare_cached(
            "UPDATE outbox SET state = 'pending', attempt = attempt - 1, next_ms = ?2, code = ?3, cause = ?4
             WHERE id = ?1 AND state = 'sending'",
        )?
        .execute(params![id, next_ms, token.code, Cause::TokenRefused.as_str()])?;
    Ok(alarm)
}

/// Holds what the token is for, unless another one was set meanwhile. The answer is when one may try it again, and the
/// alarm, if it is a new one.
pub(super) fn hold(
    connection: &Connection,
    token: &RefusedToken,
    now_ms: i64,
) -> Result<(i64, Option<Alarm>), StoreError> {
    let current = set_ms(connection, &token.business, &token.number)?.unwrap_or(0);
    let mut next_ms = now_ms;
    let mut alarm = None;
    if current == token.set_ms {
        next_ms = Access::retry_ms(now_ms, now_ms);
        // A token that is void is so for all its numbers; one without a permission may have it for others.
        let scope = match meta_error::token_is_void(token.code) {
            true => &token.scope,
            false => &token.number,
        };
        connection
            .prepare_cached(
                "INSERT INTO refusals VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (business, number) DO UPDATE SET code = excluded.code",
            )?
            .execute(params![
                token.business,
                scope,
                Cause::TokenRefused.as_str(),
                token.code,
                now_ms,
                next_ms
            ])?;
        if let Some(number) = told_by(connection, token)? {
            alarm = tell(connection, &number, Cause::TokenRefused, now_ms)?;
        }
    }
    Ok((next_ms, alarm))
}

/// The number that the alarm stands at: a call may be about none.
fn told_by(connection: &Connection, token: &RefusedToken) -> Result<Option<String>, StoreError> {
    if !token.number.is_empty() {
        return Ok(Some(token.number.clone()));
    }
    Ok(connection
        .prepare_cached("SELECT min(id) FROM numbers WHERE business = ?1")?
        .query_row([&token.business], |row| row.get(0))?)
}

/// Raises the alarm about the token of a number's business, unless one of its numbers has it already.
pub(super) fn tell(
    connection: &Connection,
    number: &str,
    cause: Cause,
    now_ms: i64,
) -> Result<Option<Alarm>, StoreError> {
    let open: Option<String> = connection
        .prepare_cached(
            "SELECT a.number FROM alarms a JOIN numbers n ON n.id = a.number JOIN numbers m ON m.business = n.business
             WHERE a.name = ?1 AND a.acknowledged_ms IS NULL AND m.id = ?2 LIMIT 1",
        )?
        .query_row([alarms::TOKEN_REFUSED, number], |row| row.get(0))
        .optional()?;
    let number = open.unwrap_or_else(|| number.to_owned());
    let detail = format!("sends wait: {}", cause.detail());
    let alarm = Alarm::new(alarms::TOKEN_REFUSED, Some(number), detail);
    Ok(alarms::raise(connection, &alarm, now_ms)?.then_some(alarm))
}

/// A send was taken, and so was its token: the answer is the rows that were held for it.
pub(super) fn taken(connection: &Connection, id: i64, now_ms: i64) -> Result<Vec<i64>, StoreError> {
    let of: Option<(String, String)> = connection
        .prepare_cached(
            "SELECT n.business, n.id FROM outbox o JOIN conversations c ON c.id = o.conversation
             JOIN numbers n ON n.id = c.number WHERE o.id = ?1
             AND EXISTS (SELECT 1 FROM refusals r WHERE r.business = n.business AND r.number IN ('', n.id))",
        )?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match of {
        Some((business, number)) => open(connection, &business, &number, now_ms),
        None => Ok(Vec::new()),
    }
}

/// The token of a number is taken: the answer is the rows that were held for it.
pub(super) fn open(
    connection: &Connection,
    business: &str,
    number: &str,
    now_ms: i64,
) -> Result<Vec<i64>, StoreError> {
    connection
        .prepare_cached("DELETE FROM refusals WHERE business = ?1 AND number IN ('', ?2)")?
        .execute([business, number])?;
    release(connection, business, now_ms)
}

/// The sends of a business may try its tokens; what is still refused holds them again.
pub(super) fn release(
    connection: &Connection,
    business: &str,
    now_ms: i64,
) -> Result<Vec<i64>, StoreError> {
    let mut numbers = connection.prepare_cached("SELECT id FROM numbers WHERE business = ?1")?;
    let numbers = numbers.query_map([business], |row| row.get(0))?;
    let numbers: Vec<String> = numbers.collect::<Result<_, _>>()?;
    for number in &numbers {
        if access(connection, business, number)? == Access::Open {
            alarms::settle(connection, &[alarms::TOKEN_REFUSED], number, now_ms)?;
        }
    }
    calls::release_files(connection, business, now_ms)?;
    free(
        connection,
        Whose::Business(business),
        &Cause::OF_TOKENS,
        now_ms,
    )
}
