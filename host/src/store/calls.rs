//! Calls beside the sends that go under the same tokens: files and lists of templates. A token that the API does not take
//! for one of them holds sends and calls alike, and is tried again by one of either at a time.

use duet_rules::sending::Call;
use rusqlite::{Connection, params};

use super::access::{self, RefusedToken};
use super::alarms::{self, Alarm};
use super::{Store, StoreError};

/// The cause of a file that waits for its token.
pub const WAITS_FOR_TOKEN: &str = "token-refused";

impl Store {
    /// Whether a call under the token of this number may be made now, `""` when it is about no number. One that may is
    /// the only one for a while if the token is refused.
    pub async fn may_call(
        &self,
        business: &str,
        number: &str,
        now_ms: i64,
    ) -> Result<Call, StoreError> {
        let look = |connection: &Connection| {
            Ok(access::access(connection, business, number)?.call(now_ms))
        };
        if let call @ (Call::Free | Call::Wait { .. }) = self.peek(look)? {
            return Ok(call);
        }
        let (business, number) = (business.to_owned(), number.to_owned());
        self.write(move |connection| {
            // Another one may have taken the try meanwhile.
            let call = access::access(connection, &business, &number)?.call(now_ms);
            if call == Call::Trial {
                access::postpone(connection, &business, &number, now_ms)?;
            }
            Ok(call)
        })
        .await
    }

    /// The API has refused a call for its token. The answer is when the next one may try it, and the alarm, if it is a
    /// new one.
    pub async fn call_refused(
        &self,
        token: RefusedToken,
        now_ms: i64,
    ) -> Result<(i64, Option<Alarm>), StoreError> {
        self.write(move |connection| access::hold(connection, &token, now_ms))
            .await
    }

    /// A call under a refused token was answered: the token is taken again. The answer is the outbox rows that were held
    /// for it.
    pub async fn call_taken(
        &self,
        business: String,
        number: String,
        now_ms: i64,
    ) -> Result<Vec<i64>, StoreError> {
        self.write(move |connection| access::open(connection, &business, &number, now_ms))
            .await
    }

    /// The token of an account may not read its templates, which says nothing of its sends: an alarm, unless it is open.
    pub async fn templates_refused(
        &self,
        waba: String,
        why: String,
        now_ms: i64,
    ) -> Result<Option<Alarm>, StoreError> {
        self.write(move |connection| {
            let number = super::numbers::meant(connection, Some(&waba), None, None)?
                .into_iter()
                .next();
            let detail = format!("the templates of an account cannot be read: {why}");
            let alarm = Alarm::new(alarms::TEMPLATES_REFUSED, number, detail);
            Ok(alarms::raise(connection, &alarm, now_ms)?.then_some(alarm))
        })
        .await
    }
}

/// The files of a business that wait for its token are due.
pub(super) fn release_files(
    connection: &Connection,
    business: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE media SET next_ms = ?2 WHERE state = 'remote' AND history IN (0, 1)
             AND number IN (SELECT id FROM numbers WHERE business = ?1) AND next_ms > ?2 AND cause = ?3",
        )?
        .execute(params![business, now_ms, WAITS_FOR_TOKEN])?;
    Ok(())
}
