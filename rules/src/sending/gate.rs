//! The last word before a send: a pure function of the row, the conversation and the time.
//!
//! Promises: an automation never speaks after a person took the conversation over, and nothing leaves
//! that Meta would refuse for the window, the customer's opt-out or the number's state. What is judged is
//! the state at the moment of sending, not the one that the plugin saw.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Kind;
use super::access::Access;
use super::marketing::Marketing;
use super::standing::Standing;
use super::template::Template;
use crate::coexistence::State;

/// Meta: the window is closed.
const CODE_WINDOW: i64 = 131_047;
/// A number that cannot send is looked at again after so long: one that moves to another phone is usually
/// back within minutes, one that was disconnected not by itself.
const OFFBOARDED_RECHECK_MS: i64 = 30_000;
const DISCONNECTED_RECHECK_MS: i64 = 300_000;

/// Who speaks in a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    Automation,
    /// Speaking as a person takes the conversation over.
    Person,
}

/// Who was given the conversation last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handling {
    Automation,
    Person,
}

/// A send, as far as the gate looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Its place in the outbox, by which those that wait for the same thing are spread; 0 before it has one.
    pub id: i64,
    /// The event that caused it.
    pub seq: i64,
    pub instance: &'a str,
    pub speaker: Speaker,
    pub kind: Kind,
    /// What is known of the template that it sends.
    pub template: Option<Template>,
}

/// The conversation now.
#[derive(Debug, Clone, Copy)]
pub struct ConversationState<'a> {
    pub handling: Handling,
    /// Until when a person has it, ms since 1970; `None` means until somebody gives it back.
    pub handling_until_ms: Option<i64>,
    /// The event that made it so; 0 if none did.
    pub handling_seq: i64,
    /// The instance that made it so, if a plugin did.
    pub handling_by: Option<&'a str>,
    /// Until when Meta lets free-form messages through, ms since 1970.
    pub window_until_ms: Option<i64>,
    pub marketing: Marketing,
    pub standing: Standing,
    /// Instances that a person's takeover does not silence. Every other rule holds for them.
    pub speaking: &'a [String],
    pub access: Access,
    pub number: State,
}

/// Why a send does not leave. The names are those that plugins and the API see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    PersonHasConversation,
    WindowClosed,
    NumberDisconnected,
    NumberOffboarded,
    NumberReconnecting,
    PairRate,
    NumberRate,
    CampaignRate,
    OptedOut,
    MarketingCapped,
    TemplateUnknown,
    TemplatePaused,
    TemplateDisabled,
    AccountRestricted,
    QualityLow,
    AccountAlert,
    PortfolioLimit,
    HeldTooLong,
    TokenMissing,
    TokenSealed,
    TokenRefused,
    FileUploading,
}

/// What happens to the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// Never to be sent: a person has spoken, or it has become stale.
    Cancel {
        cause: Cause,
    },
    /// Never to be sent: Meta would refuse it with this code.
    Refuse {
        code: i64,
        cause: Cause,
    },
    /// Not now; looked at again at `until_ms`, ms since 1970.
    Hold {
        until_ms: i64,
        cause: Cause,
    },
}

/// Why a call of a plugin is refused while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: Cow<'static, str>,
    pub detail: String,
    /// Meta's own code for such a send.
    pub meta_code: Option<i64>,
}

/// Decides about a row that is about to leave at `now_ms`.
#[must_use]
pub fn gate(row: &Row<'_>, state: &ConversationState<'_>, now_ms: i64) -> Verdict {
    if silenced(row, state, now_ms) {
        return Verdict::Cancel {
            cause: Cause::PersonHasConversation,
        };
    }
    // Before the number's state: what the window forbids is told at once, not after the number is back.
    let window_open = state.window_until_ms.is_some_and(|until| until > now_ms);
    if row.kind.is_free_form() && !window_open {
        return Verdict::Refuse {
            code: CODE_WINDOW,
            cause: Cause::WindowClosed,
        };
    }
    if let Some(template) = row.template {
        let marketing = state.marketing.refusal(now_ms);
        let refusal = template
            .refusal
            .or(marketing.filter(|_| template.marketing));
        if let Some((code, cause)) = refusal {
            return Verdict::Refuse { code, cause };
        }
        if let Some(verdict) = state.standing.judge(row.id, template, window_open, now_ms) {
            return verdict;
        }
    }
    match state.number {
        State::Live => state.access.judge(now_ms).unwrap_or(Verdict::Go),
        State::Offboarded => hold(now_ms, OFFBOARDED_RECHECK_MS, Cause::NumberOffboarded),
        State::Reconnecting => hold(now_ms, OFFBOARDED_RECHECK_MS, Cause::NumberReconnecting),
        State::Disconnected => hold(now_ms, DISCONNECTED_RECHECK_MS, Cause::NumberDisconnected),
    }
}

