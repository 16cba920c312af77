//! The fields of a subscription, and the elements that are a field's whole value.

use std::borrow::Cow;

use super::change::Change;
use super::element::{Account, AccountAlert, Meaning, NumberQuality, TemplateChange};
use super::json::{Object, time_ms};
use super::kinds::worded;
use super::rows::Draft;
use crate::identity::digits;

pub(super) const HISTORY: &str = "history";

/// What a field holds beside the arrays that may stand in any value.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Nothing else.
    Arrays,
    /// The value is one element.
    Whole,
    /// `groups[]`, or else the value is one element.
    Groups,
    /// `automatic_events[]`.
    AutomaticEvents,
    /// The value is one element unless it has `user_id_update`.
    UserId,
}

/// The rule of a field, `None` for one that nobody has heard of.
pub(super) fn rule(field: &str) -> Option<Rule> {
    Some(match field {
        "messages" | "smb_message_echoes" | "smb_app_state_sync" | HISTORY | "calls"
        | "user_preferences" => Rule::Arrays,
        "account_update"
        | "account_alerts"
        | "account_review_update"
        | "account_settings_update"
        | "business_capability_update"
        | "payment_configuration_update"
        | "partner_solutions"
        | "security"
        | "message_template_status_update"
        | "message_template_quality_update"
        | "message_template_components_update"
        | "template_category_update"
        | "phone_number_name_update"
        | "phone_number_quality_update"
        | "business_username_update"
        | "business_username_updates"
        | "flows" => Rule::Whole,
        "group_lifecycle_update"
        | "group_participants_update"
        | "group_settings_update"
        | "group_status_update" => Rule::Groups,
        "automatic_events" => Rule::AutomaticEvents,
        "user_id_update" | "user_id_updates" => Rule::UserId,
        _ => return None,
    })
}

/// The whole value of a field with [`Rule::Whole`].
pub(super) fn field<'c>(change: &'c Change<'_>, json: &str, value: &Object<'_>) -> Draft<'c> {
    let kind = kind(&change.field, value);
    let meaning = if change.field == "account_update" {
        Meaning::Account(account(value))
    } else if change.field == "account_alerts" {
        Meaning::Alert(alert(value))
    } else if change.field == "phone_number_quality_update" {
        quality(value).map_or(Meaning::Nothing, Meaning::Quality)
    } else if let Some(limit) = value.integer("max_daily_conversations_per_business") {
        Meaning::DailyLimit((limit > 0).then_some(limit))
    } else if kind.starts_with("template.") {
        template(value).map_or(Meaning::Nothing, Meaning::Template)
    } else {
        Meaning::Nothing
    };
    Draft {
        kind,
        meaning,
        ..Draft::new(
            change.key_of_moment("field", json),
            change.at_ms(value.text("timestamp")),
        )
    }
}

