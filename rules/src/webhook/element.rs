//! What one webhook body is made of, in the shape that intake stores and projects.

use std::borrow::Cow;

use super::Key;
use crate::identity::Identity;

/// One thing that happened, with Meta's own JSON of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Such as `message.text`, `status.read`, `account.partner_removed`; the module's table lists them.
    pub kind: Cow<'static, str>,
    /// `entry.id`.
    pub waba: Option<String>,
    /// `metadata.phone_number_id`.
    pub number: Option<String>,
    /// Digits of `metadata.display_phone_number`.
    pub display: Option<String>,
    /// The user's side.
    pub contact: Option<Identity>,
    /// Meta's time of the element in milliseconds since 1970.
    pub at_ms: Option<i64>,
    /// True for everything below the field `history`.
    pub history: bool,
    /// True when it happened in a group; it then belongs to no conversation.
    pub group: bool,
    /// Dedupe keys, at least one; the first is the element's identity.
    pub keys: Vec<Key>,
    /// Meta's JSON of this element, byte for byte.
    pub body: String,
    /// Meta's JSON of the `contacts[]` entry that belongs to it.
    pub context: Option<String>,
    pub meaning: Meaning,
}

/// What an element changes in Duet's picture of numbers, contacts and conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    Message(Message),
    Status(Status),
    Contact(ContactChange),
    Edit(Edit),
    Revoke(Revoke),
    HistoryProgress(HistoryProgress),
    /// The business did not share its history (code 2593109).
    HistoryDeclined,
    Account(Account),
    Preference(Preference),
    Template(TemplateChange),
    Quality(NumberQuality),
    Alert(AccountAlert),
    /// To how many customers the business may write first in 24 hours; `None` for any number.
    DailyLimit(Option<i64>),
    /// The user's business-scoped id changed.
    UserId {
        previous: Option<String>,
        current: Option<String>,
    },
    Nothing,
}

/// Where a message was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the user, just now.
    Live,
    /// Typed by a person of the business on the phone or a companion.
    Echo,
    /// From the days before onboarding.
    History,
}

/// What an `account_alerts` webhook says; words in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountAlert {
    /// `business`, `phone_number`, …
    pub entity: String,
    pub entity_id: Option<String>,
    /// `informational`, `warning` or `critical`.
    pub severity: String,
    /// `active` or `none`; absent in some samples.
    pub status: Option<String>,
    /// Such as `increased_capabilities_eligibility_failed`.
    pub kind: String,
}

/// A message in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub wamid: Option<String>,
    /// The message's id on the phones, upper-case hex digits; the same in history and live.
    pub stanza: Option<String>,
    /// True when the business sent it.
    pub outgoing: bool,
    pub origin: Origin,
    /// A second history webhook that only brings the media of an earlier `media_placeholder`. Its
    /// time and direction contradict the placeholder in Meta's own example: join by id, keep those.
    pub follow_up: bool,
    /// Meta's word, such as `text`; empty when the body has none.
    pub type_: String,
    /// Of a message of the history, the phase that it came in; -1 when Meta told none.
    pub phase: Option<i64>,
    /// What a person would read.
    pub text: Option<String>,
    /// Id of the quoted message; since July 2026 it may be spelled differently from the stored id,
    /// so compare the stanza as well.
    pub reply_to: Option<String>,
    pub media: Option<Media>,
    /// `history_context.status`, lower case.
    pub status: Option<String>,
    /// Id of the message that this reaction belongs to; without `text` the reaction is taken back.
    pub reaction_to: Option<String>,
    pub group: bool,
    /// True when the user came from an advertisement.
    pub referral: bool,
    /// True when it opens the 24 hours in which the business may answer freely.
    pub opens_window: bool,
}

/// A file of a message. At least one of `id` and `url` is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Valid for 7 days.
    pub id: Option<String>,
    pub mime_type: Option<String>,
    pub sha256: Option<String>,
    pub filename: Option<String>,
    pub caption: Option<String>,
    /// Valid for 5 minutes, needs the access token.
    pub url: Option<String>,
}

/// A message got a new text or medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Id of the edit itself.
    pub wamid: Option<String>,
    /// Id of the message that changes.
    pub original: String,
    pub outgoing: bool,
    pub text: Option<String>,
    pub media: Option<Media>,
}

/// A message was deleted for everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// Id of the revocation itself.
    pub wamid: Option<String>,
    /// Id of the message that disappears.
    pub original: String,
    pub outgoing: bool,
}

/// How far a message that the business sent has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub wamid: Option<String>,
    /// Lower case; see [`crate::status`].
    pub status: String,
    /// `biz_opaque_callback_data`, as given with the send.
    pub opaque: Option<String>,
    /// Meta's code and words of the first error.
    pub error: Option<(i64, String)>,
}

/// The address book of the phone changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactChange {
    /// False when added or edited.
    pub removed: bool,
    /// Order changes of one contact by this, so that a late retry resurrects nobody.
    pub at_ms: Option<i64>,
}

/// How far the history of a number has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryProgress {
    /// 0 = the last day, 1 = up to 90 days, 2 = up to 180 days.
    pub phase: Option<i64>,
    /// Chunks of a phase may arrive in any order.
    pub chunk_order: Option<i64>,
    /// 0 to 100; only 100 means complete.
    pub progress: Option<i64>,
    /// Messages in the chunk.
    pub messages: usize,
}

/// Something happened to the WhatsApp Business Account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Meta's word in lower case, such as `partner_removed` or `account_offboarded`; may be empty.
    pub event: String,
    /// Digits of `phone_number`, the only hint at the number in one of the shapes.
    pub phone: Option<String>,
    /// `waba_info.waba_id`, when it names another account than the entry does.
    pub waba: Option<String>,
    /// `disconnection_info.reason`, such as `PRIMARY_INACTIVITY`.
    pub reason: Option<String>,
    /// `disconnection_info.initiated_by`: `USER` or `SYSTEM`.
    pub initiated_by: Option<String>,
    /// `ban_info.waba_ban_state` in lower case: `disable`, `schedule_for_disable` or `reinstate`.
    pub ban: Option<String>,
    /// Until when the account may not begin conversations: the far future when Meta names no end, 0 when it names no
    /// restriction any more. Nothing is said of it when only others are named.
    pub restricted_until_ms: Option<i64>,
    /// `waba_info.owner_business_id`: the portfolio that the account belongs to.
    pub owner: Option<String>,
}

/// Meta's word about a number's quality.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberQuality {
    /// Digits of `display_phone_number`.
    pub phone: String,
    /// Such as `flagged` or `unflagged`.
    pub event: String,
}

/// Meta's word about a template; `None` where it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateChange {
    pub name: String,
    pub language: String,
    /// Such as `APPROVED` or `PAUSED`.
    pub status: Option<String>,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`.
    pub category: Option<String>,
    /// Such as `GREEN`.
    pub quality: Option<String>,
}

/// The user asked for, or against, messages of a category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// Such as `marketing_messages`.
    pub category: Option<String>,
    /// `stop`, `resume` or `signup`, lower case.
    pub value: Option<String>,
}
