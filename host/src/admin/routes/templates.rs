use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::Params;
use crate::admin::page::page;
use crate::admin::shape::Time;
use crate::store::views::TemplateRow;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TemplateQuery {
    /// Templates with a higher id.
    after: Option<i64>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
    /// Only those of this WhatsApp Business Account.
    waba: Option<String>,
}

/// A message template, in Meta's words; what Meta has not said is null.
#[derive(Serialize, ToSchema)]
struct Template {
    id: i64,
    waba: String,
    name: String,
    language: String,
    /// Such as `APPROVED`, `PAUSED` or `REJECTED`.
    status: Option<String>,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`; without one it counts as marketing.
    category: Option<String>,
    /// Such as `GREEN`.
    quality: Option<String>,
    /// The time of Meta's newest word about it.
    learned_at: Time,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TemplateList {
    templates: Vec<Template>,
    next: i64,
}

/// Message templates, in the order in which they were first heard of.
#[utoipa::path(get, path = "/templates", params(TemplateQuery), responses((status = 200, body = TemplateList)))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Params(query): Params<TemplateQuery>,
) -> Result<Json<TemplateList>, ApiError> {
    let page = page(query.after, query.limit)?;
    let rows = app.store.templates(wall, page, query.waba).await?;
    let next = rows.last().map_or(page.after, |row| row.id);
    Ok(Json(TemplateList {
        templates: rows.into_iter().map(shape).collect(),
        next,
    }))
}

fn shape(row: TemplateRow) -> Template {
    Template {
        id: row.id,
        waba: row.waba,
        name: row.name,
        language: row.language,
        status: row.status,
        category: row.category,
        quality: row.quality,
        learned_at: Time::new(row.learned_ms),
    }
}
