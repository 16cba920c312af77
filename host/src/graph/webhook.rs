//! `/v1/configs/webhook` of 360dialog ("Webhook" of docs.360dialog.com): where the webhooks of a key's number go, and
//! which headers come with them.

use serde_json::{Value, json};

use super::Client;
use super::send::{Outcome, refusal};

const PATH: [&str; 3] = ["v1", "configs", "webhook"];

impl Client {
    /// Sets the address and one header. Repeating it does no harm.
    ///
    /// # Errors
    /// Why it is not set, or may not be.
    pub async fn set_webhook(&self, address: &str, header: (&str, &str)) -> Result<(), String> {
        let (name, value) = header;
        let body = json!({"url": address, "headers": {name: value}});
        let request = self.post(&PATH).json(&body);
        // Its answer repeats what is set.
        let set = |answer: &Value| (answer.get("url")?.as_str()? == address).then_some(());
        let partner = self.provider().as_str();
        match self.outcome(request, set).await {
            Outcome::Done(()) => Ok(()),
            Outcome::Refused(error) => Err(refusal(&error)),
            Outcome::Turned { status: 401 | 403 } => {
                Err(format!("{partner} does not take the key"))
            }
            Outcome::Turned { status } => Err(format!("{partner} answered {status}")),
            Outcome::NotSent { cause }
            | Outcome::Unsendable { cause }
            | Outcome::Lost { cause } => Err(cause),
        }
    }

    /// The address that is set; `None` when there is none.
    ///
    /// # Errors
    /// Why the partner does not say.
    pub async fn webhook(&self) -> Result<Option<String>, String> {
        let answer = self.read(self.get(&PATH, &[])).await?;
        let address = answer.get("url").and_then(Value::as_str);
        Ok(address
            .filter(|address| !address.is_empty())
            .map(str::to_owned))
    }
}
