//! What the admin API asks of the running gateway, beyond reading the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use duet_rules::annotations::Annotation;
use duet_rules::coexistence::Kind;
use duet_rules::ledger::{Compared, compare};
use duet_rules::signup::HandIn;
use duet_rules::{plugins_toml, sending};
use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::Notify;

use super::reloader::Reloader;
use super::turns::Turns;
use crate::admin::{
    ConnectReport, ConnectWish, Operation, OperationError, Operations, PartnerWebhook, PluginLog,
    PluginReport, SignedUp, SyncReport,
};
use crate::connecting::Connecting;
use crate::dispatch::{
    Dispatch, PromoteError, Promoted, Replay, ReplayError, RollbackError, RolledBack,
};
use crate::doctor::{Examined, examine};
use crate::effect::{Handling, Speaker};
use crate::graph::{NO_TOKEN, NoRecord};
use crate::hooks::Hooks;
use crate::intake::feed::Feed;
use crate::keyring::{Access, AccessError, Keyring};
use crate::outbox;
use crate::plugin::Component;
use crate::store::businesses::BusinessError;
use crate::store::erase::EraseError;
use crate::store::handling::Keeps;
use crate::store::outbox::Redriven;
use crate::store::receipts::ReceiptLog;
use crate::store::runs::Which;
use crate::store::wall::Wall;
use crate::store::{Store, StoreError};

/// Why a send is not repeated without another word.
const MAY_HAVE_ARRIVED: &str = "Meta's answer was lost, so the customer may have got it; ask in the app, then repeat with ?even_if_sent=true, or write to the conversation instead";

#[derive(Clone)]
pub(super) struct GatewayOperations {
    pub(super) store: Store,
    pub(super) receipts: ReceiptLog,
    pub(super) keyring: Arc<Keyring>,
    pub(super) feed: Arc<Feed>,
    pub(super) hooks: Arc<Hooks>,
    pub(super) sends: outbox::Feed,
    /// Rung when there may be room for files again, or a token for them.
    pub(super) media: Arc<Notify>,
    pub(super) connecting: Connecting,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) reloader: Arc<Reloader>,
    /// How long a person keeps a conversation when nothing else is said, ms.
    pub(super) person_ms: i64,
    pub(super) signups: Arc<Turns>,
    /// Of webhook secrets.
    pub(super) renewals: Arc<Turns>,
}

impl GatewayOperations {
    /// Runs to its end whatever becomes of the request: a client that hangs up must not leave half of it.
    fn whole<T, F>(&self, work: impl FnOnce(GatewayOperations) -> F) -> Operation<'static, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, OperationError>> + Send + 'static,
    {
        let task = tokio::spawn(work(self.clone()));
        async move {
            task.await
                .unwrap_or_else(|error| Err(OperationError::Failed(error.to_string())))
        }
        .boxed()
    }

    fn report(&self) -> Vec<PluginReport> {
        let instances = self.dispatch.instances();
        let report = instances.into_iter().map(|(name, status)| {
            let dropped = self.dispatch.log(&name).map_or(0, |log| log.dropped());
            let (standing, counts) = (status.standing(), &status.counts);
            let quarantine = standing.quarantined();
            let (waits, tried_ms) = standing.waits().unzip();
            // Why it stands still or cannot call goes before why a change was not taken.
            let stands = quarantine
                .map(|quarantine| quarantine.cause.clone())
                .or_else(|| standing.token_refusal())
                .or(waits);
            PluginReport {
                hooks: self.hooks.paths(&name),
                name,
                state: standing.word().to_owned(),
                tried_ms: quarantine
                    .map(|quarantine| quarantine.until_ms)
                    .or(tried_ms),
                of_file: standing.of_file && stands.is_none(),
                cause: stands.or_else(|| standing.cause.clone()),
                shadow: standing.shadow,
                canary: standing.canary,
                business: standing.business,
                version: standing.version,
                digest: standing.digest,
                done: counts.done.load(Ordering::Relaxed),
                retried: counts.retried.load(Ordering::Relaxed),
                faults: counts.faults.load(Ordering::Relaxed),
                depth: u64::try_from(status.depth.load(Ordering::Relaxed)).unwrap_or(u64::MAX),
                calls: counts.calls.calls(),
                log_lines_dropped: dropped,
            }
        });
        report.collect()
    }

