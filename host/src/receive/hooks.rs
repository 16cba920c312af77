//! Calls of plugins' hooks: bounds, proof, the call on disk, then 202 or the plugin's answer. What nobody has opened is
//! answered like what nobody has.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use duet_rules::hooks::{self, Answer as Told, Mode, PREFIX, Request as Call, Unproven};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;

use super::{APPEND_WAIT_MAX, Answer, KIB, Refusal, read, text};
use crate::hooks::{Found, Hooks, Open, Place};
use crate::machine;
use crate::store::hooks::{Answered, HookCall, Taken};
use crate::telemetry::Metrics;

/// A body has to arrive within this time.
const BODY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Bodies that are being read hold at most this much memory together.
const READING_BYTES_MAX: usize = 64 << 20;

/// Whether a path is one of a hook.
pub(super) fn is_hook(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Takes the calls of hooks.
pub(super) struct Desk {
    hooks: Arc<Hooks>,
    metrics: Arc<Metrics>,
    reading: Semaphore,
}

/// Why a call is not taken, or not answered.
#[derive(Debug)]
enum Trouble {
    Unknown,
    /// The plugin is not at work yet, or not now.
    NotYet,
    Method,
    Unproven(Unproven),
    TooLarge,
    Incomplete,
    /// There is room after so many seconds.
    TooFast(u64),
    Keyless,
    /// Too many calls are at work, or wait for the store.
    Full,
    /// The plugin has not answered in time; it goes on.
    Late,
    /// The answer has gone with whom it was about.
    Gone,
}

/// What came of a call that was taken.
enum Done {
    Stored,
    Repeated,
    Answered(Told),
}

impl Desk {
    pub(super) fn new(hooks: Arc<Hooks>, metrics: Arc<Metrics>) -> Desk {
        Desk {
            hooks,
            metrics,
            reading: Semaphore::new(READING_BYTES_MAX / KIB),
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let place = hooks::place(parts.uri.path());
        let found = place.map_or(Found::Unknown, |(instance, path, _)| {
            self.hooks.find(instance, path)
        });
        let open = match found {
            Found::Hook(open) => open,
            Found::Unknown => return self.refuse("", &Trouble::Unknown),
            Found::NotYet => return self.refuse("", &Trouble::NotYet),
        };
        let below = place.map_or("", |(_, _, below)| below);
        let headers = parts.headers.iter();
        let call = Call {
            method: parts.method.as_str().to_owned(),
            path: below.to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()))
                .collect(),
        };
        match self.take(&open, &parts.method, call, body).await {
            Ok(done) => {
                self.metrics.plugins.hook(&open.instance, done.word());
                done.answer()
            }
            Err(trouble) => {
                warn(&open, &trouble);
                self.refuse(&open.instance, &trouble)
            }
        }
    }

    fn refuse(&self, instance: &str, trouble: &Trouble) -> Answer {
        tracing::debug!(instance, ?trouble, "a call of a hook was not taken");
        self.metrics.plugins.hook(instance, trouble.word());
        trouble.answer()
    }

    async fn take(
        &self,
        open: &Arc<Open>,
        method: &Method,
        call: Call,
        body: Incoming,
    ) -> Result<Done, Trouble> {
        const METHODS: [Method; 5] = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        if !METHODS.contains(method) {
            return Err(Trouble::Method);
        }
        let body_bytes_max = usize::try_from(open.grant.body_bytes_max).unwrap_or(usize::MAX);
        let announced = body.size_hint().lower();
        if announced > open.grant.body_bytes_max {
            return Err(Trouble::TooLarge);
        }
        // Whoever has no secret takes none of the calls that its owner may make and none of their places, and where the body
        // is not needed for that, hands over no body either.
        let needs_body = open.proof.as_ref().is_some_and(|proof| proof.needs_body());
        let place = || self.hooks.place(open).ok_or(Trouble::Full);
        let mut place_before = None;
        if !needs_body {
            prove(open, &call, b"")?;
            open.pass().map_err(Trouble::TooFast)?;
            place_before = Some(place()?);
        }
        let body = read(body, body_bytes_max, &self.reading, BODY_WAIT_MAX).await?;
        let judged = open.clone();
        // Long bodies take a while, and the threads that are here answer webhooks, too.
        let call = machine::blocking(move || judge(&judged, &call, &body, needs_body));
        let call = call.await.map_err(|_| Trouble::Full)??;
        let place = Arc::new(place_before.map_or_else(place, Ok)?);
        let (seq, again) = self.store(call, &place).await?;
        match open.hook.mode {
            Mode::Event if again => Ok(Done::Repeated),
            Mode::Event => Ok(Done::Stored),
            Mode::Answer => self.wait(open, seq).await,
        }
    }

    /// The event that the call is, and whether it was taken before.
    async fn store(&self, call: HookCall, place: &Arc<Place>) -> Result<(i64, bool), Trouble> {
        let taken = self.hooks.take(call, place.clone());
        match tokio::time::timeout(APPEND_WAIT_MAX, taken).await {
            Ok(Ok(Taken::New(event))) => Ok((event.seq, false)),
            Ok(Ok(Taken::Again(seq))) => Ok((seq, true)),
            Ok(Ok(Taken::NotYet)) => Err(Trouble::NotYet),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a call of a hook cannot be stored");
                Err(Trouble::Full)
            }
            Err(_) => Err(Trouble::Full),
        }
    }

    async fn wait(&self, open: &Open, seq: i64) -> Result<Done, Trouble> {
        let at_most = Duration::from_secs(open.grant.answer_seconds);
        match self.hooks.answer(seq, at_most).await {
            Ok(Answered::With(answer)) => Ok(Done::Answered(answer)),
            Ok(Answered::NotYet) => Err(Trouble::Late),
            Ok(Answered::Gone) => Err(Trouble::Gone),
            Err(error) => {
                tracing::warn!(%error, "the answer of a hook cannot be read");
                Err(Trouble::Full)
            }
        }
    }
}

