//! Files of messages: where the token may go, what a digest says, when a fetch is tried again, how a file is handed
//! out, and which may be sent.
//!
//! - `address`: which hosts are Meta's
//! - `digest`: SHA-256 as Meta writes it
//! - `fetching`: again, or given up for which reason
//! - `sendable`: types and sizes that Meta takes
//! - `serving`: type, name and range of an answer that no browser runs
//! - `uploading`: how long an upload may take, and serves

mod address;
mod digest;
mod fetching;
mod sendable;
mod serving;
mod uploading;

pub use address::{Address, may_carry_token};
pub use digest::Digest;
pub use fetching::{LIFE_MS, Next, Tries, Trouble, after, waits};
pub use sendable::{FILE_BYTES_MAX, HEAD_BYTES, Sendable, SentAs, is_animated, upload_type};
pub use serving::{Part, attachment, content_type, part};
pub use uploading::{REUSE_MS, is_gone, upload_ms_max};
