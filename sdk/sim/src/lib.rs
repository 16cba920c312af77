//! A local Meta and a local phone, so that a gateway can be built, tested and shown without either.
//!
//! What it promises: the Graph API answers in Meta's shapes, success and error; webhooks carry real signatures
//! over the exact bytes, are retried, and can be made to fail, repeat, cross and vanish on request; memory is
//! bounded whatever a test does. What is deliberately absent: calls, groups, flows and payments.
//!
//! # In a test
//!
//! ```no_run
//! # async fn demo() -> anyhow::Result<()> {
//! use duet_sim::{Config, Sim};
//! use std::time::Duration;
//!
//! let sim = Sim::start(Config { webhook: Some("http://127.0.0.1:7800/webhook".into()), ..Config::default() }).await?;
//! sim.customer_writes("919800000001", "Is the shop open?").await?;
//! let sent = sim.wait_sent(1, Duration::from_secs(5)).await?;
//! sim.phone_replies("919800000001", "Yes, until nine.").await?;
//! sim.stop().await;
//! # Ok(()) }
//! ```
//!
//! # The play face
//!
//! JSON over HTTP under `/sim`. `number` is a phone number id and may be left out: the first number is meant.
//! Times in answers are `at_ms`, milliseconds since 1970 by the sim's clock.
//!
//! | call | what happens |
//! |---|---|
//! | `POST /sim/customer` `{from, text}` or `{from, type, body}`, also `number, name, username, hide_phone, hide_user_id, parent_user_id, reply_to, rescoped, context, referral, media, extra` | a customer writes; the 24-hour window opens. Answer `{id}` |
//! | `POST /sim/customer` `{from, preference: "stop"` or `"resume"}` | the customer's marketing choice |
//! | `POST /sim/read` `{from, id?}` | the customer reads that message, or the last one |
//! | `POST /sim/move` `{from, to}` | the customer takes another number: a `system` message and `user_id_update` |
//! | `POST /sim/phone` `{to, text}` or `{to, type, body}`, also `edit`, `revoke`, `reaction` with `message`, `omit_to` | the person on the phone writes: an echo. Answer `{id}` |
//! | `POST /sim/contact` `{action: "add"` or `"remove", phone, full_name?, first_name?, username?, hide_phone?}` | the phone's address book changes |
//! | `POST /sim/history` [`HistoryPlan`] | a history sync is delivered as planned |
//! | `POST /sim/business` [`BusinessPlay`](play::BusinessPlay) | a generated [`business`] is delivered. Answer: the [`Report`](business::Report), once all is on its way |
//! | `POST /sim/signup` `{id?, digits?, name?, waba?}` | a business ends Embedded Signup. Answer `{code, session, number}`: the code lives 30 seconds |
//! | `POST /sim/account` [`AccountEvent`](play::AccountEvent) | `PARTNER_REMOVED`, `ACCOUNT_OFFBOARDED`, `ACCOUNT_RECONNECTED`, … |
//! | `POST /sim/template` `{name, language, event, reason?}` | a template changes state |
//! | `POST /sim/media` bytes with `content-type` | a file that customers can send. Answer `{id}` |
//! | `POST /sim/raw?signature=right\|wrong\|none` bytes | these exact bytes are delivered |
//! | `POST /sim/replay` `{delivery}` | the body of an earlier delivery again, byte for byte |
//! | `POST /sim/mood` part of a [`Mood`] | Meta's mood changes; `null` resets a field. `GET` shows it |
//! | `POST /sim/webhook` `{url}` | where webhooks go from now on |
//! | `POST /sim/clock` `{advance_ms}` | windows, media ids and URLs age; retries come due or are given up |
//! | `GET /sim/sent`, `/requests`, `/deliveries`, `/transcript`, each `?after=SEQ&limit=N&wait_ms=MS` | `{"<name>": […], "next": SEQ}`, oldest first |
//! | `GET /sim/state` | numbers with what they were sent of a generated business, customers, counters |
//! | `POST /sim/reset` | as freshly started; webhook and clock stay |

pub mod business;
pub mod cli;
mod clock;
mod config;
mod error;
mod graph;
mod mood;
mod partner;
pub mod play;
mod ring;
mod server;
mod sim;
mod state;
mod wamid;
mod webhook;
mod world;

pub use config::{
    AppContact, Config, DeliveryRules, HistoryPlan, KnownCustomer, Limits, Number, StatusDelays,
    Template,
};
pub use mood::{Deed, Mood, Trouble, WebhookMood};
pub use partner::{Channel, Dialog360, KeyedCall};
pub use sim::Sim;
pub use state::{Line, SeenRequest, Sent};
pub use wamid::rescoped;
pub use webhook::{Delivery, Inbox};
