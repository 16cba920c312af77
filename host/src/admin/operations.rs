use duet_rules::annotations::Annotation;
use duet_rules::ledger::Compared;
use futures_util::future::BoxFuture;
use serde_json::Value;

use duet_rules::coexistence::Kind;
use duet_rules::readiness::Finding;
use duet_rules::signup::HandIn;

use crate::config::Secret;
use crate::dispatch::status::{CanaryStanding, Shadow};
use crate::dispatch::{Calls, Promoted, Replay, RolledBack};
use crate::doctor::Examined;
use crate::effect::Handling;
use crate::keyring::Access;
use crate::plugin::{Component, LogLine};
use crate::store::runs::Which;
use crate::store::wall::Wall;

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// There is no such thing; the noun is named.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It was not asked for properly; the reason names the place.
    #[error("{0}")]
    Invalid(String),
    /// It must not be: the reason is for the caller, the code is Meta's own if it has one.
    #[error("{reason}")]
    Refused { reason: String, code: Option<i64> },
    /// It may work later. The reason is for the log.
    #[error("{0}")]
    Unavailable(String),
    /// The reason is for the log.
    #[error("{0}")]
    Failed(String),
}

pub type Operation<'a, T> = BoxFuture<'a, Result<T, OperationError>>;

/// A plugin instance as it stands.
#[derive(Debug, Clone)]
pub struct PluginReport {
    /// The instance's name in plugins.toml.
    pub name: String,
    /// Whose it is; `""` is the gateway's own.
    pub business: String,
    /// `loading`, `ready`, `waiting`, `quarantined`, `disabled` or `rejected`.
    pub state: String,
    /// From the manifest; absent when nothing could be loaded.
    pub version: Option<String>,
    /// SHA-256 of the component, hex.
    pub digest: Option<String>,
    /// Why it is not running, why its calls get no token, or why the last change was not taken.
    pub cause: Option<String>,
    /// In quarantine: when one event is tried, ms since 1970.
    pub tried_ms: Option<i64>,
    /// The cause is one of the whole file: it may name what is other businesses'.
    pub of_file: bool,
    /// What came of the last version that had to be run over kept runs before it took over.
    pub shadow: Option<Shadow>,
    /// Where it may be called from outside now: `/hooks/crm/tickets`.
    pub hooks: Vec<String>,
    /// Another version for a share of the conversations; what it does is counted here, too.
    pub canary: Option<CanaryStanding>,
    /// Events done since the gateway started.
    pub done: u64,
    /// Attempts since then after which there is another one.
    pub retried: u64,
    /// Attempts since then that trapped or broke a limit.
    pub faults: u64,
    /// Events that it has seen and not done.
    pub depth: u64,
    pub calls: Calls,
    /// Lines of its log that were too fast.
    pub log_lines_dropped: u64,
}

impl PluginReport {
    /// Whether the version with this digest is live and well.
    pub fn runs(&self, digest: &str) -> bool {
        self.cause.is_none() && self.state == "ready" && self.digest.as_deref() == Some(digest)
    }
}

/// What a plugin has written lately.
#[derive(Debug, Clone, Default)]
pub struct PluginLog {
    pub lines: Vec<LogLine>,
    /// Lines that were too fast, since the gateway started.
    pub dropped: u64,
}

/// What is to be connected.
#[derive(Debug, Clone)]
pub struct ConnectWish {
    /// Meta's id of the WhatsApp Business Account.
    pub waba: String,
    /// The only number of it that is meant, by its phone_number_id.
    pub number: Option<String>,
    /// Whose the account is; it is given to that business before anything of it comes.
    pub business: Option<String>,
    /// The business asks for itself: what another one was given stays there.
    pub claims: bool,
    /// The business has just gone through the signup (again).
    pub signed_up: bool,
    /// Nothing is changed.
    pub dry_run: bool,
}

/// Whether it can be connected.
#[derive(Debug, Clone)]
pub struct ConnectReport {
    pub findings: Vec<Finding>,
    /// It goes on by itself now.
    pub begun: bool,
}

/// A number that its owner has signed up on the page.
#[derive(Debug, Clone)]
pub struct SignedUp {
    /// Its WhatsApp Business Account.
    pub waba: String,
    /// Why it is not being connected, in the owner's words.
    pub note: Option<&'static str>,
}

/// What became of asking for a number's contacts or history.
#[derive(Debug, Clone)]
pub struct SyncReport {
    pub kind: Kind,
    /// Why Meta was not asked.
    pub not_asked: Option<String>,
}

