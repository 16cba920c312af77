//! Black-box tests, one file for each promise: the real binary, real sockets, real signatures, a real kill. They are one
//! program, so that it is linked once and one test's waiting is another one's time.
#![allow(
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod alarms;
mod breaker;
mod businesses;
mod canary;
mod coexistence;
mod command_line;
mod connecting;
mod crash;
mod decode_table;
mod desk;
mod disk_full;
mod egress;
mod history;
mod hooks;
mod journal;
mod ledger;
mod media;
mod messages;
mod misbehave;
mod oauth;
mod outbox;
mod pains;
mod partner;
mod payloads;
mod personal;
mod plugin_tools;
mod quarantine;
mod reload;
mod sending;
mod shadow;
mod shutdown;
mod signature;
mod signup;
mod store;
mod takeover;
mod timers;
mod tokens;
mod uploads;
mod walls;
