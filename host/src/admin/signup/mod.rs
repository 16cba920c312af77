//! The page on which the owner of a number goes through Embedded Signup, for owners who have no token here.
//!
//! - `links`: the one-time links that lead to it, each for one business
//! - `page`: the page's bytes, with what a browser may do with them
//!
//! Promises: a link is a secret behind the `#` of its address, so that no request line, proxy log or referrer holds it;
//! the page takes it out of the address before Meta's script is loaded. It lets its holder hand in one code and see how
//! the number comes along, and nothing else. Links live in memory: after a restart an admin makes a new one, which is
//! less trouble than a secret on disk. What was signed up by then goes on by itself.

mod links;
mod page;

use duet_rules::signup::Refusal;
use serde_json::Value;

use super::error::ApiError;

pub use links::SignupLinks;
pub(super) use links::{Ended, FAILED, Seen, UNSEEN};
pub(super) use page::{SCRIPT, STYLE, asset, document};

/// What the page needs to know of the Meta app.
#[derive(Debug, Clone)]
pub struct SignupSettings {
    pub app_id: String,
    /// Of Facebook Login for Business.
    pub config_id: String,
    /// What the signup is told beside it; an object.
    pub extras: Value,
    /// Of the Graph API, as the SDK wants it: `v23.0`.
    pub version: String,
    /// Where owners reach the admin listener, without a slash at its end.
    pub url: String,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        let words = refusal.to_string();
        match refusal {
            Refusal::Code | Refusal::Account => ApiError::body(words),
            Refusal::Over => ApiError::not_found(words),
            _ => ApiError::refused(words, None),
        }
    }
}
