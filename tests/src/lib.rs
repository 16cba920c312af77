//! Plays everything around the gateway, so that a test can hold it to its promises from outside: the real
//! binary, real sockets, real signatures, a real kill.
//!
//! - `gateway`: starts, kills and stops one process in a folder of its own
//! - `plugins_file`: its `plugins.toml` and the components beside it
//! - `meta`: posts signed webhooks; `webhook` writes their bodies
//! - `admin`: asks the admin API
//! - `element_table`: what each public payload must become
//! - `chain`: what the plugin `probe` must have made of a conversation
//! - `fake_graph`: answers what a well-behaved Meta never does
//! - `outside`: a system that plugins call
//! - `receiver` and `mailbox`: take what the gateway posts and mails
//! - `flood` and `checker`: many webhooks fast, and whether all of them came through
//! - `promises`: whether the page about the plugin host names tests that are there
//! - `process`: what the system says of the gateway's memory and time
//! - `tries`: what was tried at Meta
//! - `wait`: every wait has an end

pub mod admin;
pub mod chain;
pub mod checker;
pub mod element_table;
pub mod fake_graph;
pub mod flood;
pub mod gateway;
pub mod mailbox;
pub mod meta;
pub mod outside;
pub mod plugins_file;
pub mod process;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may stop at the first surprise"
)]
mod promises;
pub mod receiver;
pub mod tries;
pub mod wait;
pub mod webhook;

pub use admin::Admin;
pub use gateway::{Gateway, Setup};
pub use meta::Meta;
pub use wait::until;
