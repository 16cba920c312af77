//! Calls to addresses that somebody has named: never by a redirect or a proxy, and only to the public internet unless
//! the admin has said that the network around the gateway is fine.
//!
//! - `client`: looks at every address that a name leads to, and dials those that it has looked at
//! - `egress`: what one plugin may call, with which secrets; `outgoing`: a call that may be made;
//!   `carried`: its body; `tokens`: the OAuth 2 access tokens among these secrets
//!
//! Deliberately absent: Meta's API, which has a client of its own in `graph`.

mod carried;
mod client;
mod egress;
mod outgoing;
mod tokens;

pub use carried::Files;
pub use client::{client, may_call};
pub use duet_rules::outbound::Reach;
pub use egress::{Credential, Egress};
pub use outgoing::{Answered, CallError, Outgoing, Response};
pub use tokens::{Keeper, Tokens, Whose};
