//! `GET /{number}`: what Meta says of a business number.

use serde_json::Value;

use super::Client;
use super::send::{bounded, words};

impl Client {
    /// Whether the number is in the WhatsApp Business app and on the Cloud API at once (`is_on_biz_app`).
    ///
    /// # Errors
    /// Why there is no verdict, without the number.
    pub async fn is_on_biz_app(&self, number: &str) -> Result<bool, String> {
        let request = self.get(number, "is_on_biz_app");
        let response = request.send().await.map_err(words)?;
        let status = response.status();
        let answer: Value = serde_json::from_slice(&bounded(response).await?).unwrap_or_default();
        let verdict = answer.get("is_on_biz_app").and_then(Value::as_bool);
        verdict.ok_or_else(|| format!("an answer without is_on_biz_app, with status {status}"))
    }
}
