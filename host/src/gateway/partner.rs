use duet_rules::partner::{AUTHORIZATION, WEBHOOK_PATH, authorization};

use super::operations::{GatewayOperations, not_set};
use crate::admin::{OperationError, PartnerWebhook, SetThere};
use crate::config::Secret;

/// What no documented call of the partner's does for a business.
const OF_ACCOUNT: &str = "contacts and history come to the webhook address of the 360dialog partner account, not of the number: enter the same address and header there, in the Partner Hub, before the business signs up. Where one partner account serves several businesses, what that address gets about the others is kept apart and not taken in";

impl GatewayOperations {
    /// Makes a webhook secret and sets it at the partner, number by number, if it is told where this gateway is.
    pub(super) async fn renew_partner_webhook(
        &self,
        business: String,
        address: Option<String>,
    ) -> Result<PartnerWebhook, OperationError> {
        let renewed = self.keyring.renew_webhook_secret(&business).await;
        let value = Secret::new(authorization(renewed.map_err(not_set)?.expose()));
        let url = format!(
            "{}{WEBHOOK_PATH}{business}",
            address.as_deref().unwrap_or_default()
        );
        let mut remaining = Vec::new();
        let mut numbers = Vec::new();
        for client in self.keyring.clients().all_of(&business) {
            let number = client.scope().to_owned();
            let cause = match &address {
                Some(_) => {
                    let header = (AUTHORIZATION, value.expose());
                    client.set_webhook(&url, header).await.err()
                }
                None => Some("nobody has said where this gateway is reached".to_owned()),
            };
            numbers.push(SetThere { number, cause });
        }
        if numbers.is_empty() {
            remaining.push(format!(
                "no number has a key yet: set one with duet business token {business} --number"
            ));
        }
        if numbers.iter().any(|there| there.cause.is_some()) {
            remaining.push("enter the address and the header of each number that is not set, in the 360dialog hub or with POST /v1/configs/webhook; what was set before is taken for a day more".to_owned());
        }
        remaining.push(OF_ACCOUNT.to_owned());
        Ok(PartnerWebhook {
            url,
            header: AUTHORIZATION,
            value,
            numbers,
            remaining,
        })
    }
}