fn kind(field: &str, value: &Object<'_>) -> Cow<'static, str> {
    Cow::Borrowed(match field {
        "account_update" => return account_kind(value),
        "flows" => return worded("flow", value.text("event").as_deref(), "update"),
        "account_alerts" => "account.alert",
        "account_review_update" => "account.review",
        "account_settings_update" => "account.settings",
        "business_capability_update" => "account.capability",
        "payment_configuration_update" => "account.payment_configuration",
        "partner_solutions" => "account.partner_solution",
        "security" => "account.security",
        "phone_number_name_update" => "number.name",
        "phone_number_quality_update" => "number.quality",
        "business_username_update" | "business_username_updates" => "number.username",
        _ => template_kind(field, value),
    })
}

/// By the members and not by the field: Meta's own example of a quality update carries the field of
/// a status update.
fn template_kind(field: &str, value: &Object<'_>) -> &'static str {
    let has = |name| value.has(name);
    match field {
        _ if has("new_quality_score") => "template.quality",
        _ if has("new_category") || has("correct_category") => "template.category",
        _ if has("message_template_element") => "template.components",
        _ if has("event") => "template.status",
        "message_template_quality_update" => "template.quality",
        "message_template_components_update" => "template.components",
        "template_category_update" => "template.category",
        _ => "template.status",
    }
}

fn account_kind(value: &Object<'_>) -> Cow<'static, str> {
    let event = value.lower("event");
    let event = event
        .as_deref()
        .map(|event| event.strip_prefix("account_").unwrap_or(event));
    worded("account", event, "update")
}

/// Of the restrictions, the one on conversations that the business begins; 0 where the list of them is empty.
fn restricted_until_ms(value: &Object<'_>) -> Option<i64> {
    let restrictions = value.list("restriction_info")?;
    if restrictions.is_empty() {
        return Some(0);
    }
    let ends = restrictions.into_iter().filter_map(|json| {
        let restriction = Object::read(json)?;
        (&*restriction.text("restriction_type")? == "RESTRICTED_BIZ_INITIATED_MESSAGING")
            .then(|| restriction.text("expiration").and_then(|end| time_ms(&end)))
    });
    ends.map(|end| end.unwrap_or(i64::MAX)).max()
}

fn quality(value: &Object<'_>) -> Option<NumberQuality> {
    Some(NumberQuality {
        phone: digits(&value.text("display_phone_number")?),
        event: value.lower("event")?,
    })
}

/// What a change of a template says, whichever of its fields it came with.
fn template(value: &Object<'_>) -> Option<TemplateChange> {
    let upper = |name| value.string(name).map(|word| word.to_uppercase());
    let status = upper("event").map(|event| match event.as_str() {
        // It may be sent again.
        "REINSTATED" | "UNPAUSED" => "APPROVED".to_owned(),
        _ => event,
    });
    Some(TemplateChange {
        name: value.string("message_template_name")?,
        language: value.string("message_template_language")?,
        status: status.filter(|_| !value.has("new_quality_score")),
        category: upper("new_category").or_else(|| upper("message_template_category")),
        quality: upper("new_quality_score"),
    })
}

/// Two shapes of `PARTNER_REMOVED` are documented; both are read.
fn account(value: &Object<'_>) -> Account {
    let waba = value.object("waba_info");
    let disconnection = value.object("disconnection_info");
    let of =
        |object: &Option<Object<'_>>, name| object.as_ref().and_then(|object| object.string(name));
    Account {
        event: value.lower("event").unwrap_or_default(),
        phone: value.text("phone_number").map(|phone| digits(&phone)),
        waba: of(&waba, "waba_id"),
        reason: of(&disconnection, "reason"),
        initiated_by: of(&disconnection, "initiated_by"),
        ban: of(&value.object("ban_info"), "waba_ban_state").map(|state| state.to_lowercase()),
        restricted_until_ms: restricted_until_ms(value),
        owner: of(&waba, "owner_business_id"),
    }
}

/// Its words stand in `alert_info`; older samples have them beside the entity.
fn alert(value: &Object<'_>) -> AccountAlert {
    let info = value.object("alert_info");
    let word = |name| info.as_ref().unwrap_or(value).lower(name);
    AccountAlert {
        entity: value.lower("entity_type").unwrap_or_default(),
        entity_id: value.string("entity_id"),
        severity: word("alert_severity").unwrap_or_default(),
        status: word("alert_status"),
        kind: word("alert_type").unwrap_or_default(),
    }
}

/// One item of `value.errors[]`.
pub(super) fn error<'c>(change: &'c Change<'_>, json: &str) -> Draft<'c> {
    Draft {
        kind: "error".into(),
        ..Draft::new(change.key_of_moment("error", json), change.at_ms(None))
    }
}

/// One item of `value.groups[]`.
pub(super) fn group<'c>(change: &'c Change<'_>, json: &str, group: &Object<'_>) -> Draft<'c> {
    let kind = match &*change.field {
        "group_lifecycle_update" => "group.lifecycle",
        "group_participants_update" => "group.participants",
        "group_settings_update" => "group.settings",
        _ => "group.status",
    };
    Draft {
        kind: kind.into(),
        group: true,
        ..Draft::new(
            change.key_of_moment("group", json),
            change.at_ms(group.text("timestamp")),
        )
    }
}
