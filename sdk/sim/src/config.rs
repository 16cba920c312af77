//! What a sim is started with. Every field has a default, so that a test names only what it is about.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::business::Options;
use crate::mood::Mood;

/// Settings of one sim.
#[derive(Clone)]
pub struct Config {
    /// Where the Graph API and the play face listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where webhooks go. Without one they wait and are tried again until the horizon.
    pub webhook: Option<String>,
    /// Key of `X-Hub-Signature-256`.
    pub app_secret: String,
    /// What `hub.verify_token` carries unless a subscription names another.
    pub verify_token: String,
    /// The bearer token that the Graph API accepts.
    pub token: String,
    /// `debug_token` names the accounts that it is for; Meta does not for a token that is for all of its business.
    pub token_names_accounts: bool,
    /// Business numbers.
    pub numbers: Vec<Number>,
    /// Customers whose names are known before they write.
    pub customers: Vec<KnownCustomer>,
    /// Message templates of every WABA.
    pub templates: Vec<Template>,
    /// Webhooks carry business-scoped user ids, as since April 2026.
    pub user_ids: bool,
    /// Anybody may be written to at any time; for load tests.
    pub open_window: bool,
    /// A send outside the window is accepted and fails by a status instead of at once.
    pub refuse_late: bool,
    /// `GET /{media}` gives `file_size` as a number; Meta does both.
    pub media_size_as_number: bool,
    /// How long a media URL lives.
    pub media_url_ms: u64,
    /// How long after a send its statuses come.
    pub statuses: StatusDelays,
    /// How webhooks are delivered.
    pub delivery: DeliveryRules,
    /// Meta's mood at the start.
    pub mood: Mood,
    /// Webhook fields that the app is subscribed to, as `GET /{app}/subscriptions` lists them; others come as well.
    pub fields: Vec<String>,
    /// What the first contacts sync brings.
    pub contacts: Vec<AppContact>,
    /// What the history sync brings.
    pub history: HistoryPlan,
    /// A generated business that both syncs bring instead; a history that is declined or silent stays so.
    pub business: Option<Options>,
    /// Bounds on memory.
    pub limits: Limits,
    /// Makes ids and dice repeatable.
    pub seed: Option<u64>,
    /// The clock begins here, ms since 1970, and goes with tokio's, which a test may pause; without it, the machine's.
    pub begun_ms: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            webhook: None,
            app_secret: "sim-app-secret".into(),
            verify_token: "sim-verify-token".into(),
            token: "sim-token".into(),
            token_names_accounts: true,
            numbers: vec![Number::default()],
            customers: vec![KnownCustomer {
                phone: "919800000001".into(),
                name: "Asha".into(),
            }],
            templates: Template::samples(),
            user_ids: true,
            open_window: false,
            refuse_late: false,
            media_size_as_number: false,
            media_url_ms: 5 * 60 * 1000,
            statuses: StatusDelays::default(),
            delivery: DeliveryRules::default(),
            mood: Mood::default(),
            fields: FIELDS.map(str::to_owned).to_vec(),
            contacts: vec![AppContact {
                phone: "919800000001".into(),
                full_name: "Asha Rao".into(),
                first_name: "Asha".into(),
            }],
            history: HistoryPlan::default(),
            business: None,
            limits: Limits::default(),
            seed: None,
            begun_ms: None,
        }
    }
}

/// What an app for coexistence subscribes to.
const FIELDS: [&str; 11] = [
    "account_alerts",
    "account_update",
    "business_capability_update",
    "history",
    "message_template_status_update",
    "messages",
    "phone_number_quality_update",
    "smb_app_state_sync",
    "smb_message_echoes",
    "user_id_update",
    "user_preferences",
];

/// A business number.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Number {
    /// Phone number id, the object of the Graph API.
    pub id: String,
    /// Digits with country code, as in `metadata.display_phone_number`.
    pub digits: String,
    /// As the Graph API shows it.
    pub display: String,
    /// Verified name.
    pub name: String,
    /// WhatsApp Business Account id.
    pub waba: String,
    /// The number also lives in the WhatsApp Business app.
    pub coexistence: bool,
}

impl Default for Number {
    fn default() -> Self {
        Self {
            id: "106540352242922".into(),
            digits: "912255500100".into(),
            display: "+91 22 5550 0100".into(),
            name: "Duet Tea House".into(),
            waba: "102290129340398".into(),
            coexistence: true,
        }
    }
}

/// A customer with a profile name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownCustomer {
    /// Digits with country code.
    pub phone: String,
    /// Profile name.
    pub name: String,
}

/// An entry of the phone's address book.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppContact {
    /// Digits with country code.
    pub phone: String,
    /// Full name.
    pub full_name: String,
    /// First name.
    pub first_name: String,
}

