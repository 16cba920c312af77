//! Meta's moods: the troubles that a test asks for.

use rand::Rng;
use serde::{Deserialize, Serialize};

/// How Meta behaves right now. The default is a Meta in good health.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mood {
    /// Every Graph answer takes this long.
    pub latency_ms: u64,
    /// And up to this much longer.
    pub jitter_ms: u64,
    /// The access token has expired: 401 with code 190.
    pub token_expired: bool,
    /// Real token buckets: 20 messages a second in and out per number (130429), one per 6 s and pair with a burst of 45 (131056).
    pub rate_limits: bool,
    /// The person on the phone answers every customer this long after they wrote, while a bot may still think.
    pub phone_answers_ms: Option<u64>,
    /// What goes wrong with Graph calls, tried in this order.
    pub troubles: Vec<Trouble>,
    /// What goes wrong with webhooks.
    pub webhook: WebhookMood,
}

/// One thing that goes wrong. Without `times`, `every` or `probability` it always does.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trouble {
    /// What happens.
    #[serde(rename = "do")]
    pub deed: Deed,
    /// Meta's error code for `fail` and `fail_later`.
    pub code: u32,
    /// HTTP status of `fail`; without one the code's own.
    pub http: Option<u16>,
    /// Only for the next n calls that it strikes.
    pub times: Option<u64>,
    /// Only every n-th call.
    pub every: Option<u64>,
    /// Only with this probability.
    pub probability: Option<f64>,
    /// Only for this call: the last word of its path, such as `messages` (the default) or
    /// `media`; `download` for media bytes, `object` for a bare id, `any` for all.
    pub on: String,
    /// Only for sends to these digits.
    pub to: Option<String>,
    /// Calls that it could have struck so far; begins at 0.
    pub seen: u64,
}

/// What a trouble does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// The call is refused with the code.
    #[default]
    Fail,
    /// The send is accepted, then a `failed` status comes.
    FailLater,
    /// The send is accepted, statuses follow, but the connection closes without an answer.
    Lost,
    /// The connection closes and nothing was accepted.
    LostBeforeAccept,
    /// Nothing is accepted and no answer comes.
    Hang,
    /// The send is accepted, but no answer comes.
    HangAfterAccept,
    /// The send is accepted, but no status ever comes.
    NoStatuses,
    /// `read` comes before `delivered`.
    ReadFirst,
    /// `delivered` is left out.
    SkipDelivered,
    /// A status word that nobody has heard of comes after the others.
    UnknownStatus,
}

/// What goes wrong with webhooks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookMood {
    /// Every body is delivered this often, also after a 200.
    pub copies: u32,
    /// Another app of the WABA refuses every body this often, and Meta's retries go to all subscribed apps: the
    /// body comes again after a 200 as well, later each time.
    pub resends: u32,
    /// Webhooks may overtake each other by up to this much.
    pub reorder_ms: u64,
    /// Every webhook comes this much later.
    pub delay_ms: u64,
    /// Changes in one body at most.
    pub batch_max: usize,
    /// How long a body waits for more changes.
    pub batch_window_ms: u64,
    /// Changes of one number and field share one `value`.
    pub merge: bool,
    /// Each change of a body stands in an entry of its own.
    pub entries: bool,
    /// Every body also carries a change of a field that nobody has heard of.
    pub unknown_field: bool,
    /// Values come without `metadata`.
    pub without_metadata: bool,
    /// Bodies are signed with another secret.
    pub wrong_secret: bool,
}

impl Default for WebhookMood {
    fn default() -> Self {
        Self {
            copies: 1,
            resends: 0,
            reorder_ms: 0,
            delay_ms: 0,
            batch_max: 1,
            batch_window_ms: 0,
            merge: false,
            entries: false,
            unknown_field: false,
            without_metadata: false,
            wrong_secret: false,
        }
    }
}

/// Troubles kept at most.
const TROUBLES_MAX: usize = 64;

impl Mood {
    /// This mood with the fields of `patch` replaced; `null` resets a field.
    ///
    /// # Errors
    /// When a field is unknown or has the wrong type.
    pub fn patched(&self, patch: serde_json::Value) -> Result<Self, serde_json::Error> {
        let mut whole = serde_json::to_value(self)?;
        merge(&mut whole, patch);
        let mut mood: Self = serde_json::from_value(whole)?;
        mood.troubles.truncate(TROUBLES_MAX);
        Ok(mood)
    }

    /// The troubles that strike a call named `call`, towards `to` when it is a send. Counts the call.
    pub(crate) fn strike(
        &mut self,
        call: &str,
        to: Option<&str>,
        dice: &mut impl Rng,
    ) -> Vec<Trouble> {
        if self.troubles.is_empty() {
            return Vec::new();
        }
        let struck = self
            .troubles
            .iter_mut()
            .filter_map(|trouble| trouble.strikes(call, to, dice).then(|| trouble.clone()))
            .collect();
        self.troubles.retain(|trouble| trouble.times != Some(0));
        struck
    }
}

impl Trouble {
    fn strikes(&mut self, call: &str, to: Option<&str>, dice: &mut impl Rng) -> bool {
        let on = if self.on.is_empty() {
            "messages"
        } else {
            &self.on
        };
        if (on != "any" && on != call)
            || (self.to.is_some() && self.to.as_deref() != to)
            || self.times == Some(0)
        {
            return false;
        }
        self.seen = self.seen.saturating_add(1);
        if self
            .every
            .is_some_and(|every| every == 0 || !self.seen.is_multiple_of(every))
        {
            return false;
        }
        if self
            .probability
            .is_some_and(|chance| dice.random::<f64>() >= chance)
        {
            return false;
        }
        if let Some(times) = &mut self.times {
            *times -= 1;
        }
        true
    }
}

/// JSON merge patch, except that `null` takes a field out so that its default returns.
fn merge(whole: &mut serde_json::Value, patch: serde_json::Value) {
    match (whole, patch) {
        (serde_json::Value::Object(whole), serde_json::Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    whole.remove(&name);
                } else {
                    merge(whole.entry(name).or_insert(serde_json::Value::Null), value);
                }
            }
        }
        (whole, patch) => *whole = patch,
    }
}
