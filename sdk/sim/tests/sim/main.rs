//! The sim from outside: requests go over HTTP, webhooks arrive at a listener of the test's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may stop at the first surprise"
)]

mod behaviours;
mod business;
mod coexistence;
mod command_line;
mod connecting;
mod meta_examples;
mod partner;
mod refusals;
mod scene;
mod shape;
mod troubles;
mod webhooks;
