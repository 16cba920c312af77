//! Message templates: listing, creating, and what a send of one must carry.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::Answer;
use super::request::Call;
use crate::config::Template;
use crate::error::GraphError;
use crate::state::{State, lock};
use crate::world::TEMPLATES_MAX;

pub(super) fn list(state: &State, waba: &str, call: &Call) -> Answer {
    let world = lock(&state.world);
    if !world.has_waba(waba) {
        return Err(GraphError::unknown_object(waba));
    }
    let wanted = |template: &&Template| {
        let same =
            |name: &str, value: &str| call.query.get(name).is_none_or(|wanted| wanted == value);
        same("name", &template.name)
            && same("language", &template.language)
            && same("status", &template.status)
    };
    let data: Vec<Value> = world
        .templates
        .iter()
        .filter(wanted)
        .map(|template| json!(template))
        .collect();
    Ok(json!({"data": data, "paging": {"cursors": {"before": "MAZDZD", "after": "MjQZD"}}}))
}

pub(super) fn create(state: &State, waba: &str, call: &Call) -> Answer {
    let body = call.object()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let required = |name: &str| {
        text(name)
            .ok_or_else(|| GraphError::parameter(format!("The parameter {name} is required.")))
    };
    let (name, language, category) = (
        required("name")?,
        required("language")?,
        required("category")?.to_uppercase(),
    );
    if !["MARKETING", "UTILITY", "AUTHENTICATION"].contains(&category.as_str()) {
        return Err(GraphError::parameter(
            "Param category must be one of {AUTHENTICATION, MARKETING, UTILITY}.",
        ));
    }
    let mut world = lock(&state.world);
    if !world.has_waba(waba) {
        return Err(GraphError::unknown_object(waba));
    }
    if world.templates.len() >= TEMPLATES_MAX {
        return Err(GraphError::of(2_388_019, "Message Template Limit Exceeded"));
    }
    if world
        .templates
        .iter()
        .any(|template| template.name == name && template.language == language)
    {
        return Err(GraphError::plain(
            StatusCode::BAD_REQUEST,
            100,
            "Content in this language already exists",
        ));
    }
    let id = format!(
        "{}",
        1_689_556_908_000_000_u64 + world.templates.len() as u64
    );
    let components = body
        .get("components")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let (status, answer) = (
        "PENDING".to_owned(),
        json!({"id": id, "status": "PENDING", "category": category}),
    );
    world.templates.push(Template {
        name,
        language,
        category,
        status,
        id,
        components,
    });
    Ok(answer)
}

/// The category, in lower case, of the template that a send names, or why it cannot be sent.
pub(super) fn check(
    templates: &[Template],
    body: &Map<String, Value>,
) -> Result<String, GraphError> {
    let given = body.get("template").unwrap_or(&Value::Null);
    let text = |pointer: &str| {
        given
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (name, language) = (text("/name"), text("/language/code"));
    let found = templates
        .iter()
        .find(|template| template.name == name && template.language == language);
    let template =
        found.filter(|template| !matches!(template.status.as_str(), "PENDING" | "REJECTED"));
    let template = template.ok_or_else(|| {
        GraphError::of(
            132_001,
            format!("template name ({name}) does not exist in {language}"),
        )
    })?;
    match template.status.as_str() {
        "PAUSED" => {
            return Err(GraphError::of(
                132_015,
                format!("template name ({name}) is paused"),
            ));
        }
        "DISABLED" => {
            return Err(GraphError::of(
                132_016,
                format!("template name ({name}) is disabled"),
            ));
        }
        _ => {}
    }
    for part in ["header", "body"] {
        let (expected, got) = (placeholders(template, part), parameters(given, part));
        if expected != got {
            let details = format!(
                "{part}: number of localizable_params ({got}) does not match the expected number of params ({expected})"
            );
            return Err(GraphError::of(132_000, details));
        }
    }
    Ok(template.category.to_lowercase())
}

/// Different `{{…}}` in the text of a component.
fn placeholders(template: &Template, part: &str) -> usize {
    let is_part = |component: &&Value| {
        component
            .get("type")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.eq_ignore_ascii_case(part))
    };
    let Some(component) = template.components.iter().find(is_part) else {
        return 0;
    };
    let format = component
        .get("format")
        .and_then(Value::as_str)
        .unwrap_or("TEXT");
    if !format.eq_ignore_ascii_case("TEXT") {
        return 1;
    }
    let text = component
        .get("text")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut names: Vec<&str> = text
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split_once("}}"))
        .map(|(name, _)| name.trim())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

fn parameters(given: &Value, part: &str) -> usize {
    let components = given
        .get("components")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let is_part = |component: &&Value| {
        component
            .get("type")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.eq_ignore_ascii_case(part))
    };
    components
        .iter()
        .find(is_part)
        .and_then(|component| component.get("parameters"))
        .and_then(Value::as_array)
        .map_or(0, Vec::len)
}
