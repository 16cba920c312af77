//! What every engine behind the `Store` face has to hold. The cases open it through `house` alone and look at
//! it from outside: what goes in is bodies as Meta sends them, what is looked at is what the face gives back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may stop at the first surprise"
)]

mod annotations;
mod awaited;
mod bodies;
mod businesses;
mod canaries;
mod cases;
mod erasure;
mod full_disk;
mod handling;
mod hooks;
mod house;
mod kept_runs;
mod ledger;
mod media;
mod notices;
mod once;
mod opening;
mod partner;
mod people;
mod projections;
mod receipts;
mod retention;
mod runs;
mod schedules;
mod search;
mod standing;
mod syncs;
mod timers;
mod uploads;
mod versions;
mod walls;
mod writing;
