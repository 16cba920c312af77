//! Plugins as strangers wrote them, against the host's side of the contract: real components, real limits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may stop at the first surprise"
)]

mod additive;
mod admission;
mod fixture;
mod limits;
mod released;
mod runs;
mod section;
mod world;
