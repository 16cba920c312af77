//! One row's way: wait for intake, pass the gate, call Meta, record what came of it.

use std::sync::Arc;
use std::time::Duration;

use duet_rules::media::Digest;
use duet_rules::provider::Provider;
use duet_rules::sending::{Kind, callback, request};
use duet_rules::{backoff, meta_error};
use serde_json::Value;
use tokio::sync::watch;
use tracing::Instrument as _;

use super::plan::{Attempt, Step, plan};
use super::uploads::Uploads;
use super::{Barrier, Feed, Settings};
use crate::failpoint::hit;
use crate::graph::{Client, Clients, Outcome, Placed, Places};
use crate::store::access::RefusedToken;
use crate::store::outbox::{After, Gate, Head, Open, Outgoing};
use crate::store::{Store, StoreError};
use crate::telemetry::{Metrics, tell_alarms};

const STORE_RETRY_FIRST_MS: u64 = 100;
const STORE_RETRY_MAX_MS: u64 = 10_000;

/// How a courier comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// Meta, or something on the way, was reached.
    Reached,
    /// No connection.
    Unreachable,
    /// No call was made.
    Uncalled,
    /// Nothing was looked at: the partner's API that this one goes to has as many requests as it may.
    Crowded(Arc<str>),
    /// The store refused or knows better: look again, but not at once.
    Stuck,
}

pub(super) struct Courier<B> {
    pub(super) store: Store,
    pub(super) clients: Clients,
    pub(super) uploads: Uploads,
    /// Told of rows that were held for a token.
    pub(super) feed: Feed,
    pub(super) barrier: Arc<B>,
    pub(super) settings: Settings,
    pub(super) metrics: Arc<Metrics>,
    pub(super) places: Places,
    /// The store's id, for our mark.
    pub(super) store_id: String,
    pub(super) stop: watch::Receiver<bool>,
}

impl<B: Barrier> Courier<B> {
    pub(super) async fn go(&self, head: Head) -> Ended {
        let result = match head.open {
            Open::Pending { .. } => self.send(head.id).await,
            Open::Sending => self.lose(head.id).await,
            Open::Unknown { .. } => self.expire(head.id).await,
        };
        result.unwrap_or_else(|error| {
            tracing::warn!(outbox = head.id, %error, "the outbox waits for the store");
            Ended::Stuck
        })
    }

    /// A place for a send that goes to a partner's API, before the gate: what waits for one may still be cancelled.
    fn place(&self, id: i64) -> Result<Placed, StoreError> {
        if !self.clients.have_a_partner() {
            return Ok(Placed::Free);
        }
        let Some((business, number)) = self.store.sender_of(id)? else {
            return Ok(Placed::Free);
        };
        let client = self.clients.of(&business, &number);
        Ok(self.places.place(client.as_ref()))
    }

