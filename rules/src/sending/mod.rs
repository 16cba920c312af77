//! Whether a message may leave, and how it must look.
//!
//! - `gate`: the last word before a send: takeover, window, opt-out, number
//! - `marketing`: who gets no marketing messages
//! - `alert`: what an alert of Meta's means for campaigns
//! - `entry_point`: until when messages are free
//! - `standing`: how Meta looks at the number and its account
//! - `template`: what is known of a template
//! - `openings`: to how many customers a business may write first
//! - `pace`: how fast messages may follow each other; `patience`: how long one may wait
//! - `places`: how many requests a partner's API may have on the way
//! - `message`: the message object that a plugin or the API hands over
//! - `files`: the files of the gateway's own store that a message names
//! - `readable`: what is kept of a sent message for people to read
//! - `request`: what is posted to Meta, and to whom
//! - `access`: whether the number's token is taken
//! - `callback`: our mark on a send, by which a status webhook is recognised
//!
//! Deliberately absent: attempts; those are the sender's.

mod access;
mod agent;
mod alert;
mod callback;
mod entry_point;
mod files;
mod gate;
mod marketing;
mod message;
mod openings;
mod pace;
mod patience;
mod places;
mod readable;
mod request;
mod standing;
mod template;

pub use access::{Access, Call};
pub use agent::Agent;
pub use alert::AlertWord;
pub use callback::{callback, read_callback};
pub use entry_point::free_until_ms;
pub use files::{NamedFile, files, with_ids};
pub use gate::{
    Cause, ConversationState, Handling, Refusal, Row, Speaker, Verdict, gate, refuse_early,
};
pub use marketing::{Learned, Marketing, OptWords, learned};
pub use message::{Invalid, Kind, MESSAGE_BYTES_MAX, RESERVED, kind, parse, validate};
pub use openings::{OPENED_MS, Openings};
pub use pace::{Bucket, Due, Pace, Taken};
pub use patience::{Limits, Patience, Waiting};
pub use places::{OnTheWay, may_call};
pub use readable::{readable, reply_to};
pub use request::{Addressee, request};
pub use standing::{AccountWord, Standing};
pub use template::{Learnt, Template, template_named};
