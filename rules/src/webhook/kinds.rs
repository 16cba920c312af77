//! The words of Meta that become kinds without being made up anew for each element.

use std::borrow::Cow;

use super::element::Origin;

macro_rules! message_types {
    ($($type_:literal)*) => {
        /// The kind of a message, `None` for a type that nobody has heard of.
        fn known(origin: Origin, type_: &str) -> Option<&'static str> {
            Some(match type_ {
                $($type_ => match origin {
                    Origin::Live => concat!("message.", $type_),
                    Origin::Echo => concat!("echo.", $type_),
                    Origin::History => concat!("history.", $type_),
                },)*
                // Meta's older word for what it cannot show.
                "unknown" => return known(origin, "unsupported"),
                _ => return None,
            })
        }
    };
}

message_types! {
    "text" "image" "video" "audio" "voice" "document" "sticker" "location" "contacts" "interactive"
    "button" "reaction" "order" "system" "revoke" "edit" "unsupported" "template"
    "media_placeholder" "request_welcome" "poll" "event" "errors"
}

pub(super) fn message_kind(origin: Origin, type_: &str) -> Cow<'static, str> {
    Cow::Borrowed(known(origin, type_).unwrap_or("unknown"))
}

/// True for what a user sends to say something. What Meta itself reports (system, unsupported) may
/// or may not open the window; only sending would tell, so it counts as not.
pub(super) fn opens_window(type_: &str) -> bool {
    matches!(
        type_,
        "text"
            | "image"
            | "video"
            | "audio"
            | "voice"
            | "document"
            | "sticker"
            | "location"
            | "contacts"
            | "interactive"
            | "button"
            | "reaction"
            | "order"
            | "poll"
            | "event"
    )
}

/// True for a type under which Meta tells the API of a message that it does not hand over, such as error 131060
/// for the first message from an advertisement: it is in the app, or nowhere.
#[must_use]
pub fn is_unshown(type_: &str) -> bool {
    matches!(type_, "unsupported" | "unknown" | "errors")
}

/// The kind of a status in lower case.
pub(super) fn status_kind(status: &str) -> Cow<'static, str> {
    Cow::Borrowed(match status {
        "sent" => "status.sent",
        "delivered" => "status.delivered",
        "read" => "status.read",
        "played" => "status.played",
        "failed" => "status.failed",
        "deleted" => "status.deleted",
        "warning" => "status.warning",
        _ => "unknown",
    })
}

/// `<prefix>.<word>` for a word of Meta's that is kept as it is, `<prefix>.<otherwise>` without one,
/// `unknown` for what is no word.
pub(super) fn worded(prefix: &str, word: Option<&str>, otherwise: &str) -> Cow<'static, str> {
    const WORD_BYTES_MAX: usize = 64;
    let word = word.unwrap_or(otherwise);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if word.is_empty() || word.len() > WORD_BYTES_MAX || !word.bytes().all(plain) {
        return Cow::Borrowed("unknown");
    }
    Cow::Owned(format!("{prefix}.{}", word.to_ascii_lowercase()))
}
