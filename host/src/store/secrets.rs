//! Secrets of businesses, and how each of them reaches WhatsApp. What stands here is sealed: it is opened elsewhere.

use duet_rules::business::OWN;
use duet_rules::provider::Provider;
use rusqlite::{Connection, params};

use super::access;
use super::businesses::{self, BusinessError, must_exist};
use super::{Store, StoreError};
use crate::seal::Sealed;

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The token for the provider's API.
    Access,
    /// What the provider shows with its webhooks.
    Webhook,
    /// The one before, since another one was set.
    WebhookBefore,
}

/// A sealed secret.
#[derive(Debug, Clone)]
pub struct SecretRow {
    pub business: String,
    pub purpose: Purpose,
    /// The number that it is for, `""` when it is for all of the business.
    pub number: String,
    pub sealed: Sealed,
    pub set_ms: i64,
}

/// How a business reaches WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub provider: Provider,
    /// The API's address; `None` is the provider's own.
    pub base: Option<String>,
}

impl Default for Route {
    /// Meta itself.
    fn default() -> Route {
        Route {
            provider: Provider::Meta,
            base: None,
        }
    }
}

/// What an admin sets for a business at once.
#[derive(Debug)]
pub struct NewAccess {
    pub business: String,
    /// The number that the token is for, `""` for all. It is made if it is not known, and given to the business.
    pub number: String,
    pub route: Option<Route>,
    pub token: Option<Sealed>,
    pub webhook: Option<Sealed>,
    pub webhook_before: Option<Sealed>,
}

impl Purpose {
    const ALL: [Purpose; 3] = [Purpose::Access, Purpose::Webhook, Purpose::WebhookBefore];

    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Access => "access",
            Purpose::Webhook => "webhook",
            Purpose::WebhookBefore => "webhook-before",
        }
    }

    fn from_word(word: &str) -> Option<Purpose> {
        Purpose::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == word)
    }
}

impl Store {
    /// All sealed secrets.
    pub async fn secrets(&self) -> Result<Vec<SecretRow>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT business, purpose, number, master, box, set_ms FROM secrets",
            )?;
            let mut rows = statement.query([])?;
            let mut secrets = Vec::new();
            while let Some(row) = rows.next()? {
                let purpose: String = row.get(1)?;
                // A newer duet's purpose is none of ours.
                let Some(purpose) = Purpose::from_word(&purpose) else {
                    continue;
                };
                secrets.push(SecretRow {
                    business: row.get(0)?,
                    purpose,
                    number: row.get(2)?,
                    sealed: Sealed {
                        master: row.get(3)?,
                        bytes: row.get(4)?,
                    },
                    set_ms: row.get(5)?,
                });
            }
            Ok(secrets)
        })
        .await
    }

    /// The routes of the businesses that have one of their own.
    pub async fn routes(&self) -> Result<Vec<(String, Route)>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT business, provider, base FROM providers")?;
            let mut rows = statement.query([])?;
            let mut routes = Vec::new();
            while let Some(row) = rows.next()? {
                let provider: String = row.get(1)?;
                if let Some(provider) = Provider::from_word(&provider) {
                    let base = row.get(2)?;
                    routes.push((row.get(0)?, Route { provider, base }));
                }
            }
            Ok(routes)
        })
        .await
    }

    /// Sets what is given and leaves the rest. The answer is the outbox rows that may leave now.
    pub async fn set_access(&self, new: NewAccess, now_ms: i64) -> Result<Vec<i64>, BusinessError> {
        self.write(move |connection| Ok(set(connection, &new, now_ms)))
            .await?
    }

    /// The same secrets under another master key. One that was set anew meanwhile stays as it is.
    pub async fn reseal(&self, rows: Vec<SecretRow>) -> Result<(), StoreError> {
        self.write(move |connection| {
            for row in &rows {
                connection
                    .prepare_cached(
                        "UPDATE secrets SET master = ?5, box = ?6
                         WHERE business = ?1 AND purpose = ?2 AND number = ?3 AND set_ms = ?4",
                    )?
                    .execute(params![
                        row.business,
                        row.purpose.as_str(),
                        row.number,
                        row.set_ms,
                        row.sealed.master,
                        row.sealed.bytes
                    ])?;
            }
            Ok(())
        })
        .await
    }
}

fn set(connection: &Connection, new: &NewAccess, now_ms: i64) -> Result<Vec<i64>, BusinessError> {
    if new.business == OWN {
        return Err(BusinessError::Own);
    }
    must_exist(connection, &new.business)?;
    if !new.number.is_empty() {
        businesses::give_number(connection, &new.number, &new.business)?;
    }
    if let Some(route) = &new.route {
        connection
            .prepare_cached("INSERT OR REPLACE INTO providers VALUES (?1, ?2, ?3)")?
            .execute(params![new.business, route.provider.as_str(), route.base])?;
    }
    for (purpose, number, sealed) in [
        (Purpose::Access, new.number.as_str(), &new.token),
        (Purpose::Webhook, "", &new.webhook),
        (Purpose::WebhookBefore, "", &new.webhook_before),
    ] {
        let Some(sealed) = sealed else { continue };
        connection
            .prepare_cached("INSERT OR REPLACE INTO secrets VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![
                new.business,
                purpose.as_str(),
                number,
                sealed.master,
                sealed.bytes,
                now_ms
            ])?;
    }
    if new.token.is_none() && new.route.is_none() {
        return Ok(Vec::new());
    }
    connection
        .prepare_cached("DELETE FROM refusals WHERE business = ?1 AND (number = ?2 OR ?2 = '')")?
        .execute([&new.business, &new.number])?;
    Ok(access::release(connection, &new.business, now_ms)?)
}