/// What has to stand at a business's partner, so that its webhooks come here.
#[derive(Debug, Clone)]
pub struct PartnerWebhook {
    pub url: String,
    /// The header's name, and what it holds.
    pub header: &'static str,
    pub value: Secret,
    pub numbers: Vec<SetThere>,
    /// What is left to do, in words.
    pub remaining: Vec<String>,
}

/// Whether the webhook of a number is set at the partner.
#[derive(Debug, Clone)]
pub struct SetThere {
    pub number: String,
    /// Why not.
    pub cause: Option<String>,
}

/// What the API asks of the rest of the gateway, beyond reading the store.
pub trait Operations: Send + Sync + 'static {
    /// All instances of plugins.toml.
    fn plugins(&self) -> Operation<'_, Vec<PluginReport>>;

    /// At most so many lines that an instance's plugin has written after this place, oldest first.
    fn plugin_log(&self, name: String, after: i64, limit: usize) -> Operation<'_, PluginLog>;

    /// Runs a component, or the instance's own, over kept runs of an instance. Nothing of it is done.
    fn replay(
        &self,
        name: String,
        which: Which,
        component: Option<Component>,
    ) -> Operation<'_, Replay>;

    /// Reads plugins.toml and all components again. What does not load keeps its old self and says so in the report.
    fn reload(&self) -> Operation<'_, Vec<PluginReport>>;

    /// Makes the canary of an instance its live version, and reloads. The answer is what was promoted, and the report of
    /// the instance after that.
    fn promote(&self, name: String) -> Operation<'_, (Promoted, Option<PluginReport>)>;

    /// Puts the version of an instance back that was live before, and reloads. The answer is what was put back, and the
    /// report of the instance after that.
    fn roll_back(&self, name: String) -> Operation<'_, (RolledBack, Option<PluginReport>)>;

    /// Has the event of a dead letter handled again.
    fn redrive(&self, dead_letter: i64) -> Operation<'_, ()>;

    /// Sends what a dead letter of a send has left unsent, through the gate. One that the customer may have got
    /// already only when `even_if_sent`.
    fn redrive_send(&self, dead_letter: i64, even_if_sent: bool) -> Operation<'_, ()>;

    /// Gives a conversation to a person, for `seconds` or the usual time, or back to the automations.
    fn set_handling(
        &self,
        conversation: i64,
        handling: Handling,
        seconds: Option<u64>,
    ) -> Operation<'_, ()>;

    /// Notes, labels or assigns a conversation, for the API. The annotation has been checked.
    fn annotate(&self, conversation: i64, annotation: Annotation) -> Operation<'_, ()>;

    /// Puts a send into the outbox, speaking as a person. `message` is Meta's object without addressee.
    /// The answer is its place in the outbox.
    fn send_as_person(&self, conversation: i64, message: Value) -> Operation<'_, i64>;

    /// Asks Meta for its own record of a number, and holds it against what is known here.
    fn message_history(&self, number: String) -> Operation<'_, Compared>;

    /// Looks at everything that the numbers before the wall need, at Meta's and here; nothing is changed.
    fn examine(&self, wall: Wall) -> Operation<'_, Vec<Examined>>;

    /// Connects the numbers of an account that are in the app, or only looks whether it can be done.
    fn connect(&self, wish: ConnectWish) -> Operation<'_, ConnectReport>;

    /// Why no owner can be asked to sign up a number for a business now, or nothing.
    fn signup_obstacle(&self, business: String) -> Operation<'_, Option<String>>;

    /// Makes a token of what the page of a signup has handed in, keeps it for the business, and connects the number. A
    /// refusal is in the owner's words.
    fn sign_up(&self, business: String, hand_in: HandIn) -> Operation<'_, SignedUp>;

    /// Asks Meta for these of a number, once each. `again`: although they may have been asked for before.
    fn ask_syncs(
        &self,
        number: String,
        kinds: Vec<Kind>,
        again: bool,
    ) -> Operation<'_, Vec<SyncReport>>;

    /// Everything that is kept of a contact, as JSON.
    fn export(&self, contact: i64) -> Operation<'_, Value>;

    /// Sets how a business reaches WhatsApp, and with which token. Held sends of it go.
    fn set_access(&self, business: String, access: Access) -> Operation<'_, ()>;

    /// Makes another webhook secret for a business at a partner. `address`: where the gateway is reached; then it is
    /// set at the partner.
    fn renew_webhook(
        &self,
        business: String,
        address: Option<String>,
    ) -> Operation<'_, PartnerWebhook>;

    /// Removes a business that has neither numbers nor accounts, and its secrets.
    fn remove_business(&self, business: String) -> Operation<'_, ()>;

    /// Leaves no byte of a contact. The answer counts what was erased.
    fn erase(&self, contact: i64) -> Operation<'_, Value>;
}