/// The call as it is stored; it is proven and counted before, or here with its body.
fn judge(open: &Open, call: &Call, body: &[u8], needs_body: bool) -> Result<HookCall, Trouble> {
    if needs_body {
        prove(open, call, body)?;
        open.pass().map_err(Trouble::TooFast)?;
    }
    Ok(HookCall {
        instance: open.instance.clone(),
        kind: open.hook.kind(),
        key: call.key(&open.hook, body).map_err(|_| Trouble::Keyless)?,
        conversation: Call::conversation(&open.hook, body),
        now_ms: crate::now_ms(),
        body: call.event_body(open.proof.as_deref(), body),
    })
}

fn prove(open: &Open, call: &Call, body: &[u8]) -> Result<(), Trouble> {
    match &open.proof {
        Some(proof) => proof
            .check(call, body, crate::now_ms())
            .map_err(Trouble::Unproven),
        None => Ok(()),
    }
}

/// A wrong secret would otherwise look as if nobody called; anybody can cause the line, so it is rare.
fn warn(open: &Open, trouble: &Trouble) {
    if let Trouble::Unproven(cause) = trouble
        && let Some(count) = open.unproven()
    {
        tracing::warn!(
            count,
            instance = open.instance,
            hook = open.hook.path,
            %cause,
            "calls of a hook are refused; if they are the outside system's, its secret is not the one in plugins.toml"
        );
    }
}

impl Done {
    /// The word in the metrics.
    fn word(&self) -> &'static str {
        match self {
            Done::Stored => "stored",
            Done::Repeated => "repeated",
            Done::Answered(_) => "answered",
        }
    }

    fn answer(self) -> Answer {
        match self {
            Done::Stored | Done::Repeated => text(StatusCode::ACCEPTED, ""),
            Done::Answered(told) => {
                let mut answer = Response::new(Full::new(Bytes::from(told.body)));
                *answer.status_mut() =
                    StatusCode::from_u16(told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                for (name, value) in told.headers {
                    // They were looked at before they were stored.
                    if let (Ok(name), Ok(value)) =
                        (HeaderName::try_from(name), HeaderValue::try_from(value))
                    {
                        answer.headers_mut().append(name, value);
                    }
                }
                // A page from here would be one of whatever else is at this address.
                let headers = answer.headers_mut();
                headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
                headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                answer
            }
        }
    }
}

impl Trouble {
    /// The word in the metrics.
    fn word(&self) -> &'static str {
        match self {
            Trouble::Unknown => "unknown",
            Trouble::NotYet => "not_yet",
            Trouble::Method => "method",
            Trouble::Unproven(_) => "unproven",
            Trouble::TooLarge => "too_large",
            Trouble::Incomplete => "incomplete",
            Trouble::TooFast(_) => "too_fast",
            Trouble::Keyless => "keyless",
            Trouble::Full => "full",
            Trouble::Late => "late",
            Trouble::Gone => "gone",
        }
    }

    fn answer(&self) -> Answer {
        match self {
            Trouble::Unknown => text(StatusCode::NOT_FOUND, ""),
            Trouble::Method => text(StatusCode::METHOD_NOT_ALLOWED, ""),
            Trouble::Unproven(_) => text(StatusCode::UNAUTHORIZED, ""),
            Trouble::TooLarge => text(StatusCode::PAYLOAD_TOO_LARGE, ""),
            Trouble::Incomplete => text(StatusCode::REQUEST_TIMEOUT, ""),
            Trouble::TooFast(seconds) => {
                let mut answer = text(StatusCode::TOO_MANY_REQUESTS, "");
                answer.headers_mut().insert(RETRY_AFTER, (*seconds).into());
                answer
            }
            Trouble::Keyless => text(
                StatusCode::BAD_REQUEST,
                "the key by which a repetition is known is missing\n",
            ),
            Trouble::NotYet | Trouble::Full => text(StatusCode::SERVICE_UNAVAILABLE, ""),
            Trouble::Late => text(
                StatusCode::GATEWAY_TIMEOUT,
                "the call is being handled; repeat it for its answer\n",
            ),
            Trouble::Gone => text(StatusCode::GONE, ""),
        }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Trouble {
        match refusal {
            Refusal::TooLarge => Trouble::TooLarge,
            Refusal::Incomplete => Trouble::Incomplete,
            Refusal::Unsigned(_) | Refusal::Forged { .. } | Refusal::Full | Refusal::Disk => {
                Trouble::Full
            }
        }
    }
}
