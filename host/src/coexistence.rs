//! Asks Meta about numbers of which its webhooks leave open whether they are in the app: those that move to
//! another phone, and those that are said to be back. Their sends are held meanwhile.
//!
//! Promises: only an answer of Meta's or its lasting silence moves a number on, by the table of
//! `rules::coexistence`.

use std::time::Duration;

use duet_rules::coexistence::State;

use crate::effect::Wake;
use crate::graph::{Clients, NO_TOKEN};
use crate::rounds::{Errand, Heard};
use crate::store::{Store, StoreError};

/// Numbers that are asked about side by side; further ones wait until one of these is settled.
const NUMBERS_MAX: u32 = 1000;
/// So many questions in a row without a verdict, and the webhooks alone count.
const SILENT_MAX: u32 = 3;

/// The questions that are open.
pub struct Enquiry {
    pub store: Store,
    pub clients: Clients,
    /// Told the rows that may leave again.
    pub movable: Wake,
}

impl Errand for Enquiry {
    const WHAT: &'static str = "numbers of which it is open whether they are in the app";
    const REST: Duration = Duration::ZERO;

    async fn open(&self) -> Result<Vec<String>, StoreError> {
        self.store.open_numbers(NUMBERS_MAX).await
    }

    async fn ask(&self, number: &str, unheard: u32) -> Result<Heard, StoreError> {
        let business = self.store.business_of(number).await?.unwrap_or_default();
        // Whole seconds, as Meta's words have them: one of the same second may be newer than the answer.
        let asked_ms = crate::now_ms();
        let asked_ms = asked_ms - asked_ms.rem_euclid(1000);
        let told = match self.clients.of(&business, number) {
            Some(client) => client.is_on_biz_app(number).await,
            None => Err(NO_TOKEN.to_owned()),
        };
        let verdict = match told {
            Ok(on_app) => Some(on_app),
            Err(cause) => {
                tracing::warn!(
                    number,
                    cause,
                    "Meta does not say whether the number is in the app"
                );
                if unheard + 1 < SILENT_MAX {
                    return Ok(Heard::Nothing);
                }
                None
            }
        };
        let now_ms = crate::now_ms();
        let moved = self
            .store
            .number_on_app(number.to_owned(), verdict, asked_ms, now_ms);
        if let Some((state, freed)) = moved.await? {
            (self.movable)(&freed);
            if state == State::Live {
                tracing::info!(
                    number,
                    freed = freed.len(),
                    "the number is back; held sends go on"
                );
            }
        }
        Ok(verdict.map_or(Heard::Nothing, |_| Heard::Answer))
    }
}
