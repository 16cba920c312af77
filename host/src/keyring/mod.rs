//! The access of businesses: their secrets, sealed in the store and open in memory, and the clients that use them.
//!
//! Promises: what is set is sealed on disk before it is used, and used from then on without a restart. A secret that
//! no master key opens is told with place and remedy, stays as it is, and holds nobody else up.
//!
//! - `webhooks`: what the partner of a business shows with its webhooks
//! - `refresh`: the refresh tokens of plugins

mod refresh;
mod webhooks;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use duet_rules::business::OWN;
use duet_rules::provider::Provider;
use duet_rules::sending::Cause;

use crate::config::Secret;
use crate::graph::{self, Client, Clients, Connections, Token};
use crate::seal::{Owner, SealError, Vault};
use crate::store::access::Unusable;
use crate::store::businesses::BusinessError;
use crate::store::secrets::{NewAccess, Purpose, Route, SecretRow};
use crate::store::{Store, StoreError};
use webhooks::WebhookSecrets;

/// The secrets of all businesses.
pub struct Keyring {
    store: Store,
    vault: Vault,
    connections: Connections,
    /// The address of the gateway's own API, which is also that of businesses without a partner.
    base: String,
    clients: Clients,
    /// Held while a change is made: it is whole in the store and in memory before the next one begins.
    changing: tokio::sync::Mutex<()>,
    webhooks: Mutex<HashMap<String, WebhookSecrets>>,
}

/// What an admin sets for a business; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub route: Option<Route>,
    /// The number that the token is for, `""` for all.
    pub number: String,
    pub token: Option<Secret>,
    /// What the provider shows with its webhooks.
    pub webhook: Option<Secret>,
}

/// Why nothing was set.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Business(#[from] BusinessError),
    #[error("{0}")]
    Unusable(#[from] graph::OpenError),
    #[error("{0}")]
    Seal(#[from] SealError),
    #[error("a key of {0} is for one number: name the number")]
    NoNumber(&'static str),
    #[error(
        "the business is at no partner, so that its webhooks come from Meta; if it is at 360dialog, set its provider, number and key first"
    )]
    NoPartner,
    #[error("the system gives no random bytes")]
    NoChance,
}

impl From<StoreError> for AccessError {
    fn from(error: StoreError) -> AccessError {
        AccessError::Business(error.into())
    }
}

impl Keyring {
    /// Opens every secret, and seals anew what another master key sealed. `own` is the token of the gateway's own
    /// business, if it has one.
    pub async fn open(
        store: Store,
        vault: Vault,
        connections: Connections,
        base: String,
        own: Option<&Secret>,
    ) -> anyhow::Result<Keyring> {
        let keyring = Keyring {
            store,
            vault,
            connections,
            base,
            clients: Clients::default(),
            changing: tokio::sync::Mutex::new(()),
            webhooks: Mutex::default(),
        };
        let mut unusable = Vec::new();
        match own {
            Some(own) => {
                let token = Token::new(own, "", 0);
                let client = keyring
                    .connections
                    .client(Provider::Meta, &keyring.base, &token)?;
                keyring.clients.put(OWN, client);
            }
            None => {
                tracing::warn!(
                    "DUET_ACCESS_TOKEN is not set: sends of the gateway's own business wait"
                );
                unusable.push(Unusable {
                    business: OWN.to_owned(),
                    number: String::new(),
                    cause: Cause::TokenMissing,
                });
            }
        }
        unusable.extend(keyring.load().await?);
        refresh::reseal(&keyring.store, &keyring.vault).await?;
        keyring
            .store
            .tokens_opened(unusable, crate::now_ms())
            .await?;
        Ok(keyring)
    }

    /// The clients that call under these tokens; they follow every change.
    pub fn clients(&self) -> Clients {
        self.clients.clone()
    }

    /// A client of Meta's API under a token that is not kept yet.
    pub fn visitor(&self, token: &Secret) -> Result<Client, graph::OpenError> {
        self.client(&Route::default(), &Token::new(token, "", 0))
    }

