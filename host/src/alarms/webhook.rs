use anyhow::{Context, anyhow, bail};
use duet_rules::alarm::WebhookKey;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;

use super::Letter;
use crate::config::{AlarmWebhook, Secret};
use crate::outbound::{Reach, client, may_call};

/// Signed as Standard Webhooks asks for.
pub(super) struct Webhook {
    http: reqwest::Client,
    url: Url,
    key: WebhookKey,
}

impl Webhook {
    pub(super) fn new(
        settings: Option<&AlarmWebhook>,
        secret: Option<&Secret>,
    ) -> anyhow::Result<Option<Webhook>> {
        let Some(settings) = settings else {
            return Ok(None);
        };
        let url: Url = settings
            .url
            .parse()
            .context("alarms.webhook_url is no address")?;
        let reach = if settings.private {
            Reach::Anywhere
        } else {
            Reach::Public
        };
        if !may_call(&url, reach) {
            bail!(
                "alarms.webhook_url is a private address; set alarms.webhook_private = \"yes\" if that is meant"
            );
        }
        let Some(secret) = secret else {
            bail!(
                "DUET_ALARMS_WEBHOOK_SECRET is missing, so nobody can tell an alarm from a forged one; set it to a text of at least 24 characters that the receiver knows"
            );
        };
        let key = WebhookKey::new(secret.expose())
            .map_err(|reason| anyhow!("DUET_ALARMS_WEBHOOK_SECRET cannot be used: {reason}"))?;
        Ok(Some(Webhook {
            http: client(reach)?,
            url,
            key,
        }))
    }

    /// The answer's body is never read.
    pub(super) async fn leave(&self, letter: &Letter, now_ms: i64) -> Result<(), String> {
        let signed = self.key.sign(&letter.id, now_ms, &letter.body);
        let request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", signed.id)
            .header("webhook-timestamp", signed.timestamp)
            .header("webhook-signature", signed.signature)
            .body(letter.body.clone());
        // An address may hold a secret of its own.
        let answer = request
            .send()
            .await
            .map_err(|error| format!("{:#}", anyhow!(error.without_url())))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("the receiver answered {status}")),
        }
    }
}
