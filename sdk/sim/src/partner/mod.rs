//! A local 360dialog in front of the sim: its API under a base URL of its own, and webhooks as it passes them on.
//!
//! - `api`: messages, files, templates and the webhook's address, with `D360-API-KEY`
//! - `passing`: what the sim says as Meta, to the number's address or to the partner account's
//!
//! The shapes are those of docs.360dialog.com ("The Basics", "Webhook", "Upload, retrieve or delete media", "Templates",
//! "Coexistence Webhooks"). Deliberately absent: signups, and the API of the partner account.
//!
//! ```no_run
//! # async fn demo() -> anyhow::Result<()> {
//! use duet_sim::{Channel, Config, Dialog360, Sim};
//!
//! let partner = Dialog360::start(vec![Channel::of_first_number("key")]).await?;
//! let sim = Sim::start(Config { webhook: Some(partner.inlet()), ..Config::default() }).await?;
//! partner.stand_before(&sim, "sim-token");
//! # Ok(()) }
//! ```

mod api;
mod passing;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::routing::{any, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::Number;
use crate::sim::Sim;
use crate::state::lock;

/// So many calls are remembered.
const CALLS_MAX: usize = 10_000;
const CONNECTIONS_MAX: usize = 256;
/// Where the sim posts what Meta says.
const INLET: &str = "/meta";

/// A number that is at the partner, and its key.
#[derive(Clone, Debug)]
pub struct Channel {
    pub key: String,
    /// Meta's phone_number_id.
    pub number: String,
    pub waba: String,
}

impl Channel {
    /// The sim's first number.
    #[must_use]
    pub fn of_first_number(key: &str) -> Channel {
        let Number { id, waba, .. } = Number::default();
        Channel {
            key: key.to_owned(),
            number: id,
            waba,
        }
    }
}

/// A call of the API.
#[derive(Clone, Debug)]
pub struct KeyedCall {
    pub method: String,
    pub path: String,
    /// What stood in `D360-API-KEY`.
    pub key: String,
    pub status: u16,
}

/// Where webhooks go, and which headers come with them.
#[derive(Clone, Debug, Default)]
struct Target {
    url: String,
    headers: Vec<(String, String)>,
}

struct Partner {
    url: String,
    channels: Vec<Channel>,
    http: reqwest::Client,
    /// The sim's address and its token.
    meta: Mutex<Option<(String, String)>>,
    /// Of the numbers, by key.
    targets: Mutex<HashMap<String, Target>>,
    account: Mutex<Target>,
    calls: Mutex<Vec<KeyedCall>>,
    hangs: AtomicBool,
}

/// It ends with its handle.
pub struct Dialog360 {
    partner: Arc<Partner>,
    task: JoinHandle<()>,
}

impl Dialog360 {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(channels: Vec<Channel>) -> anyhow::Result<Dialog360> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let partner = Arc::new(Partner {
            url: format!("http://{}", listener.local_addr()?),
            channels,
            http: crate::sim::http_client()?,
            meta: Mutex::default(),
            targets: Mutex::default(),
            account: Mutex::default(),
            calls: Mutex::default(),
            hangs: AtomicBool::new(false),
        });
        let router = axum::Router::new()
            .route(INLET, post(passing::pass))
            .fallback(any(api::call))
            .with_state(partner.clone());
        let task = tokio::spawn(crate::server::serve(listener, router, CONNECTIONS_MAX));
        Ok(Dialog360 { partner, task })
    }

    /// The API's base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.partner.url
    }

    /// Where the sim has to post its webhooks.
    #[must_use]
    pub fn inlet(&self) -> String {
        format!("{}{INLET}", self.partner.url)
    }

    /// From now on calls are carried out by this sim, under its token.
    pub fn stand_before(&self, sim: &Sim, token: &str) {
        *lock(&self.partner.meta) = Some((sim.url().to_owned(), token.to_owned()));
    }

    /// The webhook address of the partner account, and a header that comes with it. Nothing is posted before.
    pub fn set_account_webhook(&self, url: &str, header: (&str, &str)) {
        *lock(&self.partner.account) = Target {
            url: url.to_owned(),
            headers: vec![(header.0.to_owned(), header.1.to_owned())],
        };
    }

    /// While it hangs, no call is answered.
    pub fn hang(&self, hangs: bool) {
        self.partner.hangs.store(hangs, Ordering::SeqCst);
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<KeyedCall> {
        lock(&self.partner.calls).clone()
    }
}

impl Drop for Dialog360 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Partner {
    fn remember(&self, call: KeyedCall) {
        let mut calls = lock(&self.calls);
        if calls.len() < CALLS_MAX {
            calls.push(call);
        }
    }
}
