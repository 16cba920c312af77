//! The admin's side: `/api/v1/…` behind bearer tokens, `/metrics`, `/healthz`, `/readyz`.
//!
//! - `access`: who asks, and what the token lets it do
//! - `operations`: what the API asks of the rest of the gateway
//! - `page`, `input`, `error`, `shape`: what all routes have in common on the wire
//! - `routes`: one file for each noun
//! - `signup`: the page on which an owner connects a number, by a one-time link
//! - `listen`: the listener with its bounds
//!
//! Every route belongs to one scope, by the group that it stands in; the description at
//! `/api/v1/openapi.json` is made from the same groups. A token of one business gets through to the walled groups
//! alone, whose routes ask for its `Wall` and hand it to the store. Deliberately absent: cookies, CORS, and HTML but for
//! that page.

mod access;
mod error;
mod input;
mod listen;
mod operations;
mod page;
mod routes;
mod shape;
mod signup;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Extension;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, PathItem};
use utoipa_axum::router::OpenApiRouter;

use access::Reach;
pub use access::{RootToken, Scope};
pub use listen::serve;
pub use operations::{
    ConnectReport, ConnectWish, Operation, OperationError, Operations, PartnerWebhook, PluginLog,
    PluginReport, SetThere, SignedUp, SyncReport,
};
pub use signup::{SignupLinks, SignupSettings};

use crate::media::Deposits;
use crate::store::Store;
use crate::store::receipts::ReceiptLog;
use crate::telemetry::Metrics;
use error::ApiError;

/// The largest body that a request may have; a file that is handed over has bounds of its own.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What the routes work with.
pub struct Admin {
    pub store: Store,
    pub receipts: ReceiptLog,
    pub operations: Arc<dyn Operations>,
    /// Where files go that are handed over.
    pub deposits: Deposits,
    pub metrics: Arc<Metrics>,
    pub root: RootToken,
    /// How long a person keeps a conversation where its number's settings say nothing.
    pub person_hours: u64,
    /// What the page of the signup needs; none when it is not set up.
    pub signup: Option<SignupSettings>,
    /// The links to it.
    pub links: SignupLinks,
    /// Why no webhook can be taken now, or nothing.
    pub ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

type App = Arc<Admin>;

/// The description as it is served.
#[derive(Clone)]
struct Description(Arc<str>);

/// All routes of the admin listener.
pub fn router(admin: Admin) -> axum::Router {
    let app = Arc::new(admin);
    let (router, description) = routes(&app).split_for_parts();
    // Only a schema that cannot be written as JSON would fail here, and there is none.
    let description = description.to_json().unwrap_or_default();
    router
        .layer(Extension(Description(description.into())))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(finish))
        .with_state(app)
}

fn routes(app: &App) -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .merge(group(Scope::Read, Reach::Business, routes::walled_read()))
        .merge(group(
            Scope::Operate,
            Reach::Business,
            routes::walled_operate(),
        ))
        .merge(group(
            Scope::Personal,
            Reach::Business,
            routes::walled_personal(),
        ))
        .merge(group(Scope::Read, Reach::Gateway, routes::read()))
        .merge(group(Scope::Operate, Reach::Gateway, routes::operate()))
        .merge(group(Scope::Personal, Reach::Gateway, routes::personal()))
        .merge(group(Scope::Admin, Reach::Gateway, routes::admin()))
        .fallback(unknown)
        .layer(middleware::from_fn_with_state(
            app.clone(),
            access::authenticate,
        ));
    OpenApiRouter::with_openapi(description())
        .merge(routes::open())
        .nest("/api/v1", api)
        .fallback(unknown)
}

/// Lets only tokens with `scope` and `reach` through to these routes, and says so in their description.
fn group(scope: Scope, reach: Reach, routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    let mut routes =
        routes.route_layer(middleware::from_fn(move |request: Request, next: Next| {
            access::require(scope, reach, request, next)
        }));
    for operation in routes
        .get_openapi_mut()
        .paths
        .paths
        .values_mut()
        .flat_map(operations_mut)
    {
        operation.security = Some(vec![SecurityRequirement::new("token", [scope.as_str()])]);
        error::describe(operation);
    }
    routes
}

fn operations_mut(
    item: &mut PathItem,
) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

fn description() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Duet admin API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Lists are pages: `after` is a cursor, `limit` at most 1000, and `next` goes on. At the end `next` \
             repeats `after`; a page may be short before that. Times are RFC 3339 in UTC.",
        ))
        .build();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "DUET_ADMIN_TOKEN, or a token made with POST /api/v1/tokens",
        ))
        .build();
    let mut description = OpenApiBuilder::new().info(info).build();
    let components = description.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(scheme));
    error::add_schema(components);
    description
}

async fn unknown() -> ApiError {
    ApiError::not_found("there is no such path; GET /api/v1/openapi.json lists all")
}

/// No answer is kept by a cache, and also axum's own refusals are JSON.
async fn finish(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allow = response.headers().get(header::ALLOW).cloned();
        response = ApiError::method_not_allowed().into_response();
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