/// The same rule for a call that a plugin makes while it runs. A number that cannot send now refuses
/// nothing: the message waits in the outbox.
///
/// # Errors
/// [`Refusal`] when the message would be cancelled or refused if it left now.
pub fn refuse_early(
    row: &Row<'_>,
    state: &ConversationState<'_>,
    now_ms: i64,
) -> Result<(), Refusal> {
    match gate(row, state, now_ms) {
        Verdict::Go | Verdict::Hold { .. } => Ok(()),
        Verdict::Cancel { cause } => Err(cause.refusal(None)),
        Verdict::Refuse { code, cause } => Err(cause.refusal(Some(code))),
    }
}

/// A read mark is no voice, and a person's send is never silenced. An automation is silent once anybody
/// was given the conversation by a later event than its own, and while a person has it; only the words
/// with which it hands over itself may still leave. Those that the admin lets speak beside a person are never silent.
fn silenced(row: &Row<'_>, state: &ConversationState<'_>, now_ms: i64) -> bool {
    let beside = state.speaking.iter().any(|name| name == row.instance);
    if row.speaker == Speaker::Person || row.kind == Kind::MarkRead || beside {
        return false;
    }
    let person_now = state.handling == Handling::Person
        && state.handling_until_ms.is_none_or(|until| until > now_ms);
    let own_handover = state.handling_seq == row.seq && state.handling_by == Some(row.instance);
    state.handling_seq > row.seq || (person_now && !own_handover)
}

fn hold(now_ms: i64, recheck_ms: i64, cause: Cause) -> Verdict {
    Verdict::Hold {
        until_ms: now_ms.saturating_add(recheck_ms),
        cause,
    }
}

impl Cause {
    /// The causes of holds in which later sends to the same customer go first: a campaign that waits for hours must
    /// not keep an answer back.
    pub const YIELDING: [Cause; 4] = [
        Cause::CampaignRate,
        Cause::QualityLow,
        Cause::AccountAlert,
        Cause::PortfolioLimit,
    ];

    /// The causes of holds that end when the number is back.
    pub const OF_NUMBERS: [Cause; 3] = [
        Cause::NumberOffboarded,
        Cause::NumberReconnecting,
        Cause::NumberDisconnected,
    ];

    /// The causes of holds that end with another token.
    pub const OF_TOKENS: [Cause; 3] =
        [Cause::TokenMissing, Cause::TokenSealed, Cause::TokenRefused];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::PersonHasConversation => "person-has-conversation",
            Cause::WindowClosed => "window-closed",
            Cause::NumberDisconnected => "number-disconnected",
            Cause::NumberOffboarded => "number-offboarded",
            Cause::NumberReconnecting => "number-reconnecting",
            Cause::PairRate => "pair-rate",
            Cause::NumberRate => "number-rate",
            Cause::CampaignRate => "campaign-rate",
            Cause::OptedOut => "opted-out",
            Cause::MarketingCapped => "marketing-capped",
            Cause::TemplateUnknown => "template-unknown",
            Cause::TemplatePaused => "template-paused",
            Cause::TemplateDisabled => "template-disabled",
            Cause::AccountRestricted => "account-restricted",
            Cause::QualityLow => "quality-low",
            Cause::AccountAlert => "account-alert",
            Cause::PortfolioLimit => "portfolio-limit",
            Cause::HeldTooLong => "held-too-long",
            Cause::TokenMissing => "token-missing",
            Cause::TokenSealed => "token-sealed",
            Cause::TokenRefused => "token-refused",
            Cause::FileUploading => "file-uploading",
        }
    }

    /// What it means, in words for an admin.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Cause::PersonHasConversation => {
                "a person has the conversation; an automation is silent in it"
            }
            Cause::WindowClosed => {
                "the customer's last message is older than 24 hours, or there is none; only a template may leave"
            }
            Cause::NumberDisconnected => "the number is no longer connected to the Cloud API",
            Cause::NumberOffboarded => {
                "the number is moving to another phone; Meta has suspended its sends"
            }
            Cause::NumberReconnecting => {
                "the number is said to be back from another phone; Meta has not confirmed it yet"
            }
            Cause::PairRate => "this customer gets messages faster than Meta allows",
            Cause::NumberRate => "the number has used up its messages for this second",
            Cause::CampaignRate => {
                "the number has used up what campaigns may take of its messages for this second"
            }
            Cause::OptedOut => "the customer has stopped marketing messages",
            Cause::MarketingCapped => {
                "Meta delivers no more marketing messages from this number to the customer for now"
            }
            Cause::TemplateUnknown => {
                "there is no approved template of this name in this language; see GET /api/v1/templates"
            }
            Cause::TemplatePaused => "Meta has paused the template for its low quality",
            Cause::TemplateDisabled => "Meta has disabled the template",
            Cause::AccountRestricted => {
                "Meta has restricted or disabled the account; it may not begin conversations"
            }
            Cause::AccountAlert => {
                "Meta has raised a critical alert about the account; acknowledge the alarm to go on"
            }
            Cause::QualityLow => "Meta has flagged the number for its low quality",
            Cause::HeldTooLong => {
                "it has waited for its number for longer than sending.held_hours allows"
            }
            Cause::PortfolioLimit => {
                "the business has written to as many customers first as Meta allows in 24 hours"
            }
            Cause::TokenMissing => {
                "no access token is set for the number's business; set one with duet business token, or DUET_ACCESS_TOKEN for the gateway's own"
            }
            Cause::TokenSealed => {
                "the stored access token does not open under any master key; put the key back, or set the token anew"
            }
            Cause::TokenRefused => {
                "the access token of the number's business is refused; set a new one"
            }
            Cause::FileUploading => "its file is on its way to Meta, and the message after it",
        }
    }

    fn refusal(self, meta_code: Option<i64>) -> Refusal {
        Refusal {
            code: self.as_str().into(),
            detail: self.detail().to_owned(),
            meta_code,
        }
    }
}

