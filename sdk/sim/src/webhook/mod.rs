//! Webhooks: what they say ([`envelope`], [`status`], [`old`]), how their bytes look ([`escape`]) and how they travel
//! ([`outlet`] holds them until they are due, [`delivery`] signs and makes the attempts).

pub(crate) mod delivery;
pub(crate) mod envelope;
mod escape;
pub(crate) mod old;
mod outlet;
pub(crate) mod status;

pub use delivery::{Delivery, Inbox};
pub(crate) use delivery::{Letter, Posted, Signature};
pub(crate) use envelope::Change;
pub(crate) use escape::to_bytes;
pub(crate) use outlet::Outlet;
