use duet_rules::coexistence::Sync;
use duet_rules::history::Report;
use rusqlite::OptionalExtension;

use super::history::progress;
use crate::store::connections::{self, Step};
use crate::store::{Store, StoreError, syncs};

/// How far the number has come with which an account was signed up.
#[derive(Debug, Clone)]
pub struct SignupRow {
    /// What is done next.
    pub step: Step,
    /// It could not be done last time; the connection says why.
    pub is_stuck: bool,
    /// The number, once it is known.
    pub number: Option<SignedUp>,
}

#[derive(Debug, Clone)]
pub struct SignedUp {
    pub display: Option<String>,
    pub contacts: Sync,
    pub history: Sync,
    pub came: Report,
}

impl Store {
    /// How far the number of an account has come that was connected last; `None` when none is being connected. It costs
    /// little, since a page asks for it every few seconds.
    pub async fn signup(&self, waba: String, now_ms: i64) -> Result<Option<SignupRow>, StoreError> {
        self.read(move |connection| {
            let Some(found) = connections::of(connection, &waba)? else {
                return Ok(None);
            };
            let known: Option<(String, Option<String>, bool)> = connection
                .prepare_cached(
                    "SELECT id, display, history_declined FROM numbers WHERE waba = ?1
                     ORDER BY onboarded_ms DESC, id LIMIT 1",
                )?
                .query_row([&waba], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            // Before the look-up it may be another one of the account.
            let number = match known.filter(|_| found.step != Step::LookUp) {
                Some((id, display, declined)) => {
                    let came = progress(connection, &id, declined, now_ms)?;
                    syncs::both(connection, &id, now_ms)?.map(|[contacts, history]| SignedUp {
                        display,
                        contacts: contacts.state,
                        history: history.state,
                        came,
                    })
                }
                None => None,
            };
            Ok(Some(SignupRow {
                step: found.step,
                is_stuck: found.cause.is_some(),
                number,
            }))
        })
        .await
    }
}
