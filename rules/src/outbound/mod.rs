//! Where calls may go that the admin or a plugin has named, and what they carry.
//!
//! - `address`: what is public
//! - `target`: the URL of a call; `allow`: the list of those that a plugin may call
//! - `request`: a plugin's request, and the hash by which it is known again
//! - `body`: what it carries: bytes, files, forms
//! - `placing`: how it gets its secrets and signatures
//! - `mask`: how no secret comes back
//!
//! Deliberately absent: names and their addresses, which the client looks at when it dials.

mod address;
mod allow;
mod body;
mod mask;
mod placing;
mod request;
mod target;

pub use address::is_public;
pub use allow::{Allow, Origin};
pub use body::{Body, Content, File, PARTS_MAX, Part, Piece};
pub use mask::{MASKED, Mask, SECRET_BYTES_MIN};
pub use placing::{Filled, fill};
pub use request::{Encoding, Method, Place, Placement, Request, Signed, Signing};
pub use target::target;

/// Where the addresses of a call may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Public,
    /// In the network around the gateway, too.
    Anywhere,
}
