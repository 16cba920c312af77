use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use duet_rules::business::OWN;
use duet_rules::coexistence::Kind;
use duet_rules::signup::{HandIn, Mark, NOT_GOING_ON, Refusal, Stage, told};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::admin::App;
use crate::admin::access::presented;
use crate::admin::error::ApiError;
use crate::admin::input::Body;
use crate::admin::operations::OperationError;
use crate::admin::shape::Time;
use crate::admin::signup::{
    Ended, FAILED, SCRIPT, STYLE, Seen, SignupSettings, UNSEEN, asset, document,
};
use crate::store::connections::Step;
use crate::store::views::SignupRow;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSignup {
    /// Whose number it will be: a business that was made, since a signup brings a token of its own.
    business: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct MadeSignup {
    /// For the owner alone. What stands behind the `#` is a secret, and is shown this once.
    url: String,
    expires_at: Time,
}

/// Makes a link to the page on which the owner of a number goes through Embedded Signup. It can be used once, within an
/// hour, and until the gateway stops.
#[utoipa::path(post, path = "/signups", request_body = NewSignup, responses(
    (status = 201, body = MadeSignup),
    (status = 404, description = "There is no such business"),
    (status = 409, description = "Nobody can sign up now; the message says why"),
))]
pub(super) async fn create(
    State(app): State<App>,
    Body(new): Body<NewSignup>,
) -> Result<(StatusCode, Json<MadeSignup>), ApiError> {
    let settings = app.signup.as_ref().ok_or_else(|| {
        let message =
            "the page of the signup needs signup.app_id and signup.config_id; set both, and signup.url";
        ApiError::refused(message, None)
    })?;
    if new.business == OWN {
        let message = "business: name one that was made; a signup brings a token of its own, and the gateway's own business has its from DUET_ACCESS_TOKEN";
        return Err(ApiError::body(message));
    }
    let business = app.store.business(new.business).await?;
    let business =
        business.ok_or_else(|| ApiError::not_found("there is no such business; make it first"))?;
    if let Some(obstacle) = app.operations.signup_obstacle(business.id.clone()).await? {
        return Err(ApiError::refused(
            format!("not yet, because {obstacle}"),
            None,
        ));
    }
    let now_ms = crate::now_ms();
    let (secret, until_ms) = app.links.make(business.id, business.name, now_ms)?;
    Ok((
        StatusCode::CREATED,
        Json(MadeSignup {
            url: format!("{}/signup#{secret}", settings.url),
            expires_at: Time::new(until_ms),
        }),
    ))
}

/// The page. It asks for no token: the link to it holds a secret, which only the page's own calls show.
#[utoipa::path(get, path = "/signup", responses((status = 200, description = "The page", body = String, content_type = "text/html")))]
pub(super) async fn page() -> impl IntoResponse {
    document()
}

/// The page's script.
#[utoipa::path(get, path = "/signup/page.js", responses((status = 200, description = "Its script", body = String, content_type = "text/javascript")))]
pub(super) async fn script() -> impl IntoResponse {
    asset(SCRIPT)
}

/// The page's style.
#[utoipa::path(get, path = "/signup/page.css", responses((status = 200, description = "Its style", body = String, content_type = "text/css")))]
pub(super) async fn style() -> impl IntoResponse {
    asset(STYLE)
}

/// The secret of a link that is known, as `Authorization: Bearer signup_…`. It is looked at before a body is read.
pub(super) struct Held {
    secret: String,
    seen: Seen,
}

impl FromRequestParts<App> for Held {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Held, ApiError> {
        let secret = presented(&parts.headers).ok_or(Refusal::Over)?;
        let seen = app.links.see(secret, crate::now_ms())?;
        let secret = secret.to_owned();
        Ok(Held { secret, seen })
    }
}

/// What the holder of a link sees.
#[derive(Serialize, ToSchema)]
pub(super) struct Signup {
    /// `open`, `at-work` (a hand-in is being looked at) or `used`.
    stage: &'static str,
    /// What people call the business.
    business: String,
    /// Until when the link is good.
    until: Time,
    /// What Meta's SDK has to be told; absent once the link is used.
    setup: Option<Setup>,
    /// What the last hand-in failed by.
    failed: Option<String>,
    /// The number, once it is known.
    phone: Option<String>,
    /// How far it has come.
    steps: Vec<SignupStep>,
    /// That it does not go on, and what to do; the cause is the admin's to see.
    note: Option<&'static str>,
    /// Nothing more will come.
    over: bool,
}

#[derive(Serialize, ToSchema)]
struct Setup {
    app_id: String,
    config_id: String,
    #[schema(value_type = Object)]
    extras: Value,
    version: String,
}

#[derive(Serialize, ToSchema)]
struct SignupStep {
    /// `number`, `contacts` or `history`.
    name: &'static str,
    /// `waits`, `at-work`, `done` or `failed`.
    mark: &'static str,
    words: &'static str,
    percent: Option<i64>,
    #[serde(skip)]
    is_over: bool,
}

