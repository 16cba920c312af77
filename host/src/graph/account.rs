//! `/{waba}/phone_numbers` and `/{waba}/subscribed_apps`: the numbers of an account, and whether its webhooks come.

use serde_json::Value;

use super::Client;
use super::pages::Pages;
use super::send::{Outcome, success};

const PAGE: &str = "100";
/// An account has some dozen numbers.
const PAGES_MAX: usize = 20;

/// A number of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Meta's phone_number_id.
    pub id: String,
    /// Its digits with country code.
    pub display: Option<String>,
}

impl Client {
    /// The numbers of an account. Embedded Signup tells the account alone, so this is how a new number is found.
    ///
    /// # Errors
    /// Why they could not be read to the end, without a number.
    pub async fn phone_numbers(&self, waba: &str) -> Result<Vec<Listed>, String> {
        let mut listed = Vec::new();
        let mut pages = Pages::at_most(PAGES_MAX);
        while pages.go_on() {
            let query = pages.query("id,display_phone_number", PAGE);
            let page = self
                .read(self.get(&[waba, "phone_numbers"], &query))
                .await?;
            listed.extend(pages.turn(&page)?.iter().filter_map(number));
        }
        pages.whole()?;
        Ok(listed)
    }

    /// Looks whether the token sees an account. Meta may also refuse because it is busy.
    pub async fn sees(&self, waba: &str) -> Outcome<()> {
        let query = [("fields", "id"), ("limit", "1")];
        let request = self.get(&[waba, "phone_numbers"], &query);
        let read = |answer: &Value| answer.get("data")?.as_array().map(|_| ());
        self.outcome(request, read).await
    }

    /// Subscribes the token's app to the account's webhooks. Repeating it does no harm.
    pub async fn subscribe(&self, waba: &str) -> Outcome<()> {
        self.outcome(self.post(&[waba, "subscribed_apps"]), success)
            .await
    }

    /// The ids of the apps that get the account's webhooks.
    ///
    /// # Errors
    /// Why they could not be read.
    pub async fn subscribed_apps(&self, waba: &str) -> Result<Vec<String>, String> {
        let answer = self.read(self.get(&[waba, "subscribed_apps"], &[])).await?;
        let Some(data) = answer.get("data").and_then(Value::as_array) else {
            return Err("an answer without data".into());
        };
        let id = |app: &Value| {
            let id = app.pointer("/whatsapp_business_api_data/id")?;
            id.as_str().map(str::to_owned)
        };
        Ok(data.iter().filter_map(id).collect())
    }
}

fn number(number: &Value) -> Option<Listed> {
    let display = number.get("display_phone_number").and_then(Value::as_str);
    Some(Listed {
        id: number.get("id")?.as_str()?.to_owned(),
        display: display.map(|text| text.chars().filter(char::is_ascii_digit).collect()),
    })
}
