//! The routes, one file for each noun, gathered by the scope that each needs.

mod alarms;
mod annotations;
mod businesses;
mod cases;
mod connections;
mod contacts;
mod conversations;
mod dead_letters;
mod deposits;
mod doctor;
mod events;
mod handling;
mod health;
mod ledger;
mod media;
mod messages;
mod numbers;
mod outbox;
mod partner;
mod plugin_logs;
mod plugin_promote;
mod plugin_replay;
mod plugin_rollback;
mod plugins;
mod receipts;
mod search;
mod signups;
mod templates;
mod tokens;

use axum::Extension;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{App, Description};

/// No token needed: what everybody may see, and the page for those who hold a link.
pub(super) fn open() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(signups::page))
        .routes(routes!(signups::script))
        .routes(routes!(signups::style))
        .routes(routes!(signups::progress, signups::hand_in))
}

/// Routes that a token of one business may use, too: each takes the `Wall` of the one who asks.
pub(super) fn walled_read() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(openapi))
        .routes(routes!(health::version))
        .routes(routes!(events::list))
        .routes(routes!(plugins::list))
        .routes(routes!(numbers::list))
        .routes(routes!(numbers::one))
        .routes(routes!(numbers::leaving))
        .routes(routes!(numbers::history))
        .routes(routes!(ledger::ledger))
        .routes(routes!(connections::list))
        .routes(routes!(doctor::examine))
        .routes(routes!(handling::settings))
        .routes(routes!(contacts::list))
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::one))
        .routes(routes!(handling::story))
        .routes(routes!(cases::list))
        .routes(routes!(annotations::list))
        .routes(routes!(messages::list))
        .routes(routes!(outbox::list))
        .routes(routes!(dead_letters::list))
        .routes(routes!(templates::list))
        .routes(routes!(alarms::list))
}

pub(super) fn walled_operate() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(dead_letters::redrive_many))
        .routes(routes!(conversations::set_handling))
        .routes(routes!(annotations::note))
        .routes(routes!(annotations::add_label, annotations::remove_label))
        .routes(routes!(annotations::assign, annotations::unassign))
        .routes(routes!(handling::set_settings))
        .routes(routes!(connections::add))
        .routes(routes!(numbers::sync))
        .routes(routes!(contacts::separate))
        .routes(routes!(messages::send))
        .routes(routes!(deposits::take))
        .routes(routes!(alarms::acknowledge))
}

pub(super) fn walled_personal() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(media::file))
        .routes(routes!(search::list))
        .routes(routes!(plugin_logs::list))
        .routes(routes!(contacts::export))
        .routes(routes!(contacts::erase))
}

/// Routes about the whole gateway. A new one stands here until it asks for the wall.
pub(super) fn read() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(receipts::list))
}

pub(super) fn operate() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(plugins::reload))
        .routes(routes!(plugin_promote::promote))
        .routes(routes!(plugin_rollback::roll_back))
}

pub(super) fn personal() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(receipts::body))
        .routes(routes!(plugin_replay::replay))
}

pub(super) fn admin() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(businesses::list, businesses::create))
        .routes(routes!(businesses::remove))
        .routes(routes!(signups::create))
        .routes(routes!(businesses::set_access))
        .routes(routes!(partner::renew))
        .routes(routes!(
            businesses::give_account,
            businesses::take_account_back
        ))
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn openapi(Extension(Description(json)): Extension<Description>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        json.to_string(),
    )
}
