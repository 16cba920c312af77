//! Everything that one sim knows, shared by the Graph API, the play face and the deliveries.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duet_rules::signature::Secret;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::Value;

use crate::clock::Clock;
use crate::config::Config;
use crate::mood::Mood;
use crate::play::business::Errands;
use crate::ring::Ring;
use crate::webhook::{Delivery, Inbox, Outlet, Posted};
use crate::world::World;

/// A send that the sim accepted.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    /// Order of acceptance, from 1.
    pub seq: u64,
    /// The wamid that the answer carried.
    pub id: String,
    /// Phone number id.
    pub number: String,
    /// The recipient's digits, or user id when no phone is known.
    pub to: String,
    /// Message type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The whole request.
    pub body: Value,
    /// `biz_opaque_callback_data`.
    pub opaque: Option<String>,
    /// When it was accepted.
    pub at_ms: u64,
}

/// A Graph request and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct SeenRequest {
    /// Order, from 1.
    pub seq: u64,
    /// When it was answered.
    pub at_ms: u64,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `ok`, `error`, `lost`, `lost_before_accept`, `hang`, `swallowed` (a user id in `to`).
    pub outcome: &'static str,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Meta's error code.
    pub code: Option<u32>,
    /// JSON body; null for others.
    pub body: Value,
}

/// A line of the live transcript.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Order, from 1.
    pub seq: u64,
    /// When it happened.
    pub at_ms: u64,
    /// `customer`, `phone`, `gateway` or `meta`.
    pub who: &'static str,
    /// The other side of the conversation, or the number.
    pub peer: String,
    /// What was said or done.
    pub text: String,
}

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) secret: Secret,
    pub(crate) url: String,
    pub(crate) clock: Clock,
    pub(crate) world: Mutex<World>,
    pub(crate) mood: Mutex<Mood>,
    pub(crate) dice: Mutex<StdRng>,
    pub(crate) sent: Ring<Sent>,
    pub(crate) requests: Ring<SeenRequest>,
    pub(crate) deliveries: Ring<Posted>,
    pub(crate) transcript: Ring<Line>,
    pub(crate) webhook: Mutex<Option<String>>,
    pub(crate) outlet: Outlet,
    pub(crate) errands: Errands,
    pub(crate) http: reqwest::Client,
    /// Takes the webhooks in this process, instead of an address.
    pub(crate) inbox: Option<Inbox>,
}

impl State {
    pub(crate) fn new(
        config: Config,
        url: String,
        http: reqwest::Client,
        outlet: Outlet,
        errands: Errands,
        inbox: Option<Inbox>,
    ) -> Self {
        let clock = Clock::new(config.begun_ms);
        let (entries, bytes) = (config.limits.kept_max, config.limits.kept_bytes_max);
        Self {
            world: Mutex::new(World::new(&config, clock.now_ms())),
            mood: Mutex::new(config.mood.clone()),
            dice: Mutex::new(
                config
                    .seed
                    .map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64),
            ),
            sent: Ring::new(entries, bytes),
            requests: Ring::new(entries, bytes),
            deliveries: Ring::new(entries, bytes),
            transcript: Ring::new(entries, bytes),
            webhook: Mutex::new(config.webhook.clone()),
            secret: Secret::new(&config.app_secret),
            outlet,
            errands,
            http,
            inbox,
            clock,
            url,
            config,
        }
    }

    /// As freshly started. The webhook's address and the clock stay.
    pub(crate) fn reset(&self) {
        self.outlet.clear();
        *lock(&self.world) = World::new(&self.config, self.clock.now_ms());
        *lock(&self.mood) = self.config.mood.clone();
        self.sent.clear();
        self.requests.clear();
        self.deliveries.clear();
        self.transcript.clear();
    }

    /// Time passes: windows close, media die, what waits to be delivered comes nearer.
    pub(crate) fn advance(&self, ms: u64) {
        self.clock.advance(ms);
        self.outlet.hasten(Duration::from_millis(ms));
    }

    pub(crate) fn say(&self, who: &'static str, peer: &str, text: impl Into<String>) {
        let (at_ms, peer, text) = (self.clock.now_ms(), peer.to_owned(), text.into());
        self.transcript
            .push(peer.len() + text.len() + 64, |seq| Line {
                seq,
                at_ms,
                who,
                peer,
                text,
            });
    }

    pub(crate) fn delivered(&self) -> Vec<Delivery> {
        self.deliveries
            .after(0, usize::MAX)
            .0
            .into_iter()
            .map(|posted| posted.delivery)
            .collect()
    }
}

/// A panic elsewhere must not take the whole sim down, so a poisoned lock is still a lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
