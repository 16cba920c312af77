//! Alarms leave: to a webhook, by mail, and as a template to the owner's own phone.
//!
//! - `webhook`, `mail`, `template`: the ways out
//!
//! Promises: what is said is on disk before it leaves, under an id that stays the same at each attempt, so that a receiver
//! can tell a repetition; a way that is down holds up no other; who is told when is decided by `rules::alarm`.

mod mail;
mod template;
mod webhook;

use std::time::Duration;

use duet_rules::alarm::{Channel, Notice};
use duet_rules::backoff;

use crate::config::{AlarmSecrets, AlarmSettings};
use crate::effect::Wake;
use crate::store::notices::Leaving;
use crate::store::{Store, StoreError};
use mail::Mail;
use template::Template;
use webhook::Webhook;

/// How often it is looked whether something is to be said.
const LOOK: Duration = Duration::from_secs(1);
/// Notices that leave in a row before it is looked again.
const NOTICES_MAX: u32 = 20;
/// Pauses between attempts.
const PAUSE_FIRST_MS: u64 = 2_000;
const PAUSE_MAX_MS: u64 = 600_000;
/// A notice that has not left by then says nothing new.
const GIVEN_UP_MS: i64 = 3 * 24 * 3_600_000;

/// Tells of alarms.
pub struct Herald {
    store: Store,
    /// This store's id, a part of each notice's.
    store_id: String,
    repeat_ms: i64,
    webhook: Option<Webhook>,
    mail: Option<Mail>,
    template: Option<Template>,
}

/// A notice on its way.
struct Letter {
    row: i64,
    /// The same at each attempt, for the receiver.
    id: String,
    notice: Notice,
    /// As it is kept, byte for byte.
    body: String,
}

impl Herald {
    /// None when the settings name no way out. `sends` is told of rows in the outbox.
    ///
    /// # Errors
    /// When a way cannot be used; with the setting and the remedy.
    pub async fn new(
        store: Store,
        settings: &AlarmSettings,
        secrets: &AlarmSecrets,
        sends: Wake,
    ) -> anyhow::Result<Option<Herald>> {
        let owners = settings.template.clone();
        let herald = Herald {
            store_id: store.store_id().await?,
            repeat_ms: settings.repeat_ms,
            webhook: Webhook::new(settings.webhook.as_ref(), secrets.webhook.as_ref())?,
            mail: Mail::new(settings.mail.as_ref(), secrets.smtp.as_ref())?,
            template: owners.map(|owners| Template::new(store.clone(), owners, sends)),
            store,
        };
        Ok((!herald.channels().is_empty()).then_some(herald))
    }

    fn channels(&self) -> Vec<Channel> {
        let has = |channel: &Channel| match channel {
            Channel::Webhook => self.webhook.is_some(),
            Channel::Mail => self.mail.is_some(),
            Channel::Template => self.template.is_some(),
        };
        Channel::ALL.into_iter().filter(has).collect()
    }

    /// Ends only by being dropped.
    pub async fn run(self) {
        let ways = Channel::ALL.map(|channel| self.serve(channel));
        tokio::join!(self.write(), futures_util::future::join_all(ways));
    }

    async fn write(&self) {
        let channels = self.channels();
        let mut looks = looks();
        loop {
            looks.tick().await;
            let now_ms = crate::now_ms();
            let written = self
                .store
                .write_notices(channels.clone(), self.repeat_ms, now_ms);
            if let Err(error) = written.await {
                tracing::warn!(%error, "alarms wait for the store");
            }
        }
    }

    /// One way out: the others go on while it waits.
    async fn serve(&self, channel: Channel) {
        let mut looks = looks();
        loop {
            looks.tick().await;
            if let Err(error) = self.empty(channel).await {
                tracing::warn!(%error, "alarms wait for the store");
            }
        }
    }

    async fn empty(&self, channel: Channel) -> Result<(), StoreError> {
        let leaving = self
            .store
            .leaving_notices(channel, crate::now_ms(), NOTICES_MAX)
            .await?;
        for notice in leaving {
            self.deliver(channel, notice).await?;
        }
        Ok(())
    }

    async fn deliver(&self, channel: Channel, leaving: Leaving) -> Result<(), StoreError> {
        let now_ms = crate::now_ms();
        let attempt = leaving.attempt.saturating_add(1);
        let pause_ms = backoff::delay_ms(attempt, PAUSE_FIRST_MS, PAUSE_MAX_MS, rand::random());
        let next_ms = now_ms.saturating_add(i64::try_from(pause_ms).unwrap_or(i64::MAX));
        if !self.store.begin_notice(leaving.id, next_ms).await? {
            return Ok(());
        }
        match self.leave(channel, &leaving, now_ms).await {
            Ok(()) => {
                crate::failpoint::hit("alarms.left_before_commit");
                self.store.notice_left(leaving.id).await
            }
            Err(cause) => {
                let channel = channel.as_str();
                tracing::warn!(channel, attempt, cause, "an alarm could not leave");
                let given_up = now_ms.saturating_sub(leaving.created_ms) > GIVEN_UP_MS;
                self.store.notice_failed(leaving.id, cause, given_up).await
            }
        }
    }

    async fn leave(&self, channel: Channel, leaving: &Leaving, now_ms: i64) -> Result<(), String> {
        let notice = serde_json::from_str(&leaving.body).map_err(|error| error.to_string())?;
        let letter = Letter {
            row: leaving.id,
            id: format!("duet-{}-{}", self.store_id, leaving.id),
            notice,
            body: leaving.body.clone(),
        };
        match (channel, &self.webhook, &self.mail, &self.template) {
            (Channel::Webhook, Some(webhook), ..) => webhook.leave(&letter, now_ms).await,
            (Channel::Mail, _, Some(mail), _) => mail.leave(&letter).await,
            (Channel::Template, .., Some(template)) => template.leave(&letter, now_ms).await,
            _ => Err("duet.toml no longer names this way in [alarms]".to_owned()),
        }
    }
}

fn looks() -> tokio::time::Interval {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    looks
}
