//! What Meta tells the app itself, by its id and secret: what a token may do, which webhook fields it gets, and the
//! token for the code of a signup.

use std::time::Duration;

use duet_rules::provider::Provider;
use duet_rules::readiness::TokenFacts;
use reqwest::header::DATE;
use serde_json::Value;

use super::send::{Outcome, words};
use super::{Client, Connections, OpenError, Token};
use crate::config::Secret;

/// The object whose fields matter, in Meta's words.
const OBJECT: &str = "whatsapp_business_account";
/// A code lives 30 seconds (Meta's page on implementing Embedded Signup); a later answer would be none.
const EXCHANGE_MAX: Duration = Duration::from_secs(25);

/// The Meta app. Cheap to clone.
#[derive(Clone)]
pub struct App {
    client: Client,
    pub id: String,
    secret: Secret,
}

impl App {
    /// Prepares the calls to Meta's API at `base`.
    ///
    /// # Errors
    /// [`OpenError`] when the secret cannot stand in a header.
    pub fn new(
        connections: &Connections,
        base: &str,
        id: &str,
        secret: &str,
    ) -> Result<App, OpenError> {
        let token = Token::new(&Secret::new(format!("{id}|{secret}")), "", 0);
        Ok(App {
            client: connections.client(Provider::Meta, base, &token)?,
            id: id.to_owned(),
            secret: Secret::new(secret),
        })
    }

    /// The token for a signup's code. A code is good for one exchange, so a lost answer has used it up.
    pub async fn exchange(&self, code: &str) -> Outcome<Secret> {
        let query = [
            ("client_id", self.id.as_str()),
            ("client_secret", self.secret.expose()),
            ("code", code),
        ];
        let request = self.client.bare(&["oauth", "access_token"], &query);
        self.client
            .outcome(request.timeout(EXCHANGE_MAX), |answer| {
                let token = answer.get("access_token")?.as_str()?;
                (!token.is_empty()).then(|| Secret::new(token))
            })
            .await
    }

    /// The webhook fields that the app is subscribed to.
    ///
    /// # Errors
    /// Why Meta does not say.
    pub async fn fields(&self) -> Result<Vec<String>, String> {
        let answer = self
            .client
            .read(self.client.get(&[&self.id, "subscriptions"], &[]))
            .await?;
        let Some(data) = answer.get("data").and_then(Value::as_array) else {
            return Err("an answer without data".into());
        };
        let of_object = |subscription: &&Value| {
            subscription.get("object").and_then(Value::as_str) == Some(OBJECT)
                && subscription.get("active") != Some(&Value::Bool(false))
        };
        let fields = data
            .iter()
            .filter(of_object)
            .filter_map(|subscription| subscription.get("fields")?.as_array().map(Vec::as_slice));
        // Old versions list names, new ones objects.
        let name = |field: &Value| {
            let name = field.as_str().or_else(|| field.get("name")?.as_str())?;
            Some(name.to_owned())
        };
        Ok(fields.flatten().filter_map(name).collect())
    }
}

impl Client {
    /// Meta's clock, ms since 1970, from whatever answer it gives.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn clock(&self) -> Result<i64, String> {
        let response = self.get(&["debug_token"], &[]).send().await;
        let response = response.map_err(words)?;
        let date = response.headers().get(DATE);
        let date = date.and_then(|date| date.to_str().ok());
        let date = date.ok_or("an answer without a date")?;
        let zoned = jiff::fmt::rfc2822::parse(date).map_err(|error| error.to_string())?;
        Ok(zoned.timestamp().as_millisecond())
    }

    /// What this client's token may do. Meta tells it to the app, and most times to the token itself.
    ///
    /// # Errors
    /// Why Meta does not say.
    pub async fn debug_token(&self, by: Option<&App>) -> Result<TokenFacts, String> {
        // The one whom Meta tells it is the one who shows Meta the token.
        if self.provider() != Provider::Meta {
            return Err(format!("{} does not tell it", self.provider().as_str()));
        }
        let asking = by.map_or(self, |app| &app.client);
        let query = [("input_token", self.token())];
        let answer = asking.read(asking.get(&["debug_token"], &query)).await?;
        let data = answer.get("data").ok_or("an answer without data")?;
        Ok(facts(data))
    }
}

fn facts(data: &Value) -> TokenFacts {
    let text = |pointer: &str| data.pointer(pointer)?.as_str().map(str::to_owned);
    let texts = |list: Option<&Value>| -> Vec<String> {
        let list = list.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let granular = data.get("granular_scopes").and_then(Value::as_array);
    let wabas = granular.into_iter().flatten().find_map(|scope| {
        let is_ours = scope.get("scope")?.as_str()? == "whatsapp_business_management";
        // Without targets the scope is for everything that the business has.
        let targets = scope.get("target_ids").filter(|_| is_ours)?;
        Some(texts(Some(targets)))
    });
    let expires_s = data.get("expires_at").and_then(Value::as_i64);
    TokenFacts {
        is_valid: data.get("is_valid") == Some(&Value::Bool(true)),
        error: text("/error/message"),
        app: text("/app_id"),
        expires_ms: expires_s
            .filter(|expires| *expires > 0)
            .map(|expires| expires.saturating_mul(1000)),
        scopes: texts(data.get("scopes")),
        wabas,
    }
}
