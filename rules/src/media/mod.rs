//! Files of messages: where the token may go, what a digest says, when a fetch is tried again, and how a file is
//! handed out.
//!
//! - `address`: which hosts are Meta's
//! - `digest`: SHA-256 as Meta writes it
//! - `fetching`: again, or given up for which reason
//! - `serving`: type, name and range of an answer that no browser runs

mod address;
mod digest;
mod fetching;
mod serving;

pub use address::{Address, may_carry_token};
pub use digest::Digest;
pub use fetching::{LIFE_MS, Next, Tries, Trouble, after, waits};
pub use serving::{Part, attachment, content_type, part};
