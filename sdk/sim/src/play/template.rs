//! Templates change state at Meta's will.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{PlayError, number};
use crate::state::{State, lock};
use crate::webhook::Change;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateChange {
    #[serde(default)]
    number: Option<String>,
    name: String,
    language: String,
    /// `APPROVED`, `REJECTED`, `PAUSED`, `DISABLED`, …
    event: String,
    #[serde(default)]
    reason: Option<String>,
}

pub(super) fn change(state: &State, change: &TemplateChange) -> Result<(), PlayError> {
    let mut world = lock(&state.world);
    let number = number(&world, change.number.as_deref())?.number;
    let found = world
        .templates
        .iter_mut()
        .find(|template| template.name == change.name && template.language == change.language);
    let template = found.ok_or_else(|| {
        PlayError(format!(
            "there is no template {} in {}",
            change.name, change.language
        ))
    })?;
    template.status = change.event.clone();
    let value = json!({
        "event": change.event,
        "message_template_id": template.id.parse::<u64>().map_or_else(|_| json!(template.id), Value::from),
        "message_template_name": change.name,
        "message_template_language": change.language,
        "reason": change.reason.as_deref().unwrap_or("NONE"),
        "message_template_category": template.category,
    });
    drop(world);
    state.say(
        "meta",
        &number.id,
        format!("[template {}: {}]", change.name, change.event),
    );
    let lane = format!("{}/templates", number.waba);
    let time = Some(state.clock.now_ms() / 1000);
    state.post(
        Change {
            time,
            ..Change::of_waba(&number, "message_template_status_update", lane, value)
        },
        0,
    );
    Ok(())
}