    /// True when intake has passed whatever was acknowledged; false when the gateway stops first.
    async fn intake_has_passed(&self) -> bool {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            () = self.barrier.wait_for_intake() => true,
            _ = stop.wait_for(|stop| *stop) => false,
        }
    }

    async fn send(&self, id: i64) -> Result<Ended, StoreError> {
        // Kept until the answer is there.
        let _place = match self.place(id)? {
            Placed::Full(api) => return Ok(Ended::Crowded(api)),
            placed => placed,
        };
        let gate = loop {
            if !self.intake_has_passed().await {
                return Ok(Ended::Uncalled);
            }
            hit("outbox.before_gate");
            let barrier = self.barrier.clone();
            let newest_forbidding = move || barrier.newest_forbidding();
            match self
                .store
                .begin_send(id, self.settings.limits, crate::now_ms(), newest_forbidding)
                .await?
            {
                // It was acknowledged while the gate was on its way.
                Gate::Unheard => {}
                gate => break gate,
            }
        };
        match gate {
            Gate::Go(row) => {
                hit("outbox.sending_committed");
                let span = tracing::info_span!(
                    "send",
                    outbox = id,
                    instance = row.instance,
                    conversation = row.conversation,
                    attempt = row.attempt
                );
                return Ok(self.deliver(*row).instrument(span).await);
            }
            Gate::Cancelled { cause } => {
                self.metrics.send("cancelled");
                tracing::info!(outbox = id, cause, "cancelled at the gate");
            }
            Gate::Refused { code, cause } => {
                self.metrics.send("refused");
                tracing::info!(outbox = id, code, cause, "refused at the gate");
            }
            Gate::Held {
                until_ms,
                cause,
                raised,
            } => {
                tell_alarms(&self.metrics, raised.as_slice());
                tracing::debug!(outbox = id, until_ms, cause, "held at the gate");
            }
            Gate::Upload(upload) => {
                tracing::debug!(outbox = id, "waits for the upload of its file");
                self.uploads.want(*upload);
            }
            Gate::Unheard | Gate::Behind | Gate::Gone => return Ok(Ended::Stuck),
        }
        Ok(Ended::Uncalled)
    }

    async fn deliver(&self, row: Outgoing) -> Ended {
        let body = request(
            &row.message,
            row.kind,
            &row.to,
            &callback(&self.store_id, row.id),
        );
        let client = self.clients.of(&row.business, &row.number);
        let outcome = match &client {
            Some(client) => call(client, &row, &body).await,
            None => Outcome::NotSent {
                cause: "the access token cannot be used now".into(),
            },
        };
        hit("outbox.answered_before_commit");
        let of_meta = |client: &Client| client.provider() == Provider::Meta;
        let ended = match &outcome {
            // Whether a partner can be reached says nothing about Meta.
            _ if !client.as_ref().is_some_and(of_meta) => Ended::Uncalled,
            Outcome::NotSent { .. } => Ended::Unreachable,
            // Nobody has answered, yet this says nothing of the next call.
            Outcome::Lost { .. } | Outcome::Unsendable { .. } => Ended::Uncalled,
            Outcome::Done(_) | Outcome::Refused(_) | Outcome::Turned { .. } => Ended::Reached,
        };
        let attempt = Attempt {
            number: row.attempt,
            kind: row.kind,
            may_upload_again: !row.files.is_empty() && !row.uploaded_again,
            now_ms: crate::now_ms(),
            random: crate::random(),
        };
        let step = plan(outcome, attempt, &self.settings);
        self.tell(&step);
        let token = client.map(|client| RefusedToken {
            business: row.business,
            number: row.number,
            scope: client.scope().to_owned(),
            set_ms: client.set_ms(),
            code: 0,
        });
        self.record(row.id, &step, token.as_ref(), &row.files).await;
        ended
    }

    /// Counts and logs. Meta's own words stay in the outbox: they may repeat what was sent, and a wamid
    /// holds the customer's phone.
    fn tell(&self, step: &Step) {
        let outcome = match step {
            Step::Sent { .. } => "sent",
            Step::Lost { .. } => "lost",
            Step::TokenRefused { .. } => "held",
            Step::FileGone { .. } => "retried",
            Step::Failed { after, .. } => match after {
                After::Retry { .. } | After::Unsent { .. } => "retried",
                After::Failed => "refused",
                After::Dead => "dead",
            },
        };
        self.metrics.send(outcome);
        let (code, why) = match step {
            Step::Sent { .. } => return tracing::info!(outcome),
            Step::TokenRefused { code }
            | Step::FileGone { code, .. }
            | Step::Failed {
                code: Some(code), ..
            } => (Some(*code), meta_error::meaning(*code)),
            Step::Failed {
                code: None, cause, ..
            }
            | Step::Lost { cause } => (None, Some(cause.as_str())),
        };
        tracing::warn!(outcome, code, why);
    }

    /// Meta has answered: that is recorded however long the store refuses. Should the gateway end
    /// before, the row is found `sending` at the next start and becomes `unknown`.
    async fn record(
        &self,
        id: i64,
        step: &Step,
        token: Option<&RefusedToken>,
        files: &[(Digest, String)],
    ) {
        for attempt in 1.. {
            match self.try_record(id, step, token, files).await {
                Ok(()) | Err(StoreError::Stopped | StoreError::LeaseLost(_)) => return,
                Err(error) => tracing::warn!(%error, "an answer of Meta's waits for the store"),
            }
            let delay_ms = backoff::delay_ms(
                attempt,
                STORE_RETRY_FIRST_MS,
                STORE_RETRY_MAX_MS,
                crate::random(),
            );
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
    }

    async fn try_record(
        &self,
        id: i64,
        step: &Step,
        token: Option<&RefusedToken>,
        files: &[(Digest, String)],
    ) -> Result<(), StoreError> {
        let now_ms = crate::now_ms();
        match step.clone() {
            Step::Sent { wamid } => {
                let freed = self.store.sent(id, wamid, now_ms).await?;
                self.feed.wake(freed);
            }
            Step::TokenRefused { code } => {
                if let Some(token) = token {
                    let token = RefusedToken {
                        code,
                        ..token.clone()
                    };
                    let raised = self.store.token_refused(id, token, now_ms).await?;
                    tell_alarms(&self.metrics, raised.as_slice());
                }
            }
            Step::Failed { code, cause, after } => {
                self.store
                    .send_failed(id, code, cause, after, now_ms)
                    .await?;
            }
            Step::FileGone { code, cause } => {
                self.store
                    .file_gone(id, files.to_vec(), code, cause, now_ms)
                    .await?;
            }
            Step::Lost { .. } => {
                self.store.send_lost(id, now_ms).await?;
            }
        }
        Ok(())
    }

    /// A row is `sending`, but no courier has it.
    async fn lose(&self, id: i64) -> Result<Ended, StoreError> {
        if self.store.send_lost(id, crate::now_ms()).await? {
            self.metrics.send("lost");
            tracing::warn!(outbox = id, "a send ended without an answer");
        }
        Ok(Ended::Uncalled)
    }

    /// No status has come in time.
    async fn expire(&self, id: i64) -> Result<Ended, StoreError> {
        if !self.intake_has_passed().await {
            return Ok(Ended::Uncalled);
        }
        let expired = self
            .store
            .expire_unknown(id, crate::now_ms(), self.settings.hold_ms)
            .await?;
        if !expired {
            return Ok(Ended::Stuck);
        }
        self.metrics.send("dead");
        tracing::warn!(outbox = id, "a lost answer became a dead letter");
        Ok(Ended::Uncalled)
    }
}

async fn call(client: &Client, row: &Outgoing, body: &Value) -> Outcome<Option<String>> {
    match row.kind {
        Kind::MarkRead => without_wamid(client.mark_read(&row.number, body).await),
        Kind::FreeForm | Kind::Template => with_wamid(client.send(&row.number, body).await),
    }
}

fn with_wamid(outcome: Outcome<crate::graph::Accepted>) -> Outcome<Option<String>> {
    outcome.map(|accepted| Some(accepted.wamid))
}

fn without_wamid(outcome: Outcome<()>) -> Outcome<Option<String>> {
    outcome.map(|()| None)
}
