//! Meta's Graph API, or a partner's in its place, as far as Duet calls it.
//!
//! - `client`: the connections, their limits and the access token
//! - `clients`: which client calls for which number
//! - `account`: the numbers of an account, and the app's subscription to its webhooks
//! - `app`: what Meta tells the app itself: what a token may do, which webhook fields come
//! - `history`: Meta's own record of a number's messages
//! - `media`: files of messages
//! - `number`: what Meta says of a business number
//! - `pages`: lists that come in pages
//! - `places`: how many requests a partner's API may have on the way
//! - `sync`: the requests for contacts and history
//! - `templates`: the templates of an account
//! - `upload`: files for messages
//! - `webhook`: where a partner posts what is for a number
//! - `send`: messages and read marks, with the one distinction that counts: did it leave, was it answered
//!
//! Deliberately absent: retries. Whoever calls knows what may be repeated.

mod account;
mod app;
mod client;
mod clients;
mod history;
mod media;
mod number;
mod pages;
mod places;
mod send;
mod sync;
mod templates;
mod upload;
mod webhook;

pub use account::Listed;
pub use app::App;
pub use client::{Client, Connections, Near, OpenError, Settings, Token, version};
pub use clients::{Clients, NO_TOKEN};
pub use history::NoRecord;
pub use media::{Description, Download, NoFile};
pub use places::{Place, Placed, Places, Taken};
pub use send::{Accepted, Outcome, refusal};
pub use templates::NoList;
pub use upload::Outgoing as OutgoingFile;
