//! The life of a number that is in the WhatsApp Business app and on the Cloud API at once: a pure function of
//! what is known, what has happened, and when.
//!
//! | in | this | leads to |
//! |---|---|---|
//! | any | `PARTNER_REMOVED`, `ACCOUNT_DELETED` | disconnected, with reason and initiator; reconnecting when it is live by a later word |
//! | any | `PARTNER_ADDED` | live, unless it is disconnected or offboarded by a later word |
//! | live, reconnecting | `ACCOUNT_OFFBOARDED` | offboarded; reconnecting when it is the older word of the two |
//! | disconnected | a later `ACCOUNT_OFFBOARDED` | offboarded |
//! | offboarded, disconnected | `ACCOUNT_RECONNECTED` | reconnecting, unless it was disconnected later |
//! | offboarded, disconnected | a later sign of the app | reconnecting |
//! | offboarded, reconnecting | `is_on_biz_app` is true | live |
//! | reconnecting | `is_on_biz_app` is false | offboarded |
//! | reconnecting | Meta gives no verdict | live |
//!
//! That is what is kept of a number. How it is shown, and how far it has come after it was connected, is made of it
//! anew whenever one looks; the first line that fits counts:
//!
//! | what is known | shown as |
//! |---|---|
//! | offboarded, reconnecting, disconnected | that |
//! | the gateway has not asked for contacts yet, and is about to | connecting |
//! | live, and the app was silent for 10 days | at-risk; urgent from day 13 |
//! | a chunk of its history came, and more is to come; or the history is awaited and the contacts are not | syncing-history, with phase and progress |
//! | its contacts are awaited | syncing-contacts |
//! | live | live |
//!
//! Promises: no order of arrival leaves a number on the wrong side for good. Meta's own samples of
//! OFFBOARDED and RECONNECTED have swapped times, so neither their order nor their times decide: Meta is
//! asked while the number is offboarded or reconnecting. Its answer is as old as the question, and says nothing of since
//! when. What is much older than the state is a late repetition and changes nothing.

mod leaving;
mod life;
mod stage;
mod sync;

pub use leaving::{WAYS, Way, reason_means};
pub use life::{Number, Pulse, Sign, State};
pub use stage::{Joining, Stage, stage};
pub use sync::{Kind, Outcome, Request, SILENT_MAX_MS, Sync, WINDOW_MS};
