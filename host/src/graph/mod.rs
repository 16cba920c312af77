//! Meta's Graph API, as far as Duet calls it.
//!
//! - `client`: the connection, its limits and the access token
//! - `history`: Meta's own record of a number's messages
//! - `media`: files of messages
//! - `number`: what Meta says of a business number
//! - `templates`: the templates of an account
//! - `send`: messages and read marks, with the one distinction that counts: did it leave, was it answered
//!
//! Deliberately absent: retries. Whoever calls knows what may be repeated.

mod client;
mod history;
mod media;
mod number;
mod send;
mod templates;

pub use client::{Client, OpenError, Settings, Token};
pub use history::NoRecord;
pub use media::{Description, Download, NoFile};
pub use send::{Accepted, Outcome};