impl Handling {
    /// What [`Handling::as_str`] wrote.
    #[must_use]
    pub fn from_word(word: &str) -> Handling {
        if word == "person" {
            Handling::Person
        } else {
            Handling::Automation
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Handling::Automation => "automation",
            Handling::Person => "person",
        }
    }
}

impl Speaker {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Speaker::Automation => "automation",
            Speaker::Person => "person",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sending::Learnt;
    use proptest::prelude::*;

    const NOW: i64 = 1_000_000;
    const SILENT: Verdict = Verdict::Cancel {
        cause: Cause::PersonHasConversation,
    };

    fn row(kind: Kind) -> Row<'static> {
        Row {
            id: 0,
            seq: 10,
            instance: "faq",
            speaker: Speaker::Automation,
            kind,
            template: (kind == Kind::Template).then(|| Template::of(Learnt::default())),
        }
    }

    fn open() -> ConversationState<'static> {
        ConversationState {
            handling: Handling::Automation,
            handling_until_ms: None,
            handling_seq: 0,
            handling_by: None,
            window_until_ms: Some(NOW + 1),
            marketing: Marketing::default(),
            standing: Standing::default(),
            speaking: &[],
            access: Access::Open,
            number: State::Live,
        }
    }

    fn person(
        seq: i64,
        until_ms: Option<i64>,
        by: Option<&'static str>,
    ) -> ConversationState<'static> {
        ConversationState {
            handling: Handling::Person,
            handling_until_ms: until_ms,
            handling_seq: seq,
            handling_by: by,
            ..open()
        }
    }

    #[test]
    fn a_person_silences_automations() {
        for (state, verdict) in [
            (open(), Verdict::Go),
            (person(11, Some(NOW + 1), None), SILENT),
            // An older takeover that still lasts, and one that has ended.
            (person(9, Some(NOW + 1), None), SILENT),
            (person(9, None, None), SILENT),
            (person(9, Some(NOW), None), Verdict::Go),
            // A later event silences even when the person's time is over or the conversation given back.
            (person(11, Some(NOW), None), SILENT),
            (
                ConversationState {
                    handling_seq: 11,
                    ..open()
                },
                SILENT,
            ),
            (
                ConversationState {
                    handling_seq: 10,
                    ..open()
                },
                Verdict::Go,
            ),
            // The words of a handover leave, those of another plugin on the same event do not.
            (person(10, Some(NOW + 1), Some("faq")), Verdict::Go),
            (person(10, Some(NOW + 1), Some("crm")), SILENT),
            (person(10, Some(NOW + 1), None), SILENT),
            (person(9, Some(NOW + 1), Some("faq")), SILENT),
        ] {
            assert_eq!(
                gate(&row(Kind::FreeForm), &state, NOW),
                verdict,
                "{state:?}"
            );
        }
    }

    #[test]
    fn a_read_mark_and_a_person_pass_a_takeover() {
        let taken = ConversationState {
            window_until_ms: None,
            ..person(11, None, None)
        };
        assert_eq!(gate(&row(Kind::MarkRead), &taken, NOW), Verdict::Go);
        let spoken = Row {
            speaker: Speaker::Person,
            ..row(Kind::FreeForm)
        };
        assert_eq!(gate(&spoken, &person(11, None, None), NOW), Verdict::Go);
    }

    #[test]
    fn who_may_speak_beside_a_person_is_held_to_all_other_rules() {
        let speaking = ["order-status".to_owned(), "faq".to_owned()];
        let taken = ConversationState {
            speaking: &speaking,
            ..person(11, None, None)
        };
        let other = Row {
            instance: "crm",
            ..row(Kind::FreeForm)
        };
        assert_eq!(gate(&row(Kind::FreeForm), &taken, NOW), Verdict::Go);
        assert_eq!(gate(&other, &taken, NOW), SILENT);
        let closed = ConversationState {
            window_until_ms: None,
            ..taken
        };
        let refused = Verdict::Refuse {
            code: 131_047,
            cause: Cause::WindowClosed,
        };
        assert_eq!(gate(&row(Kind::FreeForm), &closed, NOW), refused);
        let stopped = ConversationState {
            marketing: Marketing {
                stopped: true,
                ..Marketing::default()
            },
            ..taken
        };
        let verdict = gate(&row(Kind::Template), &stopped, NOW);
        assert!(
            matches!(verdict, Verdict::Refuse { code: 131_050, .. }),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_closed_window_lets_only_templates_through() {
        let refused = Verdict::Refuse {
            code: 131_047,
            cause: Cause::WindowClosed,
        };
        for window_until_ms in [None, Some(NOW), Some(NOW - 1)] {
            let closed = ConversationState {
                window_until_ms,
                ..open()
            };
            assert_eq!(gate(&row(Kind::FreeForm), &closed, NOW), refused);
            assert_eq!(gate(&row(Kind::Template), &closed, NOW), Verdict::Go);
            assert_eq!(gate(&row(Kind::MarkRead), &closed, NOW), Verdict::Go);
        }
    }

    #[test]
    fn a_customer_who_said_stop_gets_no_marketing_and_all_else() {
        let stopped = ConversationState {
            marketing: Marketing {
                stopped: true,
                ..Marketing::default()
            },
            ..open()
        };
        let refused = Verdict::Refuse {
            code: 131_050,
            cause: Cause::OptedOut,
        };
        let marketing = Row {
            speaker: Speaker::Person,
            ..row(Kind::Template)
        };
        assert_eq!(
            gate(&marketing, &stopped, NOW),
            refused,
            "not even a person's"
        );
        let utility = Row {
            template: Some(Template::of(Learnt {
                category: Some("UTILITY"),
                ..Learnt::default()
            })),
            ..row(Kind::Template)
        };
        assert_eq!(gate(&utility, &stopped, NOW), Verdict::Go);
        assert_eq!(gate(&row(Kind::FreeForm), &stopped, NOW), Verdict::Go);
    }

    #[test]
    fn a_number_that_cannot_send_holds() {
        for (number, recheck_ms, cause) in [
            (
                State::Disconnected,
                DISCONNECTED_RECHECK_MS,
                Cause::NumberDisconnected,
            ),
            (
                State::Offboarded,
                OFFBOARDED_RECHECK_MS,
                Cause::NumberOffboarded,
            ),
            (
                State::Reconnecting,
                OFFBOARDED_RECHECK_MS,
                Cause::NumberReconnecting,
            ),
        ] {
            let state = ConversationState { number, ..open() };
            let held = Verdict::Hold {
                until_ms: NOW + recheck_ms,
                cause,
            };
            assert_eq!(gate(&row(Kind::MarkRead), &state, NOW), held);
            assert_eq!(refuse_early(&row(Kind::FreeForm), &state, NOW), Ok(()));
        }
    }

    #[test]
    fn a_plugin_hears_the_name_and_metas_code() {
        let closed = ConversationState {
            window_until_ms: None,
            ..open()
        };
        let refusal = refuse_early(&row(Kind::FreeForm), &closed, NOW).unwrap_err();
        assert_eq!(
            (&*refusal.code, refusal.meta_code),
            ("window-closed", Some(131_047))
        );
        let refusal = refuse_early(&row(Kind::FreeForm), &person(9, None, None), NOW).unwrap_err();
        assert_eq!(
            (&*refusal.code, refusal.meta_code),
            ("person-has-conversation", None)
        );
    }

    proptest! {
        /// Whatever else holds, a takeover by a later event silences an automation.
        #[test]
        fn nothing_outvotes_a_later_takeover(
            later in 1_i64..1000, until in proptest::option::of(0..2 * NOW), template: bool,
            window in proptest::option::of(0..2 * NOW), own: bool,
        ) {
            let by = own.then_some("faq");
            let state = ConversationState { window_until_ms: window, ..person(10 + later, until, by) };
            let kind = if template { Kind::Template } else { Kind::FreeForm };
            prop_assert_eq!(gate(&row(kind), &state, NOW), SILENT);
        }
    }
}
