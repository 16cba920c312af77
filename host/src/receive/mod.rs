//! Meta's side of the public listener: checks a webhook's size and signature, appends the raw body to the
//! receipt log and answers 200 after the fsync. It parses nothing, and it never waits for a plugin.
//!
//! - `partner`: what a business's partner passes on
//! - `hooks`: what plugins' outside systems call
//! - `listener`: connections, time limits, graceful end
//! - this file: the routes and what each answer means

mod hooks;
mod listener;
mod partner;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use duet_rules::signature::{self, Secret, SignatureError};
use duet_rules::verification;
use duet_rules::webhook;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;

use crate::hooks::Hooks;
use crate::store::receipts::{AppendError, Partner, ReceiptLog};
use crate::telemetry::{Metrics, Throttle};

pub use listener::serve;
pub use partner::PartnerSecrets;

/// A body has to arrive within this time.
const BODY_WAIT_MAX: Duration = Duration::from_secs(20);
/// The store has to take a body within this time, else Meta is asked to keep it.
const APPEND_WAIT_MAX: Duration = Duration::from_secs(5);
/// Bodies that are being read hold at most this much memory together.
const READING_BYTES_MAX: usize = 256 << 20;
const KIB: usize = 1024;

/// What the listener needs to take webhooks.
pub struct Receive {
    pub secrets: Vec<Secret>,
    pub verify_token: String,
    pub body_bytes_max: usize,
    pub log: ReceiptLog,
    pub metrics: Arc<Metrics>,
    pub partners: PartnerSecrets,
    hooks: Option<hooks::Desk>,
    reading: Semaphore,
    unsigned: Throttle,
    forged: Throttle,
}

type Answer = Response<Full<Bytes>>;

impl Receive {
    pub fn new(
        secrets: Vec<Secret>,
        verify_token: String,
        body_bytes_max: usize,
        log: ReceiptLog,
        metrics: Arc<Metrics>,
    ) -> Receive {
        let reading = Semaphore::new(READING_BYTES_MAX / KIB);
        Receive {
            secrets,
            verify_token,
            body_bytes_max,
            log,
            metrics,
            partners: Box::new(|_| Vec::new()),
            hooks: None,
            reading,
            unsigned: Throttle::default(),
            forged: Throttle::default(),
        }
    }

    /// The same, which takes what partners pass on, too.
    #[must_use]
    pub fn with_partners(self, partners: PartnerSecrets) -> Receive {
        Receive { partners, ..self }
    }

    /// The same, which takes calls of plugins' hooks, too.
    #[must_use]
    pub fn with_hooks(self, hooks: Arc<Hooks>) -> Receive {
        let desk = hooks::Desk::new(hooks, self.metrics.clone());
        Receive {
            hooks: Some(desk),
            ..self
        }
    }

    /// Takes a webhook's body from within the process; `signature` is its header's value.
    pub async fn body(&self, signature: Option<&[u8]>, body: Bytes) -> StatusCode {
        match self.keep(signature, body).await {
            Ok(()) => StatusCode::OK,
            Err(refusal) => refusal.answer().status(),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if let Some(business) = partner::business_of(request.uri().path()) {
            let business = business.to_owned();
            return match *request.method() {
                Method::POST => self.webhook(self.take_of_partner(request, business)).await,
                _ => text(StatusCode::METHOD_NOT_ALLOWED, ""),
            };
        }
        if let Some(desk) = &self.hooks
            && hooks::is_hook(request.uri().path())
        {
            return desk.answer(request).await;
        }
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/webhook") => self.webhook(self.take(request)).await,
            (&Method::GET, "/webhook") => self.verify(&request),
            (&Method::GET, "/healthz") => text(StatusCode::OK, "ok\n"),
            (_, "/webhook" | "/healthz") => text(StatusCode::METHOD_NOT_ALLOWED, ""),
            _ => text(StatusCode::NOT_FOUND, ""),
        }
    }

    /// Meta asks whether this is the place that the admin meant.
    fn verify(&self, request: &Request<Incoming>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        match verification::challenge(query, &self.verify_token) {
            Ok(challenge) => text(StatusCode::OK, challenge),
            Err(error) => {
                tracing::warn!(%error, "a webhook verification was refused");
                text(StatusCode::FORBIDDEN, "")
            }
        }
    }

    #[tracing::instrument(level = "debug", skip_all, name = "receipt")]
    async fn webhook(&self, taken: impl Future<Output = Result<(), Refusal>>) -> Answer {
        match taken.await {
            Ok(()) => {
                self.metrics.receipt("stored");
                text(StatusCode::OK, "")
            }
            Err(refusal) => {
                tracing::debug!(?refusal, "a webhook was not taken");
                self.warn(&refusal);
                self.metrics.receipt(refusal.as_str());
                refusal.answer()
            }
        }
    }

