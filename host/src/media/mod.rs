//! Fetches the files of messages from Meta while Meta still has them: an address lives 5 minutes, an id 7 days; and
//! takes in files that are handed over to be sent.
//!
//! - `worker`: which fetch runs next, within what bounds
//! - `fetch`: one file, from Meta's description to its place on disk
//! - `deposit`: one file, from whoever hands it over to its place on disk
//! - `queue`: who hands files over, in turn
//! - `room`: the bound of all files, here and on their way
//!
//! Promises: a fetch is open in the store from the transaction that takes the message in until it has ended, so that
//! a crash repeats it; live files go before those of the history; a full disk pauses everything and spends no
//! attempt. Deliberately absent: deleting anything to make room.

mod deposit;
mod fetch;
mod queue;
mod room;
mod worker;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::effect::Wake;
use crate::graph::Clients;
use crate::intake::feed::Feed;
use crate::store::Store;
use crate::telemetry::Metrics;

pub use deposit::{Deposit, DepositError, Deposits};
pub use queue::NoPlace;
pub use room::NoRoom;

/// Bounds on what is fetched and kept.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The largest file.
    pub file_bytes_max: u64,
    /// All files on disk together.
    pub total_bytes_max: u64,
    /// Files at once.
    pub fetches_max: usize,
}

/// What the worker needs.
pub struct Media {
    pub store: Store,
    pub clients: Clients,
    pub settings: Settings,
    /// Opened once nothing of an earlier process is left.
    pub deposits: Deposits,
    /// Rung after a commit that has made something to fetch.
    pub bell: Arc<Notify>,
    /// Told of events that come of a file.
    pub feed: Arc<Feed>,
    /// Told the sends that may leave since a file was fetched under their token.
    pub movable: Arc<Wake>,
    pub metrics: Arc<Metrics>,
}
