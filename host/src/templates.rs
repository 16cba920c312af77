//! Reads the templates of every account from Meta: at the start, every few hours, and when a webhook or a send
//! says that the list may have changed.
//!
//! Promises: a list that was not read to its end changes nothing.

use std::sync::Arc;
use std::time::Duration;

use duet_rules::meta_error::token_is_void;
use duet_rules::sending::Call;

use crate::effect::Wake;
use crate::graph::{Client, Clients, NO_TOKEN, NoList};
use crate::rounds::{Errand, Heard, PAUSE_MAX_MS};
use crate::store::access::RefusedToken;
use crate::store::{Store, StoreError};
use crate::telemetry::{Metrics, tell_alarms};

const EVERY_MS: i64 = 4 * 3_600_000;
const WABAS_MAX: u32 = 1000;

/// The lists that are kept.
pub struct Catalogue {
    pub store: Store,
    pub clients: Clients,
    /// Told the sends that may leave since a list was read under their token.
    pub movable: Wake,
    pub metrics: Arc<Metrics>,
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
        let business = business.unwrap_or_default();
        let Some(client) = self.clients.of_account(&business) else {
            return Ok(unlisted(waba, unheard, NO_TOKEN));
        };
        let may = self.store.may_call(&business, client.scope(), begun_ms);
        let may = may.await?;
        if let Call::Wait { .. } = may {
            return Ok(unlisted(waba, unheard, "its token is not taken now"));
        }
        match client.templates(waba).await {
            Ok(listed) => {
                if may == Call::Trial {
                    let scope = client.scope().to_owned();
                    let taken = self.store.call_taken(business, scope, crate::now_ms());
                    (self.movable)(&taken.await?);
                }
                let count = listed.len();
                let read = self.store.templates_read(waba.to_owned(), listed, begun_ms);
                read.await?;
                tracing::info!(waba, count, "the templates are read");
                Ok(Heard::Answer)
            }
            Err(NoList::Token { code, cause }) => {
                self.refused(waba, business, &client, code, &cause).await?;
                Ok(unlisted(waba, unheard, &cause))
            }
            Err(NoList::Unknown(cause)) => Ok(unlisted(waba, unheard, &cause)),
        }
    }
}

impl Catalogue {
    /// A void token holds the sends, too. One that may not read templates may still send: that is an alarm alone.
    async fn refused(
        &self,
        waba: &str,
        business: String,
        client: &Client,
        code: i64,
        cause: &str,
    ) -> Result<(), StoreError> {
        let now_ms = crate::now_ms();
        let raised = if token_is_void(code) {
            let token = RefusedToken {
                business,
                number: client.scope().to_owned(),
                scope: client.scope().to_owned(),
                set_ms: client.set_ms(),
                code,
            };
            self.store.call_refused(token, now_ms).await?.1
        } else {
            let why = cause.to_owned();
            let refused = self.store.templates_refused(waba.to_owned(), why, now_ms);
            refused.await?
        };
        tell_alarms(&self.metrics, raised.as_slice());
        Ok(())
    }
}

fn unlisted(waba: &str, unheard: u32, cause: &str) -> Heard {
    if unheard == 0 {
        tracing::warn!(waba, cause, "the templates are not listed");
    } else {
        tracing::debug!(waba, cause, "the templates are not listed");
    }
    Heard::Nothing
}