    fn report_of(&self, name: &str) -> Option<PluginReport> {
        let mut reports = self.report().into_iter();
        reports.find(|report| report.name == name)
    }

    async fn hand(
        &self,
        conversation: i64,
        handling: Handling,
        seconds: Option<u64>,
    ) -> Result<(), OperationError> {
        let now_ms = crate::now_ms();
        let keeps = match seconds.map(|seconds| i64::try_from(seconds.saturating_mul(1000))) {
            Some(kept_ms) => Keeps::Exactly(now_ms.saturating_add(kept_ms.unwrap_or(i64::MAX))),
            None => Keeps::Usual(self.person_ms),
        };
        let event = self
            .store
            .set_handling(conversation, handling, keeps, now_ms)
            .await
            .map_err(refused)?;
        let event = event.ok_or(OperationError::NotFound("conversation"))?;
        self.feed.publish(vec![event]);
        Ok(())
    }

    async fn note(&self, conversation: i64, annotation: Annotation) -> Result<(), OperationError> {
        let now_ms = crate::now_ms();
        let annotated = self.store.annotate(conversation, annotation, now_ms).await;
        let event = annotated
            .map_err(refused)?
            .map_err(|reason| OperationError::Refused { reason, code: None })?;
        self.feed.publish(event.into_iter().collect());
        Ok(())
    }

    async fn speak(&self, conversation: i64, message: Value) -> Result<i64, OperationError> {
        let invalid = |invalid: sending::Invalid| OperationError::Invalid(invalid.to_string());
        let (_, kind) = sending::parse(&message.to_string()).map_err(invalid)?;
        let now_ms = crate::now_ms();
        let found = self
            .store
            .conversation(conversation)
            .await
            .map_err(refused)?;
        let found = found.ok_or(OperationError::NotFound("conversation"))?;
        let checked = self.store.check_files(conversation, &message).await;
        checked.map_err(refused)?.map_err(invalid)?;
        let row = sending::Row {
            id: 0,
            seq: i64::MAX,
            instance: plugins_toml::API,
            speaker: Speaker::Person,
            kind,
            template: self
                .store
                .template(&found.number, &message, now_ms)
                .await
                .map_err(refused)?,
        };
        sending::refuse_early(&row, &found.state(), now_ms).map_err(|refusal| {
            OperationError::Refused {
                reason: refusal.detail,
                code: refusal.meta_code,
            }
        })?;
        let said = self
            .store
            .speak_as_person(conversation, message, self.person_ms, now_ms)
            .await;
        let (event, row) = said
            .map_err(refused)?
            .ok_or(OperationError::NotFound("conversation"))?;
        self.feed.publish(vec![event]);
        self.sends.wake([row]);
        Ok(row)
    }
}

impl GatewayOperations {
    async fn look_at_meta(&self, number: String) -> Result<Compared, OperationError> {
        let business = self.store.business_of(&number).await.map_err(refused)?;
        let clients = self.keyring.clients();
        let Some(client) = clients.of(&business.unwrap_or_default(), &number) else {
            return Ok(Compared::Unknown(NO_TOKEN.to_owned()));
        };
        let (entries, more) = match client.message_history(&number).await {
            Ok(read) => read,
            Err(NoRecord::NotOffered(why)) => return Ok(Compared::NotOffered(why)),
            Err(NoRecord::Unknown(why)) => return Ok(Compared::Unknown(why)),
        };
        let ids: Vec<_> = entries.iter().map(|entry| entry.wamid.clone()).collect();
        let known = self
            .store
            .known_messages(number, ids)
            .await
            .map_err(refused)?;
        Ok(compare(&entries, &known, more))
    }