/// A message template.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Template {
    /// Name, unique with the language.
    pub name: String,
    /// Language code such as `en_US`.
    pub language: String,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`.
    pub category: String,
    /// `APPROVED`, `PENDING`, `PAUSED`, `DISABLED`, `REJECTED`.
    pub status: String,
    /// Graph id.
    pub id: String,
    /// Components as Meta lists them.
    pub components: Vec<Value>,
}

impl Template {
    /// One approved template of each category.
    #[must_use]
    pub fn samples() -> Vec<Self> {
        let template = |name: &str, category: &str, id: &str, body: Value| Self {
            name: name.into(),
            language: "en_US".into(),
            category: category.into(),
            status: "APPROVED".into(),
            id: id.into(),
            components: vec![body],
        };
        vec![
            template(
                "hello_world",
                "UTILITY",
                "1192339204654487",
                json!({"type": "BODY", "text": "Hello from the tea house."}),
            ),
            template(
                "order_update",
                "UTILITY",
                "1192339204654488",
                json!({"type": "BODY", "text": "Order {{1}} will arrive {{2}}.", "example": {"body_text": [["A-17", "today"]]}}),
            ),
            template(
                "spring_tea",
                "MARKETING",
                "1192339204654489",
                json!({"type": "BODY", "text": "{{1}}, the first flush is here.", "example": {"body_text": [["Asha"]]}}),
            ),
        ]
    }
}

/// Milliseconds from the acceptance of a send to each status; `None` leaves the status out.
#[derive(Clone, Copy, Debug)]
pub struct StatusDelays {
    /// `sent`.
    pub sent_ms: Option<u64>,
    /// `delivered`.
    pub delivered_ms: Option<u64>,
    /// `read`.
    pub read_ms: Option<u64>,
}

impl StatusDelays {
    /// No status comes.
    #[must_use]
    pub fn none() -> StatusDelays {
        StatusDelays {
            sent_ms: None,
            delivered_ms: None,
            read_ms: None,
        }
    }

    /// Only `sent`, which settles a send.
    #[must_use]
    pub fn sent(sent_ms: u64) -> StatusDelays {
        StatusDelays {
            sent_ms: Some(sent_ms),
            ..StatusDelays::none()
        }
    }
}

impl Default for StatusDelays {
    fn default() -> Self {
        Self {
            sent_ms: Some(20),
            delivered_ms: Some(80),
            read_ms: Some(400),
        }
    }
}

/// How webhooks are delivered and tried again.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryRules {
    /// Wait before the second attempt; each later wait is twice as long.
    pub retry_first_ms: u64,
    /// The longest wait between two attempts.
    pub retry_max_ms: u64,
    /// An attempt that would begin later than this after the first is not made; by the sim's clock.
    /// Meta's pages disagree: [`Self::HORIZON_36_H_MS`] or [`Self::HORIZON_7_D_MS`].
    pub horizon_ms: u64,
    /// How long one attempt may take.
    pub timeout_ms: u64,
    /// Deliveries in flight at once; webhooks of one conversation share a lane and keep their order.
    pub lanes: usize,
    /// Webhooks waiting at most; further ones are dropped and counted.
    pub queue_max: usize,
}

impl DeliveryRules {
    /// How long Meta tries, by its Graph API pages.
    pub const HORIZON_36_H_MS: u64 = 36 * 60 * 60 * 1000;
    /// How long Meta tries, by its WhatsApp pages.
    pub const HORIZON_7_D_MS: u64 = 7 * 24 * 60 * 60 * 1000;
}

impl Default for DeliveryRules {
    fn default() -> Self {
        Self {
            retry_first_ms: 1000,
            retry_max_ms: 60 * 60 * 1000,
            horizon_ms: Self::HORIZON_36_H_MS,
            timeout_ms: 10_000,
            lanes: 16,
            queue_max: 200_000,
        }
    }
}

/// A history sync. Half of the messages come from each side.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryPlan {
    /// Number of customers with a past.
    pub conversations: u32,
    /// Messages of each.
    pub messages: u32,
    /// Messages in one webhook at most; 3 MB close it as well.
    pub chunk_messages: u32,
    /// Phases that have messages: 0 the last day, 1 to day 90, 2 to day 180.
    pub phases: Vec<u8>,
    /// Phases and chunks come in random order, so progress 100 need not come last.
    pub shuffled: bool,
    /// The chunk with progress 100 comes first of all.
    pub complete_first: bool,
    /// Every text is made this long, for chunks of up to 3 MB.
    pub text_bytes: u32,
    /// Every n-th message is media, 0 for none.
    pub media_every: u32,
    /// The media of the last 14 days follow, customers' as `messages`, the business's as `message_echoes`.
    pub media_follow_up: bool,
    /// The spelling of the one published real chunk: lower case, `from_me`, newest first.
    pub lower_case: bool,
    /// The business declined to share: one webhook with error 2593109.
    pub declined: bool,
    /// That one webhook is the bare value, as Meta's page prints it.
    pub without_envelope: bool,
    /// The request is accepted and nothing ever comes.
    pub silent: bool,
}

impl Default for HistoryPlan {
    fn default() -> Self {
        Self {
            conversations: 3,
            messages: 12,
            chunk_messages: 10,
            phases: vec![0, 1, 2],
            shuffled: false,
            complete_first: false,
            text_bytes: 0,
            media_every: 5,
            media_follow_up: true,
            lower_case: false,
            declined: false,
            without_envelope: false,
            silent: false,
        }
    }
}

/// Bounds on what a sim keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries in each record (sent, requests, deliveries, transcript); the oldest go first.
    pub kept_max: usize,
    /// Bytes of bodies in each record.
    pub kept_bytes_max: usize,
    /// Customers of all numbers together; whoever came first goes first.
    pub customers_max: usize,
    /// Bytes of one media file.
    pub media_file_bytes_max: usize,
    /// Bytes of all media files; the oldest go first.
    pub media_bytes_max: usize,
    /// Bytes of a JSON request.
    pub body_bytes_max: usize,
    /// Open connections.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            kept_max: 50_000,
            kept_bytes_max: 64 * 1024 * 1024,
            customers_max: 200_000,
            media_file_bytes_max: 20 * 1024 * 1024,
            media_bytes_max: 128 * 1024 * 1024,
            body_bytes_max: 256 * 1024,
            connections_max: 4096,
        }
    }
}
