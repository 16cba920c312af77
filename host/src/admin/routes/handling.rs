//! Who has a conversation: what a number's settings say, and the story of each.

use axum::Json;
use axum::extract::State;
use duet_rules::takeover::{self, Terms};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::conversations::{Handling, existing};
use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::{Body, Id, MetaId};
use crate::admin::shape::{AgentShape, Time};
use crate::now_ms;

/// How the conversations of a number are handled. What is absent is as for every number.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HandlingSettings {
    /// How long a person keeps a conversation after a word, at most, 1 to 8760; else as duet.toml says.
    person_hours: Option<u64>,
    /// How long in any case when there are working hours, 0 to 1440; 60 if absent.
    grace_minutes: Option<u64>,
    /// Where the working hours are, by a name of the IANA database such as `Europe/Berlin`; stands with `open`.
    time_zone: Option<String>,
    /// The working hours: `mon-fri 09:00-12:30 13:30-18:00, sat 10:00-14:00`. Outside of them a person keeps a
    /// conversation only for `grace_minutes` after the last word.
    open: Option<String>,
    /// Plugin instances that go on speaking while a person has the conversation.
    #[serde(default)]
    speaking: Vec<String>,
}

/// The settings, and what they lead to now.
#[derive(Serialize, ToSchema)]
pub(super) struct NumberHandling {
    #[serde(flatten)]
    settings: HandlingSettings,
    /// `person_hours` of duet.toml.
    usual_person_hours: u64,
    /// Whether it is working time; absent without working hours.
    open_now: Option<bool>,
}

/// A change of who has a conversation.
#[derive(Serialize, ToSchema)]
struct HandlingChange {
    handling: Handling,
    /// `echo` (a person wrote in the app), `agent` (an agent replied through a plugin or the API), `api`, `plugin`, or
    /// `time` (a person's time was over).
    cause: &'static str,
    /// The plugin, or `api`.
    by: Option<String>,
    /// Which person has it, where a plugin has said so.
    agent: Option<AgentShape>,
    /// The event that made it so. Absent when it was the live copy of a message that had come with the history before.
    event: Option<i64>,
    at: Time,
    /// Until when a person has it, unless something else comes before.
    until: Option<Time>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct HandlingStory {
    changes: Vec<HandlingChange>,
}

/// How the conversations of a number are handled.
#[utoipa::path(get, path = "/numbers/{id}/handling", params(("id" = String, Path)), responses(
    (status = 200, body = NumberHandling),
    (status = 404, description = "There is no such number"),
))]
pub(super) async fn settings(
    State(app): State<App>,
    Walled(wall): Walled,
    MetaId(id): MetaId,
) -> Result<Json<NumberHandling>, ApiError> {
    let settings = app.store.handling_settings(wall, id).await?;
    let settings = settings.ok_or_else(no_such_number)?;
    let terms = settings.check().unwrap_or_default();
    Ok(Json(shape(&app, settings, &terms)))
}

/// Sets it, all of it, for what is said from now on.
#[utoipa::path(put, path = "/numbers/{id}/handling", params(("id" = String, Path)), request_body = HandlingSettings,
    responses(
        (status = 200, description = "As it is now", body = NumberHandling),
        (status = 404, description = "There is no such number"),
    ))]
pub(super) async fn set_settings(
    State(app): State<App>,
    Walled(wall): Walled,
    MetaId(id): MetaId,
    Body(asked): Body<HandlingSettings>,
) -> Result<Json<NumberHandling>, ApiError> {
    let settings = takeover::Settings {
        person_hours: asked.person_hours,
        grace_minutes: asked.grace_minutes,
        time_zone: asked.time_zone,
        open: asked.open,
        speaking: asked.speaking,
    };
    let terms = settings
        .check()
        .map_err(|invalid| ApiError::body(invalid.to_string()))?;
    let set = app.store.set_handling_settings(wall, id, settings.clone());
    if !set.await? {
        return Err(no_such_number());
    }
    Ok(Json(shape(&app, settings, &terms)))
}

/// Who had a conversation when, oldest first: the last 200 changes.
#[utoipa::path(get, path = "/conversations/{id}/handling", params(("id" = i64, Path)), responses(
    (status = 200, body = HandlingStory),
    (status = 404, description = "There is no such conversation"),
))]
pub(super) async fn story(
    State(app): State<App>,
    Walled(wall): Walled,
    Id(id): Id,
) -> Result<Json<HandlingStory>, ApiError> {
    existing(&app, wall, id).await?;
    let changes = app.store.handling_story(id, now_ms()).await?;
    let changes = changes.into_iter().map(|change| HandlingChange {
        handling: change.handling.into(),
        cause: change.cause.as_str(),
        by: change.who,
        agent: change.agent.map(Into::into),
        event: (change.seq > 0).then_some(change.seq),
        at: Time::new(change.at_ms),
        until: Time::maybe(change.until_ms),
    });
    Ok(Json(HandlingStory {
        changes: changes.collect(),
    }))
}

fn no_such_number() -> ApiError {
    ApiError::not_found("there is no such number")
}

fn shape(app: &App, settings: takeover::Settings, terms: &Terms) -> NumberHandling {
    NumberHandling {
        open_now: terms.is_open(now_ms()),
        usual_person_hours: app.person_hours,
        settings: HandlingSettings {
            person_hours: settings.person_hours,
            grace_minutes: settings.grace_minutes,
            time_zone: settings.time_zone,
            open: settings.open,
            speaking: settings.speaking,
        },
    }
}
