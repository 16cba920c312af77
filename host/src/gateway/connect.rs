use duet_rules::coexistence::Kind;
use duet_rules::partner::SYNCS_COME;
use duet_rules::provider::Provider;
use duet_rules::readiness::{Verdict, worst};

use super::operations::{GatewayOperations, refused};
use crate::admin::{ConnectReport, ConnectWish, OperationError, SyncReport};
use crate::connecting::{Asked, Connecting, ask};
use crate::graph::NO_TOKEN;
use crate::store::businesses::BusinessError;

impl GatewayOperations {
    /// Begins to connect unless something stands in the way.
    pub(super) async fn connect_account(
        &self,
        wish: ConnectWish,
    ) -> Result<ConnectReport, OperationError> {
        let ConnectWish {
            waba,
            number,
            business,
            claims,
            signed_up,
            dry_run,
        } = wish;
        let of_account = self.store.business_of_account(&waba).await;
        let owner = match &business {
            Some(business) => business.clone(),
            None => of_account.map_err(refused)?.unwrap_or_default(),
        };
        let looked = self.connecting.look(&waba, number.as_deref(), &owner);
        let findings = looked.await;
        let goes = !dry_run && worst(&findings) != Verdict::Problem;
        let has_a_partner = self.connecting.has_a_partner(&owner);
        // Nothing that a partner tells proves whose an account is: without an admin's word it is given by its webhooks.
        if goes
            && !(claims && has_a_partner)
            && let Some(business) = business
        {
            let given = match claims {
                true => self.store.claim_account(waba.clone(), business).await,
                false => self.store.give_account(waba.clone(), business).await,
            };
            given.map_err(not_given)?;
        }
        // A partner connects the numbers itself: there is nothing to go on with.
        let begun = goes && !has_a_partner;
        if begun {
            let now_ms = crate::now_ms();
            let opened = self.store.open_connection(waba, number, signed_up, now_ms);
            opened.await.map_err(refused)?;
        }
        Ok(ConnectReport { findings, begun })
    }

    pub(super) async fn ask_for(
        &self,
        number: String,
        kinds: Vec<Kind>,
        again: bool,
    ) -> Result<Vec<SyncReport>, OperationError> {
        let Connecting { store, clients, .. } = &self.connecting;
        let business = store.business_of(&number).await.map_err(refused)?;
        let business = business.ok_or(OperationError::NotFound("number"))?;
        let meta = clients
            .of(&business, &number)
            .ok_or_else(|| OperationError::Refused {
                reason: NO_TOKEN.to_owned(),
                code: None,
            })?;
        if meta.provider() != Provider::Meta {
            return Err(OperationError::Refused {
                reason: SYNCS_COME.to_owned(),
                code: None,
            });
        }
        let mut reports = Vec::new();
        for kind in kinds {
            let asked = ask(store, &meta, &number, kind, again).await;
            let not_asked = match asked.map_err(refused)? {
                None => return Err(OperationError::NotFound("number")),
                Some(Asked::MustNot(reason)) => Some(reason),
                Some(Asked::Ended | Asked::Later(_)) => None,
            };
            reports.push(SyncReport { kind, not_asked });
        }
        Ok(reports)
    }
}

fn not_given(error: BusinessError) -> OperationError {
    match error {
        BusinessError::Store(error) => refused(error),
        error => OperationError::Refused {
            reason: error.to_string(),
            code: None,
        },
    }
}