    /// Sets what is given. The answer is the outbox rows that may leave now.
    pub async fn set(&self, business: &str, access: Access) -> Result<Vec<i64>, AccessError> {
        let _changing = self.changing.lock().await;
        let route = match &access.route {
            Some(route) => route.clone(),
            None => self.route(business).await?,
        };
        if access.token.is_some() && route.provider.key_is_of_a_number() && access.number.is_empty()
        {
            return Err(AccessError::NoNumber(route.provider.as_str()));
        }
        // A token or an address that no client can be made of is told before anything is stored.
        let token = access.token.clone().unwrap_or(Secret::new("t"));
        self.client(&route, &Token::new(&token, "", 0))?;
        let before = access
            .webhook
            .as_ref()
            .and_then(|new| self.webhook_before(business, new));
        let seal = |purpose: Purpose, number: &str, secret: &Option<Secret>| {
            let owner = Owner {
                business,
                purpose: purpose.as_str(),
                number,
            };
            let secret = secret.as_ref().map(|secret| self.vault.seal(owner, secret));
            secret.transpose()
        };
        let new = NewAccess {
            business: business.to_owned(),
            token: seal(Purpose::Access, &access.number, &access.token)?,
            webhook: seal(Purpose::Webhook, "", &access.webhook)?,
            webhook_before: seal(Purpose::WebhookBefore, "", &before)?,
            number: access.number,
            route: access.route,
        };
        let freed = self.store.set_access(new, crate::now_ms()).await?;
        self.load().await?;
        Ok(freed)
    }

    /// Removes a business, and its secrets from disk and memory.
    pub async fn remove(&self, business: String) -> Result<(), BusinessError> {
        let _changing = self.changing.lock().await;
        self.store.remove_business(business).await?;
        self.load().await?;
        Ok(())
    }

    async fn route(&self, business: &str) -> Result<Route, StoreError> {
        let routes = self.store.routes().await?;
        let own = routes.into_iter().find(|(owner, _)| owner == business);
        Ok(own.map_or_else(Route::default, |(_, route)| route))
    }

    /// Brings memory in line with the store. The answer is the tokens that cannot be used.
    async fn load(&self) -> Result<Vec<Unusable>, StoreError> {
        let routes: HashMap<String, Route> = self.store.routes().await?.into_iter().collect();
        let mut clients: HashMap<String, Vec<Client>> = HashMap::new();
        let mut webhooks: HashMap<String, WebhookSecrets> = HashMap::new();
        let (mut resealed, mut unusable) = (Vec::new(), Vec::new());
        for row in self.store.secrets().await? {
            let route = routes.get(&row.business).cloned().unwrap_or_default();
            match self.unseal(&row, &route) {
                Ok(Opened::Client(client)) => {
                    clients
                        .entry(row.business.clone())
                        .or_default()
                        .push(client);
                }
                // Who is at no partner has webhooks from Meta alone.
                Ok(Opened::Webhook(_) | Opened::WebhookBefore(_))
                    if route.provider == Provider::Meta => {}
                Ok(Opened::Webhook(secret)) => {
                    webhooks.entry(row.business.clone()).or_default().current = Some(secret);
                }
                Ok(Opened::WebhookBefore(secret)) => {
                    let secrets = webhooks.entry(row.business.clone()).or_default();
                    secrets.before = Some((secret, row.set_ms));
                }
                Err(error) => {
                    tracing::error!(business = row.business, secret = row.purpose.as_str(), number = row.number, %error, "a secret cannot be used");
                    if row.purpose == Purpose::Access {
                        unusable.push(Unusable {
                            business: row.business,
                            number: row.number,
                            cause: Cause::TokenSealed,
                        });
                    }
                    continue;
                }
            }
            resealed.extend(self.anew(row));
        }
        self.store.reseal(resealed).await?;
        self.clients.replace_all_but(OWN, clients);
        *self.webhooks.lock().unwrap_or_else(PoisonError::into_inner) = webhooks;
        Ok(unusable)
    }

    fn unseal(&self, row: &SecretRow, route: &Route) -> Result<Opened, AccessError> {
        let secret = self.vault.open(owner(row), &row.sealed)?;
        match row.purpose {
            Purpose::Webhook => Ok(Opened::Webhook(secret)),
            Purpose::WebhookBefore => Ok(Opened::WebhookBefore(secret)),
            Purpose::Access => {
                let token = Token::new(&secret, &row.number, row.set_ms);
                Ok(Opened::Client(self.client(route, &token)?))
            }
        }
    }

    /// The same secret under the first master key, unless it is under that already.
    fn anew(&self, row: SecretRow) -> Option<SecretRow> {
        if row.sealed.master == self.vault.master() {
            return None;
        }
        let sealed = self
            .vault
            .open(owner(&row), &row.sealed)
            .and_then(|secret| self.vault.seal(owner(&row), &secret));
        Some(SecretRow {
            sealed: sealed.ok()?,
            ..row
        })
    }

    fn client(&self, route: &Route, token: &Token) -> Result<Client, graph::OpenError> {
        let base = route.base.as_deref().or(route.provider.base());
        self.connections
            .client(route.provider, base.unwrap_or(&self.base), token)
    }
}

enum Opened {
    Client(Client),
    Webhook(Secret),
    WebhookBefore(Secret),
}

fn owner(row: &SecretRow) -> Owner<'_> {
    Owner {
        business: &row.business,
        purpose: row.purpose.as_str(),
        number: &row.number,
    }
}
