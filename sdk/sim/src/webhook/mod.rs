//! Webhooks: what they say ([`envelope`], [`status`]), how their bytes look ([`escape`]) and how they travel
//! ([`outlet`] holds them until they are due, [`delivery`] signs and makes the attempts).

pub(crate) mod delivery;
pub(crate) mod envelope;
mod escape;
mod outlet;
pub(crate) mod status;

pub use delivery::Delivery;
pub(crate) use delivery::{Letter, Posted, Signature};
pub(crate) use envelope::Change;
pub(crate) use outlet::Outlet;
