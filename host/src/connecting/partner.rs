use duet_rules::partner;
use duet_rules::provider::Provider;
use duet_rules::readiness::Finding;

use super::Connecting;

impl Connecting {
    /// Whether the numbers of a business are connected by a partner, and not by us.
    pub fn has_a_partner(&self, business: &str) -> bool {
        let client = self.clients.of_account(business);
        client.is_some_and(|client| client.provider() != Provider::Meta)
    }

    /// What stands in the way of a business at a partner, which connects its numbers itself.
    pub(super) async fn look_at_partner(&self, business: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        for client in self.clients.all_of(business) {
            let told = client.webhook().await;
            findings.push(partner::webhook(client.scope(), &told, business));
        }
        findings.extend(partner::untold(business));
        findings.push(self.can_keep(crate::now_ms()).await);
        findings
    }
}