/// How far the signup of a link has come. The link's secret is the bearer token.
#[utoipa::path(get, path = "/signup/progress", responses(
    (status = 200, body = Signup),
    (status = 404, description = "The link is not known, or no longer good"),
))]
pub(super) async fn progress(State(app): State<App>, held: Held) -> Result<Json<Signup>, ApiError> {
    let seen = held.seen;
    let row = match &seen.signed_up {
        Some(signed_up) => {
            app.store
                .signup(signed_up.waba.clone(), crate::now_ms())
                .await?
        }
        None => None,
    };
    Ok(Json(shape(seen, row, app.signup.as_ref())))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Handed {
    /// Meta's code, which lives for 30 seconds.
    code: String,
    /// Meta's id of the WhatsApp Business Account, if Meta has told it.
    waba: Option<String>,
}

/// Takes what Meta gave the page, once. The link's secret is the bearer token.
#[utoipa::path(post, path = "/signup/progress", request_body = Handed, responses(
    (status = 204, description = "The number is being connected"),
    (status = 404, description = "The link is not known, or no longer good"),
    (status = 409, description = "Nothing came of it; the message says what to do"),
    (status = 503, description = "It could not be looked at now; this was no try"),
))]
pub(super) async fn hand_in(
    State(app): State<App>,
    held: Held,
    Body(handed): Body<Handed>,
) -> Result<StatusCode, ApiError> {
    let handed = HandIn::new(&handed.code, handed.waba.as_deref())?;
    let taken = app.links.take(&held.secret, crate::now_ms())?;
    // To its end, also when the browser is closed meanwhile.
    let work = tokio::spawn(async move {
        let business = taken.business().to_owned();
        match app.operations.sign_up(business, handed).await {
            Ok(signed_up) => {
                taken.end(Ended::SignedUp(signed_up));
                Ok(StatusCode::NO_CONTENT)
            }
            Err(error) => {
                let words = words(&error);
                taken.end(match error {
                    OperationError::Unavailable(_) => Ended::Unseen(words.clone()),
                    _ => Ended::Failed(words.clone()),
                });
                Err(ApiError::from(error).told(words))
            }
        }
    });
    work.await.map_err(|_| ApiError::internal().told(FAILED))?
}

/// What an owner reads of a failure.
fn words(error: &OperationError) -> String {
    match error {
        OperationError::Refused { reason, .. } => reason.clone(),
        OperationError::Unavailable(_) => UNSEEN.to_owned(),
        _ => FAILED.to_owned(),
    }
}

fn shape(seen: Seen, row: Option<SignupRow>, settings: Option<&SignupSettings>) -> Signup {
    let steps = row.as_ref().map(steps).unwrap_or_default();
    let note = seen.signed_up.as_ref().and_then(|signed_up| signed_up.note);
    let is_open = seen.stage != Stage::Used;
    Signup {
        over: note.is_some() || (!steps.is_empty() && steps.iter().all(|step| step.is_over)),
        note: note.or_else(|| {
            row.as_ref()
                .filter(|row| row.is_stuck)
                .map(|_| NOT_GOING_ON)
        }),
        phone: row.and_then(|row| row.number?.display),
        stage: match seen.stage {
            Stage::Open => "open",
            Stage::AtWork => "at-work",
            Stage::Used => "used",
        },
        business: seen.name,
        until: Time::new(seen.until_ms),
        setup: settings.filter(|_| is_open).map(|settings| Setup {
            app_id: settings.app_id.clone(),
            config_id: settings.config_id.clone(),
            extras: settings.extras.clone(),
            version: settings.version.clone(),
        }),
        failed: seen.failed,
        steps,
    }
}

fn steps(row: &SignupRow) -> Vec<SignupStep> {
    let connected = !matches!(row.step, Step::LookUp | Step::Subscribe);
    let number = match connected {
        true => (Mark::Done, "It is connected."),
        false => (Mark::AtWork, "It is being connected."),
    };
    let of = |kind: Kind| match row.number.as_ref().filter(|_| connected) {
        Some(number) => {
            let asked = match kind {
                Kind::Contacts => number.contacts,
                Kind::History => number.history,
            };
            told(kind, asked, number.came.state)
        }
        None => (Mark::Waits, ""),
    };
    let percent = row.number.as_ref().and_then(|number| number.came.progress);
    [
        ("number", number, None),
        ("contacts", of(Kind::Contacts), None),
        ("history", of(Kind::History), percent),
    ]
    .map(|(name, (mark, words), percent)| SignupStep {
        name,
        mark: mark.as_str(),
        words,
        percent: percent.filter(|_| mark == Mark::AtWork),
        is_over: mark.is_over(),
    })
    .into()
}