    async fn forget(&self, contact: i64) -> Result<Value, OperationError> {
        let erased = self.store.erase_contact(&self.receipts, contact).await;
        self.feed.forget();
        self.dispatch.forget(contact);
        self.media.notify_one();
        match erased {
            Ok(erased) => {
                self.feed.announce(erased.event);
                serde_json::to_value(erased)
                    .map_err(|error| OperationError::Failed(error.to_string()))
            }
            Err(EraseError::NoSuchContact(_)) => Err(OperationError::NotFound("contact")),
            Err(EraseError::Store(error)) => Err(refused(error)),
            Err(error) => Err(OperationError::Refused {
                reason: error.to_string(),
                code: None,
            }),
        }
    }
}

impl Operations for GatewayOperations {
    fn plugins(&self) -> Operation<'_, Vec<PluginReport>> {
        async { Ok(self.report()) }.boxed()
    }

    fn plugin_log(&self, name: String, after: i64, limit: usize) -> Operation<'_, PluginLog> {
        let log = self.dispatch.log(&name);
        let log = log.map_or_else(PluginLog::default, |log| PluginLog {
            lines: log.after(after, limit),
            dropped: log.dropped(),
        });
        async { Ok(log) }.boxed()
    }

    fn replay(
        &self,
        name: String,
        which: Which,
        component: Option<Component>,
    ) -> Operation<'_, Replay> {
        self.whole(move |gateway| async move {
            let replay = gateway.dispatch.replay(&name, which, component).await;
            replay.map_err(not_replayed)
        })
    }

    fn reload(&self) -> Operation<'_, Vec<PluginReport>> {
        self.whole(|gateway| async move {
            gateway.reloader.reload().await;
            Ok(gateway.report())
        })
    }

    fn promote(&self, name: String) -> Operation<'_, (Promoted, Option<PluginReport>)> {
        self.whole(move |gateway| async move {
            let promoted = gateway.dispatch.promote(&name).await;
            let promoted = promoted.map_err(not_promoted)?;
            gateway.reloader.reload().await;
            Ok((promoted, gateway.report_of(&name)))
        })
    }

    fn roll_back(&self, name: String) -> Operation<'_, (RolledBack, Option<PluginReport>)> {
        self.whole(move |gateway| async move {
            let back = gateway.dispatch.roll_back(&name).await;
            let back = back.map_err(not_rolled_back)?;
            gateway.reloader.reload().await;
            Ok((back, gateway.report_of(&name)))
        })
    }

    fn redrive(&self, dead_letter: i64) -> Operation<'_, ()> {
        self.whole(move |gateway| async move {
            match gateway
                .dispatch
                .redrive(dead_letter)
                .await
                .map_err(refused)?
            {
                true => Ok(()),
                false => Err(OperationError::NotFound("dead letter")),
            }
        })
    }

    fn redrive_send(&self, dead_letter: i64, even_if_sent: bool) -> Operation<'_, ()> {
        self.whole(move |gateway| async move {
            let store = &gateway.store;
            let now_ms = crate::now_ms();
            match store
                .redrive_send(dead_letter, even_if_sent, now_ms)
                .await
                .map_err(refused)?
            {
                Redriven::Waits(row) => {
                    gateway.sends.wake([row]);
                    Ok(())
                }
                Redriven::Gone => Err(OperationError::NotFound("dead letter")),
                Redriven::MayHaveArrived => Err(OperationError::Refused {
                    reason: MAY_HAVE_ARRIVED.into(),
                    code: None,
                }),
            }
        })
    }

    fn set_handling(
        &self,
        conversation: i64,
        handling: Handling,
        seconds: Option<u64>,
    ) -> Operation<'_, ()> {
        self.whole(
            move |gateway| async move { gateway.hand(conversation, handling, seconds).await },
        )
    }

    fn annotate(&self, conversation: i64, annotation: Annotation) -> Operation<'_, ()> {
        self.whole(move |gateway| async move { gateway.note(conversation, annotation).await })
    }

    fn send_as_person(&self, conversation: i64, message: Value) -> Operation<'_, i64> {
        self.whole(move |gateway| async move { gateway.speak(conversation, message).await })
    }

    fn message_history(&self, number: String) -> Operation<'_, Compared> {
        self.look_at_meta(number).boxed()
    }

    fn examine(&self, wall: Wall) -> Operation<'_, Vec<Examined>> {
        async move { examine(&self.connecting, wall).await.map_err(refused) }.boxed()
    }

    fn connect(&self, wish: ConnectWish) -> Operation<'_, ConnectReport> {
        self.whole(move |gateway| async move { gateway.connect_account(wish).await })
    }

    fn signup_obstacle(&self, business: String) -> Operation<'_, Option<String>> {
        async move { Ok(self.obstacle(&business).await) }.boxed()
    }

    fn sign_up(&self, business: String, hand_in: HandIn) -> Operation<'_, SignedUp> {
        self.whole(move |gateway| async move { gateway.finish_signup(business, hand_in).await })
    }

    fn ask_syncs(
        &self,
        number: String,
        kinds: Vec<Kind>,
        again: bool,
    ) -> Operation<'_, Vec<SyncReport>> {
        self.whole(move |gateway| async move { gateway.ask_for(number, kinds, again).await })
    }

    fn export(&self, contact: i64) -> Operation<'_, Value> {
        async move {
            let export = self
                .store
                .export_contact(&self.receipts, contact)
                .await
                .map_err(refused)?;
            export.ok_or(OperationError::NotFound("contact"))
        }
        .boxed()
    }

    fn erase(&self, contact: i64) -> Operation<'_, Value> {
        self.whole(move |gateway| async move { gateway.forget(contact).await })
    }

    fn set_access(&self, business: String, access: Access) -> Operation<'_, ()> {
        self.whole(move |gateway| async move {
            let freed = gateway.keyring.set(&business, access).await;
            gateway.sends.wake(freed.map_err(not_set)?);
            gateway.media.notify_one();
            Ok(())
        })
    }

    fn renew_webhook(
        &self,
        business: String,
        address: Option<String>,
    ) -> Operation<'_, PartnerWebhook> {
        self.whole(
            move |gateway| async move { gateway.renew_partner_webhook(business, address).await },
        )
    }

    fn remove_business(&self, business: String) -> Operation<'_, ()> {
        self.whole(move |gateway| async move {
            let removed = gateway.keyring.remove(business).await;
            removed.map_err(|error| not_set(error.into()))
        })
    }
}

