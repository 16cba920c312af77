//! The sender: takes rows from the outbox and brings them to Meta, in order within each conversation.
//!
//! - `feed`: which rows have changed, told from outside
//! - `schedule`: the first open row of each conversation, and when it is due
//! - `waiting`: the conversations whose partner has no place for a send
//! - `courier`: one row's way: gate, call, record
//! - `uploads`: the files that sends need at Meta's first
//! - `plan`: what an answer of Meta's means for the row
//! - `sender`: the loop that holds them together
//!
//! Promises: nothing leaves before its row is `sending` on disk and the gate has seen every echo and every choice of a
//! customer's that was acknowledged by then. Nothing that may have reached Meta is sent again. A store or a network
//! that is down delays and drops nothing; everything in memory is bounded and can be read anew.

mod courier;
mod feed;
mod plan;
mod schedule;
mod sender;
#[cfg(test)]
mod tests;
mod uploads;
mod waiting;

use std::sync::Arc;

use duet_rules::sending::Limits;

use crate::graph::Clients;
use crate::store::Store;
use crate::telemetry::Metrics;

pub use feed::Feed;

/// Keeps the gate from deciding before an echo, or a customer's choice, that Meta has already been told we have.
pub trait Barrier: Send + Sync + 'static {
    /// Waits until intake has taken in whatever was acknowledged when the wait began.
    fn wait_for_intake(&self) -> impl Future<Output = ()> + Send;

    /// The newest acknowledged receipt that may forbid a send: asked again by the gate itself.
    fn newest_forbidding(&self) -> i64;
}

/// How the sender behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Requests to Meta at the same time, over all numbers.
    pub concurrency: usize,
    /// How long a row whose answer was lost holds its conversation, ms.
    pub hold_ms: i64,
    /// After so many counted attempts a row becomes a dead letter.
    pub attempts_max: u32,
    /// Ceiling of the first wait after a throttle or a hiccup, and of every later one, ms.
    pub retry_first_ms: u64,
    pub retry_max_ms: u64,
    /// How fast messages may follow each other, and how long one may wait.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            concurrency: 64,
            hold_ms: 60_000,
            attempts_max: 8,
            retry_first_ms: 1000,
            retry_max_ms: 300_000,
            limits: Limits::default(),
        }
    }
}

/// The sender before it runs.
pub struct Outbox<B> {
    store: Store,
    clients: Clients,
    barrier: Arc<B>,
    settings: Settings,
    feed: Feed,
    metrics: Arc<Metrics>,
}

impl<B: Barrier> Outbox<B> {
    pub fn new(
        store: Store,
        clients: Clients,
        barrier: Arc<B>,
        settings: Settings,
        metrics: Arc<Metrics>,
    ) -> Outbox<B> {
        Outbox {
            store,
            clients,
            barrier,
            settings,
            feed: Feed::default(),
            metrics,
        }
    }

    /// Where commits and statuses tell of rows that wait or were settled.
    #[must_use]
    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }
}
