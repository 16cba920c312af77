//! Reads the templates of every account from Meta: at the start, every few hours, and when a webhook or a send
//! says that the list may have changed.
//!
//! Promises: a list that was not read to its end changes nothing.

use std::time::Duration;

use crate::graph::{Clients, NO_TOKEN};
use crate::rounds::{Errand, Heard, PAUSE_MAX_MS};
use crate::store::{Store, StoreError};

const EVERY_MS: i64 = 4 * 3_600_000;
const WABAS_MAX: u32 = 1000;

/// The lists that are kept.
pub struct Catalogue {
    pub store: Store,
    pub clients: Clients,
}

impl Errand for Catalogue {
    const WHAT: &'static str = "the lists of templates";
    /// A template that nobody has made may be wanted for ever, and Meta allows 200 calls an hour.
    const REST: Duration = Duration::from_millis(PAUSE_MAX_MS);

    async fn open(&self) -> Result<Vec<String>, StoreError> {
        let before_ms = crate::now_ms().saturating_sub(EVERY_MS);
        self.store.wabas_to_read(before_ms, WABAS_MAX).await
    }

    async fn ask(&self, waba: &str, unheard: u32) -> Result<Heard, StoreError> {
        let begun_ms = crate::now_ms();
        let business = self.store.business_of_account(waba).await?;
        let listed = match self.clients.of_account(&business.unwrap_or_default()) {
            Some(client) => client.templates(waba).await,
            None => Err(NO_TOKEN.to_owned()),
        };
        match listed {
            Ok(listed) => {
                let count = listed.len();
                let read = self.store.templates_read(waba.to_owned(), listed, begun_ms);
                read.await?;
                tracing::info!(waba, count, "the templates are read");
                Ok(Heard::Answer)
            }
            Err(cause) => {
                if unheard == 0 {
                    tracing::warn!(waba, cause, "Meta does not list the templates");
                } else {
                    tracing::debug!(waba, cause, "Meta does not list the templates");
                }
                Ok(Heard::Nothing)
            }
        }
    }
}
