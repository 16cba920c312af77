//! What the partner of a business shows with its webhooks: one secret, and for a while the one before it, so that a new one
//! can be set at the partner without losing a webhook.

use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use duet_rules::partner::PREVIOUS_MS;
use duet_rules::provider::Provider;

use super::{Access, AccessError, Keyring};
use crate::config::Secret;
use crate::store::businesses::BusinessError;

#[derive(Debug, Clone, Default)]
pub(super) struct WebhookSecrets {
    pub(super) current: Option<Secret>,
    /// The one before, and when another one was set in its place.
    pub(super) before: Option<(Secret, i64)>,
}

impl Keyring {
    /// What counts now; nothing when the business has no partner.
    pub fn webhook_secrets(&self, business: &str) -> Vec<Secret> {
        let WebhookSecrets { current, before } = self.kept(business);
        let since_ms = crate::now_ms().saturating_sub(PREVIOUS_MS);
        let before = before.filter(|(_, set_ms)| *set_ms > since_ms);
        let before = before.map(|(secret, _)| secret);
        current.into_iter().chain(before).collect()
    }

    /// Makes another one for a business that is at a partner.
    pub async fn renew_webhook_secret(&self, business: &str) -> Result<Secret, AccessError> {
        if !self.store.has_business(business.to_owned()).await? {
            return Err(BusinessError::Unknown(business.to_owned()).into());
        }
        if self.route(business).await?.provider == Provider::Meta {
            return Err(AccessError::NoPartner);
        }
        let mut bytes = [0; 32];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
            .map_err(|_| AccessError::NoChance)?;
        let secret = Secret::new(URL_SAFE_NO_PAD.encode(bytes));
        let access = Access {
            webhook: Some(secret.clone()),
            ..Access::default()
        };
        self.set(business, access).await?;
        Ok(secret)
    }

    /// The one that `new` takes the place of.
    pub(super) fn webhook_before(&self, business: &str, new: &Secret) -> Option<Secret> {
        self.kept(business).current.filter(|old| old != new)
    }

    fn kept(&self, business: &str) -> WebhookSecrets {
        let webhooks = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        webhooks.get(business).cloned().unwrap_or_default()
    }
}
