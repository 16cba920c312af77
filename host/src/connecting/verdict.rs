use duet_rules::provider::Provider;
use duet_rules::readiness::{self, Finding};

use super::Connecting;
use crate::graph::NO_TOKEN;

impl Connecting {
    /// What stands between an account and its connection; nothing is changed by looking. `number`: the only one that is
    /// meant.
    pub async fn look(&self, waba: &str, number: Option<&str>, business: &str) -> Vec<Finding> {
        let meta = match self.clients.of_account(business) {
            Some(meta) if meta.provider() == Provider::Meta => meta,
            Some(_) => return self.look_at_partner(business).await,
            None => {
                let remedy = "set DUET_ACCESS_TOKEN, or one with duet business token";
                return vec![Finding::problem("token", NO_TOKEN, remedy)];
            }
        };
        let now_ms = crate::now_ms();
        let app = self.app.as_ref();
        let told = meta.debug_token(app).await;
        let mut findings = readiness::token(&told, Some(waba), now_ms);
        let id = app.map(|app| app.id.clone());
        let id = id.or_else(|| told.ok()?.app);
        let mut numbers = Vec::new();
        let listed = match meta.phone_numbers(waba).await {
            Ok(listed) => {
                for listed in listed {
                    let facts = meta.number(&listed.id).await;
                    numbers.push((listed.id, facts));
                }
                Ok(numbers)
            }
            Err(cause) => Err(cause),
        };
        findings.extend(readiness::numbers(&listed, number));
        let apps = meta.subscribed_apps(waba).await;
        findings.push(readiness::subscription(&apps, id.as_deref(), true));
        findings.push(self.fields().await);
        findings.push(self.can_keep(now_ms).await);
        findings
    }

    /// Whether the app gets the webhooks that it needs.
    pub async fn fields(&self) -> Finding {
        let told = match &self.app {
            Some(app) => app.fields().await,
            None => Err("signup.app_id is not set".to_owned()),
        };
        readiness::fields(&told)
    }

    /// What is asked for comes at once, and only once.
    pub async fn can_keep(&self, now_ms: i64) -> Finding {
        match self.store.probe(now_ms).await {
            Ok(()) => Finding::well("store", "the store takes what comes"),
            Err(error) => Finding::problem("store", error.to_string(), "make room on the disk"),
        }
    }
}
