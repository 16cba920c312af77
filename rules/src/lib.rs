//! What Duet decides, without I/O: Meta's wire format in, decisions out.
//!
//! Everything here is a pure function of bytes, state and time, so that fuzzers, property tests and
//! seeded simulations can drive it, and so that the sim speaks the same protocol as the gateway.
//! Deliberately absent: clocks, files, sockets, SQL, wasm.

pub mod alarm;
pub mod annotations;
pub mod backoff;
pub mod breaker;
pub mod business;
pub mod canary;
pub mod cases;
mod clock;
pub mod coexistence;
pub mod contract;
pub mod duet_toml;
pub mod history;
pub mod hooks;
pub mod identity;
pub mod journal;
pub mod ledger;
pub mod manifest;
pub mod media;
pub mod meta_error;
pub mod oauth;
pub mod outbound;
pub mod partner;
pub mod plugins_toml;
pub mod provider;
pub mod quarantine;
pub mod readiness;
pub mod schedule;
pub mod search;
pub mod sending;
#[cfg(test)]
mod settings_page;
pub mod settings_schema;
pub mod shadow;
pub mod signature;
pub mod signup;
pub mod status;
pub mod takeover;
pub mod timers;
pub mod toml_file;
pub mod verification;
pub mod wamid;
pub mod webhook;
