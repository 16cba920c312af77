//! Connects numbers that stay in the WhatsApp Business app: looks up which numbers of an account are in it,
//! subscribes the app to its webhooks, asks for contacts and history, and has the templates read.
//!
//! - `verdict`: what stands in the way, before anything is changed
//! - `partner`: the same of a business whose partner connects its numbers
//! - `ask`: one request for contacts or history, stored before it is made
//!
//! Promises: each step that is taken commits before the next, so a crash repeats at most the one that it cut, and never
//! a request that may have been accepted. Nothing is asked for before the webhooks are subscribed. Deliberately
//! absent: `/register` and `/deregister`, which damage a number that is in the app.

mod ask;
mod partner;
mod verdict;

use std::time::Duration;

use duet_rules::coexistence::Kind;
use duet_rules::provider::Provider;

use crate::failpoint;
use crate::graph::{App, Client, Clients, NO_TOKEN, Outcome, refusal};
use crate::rounds::{Errand, Heard};
use crate::store::connections::{ConnectionRow, Step};
use crate::store::{Store, StoreError};

pub use ask::{Asked, ask};

/// Connections that go on side by side.
const CONNECTIONS_MAX: u32 = 1000;

/// The connections that are not done.
#[derive(Clone)]
pub struct Connecting {
    pub store: Store,
    pub clients: Clients,
    /// The Meta app, if its id is known.
    pub app: Option<App>,
}

/// Why a step could not be taken now.
enum Stuck {
    Cause(String),
    Store(StoreError),
}

impl From<StoreError> for Stuck {
    fn from(error: StoreError) -> Stuck {
        Stuck::Store(error)
    }
}

impl Errand for Connecting {
    const WHAT: &'static str = "connections that are not done";
    const REST: Duration = Duration::ZERO;

    async fn open(&self) -> Result<Vec<String>, StoreError> {
        self.store.open_connections(CONNECTIONS_MAX).await
    }

    /// Takes all the steps that can be taken now.
    async fn ask(&self, waba: &str, unheard: u32) -> Result<Heard, StoreError> {
        while let Some((connection, numbers)) = self.store.connection(waba.to_owned()).await? {
            if connection.step == Step::Done {
                break;
            }
            match self.step(&connection, &numbers).await {
                Ok(()) => failpoint::hit("connect.stepped"),
                Err(Stuck::Store(error)) => return Err(error),
                Err(Stuck::Cause(cause)) => {
                    let step = connection.step.as_str();
                    if unheard == 0 {
                        tracing::warn!(waba, step, cause, "a number cannot be connected now");
                    }
                    self.store.connection_stuck(waba.to_owned(), cause).await?;
                    return Ok(Heard::Nothing);
                }
            }
        }
        Ok(Heard::Answer)
    }
}

impl Connecting {
    /// The client of the account's business.
    async fn client(&self, waba: &str) -> Result<Client, Stuck> {
        let business = self.store.business_of_account(waba).await?;
        let client = self.clients.of_account(&business.unwrap_or_default());
        let client = client.ok_or_else(|| Stuck::Cause(NO_TOKEN.to_owned()))?;
        match client.provider() {
            Provider::Meta => Ok(client),
            partner => Err(Stuck::Cause(format!(
                "its business is at {}, which connects its numbers itself",
                partner.as_str()
            ))),
        }
    }

    async fn step(&self, connection: &ConnectionRow, numbers: &[String]) -> Result<(), Stuck> {
        let waba = &connection.waba;
        match connection.step {
            Step::LookUp => return self.look_up(connection).await,
            Step::Subscribe => {
                self.subscribe(waba).await?;
                self.store
                    .connection_step(waba.clone(), Step::Contacts)
                    .await?;
            }
            Step::Contacts => {
                self.ask_all(waba, numbers, Kind::Contacts).await?;
                self.store
                    .connection_step(waba.clone(), Step::History)
                    .await?;
            }
            Step::History => {
                self.ask_all(waba, numbers, Kind::History).await?;
                self.store
                    .connection_done(waba.clone(), crate::now_ms())
                    .await?;
                tracing::info!(waba, numbers = numbers.len(), "the numbers are connected");
            }
            Step::Done => {}
        }
        Ok(())
    }

    async fn look_up(&self, connection: &ConnectionRow) -> Result<(), Stuck> {
        let waba = &connection.waba;
        let meta = self.client(waba).await?;
        let listed = meta.phone_numbers(waba).await.map_err(Stuck::Cause)?;
        let mut found = Vec::new();
        for number in listed {
            let is_meant = connection
                .number
                .as_ref()
                .is_none_or(|meant| *meant == number.id);
            if !is_meant {
                continue;
            }
            let facts = meta.number(&number.id).await.map_err(Stuck::Cause)?;
            if facts.coexists() {
                found.push((number.id, number.display));
            }
        }
        if found.is_empty() {
            let cause =
                "no number of the account is in the WhatsApp Business app and on the Cloud API";
            return Err(Stuck::Cause(cause.into()));
        }
        failpoint::hit("connect.looked_up");
        let now_ms = crate::now_ms();
        self.store
            .connection_found(waba.clone(), found, now_ms)
            .await?;
        Ok(())
    }

    async fn subscribe(&self, waba: &str) -> Result<(), Stuck> {
        let cause = match self.client(waba).await?.subscribe(waba).await {
            Outcome::Done(()) => {
                failpoint::hit("connect.subscribed");
                return Ok(());
            }
            Outcome::Refused(error) => refusal(&error),
            Outcome::Turned { status } => format!("something before Meta answered {status}"),
            Outcome::NotSent { cause }
            | Outcome::Unsendable { cause }
            | Outcome::Lost { cause } => cause,
        };
        Err(Stuck::Cause(cause))
    }

    /// Asks for what has not been asked for. Only what surely was not taken is tried again.
    async fn ask_all(&self, waba: &str, numbers: &[String], kind: Kind) -> Result<(), Stuck> {
        let meta = self.client(waba).await?;
        for number in numbers {
            match ask(&self.store, &meta, number, kind, false).await? {
                Some(Asked::Later(cause)) => return Err(Stuck::Cause(cause)),
                Some(Asked::Ended | Asked::MustNot(_)) | None => {}
            }
        }
        Ok(())
    }
}
