use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use duet_rules::readiness::{Finding, obstacles};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::{Body, Params};
use crate::admin::operations::ConnectWish;
use crate::admin::page::limit;
use crate::admin::shape::Time;
use crate::store::connections::ConnectionRow;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Connect {
    /// Meta's id of the WhatsApp Business Account.
    waba: String,
    /// The only number of it that is meant, by its phone_number_id; all that are in the app if absent.
    number: Option<String>,
    /// Whose it is, for good; as it is if absent. A token of one business connects for that alone.
    business: Option<String>,
    /// The business has just gone through the signup again: what was asked for before counts no more.
    #[serde(default)]
    signed_up: bool,
    /// Only look; nothing is changed.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    ready: bool,
    /// `ready`, or `not yet, because …`.
    verdict: String,
    findings: Vec<Found>,
    /// The steps are taken one after the other; `/connections` and `/numbers` tell how far they have come.
    begun: bool,
}

/// One thing that was looked at.
#[derive(Serialize, ToSchema)]
pub(super) struct Found {
    /// The account or number that it is about; absent when it is about the gateway.
    about: Option<String>,
    check: &'static str,
    /// `well`, `doubt` or `problem`.
    verdict: &'static str,
    detail: String,
    remedy: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ConnectionQuery {
    /// Accounts whose ids come later.
    after: Option<String>,
    /// At most 1000, 100 if absent.
    limit: Option<i64>,
}

/// An account whose numbers were connected from here.
#[derive(Serialize, ToSchema)]
struct Connection {
    waba: String,
    /// The only number that is meant.
    number: Option<String>,
    /// What is done next: `look-up`, `subscribe`, `contacts`, `history` or `done`.
    step: &'static str,
    begun_at: Time,
    done_at: Option<Time>,
    /// Why the step could not be taken last time; it is tried again.
    cause: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ConnectionList {
    connections: Vec<Connection>,
    next: String,
}

/// Connects the numbers of an account that stay in the WhatsApp Business app: subscribes the app to its webhooks and asks
/// for contacts and history, once each. Nothing is changed unless all is ready.
#[utoipa::path(post, path = "/numbers", request_body = Connect, responses(
    (status = 200, description = "Whether it is ready, for a dry run; or its partner connects it, and nothing is left to do here", body = Readiness),
    (status = 202, description = "Begun", body = Readiness),
    (status = 409, description = "Not yet; the message says why"),
))]
pub(super) async fn add(
    State(app): State<App>,
    Walled(wall): Walled,
    Body(body): Body<Connect>,
) -> Result<(StatusCode, Json<Readiness>), ApiError> {
    for (name, id) in [("waba", Some(&body.waba)), ("number", body.number.as_ref())] {
        if id.is_some_and(|id| id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(ApiError::body(format!("{name}: must be Meta's id, digits")));
        }
    }
    let own = wall.business().map(str::to_owned);
    if let (Some(own), Some(named)) = (&own, &body.business)
        && own != named
    {
        let message = "business: the token is another business's; leave it out";
        return Err(ApiError::body(message));
    }
    let wish = ConnectWish {
        waba: body.waba,
        number: body.number,
        claims: own.is_some(),
        business: own.or(body.business),
        signed_up: body.signed_up,
        dry_run: body.dry_run,
    };
    let report = app.operations.connect(wish).await?;
    let readiness = readiness(report.findings, report.begun);
    match (body.dry_run, report.begun) {
        (true, _) => Ok((StatusCode::OK, Json(readiness))),
        (false, true) => Ok((StatusCode::ACCEPTED, Json(readiness))),
        (false, false) if readiness.ready => Ok((StatusCode::OK, Json(readiness))),
        (false, false) => Err(ApiError::refused(readiness.verdict, None)),
    }
}

/// The accounts whose numbers were connected from here.
#[utoipa::path(get, path = "/connections", params(ConnectionQuery), responses((status = 200, body = ConnectionList)))]
pub(super) async fn list(
    State(app): State<App>,
    Walled(wall): Walled,
    Params(query): Params<ConnectionQuery>,
) -> Result<Json<ConnectionList>, ApiError> {
    let after = query.after.unwrap_or_default();
    let rows = app
        .store
        .connections(wall, after.clone(), limit(query.limit)?)
        .await?;
    let next = rows.last().map_or(after, |row| row.waba.clone());
    Ok(Json(ConnectionList {
        connections: rows.into_iter().map(shape).collect(),
        next,
    }))
}

fn readiness(findings: Vec<Finding>, begun: bool) -> Readiness {
    let obstacles = obstacles(&findings);
    Readiness {
        ready: obstacles.is_none(),
        verdict: match obstacles {
            None => "ready".to_owned(),
            Some(obstacles) => format!("not yet, because {obstacles}"),
        },
        findings: findings
            .into_iter()
            .map(|finding| found(None, finding))
            .collect(),
        begun,
    }
}

pub(super) fn found(about: Option<String>, finding: Finding) -> Found {
    Found {
        about,
        check: finding.check,
        verdict: finding.verdict.as_str(),
        detail: finding.detail,
        remedy: finding.remedy,
    }
}

fn shape(row: ConnectionRow) -> Connection {
    Connection {
        waba: row.waba,
        number: row.number,
        step: row.step.as_str(),
        begun_at: Time::new(row.begun_ms),
        done_at: Time::maybe(row.done_ms),
        cause: row.cause,
    }
}
