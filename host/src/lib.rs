//! Duet, the gateway. The modules stand in the way of a message; ARCHITECTURE.md is the map.

pub mod admin;
pub mod alarms;
pub mod cli;
pub mod coexistence;
pub mod config;
pub mod connecting;
pub mod dispatch;
pub mod doctor;
pub mod effect;
pub mod event;
pub mod failpoint;
pub mod file;
pub mod gateway;
pub mod graph;
pub mod hooks;
pub mod intake;
pub mod keyring;
pub mod machine;
pub mod media;
pub mod newest;
pub mod outbound;
pub mod outbox;
pub mod plugin;
pub mod receive;
pub mod reload;
pub mod rounds;
pub mod seal;
pub mod store;
pub mod telemetry;
pub mod templates;
pub mod version;

pub use machine::{now_ms, random};
