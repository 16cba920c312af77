//! How an alarm leaves: to whom, when again, in which words, and with which signature.
//!
//! - `escalation`: which channels are told, and when they are told again
//! - `notice`: what they are told; nothing in it is personal
//! - `webhook`: the signature of Standard Webhooks

mod escalation;
mod notice;
mod webhook;

pub use escalation::{Channel, Step, Urgency, step};
pub use notice::{About, Notice, Said};
pub use webhook::{Signed, WebhookKey};