fn not_replayed(error: ReplayError) -> OperationError {
    match error {
        ReplayError::NoPlugin => OperationError::NotFound("plugin"),
        ReplayError::NoRuns | ReplayError::Problems(_) => OperationError::Refused {
            reason: error.to_string(),
            code: None,
        },
        ReplayError::Store(error) => refused(error),
    }
}

fn not_promoted(error: PromoteError) -> OperationError {
    match error {
        PromoteError::NoPlugin => OperationError::NotFound("plugin"),
        PromoteError::Store(error) => refused(error),
        _ => OperationError::Refused {
            reason: error.to_string(),
            code: None,
        },
    }
}

fn not_rolled_back(error: RollbackError) -> OperationError {
    match error {
        RollbackError::NoPlugin => OperationError::NotFound("plugin"),
        RollbackError::Store(error) => refused(error),
        _ => OperationError::Refused {
            reason: error.to_string(),
            code: None,
        },
    }
}

pub(super) fn not_set(error: AccessError) -> OperationError {
    match error {
        AccessError::Business(BusinessError::Store(error)) => refused(error),
        AccessError::Business(BusinessError::Unknown(_)) => OperationError::NotFound("business"),
        AccessError::Business(error) => OperationError::Refused {
            reason: error.to_string(),
            code: None,
        },
        AccessError::NoPartner => OperationError::Refused {
            reason: error.to_string(),
            code: None,
        },
        AccessError::Unusable(_) | AccessError::NoNumber(_) => {
            OperationError::Invalid(error.to_string())
        }
        AccessError::Seal(_) | AccessError::NoChance => OperationError::Failed(error.to_string()),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "used as map_err's function")]
pub(super) fn refused(error: StoreError) -> OperationError {
    match error {
        StoreError::Unavailable(_) | StoreError::Stopped => {
            OperationError::Unavailable(error.to_string())
        }
        _ => OperationError::Failed(error.to_string()),
    }
}
