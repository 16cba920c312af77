//! What became of messages that the business sent, and calls.

use super::Key;
use super::change::{Change, named};
use super::content::first_error;
use super::element::{Meaning, Status};
use super::json::Object;
use super::kinds::{status_kind, worded};
use super::rows::Draft;

const RECIPIENT: [&str; 3] = [
    "recipient_id",
    "recipient_user_id",
    "recipient_parent_user_id",
];
/// In a group `recipient_id` is the group; the participant is who received.
const PARTICIPANT: [&str; 3] = [
    "recipient_participant_id",
    "recipient_participant_user_id",
    "recipient_participant_parent_user_id",
];

/// One item of `value.statuses[]`.
pub(super) fn status<'c>(change: &'c Change<'_>, json: &str, object: &Object<'_>) -> Draft<'c> {
    if object.text("type").as_deref() == Some("call") {
        return call_status(change, json, object);
    }
    let status = object.lower("status").unwrap_or_default();
    let wamid = object.string("id");
    let key = match &wamid {
        Some(wamid) => {
            let at = object.text("timestamp").unwrap_or_default();
            Key::of(&["t", change.number(), wamid, &status, &at])
        }
        None => change.key_of_body("t", json),
    };
    let group = object.text("recipient_type").as_deref() == Some("group") || object.has("group_id");
    Draft {
        kind: status_kind(&status),
        group,
        meaning: Meaning::Status(Status {
            wamid,
            opaque: object.string("biz_opaque_callback_data"),
            error: first_error(object),
            status,
        }),
        ..Draft::of_user(
            change,
            vec![key],
            named(object, if group { PARTICIPANT } else { RECIPIENT }),
            object,
        )
    }
}

fn call_status<'c>(change: &'c Change<'_>, json: &str, object: &Object<'_>) -> Draft<'c> {
    let status = object.text("status");
    Draft {
        kind: worded("call", status.as_deref(), "update"),
        ..Draft::of_user(
            change,
            vec![change.key_of_body("call", json)],
            named(object, RECIPIENT),
            object,
        )
    }
}

/// One item of `value.calls[]`.
pub(super) fn call<'c>(change: &'c Change<'_>, json: &str, object: &Object<'_>) -> Draft<'c> {
    let word = object.text("event").or_else(|| object.text("status"));
    let by_user = object
        .text("direction")
        .is_none_or(|direction| direction == "USER_INITIATED");
    let members = if by_user {
        ["from", "from_user_id", "from_parent_user_id"]
    } else {
        ["to", "to_user_id", "to_parent_user_id"]
    };
    Draft {
        kind: worded("call", word.as_deref(), "update"),
        ..Draft::of_user(
            change,
            vec![change.key_of_body("call", json)],
            named(object, members),
            object,
        )
    }
}