    /// A wrong secret would otherwise look as if nobody sent anything; anybody can cause the line, so it is rare.
    fn warn(&self, refusal: &Refusal) {
        match refusal {
            Refusal::Unsigned(cause) => {
                if let Some(count) = self.unsigned.pass(Instant::now()) {
                    tracing::warn!(
                        count,
                        %cause,
                        "webhooks are refused by their signature; if they are Meta's, DUET_APP_SECRET is not the secret of its app"
                    );
                }
            }
            Refusal::Forged { business } => {
                if let Some(count) = self.forged.pass(Instant::now()) {
                    tracing::warn!(
                        count,
                        business,
                        "webhooks of a partner are refused by their secret; if they are the partner's, set there what duet business webhook prints"
                    );
                }
            }
            _ => {}
        }
    }

    async fn take(&self, request: Request<Incoming>) -> Result<(), Refusal> {
        let signature = only(&request, "x-hub-signature-256");
        let body = self.read(request.into_body()).await?;
        self.keep(signature.as_ref().map(HeaderValue::as_bytes), body)
            .await
    }

    /// What becomes of a body that has arrived whole.
    async fn keep(&self, signature: Option<&[u8]>, body: Bytes) -> Result<(), Refusal> {
        signature::verify(signature, &body, &self.secrets).map_err(Refusal::Unsigned)?;
        self.append(None, body).await
    }

    /// On disk when it returns.
    async fn append(&self, partner: Option<Partner>, body: Bytes) -> Result<(), Refusal> {
        let mentions = webhook::mentions(&body);
        let started = Instant::now();
        let now_ms = crate::now_ms();
        let appended = self.log.append_of(partner, body, now_ms, mentions);
        match tokio::time::timeout(APPEND_WAIT_MAX, appended).await {
            Ok(Ok(receipt)) => {
                self.metrics
                    .receipt_commit_seconds
                    .observe(started.elapsed().as_secs_f64());
                tracing::debug!(receipt, "stored");
                Ok(())
            }
            Ok(Err(AppendError::Full)) | Err(_) => Err(Refusal::Full),
            Ok(Err(AppendError::Disk(_))) => Err(Refusal::Disk),
        }
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, Refusal> {
        read(body, self.body_bytes_max, &self.reading, BODY_WAIT_MAX).await
    }
}

/// Reads a body of at most so many bytes within so long, as long as there is room for what has come: `reading` counts KiB.
async fn read(
    body: Incoming,
    body_bytes_max: usize,
    reading: &Semaphore,
    at_most: Duration,
) -> Result<Bytes, Refusal> {
    let announced = body
        .size_hint()
        .exact()
        .and_then(|bytes| usize::try_from(bytes).ok());
    if announced.is_some_and(|bytes| bytes > body_bytes_max) {
        return Err(Refusal::TooLarge);
    }
    let mut body = Limited::new(body, body_bytes_max);
    let collected = async {
        let mut room = reading.try_acquire().map_err(|_| Refusal::Full)?;
        let mut read = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    Refusal::TooLarge
                } else {
                    Refusal::Incomplete
                }
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            // Whoever only announces much, or sends it slowly, takes no room from others.
            let kib = (read.len() + data.len()) / KIB + 1;
            let more = kib.saturating_sub(room.num_permits());
            let more = u32::try_from(more).map_err(|_| Refusal::TooLarge)?;
            room.merge(reading.try_acquire_many(more).map_err(|_| Refusal::Full)?);
            read.extend_from_slice(&data);
        }
        Ok(read.freeze())
    };
    tokio::time::timeout(at_most, collected)
        .await
        .unwrap_or(Err(Refusal::Incomplete))
}

/// A header that proves something; two of them are none, since nobody can say which one counts.
fn only(request: &Request<Incoming>, name: &str) -> Option<HeaderValue> {
    let mut headers = request.headers().get_all(name).iter();
    let first = headers.next().cloned();
    if headers.next().is_some() {
        None
    } else {
        first
    }
}

/// Why a webhook was not taken.
#[derive(Debug)]
enum Refusal {
    TooLarge,
    Incomplete,
    Unsigned(SignatureError),
    /// It shows no secret of the business's partner.
    Forged {
        business: String,
    },
    /// Too many wait for the store: Meta keeps the body and comes again.
    Full,
    /// The disk refuses: the same.
    Disk,
}

impl Refusal {
    fn answer(&self) -> Answer {
        match self {
            Refusal::TooLarge => text(StatusCode::PAYLOAD_TOO_LARGE, ""),
            Refusal::Incomplete => text(StatusCode::REQUEST_TIMEOUT, ""),
            Refusal::Unsigned(_) | Refusal::Forged { .. } => text(StatusCode::UNAUTHORIZED, ""),
            Refusal::Full | Refusal::Disk => text(StatusCode::SERVICE_UNAVAILABLE, ""),
        }
    }

    fn as_str(&self) -> &'static str {
        match self {
            Refusal::TooLarge => "too_large",
            Refusal::Incomplete => "incomplete",
            Refusal::Unsigned(_) => "unsigned",
            Refusal::Forged { .. } => "forged",
            Refusal::Full => "full",
            Refusal::Disk => "disk",
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}
