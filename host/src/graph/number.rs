//! `GET /{number}`: what Meta says of a business number.

use duet_rules::provider::Provider;
use duet_rules::readiness::NumberFacts;
use serde_json::Value;

use super::Client;

const FIELDS: &str = "is_on_biz_app,platform_type,status,quality_rating,webhook_configuration";

impl Client {
    /// Whether the number is in the WhatsApp Business app and on the Cloud API at once (`is_on_biz_app`).
    ///
    /// # Errors
    /// Why there is no verdict, without the number.
    pub async fn is_on_biz_app(&self, number: &str) -> Result<bool, String> {
        if self.provider() != Provider::Meta {
            return Err(format!("{} does not tell it", self.provider().as_str()));
        }
        let request = self.get(&[number], &[("fields", "is_on_biz_app")]);
        let answer = self.read(request).await?;
        let verdict = answer.get("is_on_biz_app").and_then(Value::as_bool);
        verdict.ok_or_else(|| "an answer without is_on_biz_app".to_owned())
    }

    /// All that is worth knowing of a number.
    ///
    /// # Errors
    /// Why Meta does not say, without the number.
    pub async fn number(&self, number: &str) -> Result<NumberFacts, String> {
        let answer = self
            .read(self.get(&[number], &[("fields", FIELDS)]))
            .await?;
        let text = |pointer: &str| answer.pointer(pointer)?.as_str().map(str::to_owned);
        let callback = ["phone_number", "whatsapp_business_account", "application"]
            .iter()
            .find_map(|place| text(&format!("/webhook_configuration/{place}")));
        Ok(NumberFacts {
            is_on_biz_app: answer.get("is_on_biz_app").and_then(Value::as_bool),
            platform: text("/platform_type"),
            status: text("/status"),
            quality: text("/quality_rating"),
            callback,
        })
    }
}
