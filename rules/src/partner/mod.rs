//! Webhooks that a business's partner passes on: whether they are the partner's, Meta's body inside, and of whom they
//! may speak.
//!
//! - `proof`: the secret that stands in a header
//! - `envelope`: Meta's field in the partner's own envelope
//! - `claim`: a partner of one business says nothing about another
//! - `standing`: whether its webhooks come here, and what it leaves untold
//!
//! Of 360dialog, by docs.360dialog.com ("Webhook", "Coexistence Webhooks", "Signature Validation", "Receiving messages"):
//! - What is for a number, echoes among it, comes to the number's address in Meta's own envelope. Headers that were set
//!   beside the address come with it; Meta's signature does not.
//! - `history` and `smb_app_state_sync` come to the partner account's address, as `{"id", "event", "data"}`: `event` is
//!   Meta's field and `data` its value, with the account's id in it. They come by themselves after the signup; there is
//!   no request for them.
//! - An answer has to come within 5 seconds. What was not answered 200 comes again for up to 7 days.
//! - Nobody asks first whether an address is right, as Meta does.

mod claim;
mod envelope;
mod proof;
mod standing;

pub use claim::{Owner, Source, accounts, confine, kept_apart};
pub use envelope::{OwnWord, metas};
pub use proof::{AUTHORIZATION, PREVIOUS_MS, SECRET_BYTES_MIN, authorization, is_genuine};
pub use standing::{SYNCS_COME, untold, webhook};

/// Where webhooks of a partner come in, before the business's id.
pub const WEBHOOK_PATH: &str = "/webhook/360dialog/";
