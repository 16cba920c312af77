//! The handle of a running sim: start, play, look, stop.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::business::Report;
use crate::config::{Config, HistoryPlan};
use crate::mood::{Deed, Mood, Trouble};
use crate::play::{
    self, AccountEvent, BusinessPlay, ContactChange, CustomerMessage, PhoneMessage, Signup,
};
use crate::state::{Line, SeenRequest, Sent, State, lock};
use crate::webhook::{Delivery, Inbox, Outlet};
use crate::{graph, server};

/// A local Meta and a local phone. Dropping it ends everything it does.
pub struct Sim {
    state: Arc<State>,
    router: Router,
    tasks: Mutex<JoinSet<()>>,
}

/// Straight to the address that is named.
pub(crate) fn http_client() -> anyhow::Result<reqwest::Client> {
    // Only a webhook behind TLS needs it; another provider installed by the program is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()?)
}

impl Sim {
    /// Binds the address and starts.
    ///
    /// # Errors
    /// When the address cannot be bound or the HTTP client not be built.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("the sim cannot listen on {}", config.listen))?;
        let url = format!("http://{}", listener.local_addr()?);
        let http = http_client()?;
        let connections_max = config.limits.connections_max;
        let sim = Self::begin(config, url, http, None);
        let served = server::serve(listener, sim.router.clone(), connections_max);
        lock(&sim.tasks).spawn(served);
        Ok(sim)
    }

    /// Starts without a socket: webhooks go to `inbox`, and [`Sim::call`] takes the place of connections. Belongs to
    /// the runtime in which it is called.
    #[must_use]
    pub fn near(config: Config, inbox: Inbox) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // What would go to an address goes nowhere: no certificate needs to be read.
        let http = reqwest::Client::builder().tls_certs_only([]).build();
        let http = http.unwrap_or_default();
        Self::begin(config, "http://sim".into(), http, Some(inbox))
    }

    fn begin(config: Config, url: String, http: reqwest::Client, inbox: Option<Inbox>) -> Self {
        let (outlet, lanes) = Outlet::new(config.delivery.lanes, config.delivery.queue_max);
        let limits = config.limits;
        let (errands, asked) = play::business::errands();
        let state = Arc::new(State::new(config, url, http, outlet, errands, inbox));
        let router = play::router(limits.media_file_bytes_max)
            .fallback(graph::call)
            .with_state(Arc::clone(&state));
        let mut tasks = JoinSet::new();
        Outlet::start(&state, lanes, &mut tasks);
        tasks.spawn(play::business::run(Arc::clone(&state), asked));
        Self {
            state,
            router,
            tasks: Mutex::new(tasks),
        }
    }

    /// Answers a request to the Graph API or the play face in this process; nothing when the sim hangs up.
    pub async fn call(&self, request: Request<Body>) -> Option<Response<Bytes>> {
        let response = server::answer(&self.router, request).await.ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?;
        Some(Response::from_parts(parts, body.to_bytes()))
    }

    /// Base address of the Graph API and the play face, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.state.url
    }

    /// Ends all connections and deliveries.
    pub async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
    }

    /// Sends webhooks here from now on.
    pub fn set_webhook(&self, url: impl Into<String>) {
        *lock(&self.state.webhook) = Some(url.into());
    }

    /// A customer writes a text to the first number. Returns the wamid.
    ///
    /// # Errors
    /// When the sim has no number.
    pub async fn customer_writes(&self, from: &str, text: &str) -> anyhow::Result<String> {
        self.customer_sends(CustomerMessage::text(from, text)).await
    }

    /// A customer sends any message. Returns the wamid.
    ///
    /// # Errors
    /// When the message is incomplete or names an unknown number.
    pub async fn customer_sends(&self, message: CustomerMessage) -> anyhow::Result<String> {
        Ok(play::customer::write(&self.state, message)?)
    }

    /// The customer reads a message of the business, or the last one they got.
    ///
    /// # Errors
    /// When there is no such message.
    pub async fn customer_reads(&self, from: &str, id: Option<&str>) -> anyhow::Result<()> {
        Ok(play::customer::read(
            &self.state,
            &play::Read {
                from: from.into(),
                id: id.map(Into::into),
            },
        )?)
    }

    /// A customer takes another number, and with it another business-scoped user id.
    ///
    /// # Errors
    /// When one of the two is no phone number.
    pub async fn customer_moves(&self, from: &str, to: &str) -> anyhow::Result<()> {
        Ok(play::moves::moves(
            &self.state,
            &play::moves::Move {
                number: None,
                from: from.into(),
                to: to.into(),
            },
        )?)
    }

    /// The person on the phone writes a text from the first number. Returns the wamid.
    ///
    /// # Errors
    /// When the sim has no number.
    pub async fn phone_replies(&self, to: &str, text: &str) -> anyhow::Result<String> {
        self.phone_sends(PhoneMessage::text(to, text)).await
    }

    /// The person on the phone sends, edits, revokes or reacts. Returns the wamid.
    ///
    /// # Errors
    /// When the message is incomplete or names an unknown number.
    pub async fn phone_sends(&self, message: PhoneMessage) -> anyhow::Result<String> {
        Ok(play::phone::write(&self.state, message)?)
    }

    /// The phone's address book changes.
    ///
    /// # Errors
    /// When the number is unknown.
    pub async fn contact(&self, change: ContactChange) -> anyhow::Result<()> {
        Ok(play::contacts::change(&self.state, &change)?)
    }

    /// A history sync of the first number as planned, without anybody having asked for it.
    ///
    /// # Errors
    /// When the sim has no number.
    pub async fn history(&self, plan: &HistoryPlan) -> anyhow::Result<()> {
        Ok(play::history::run(&self.state, None, plan)?)
    }

    /// Delivers a generated business; ends when the last of its webhooks is on its way.
    ///
    /// # Errors
    /// When the number is unknown or the options do not fit.
    pub async fn business(&self, play: BusinessPlay) -> anyhow::Result<Report> {
        Ok(play::business::deliver(&self.state, play).await?)
    }

    /// A business ends Embedded Signup. Gives what its page learns: `code`, `session`; and `number`, which it does not.
    ///
    /// # Errors
    /// When there are too many numbers.
    pub fn signs_up(&self, signup: &Signup) -> anyhow::Result<Value> {
        Ok(play::signup::finish(&self.state, signup)?)
    }

    /// An `account_update`.
    ///
    /// # Errors
    /// When the number is unknown.
    pub async fn account(&self, event: AccountEvent) -> anyhow::Result<()> {
        Ok(play::account::happen(&self.state, &event)?)
    }

    /// Delivers these exact bytes, rightly signed.
    pub fn raw_webhook(&self, body: impl Into<bytes::Bytes>) {
        play::raw::deliver(&self.state, body.into(), crate::webhook::Signature::Right);
    }

    /// Keeps a file that a customer can send. Returns the media id.
    #[must_use]
    pub fn add_media(&self, mime_type: &str, bytes: impl Into<bytes::Bytes>) -> String {
        play::raw::keep_media(&self.state, mime_type, bytes.into())
    }

    /// Meta has no file any more: every media id is as if its time were over.
    pub fn lose_media(&self) {
        lock(&self.state.world).media.clear();
    }

    /// Uploads of files that are still kept, also those that were refused or had no answer, oldest first.
    #[must_use]
    pub fn uploads(&self) -> Vec<SeenRequest> {
        let mut seen = self.requests();
        seen.retain(|request| request.method == "POST" && request.path.ends_with("/media"));
        seen
    }

    /// Type and bytes of a file that Meta has.
    #[must_use]
    pub fn media(&self, id: &str) -> Option<(String, bytes::Bytes)> {
        let now_ms = self.state.clock.now_ms();
        let world = lock(&self.state.world);
        let file = world.media.get(id, now_ms)?;
        Some((file.mime_type.clone(), file.bytes.clone()))
    }

    /// Meta's mood as it is now.
    #[must_use]
    pub fn mood(&self) -> Mood {
        lock(&self.state.mood).clone()
    }

    /// Changes Meta's mood.
    pub fn set_mood(&self, mood: Mood) {
        *lock(&self.state.mood) = mood;
    }

    /// Adds a trouble with sends: `sim.trouble(Deed::Lost, 1)`.
    pub fn trouble(&self, deed: Deed, times: u64) {
        self.add_trouble(Trouble {
            deed,
            times: Some(times),
            ..Trouble::default()
        });
    }

    /// The next `times` sends are refused with this code.
    pub fn fail_next(&self, code: u32, times: u64) {
        self.add_trouble(Trouble {
            code,
            times: Some(times),
            ..Trouble::default()
        });
    }

    /// Adds any trouble.
    pub fn add_trouble(&self, trouble: Trouble) {
        lock(&self.state.mood).troubles.push(trouble);
    }

    /// Moves the sim's clock forward: windows close, media die, retries come due or are given up.
    pub fn advance(&self, by: Duration) {
        self.state
            .advance(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
    }

    /// Accepted sends that are still kept, oldest first.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.state.sent.after(0, usize::MAX).0
    }

    /// Number of sends ever accepted.
    #[must_use]
    pub fn sent_total(&self) -> u64 {
        self.state.sent.total()
    }

    /// Graph requests that are still kept, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.state.requests.after(0, usize::MAX).0
    }

    /// Delivery attempts that are still kept, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state.delivered()
    }

    /// Transcript lines after `after`, and the sequence to go on from; waits up to `wait` for the first.
    pub async fn transcript(&self, after: u64, wait: Duration) -> (Vec<Line>, u64) {
        self.state
            .transcript
            .wait(after.saturating_add(1), wait)
            .await;
        self.state.transcript.after(after, 1000)
    }

    /// Meta's handshake with the webhook's address.
    ///
    /// # Errors
    /// When no address is set or it does not give the challenge back.
    pub async fn check_webhook(&self, verify_token: &str) -> anyhow::Result<()> {
        let url = lock(&self.state.webhook)
            .clone()
            .context("no webhook address is set")?;
        graph::verify(&self.state, &url, verify_token)
            .await
            .map_err(|_| anyhow::anyhow!("{url} did not give the challenge back"))
    }

    /// Counters and numbers, as `GET /sim/state`.
    #[must_use]
    pub fn state(&self) -> Value {
        play::views::state(&self.state)
    }

    /// Waits until `count` sends were accepted, then returns them all.
    ///
    /// # Errors
    /// When the time runs out; the message says how many there were.
    pub async fn wait_sent(&self, count: u64, timeout: Duration) -> anyhow::Result<Vec<Sent>> {
        if !self.state.sent.wait(count, timeout).await {
            bail!(
                "{} of {count} sends after {timeout:?}",
                self.state.sent.total()
            );
        }
        Ok(self.sent())
    }

    /// Waits until `count` Graph requests were answered or lost, then returns them all.
    ///
    /// # Errors
    /// When the time runs out.
    pub async fn wait_requests(
        &self,
        count: u64,
        timeout: Duration,
    ) -> anyhow::Result<Vec<SeenRequest>> {
        if !self.state.requests.wait(count, timeout).await {
            bail!(
                "{} of {count} requests after {timeout:?}",
                self.state.requests.total()
            );
        }
        Ok(self.requests())
    }

    /// Waits until `count` delivery attempts were made, then returns them all.
    ///
    /// # Errors
    /// When the time runs out.
    pub async fn wait_deliveries(
        &self,
        count: u64,
        timeout: Duration,
    ) -> anyhow::Result<Vec<Delivery>> {
        if !self.state.deliveries.wait(count, timeout).await {
            bail!(
                "{} of {count} deliveries after {timeout:?}",
                self.state.deliveries.total()
            );
        }
        Ok(self.deliveries())
    }

    /// Waits until every webhook was taken or given up.
    ///
    /// # Errors
    /// When the time runs out; the message says how many are still on their way.
    pub async fn wait_quiet(&self, timeout: Duration) -> anyhow::Result<()> {
        if !self.state.outlet.wait_quiet(timeout).await {
            bail!(
                "{} webhooks still on their way after {timeout:?}",
                self.state.outlet.pending()
            );
        }
        Ok(())
    }

    /// As freshly started; the webhook's address and the clock stay.
    pub fn reset(&self) {
        self.state.reset();
    }
}
