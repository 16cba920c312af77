//! Another version for a share of the conversations: the same instance, with other code. The worker of the instance runs
//! both, each conversation on its version; what the canary cannot do the live version does at once, and a canary of which
//! that is true too often is withdrawn.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use duet_rules::canary::{Trial, has};
use duet_rules::plugins_toml::{self, Instance};
use duet_rules::toml_file::Problem;

use super::attempt::{Attempted, Ended, Failure};
use super::instance::{Command, Loaded, Versions};
use super::load::read;
use super::slot::{Slot, Worker, same};
use super::status::{CanaryCounts, CanaryStanding, CanaryState};
use super::{Dispatch, causes};
use crate::event::Event;
use crate::plugin::Plugin;
use crate::store::canaries::Withdrawn;
use crate::store::{Store, StoreError};

/// A version that has a share of the conversations.
pub(super) struct Canary {
    loaded: Arc<Loaded>,
    /// As `plugins.toml` has it.
    terms: plugins_toml::Canary,
}

/// What an instance at work knows of canaries.
#[derive(Default)]
pub(super) struct Trials {
    now: Option<(Arc<Canary>, Trial)>,
    /// Events that a canary has left and that are tried again: they stay with the live version.
    left: BTreeSet<i64>,
}

impl Trials {
    pub(super) fn of(canary: Option<Arc<Canary>>) -> Trials {
        Trials {
            now: canary.map(|canary| (canary, Trial::default())),
            left: BTreeSet::new(),
        }
    }

    /// From now on this is the canary; one that is it already keeps its trial.
    pub(super) fn swap(&mut self, canary: Option<Arc<Canary>>) {
        match (&self.now, &canary) {
            (Some((now, _)), Some(canary)) if Arc::ptr_eq(now, canary) => {}
            _ => self.now = canary.map(|canary| (canary, Trial::default())),
        }
    }

    /// The canary, if it has this event.
    pub(super) fn of_event(&self, event: &Event) -> Option<Arc<Loaded>> {
        let (canary, _) = self.now.as_ref()?;
        let Canary { loaded, terms } = &**canary;
        let has = has(loaded.name(), terms.percent, event.conversation?);
        (has && !self.left.contains(&event.seq)).then(|| loaded.clone())
    }

    /// What became of the event `seq`. The answer is the canary that is over with it, and why.
    pub(super) fn ended(
        &mut self,
        seq: i64,
        attempted: &Attempted,
    ) -> Option<(Arc<Loaded>, String)> {
        let Attempted { by, ended, left } = attempted;
        match (ended, left) {
            (Ended::Retry { .. } | Ended::Waits { .. }, Some(_)) => self.left.insert(seq),
            (Ended::Retry { .. } | Ended::Waits { .. }, None) => false,
            _ => self.left.remove(&seq),
        };
        let (canary, trial) = self.now.as_mut()?;
        let loaded = canary.loaded.clone();
        let why = match left {
            Some((canary, why)) if Arc::ptr_eq(canary, &loaded) => why.failure(),
            _ => None,
        };
        let is_its = why.is_some() || Arc::ptr_eq(by, &loaded);
        if !is_its || !matches!(ended, Ended::Done { .. }) {
            return None;
        }
        let events = canary.terms.events;
        if !trial.ended(events, seq, why.is_some()) {
            return None;
        }
        self.now = None;
        let last = why.map(Failure::for_admins).unwrap_or_default();
        let cause = format!(
            "the live version did {events} of its events that it could not do; the last: {last}"
        );
        Some((loaded, cause))
    }
}

impl Attempted {
    pub(super) fn count(&self) {
        self.by
            .counts()
            .for_each(|counts| counts.count(&self.ended));
        if let Some((canary, why)) = &self.left {
            canary.counts().for_each(|counts| counts.count_fault(why));
            if let Some(counts) = &canary.canary {
                counts.left.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A canary's conversations are the live version's from now on, until something of it changes; also after a restart, once
/// the store knows.
pub(super) async fn withdraw(
    store: &Store,
    canary: &Loaded,
    cause: String,
) -> Result<(), StoreError> {
    let (instance, digest) = (canary.name(), canary.plugin.digest());
    tracing::warn!(instance, digest, cause, "a canary is withdrawn");
    let mut version = None;
    canary.status.stand(|standing| {
        let standing = standing.canary.as_mut();
        if let Some(standing) = standing.filter(|standing| standing.is_of(digest)) {
            standing.state = CanaryState::Withdrawn;
            standing.cause = Some(cause.clone());
            version.clone_from(&standing.version);
        }
    });
    let withdrawn = Withdrawn {
        digest: digest.to_owned(),
        version: version.unwrap_or_default(),
        cause,
        at_ms: crate::now_ms(),
    };
    store.withdraw(instance.to_owned(), withdrawn).await
}

/// A canary in its slot.
#[derive(Clone)]
pub(super) struct Seated {
    pub(super) plugin: Arc<Plugin>,
    pub(super) canary: Arc<Canary>,
}

impl Seated {
    pub(super) fn loaded(&self) -> &Loaded {
        &self.canary.loaded
    }
}

/// What the file of a canary comes to.
enum Found {
    Runs(Arc<Plugin>),
    /// It is the live version.
    Same,
    Withdrawn(Withdrawn),
    /// The runtime is ending.
    Nothing,
}

impl Dispatch {
    /// The canary that is to be at work beside the version `live`; its standing says which, or why there is none. Without
    /// such a version the one that there is goes on.
    pub(super) async fn canary(
        &self,
        slot: &Slot,
        config: &Instance,
        folder: &Path,
        live: Option<&Plugin>,
        problems: &mut Vec<Problem>,
    ) -> Option<Seated> {
        let Some((instance, terms)) = config.with_canary() else {
            slot.status.stand(|standing| standing.canary = None);
            self.forget_withdrawn(&config.name).await;
            return None;
        };
        let now = slot.seated();
        let Some(live) = live else {
            return now;
        };
        let percent = terms.percent;
        match self.find_canary(slot, &instance, folder, live).await {
            Ok(Found::Nothing) => now,
            Ok(Found::Same) => {
                let same = (live.manifest().version.as_str(), live.digest());
                slot.stand_canary(CanaryState::Same, percent, same, None, None);
                None
            }
            Ok(Found::Withdrawn(past)) => {
                let withdrawn = (past.version.as_str(), past.digest.as_str());
                let cause = Some(past.cause);
                slot.stand_canary(CanaryState::Withdrawn, percent, withdrawn, cause, None);
                None
            }
            Ok(Found::Runs(plugin)) => {
                let seated = slot.seat(plugin, terms);
                let runs = (
                    seated.plugin.manifest().version.as_str(),
                    seated.plugin.digest(),
                );
                let counts = seated.loaded().canary.clone();
                slot.stand_canary(CanaryState::Running, percent, runs, None, counts);
                Some(seated)
            }
            Err(refused) => {
                self.shared.metrics.plugins.reload("refused");
                let cause = causes(&refused);
                problems.extend(refused);
                tracing::error!(instance = slot.name, cause, "a canary does not load");
                // The old one goes on as long as only its file is another.
                let stays = |now: &Seated| {
                    same(now.plugin.instance(), &instance)
                        && instance
                            .beside(live.manifest(), now.plugin.manifest())
                            .is_none()
                };
                let now = now.filter(stays);
                slot.refuse_canary(percent, cause, now.is_some());
                now
            }
        }
    }

    async fn find_canary(
        &self,
        slot: &Slot,
        instance: &Instance,
        folder: &Path,
        live: &Plugin,
    ) -> Result<Found, Vec<Problem>> {
        let Some((component, secrets)) = read(instance.clone(), folder.to_owned(), None).await?
        else {
            return Ok(Found::Nothing);
        };
        if component.digest == live.digest() {
            return Ok(Found::Same);
        }
        let untold = |error: StoreError| {
            let message = format!(
                "the store cannot tell whether this canary of plugin {:?} was withdrawn: {error}",
                instance.name
            );
            vec![instance.table_problem(message, "reload once the store is well again".into())]
        };
        let store = &self.shared.store;
        match store.withdrawn(&instance.name).await.map_err(untold)? {
            Some(past) if past.digest == component.digest => {
                return Ok(Found::Withdrawn(past));
            }
            Some(_) => {
                let forgotten = store.try_again(instance.name.clone()).await;
                forgotten.map_err(untold)?;
            }
            None => {}
        }
        let plugin = match slot.seated() {
            Some(Seated { plugin, .. })
                if plugin.digest() == component.digest
                    && same(plugin.instance(), instance)
                    && *plugin.secrets() == secrets =>
            {
                plugin
            }
            _ => {
                let admitted = self.admission.admit(component, instance.clone(), secrets);
                let plugin = admitted.await?;
                self.shared.metrics.plugins.reload("loaded");
                plugin
            }
        };
        match instance.beside(live.manifest(), plugin.manifest()) {
            Some(problem) => Err(vec![problem]),
            None => Ok(Found::Runs(plugin)),
        }
    }

    /// Whatever was withdrawn may be tried again.
    pub(super) async fn forget_withdrawn(&self, instance: &str) {
        let store = &self.shared.store;
        let forgotten = match store.withdrawn(instance).await {
            Ok(Some(_)) => store.try_again(instance.to_owned()).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = forgotten {
            tracing::warn!(%error, instance, "a canary that was withdrawn is not forgotten yet");
        }
    }
}

impl Slot {
    /// A canary with these terms; the one that sits here already if it is that.
    fn seat(&self, plugin: Arc<Plugin>, terms: plugins_toml::Canary) -> Seated {
        let now = self.seated();
        let now = now.filter(|now| Arc::ptr_eq(&now.plugin, &plugin));
        let standing = self.status.standing().canary;
        let runs = standing.is_some_and(|standing| standing.state == CanaryState::Running);
        let loaded = match now {
            Some(now) if runs && now.canary.has_terms(&terms) => return now,
            Some(now) => now.canary.loaded.clone(),
            None => {
                let wanted = &plugin.manifest().events;
                let (status, turns) = (self.status.clone(), self.turns.clone());
                let mut loaded = Loaded::new(plugin.clone(), wanted, status, turns);
                loaded.canary = Some(Arc::default());
                Arc::new(loaded)
            }
        };
        tracing::info!(
            instance = self.name,
            version = plugin.manifest().version,
            digest = plugin.digest(),
            percent = terms.percent,
            "a canary has a share of the conversations"
        );
        let canary = Arc::new(Canary { loaded, terms });
        Seated { plugin, canary }
    }

    /// How its canary stands now. What it has done stays told where no `counts` are given.
    fn stand_canary(
        &self,
        state: CanaryState,
        percent: u8,
        (version, digest): (&str, &str),
        cause: Option<String>,
        counts: Option<Arc<CanaryCounts>>,
    ) {
        self.status.stand(|standing| {
            let before = standing.canary.take();
            let before = before.filter(|before| before.is_of(digest));
            let before = before.map(|before| before.counts);
            standing.canary = Some(CanaryStanding {
                state,
                percent,
                version: Some(version.to_owned()),
                digest: Some(digest.to_owned()),
                cause,
                counts: counts.or(before).unwrap_or_default(),
            });
        });
    }

    /// What its canary's file holds is not taken, and the one before goes on or not.
    fn refuse_canary(&self, percent: u8, cause: String, goes_on: bool) {
        self.status.stand(|standing| {
            let before = standing.canary.take().filter(|_| goes_on);
            standing.canary = Some(CanaryStanding {
                cause: Some(cause.clone()),
                ..before.unwrap_or(CanaryStanding {
                    state: CanaryState::Refused,
                    percent,
                    version: None,
                    digest: None,
                    cause: None,
                    counts: Arc::default(),
                })
            });
        });
    }
}

impl Canary {
    /// Its component is a matter of the instance that it was admitted with.
    fn has_terms(&self, terms: &plugins_toml::Canary) -> bool {
        (self.terms.percent, self.terms.events) == (terms.percent, terms.events)
    }
}

impl Worker {
    /// From the next event on this is the canary, if any.
    pub(super) async fn seat(&mut self, seated: Option<Seated>) {
        let canary = |seated: &Option<Seated>| seated.as_ref().map(|seated| seated.canary.clone());
        let (before, now) = (canary(&self.canary), canary(&seated));
        let is_it = match (&before, &now) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => true,
            _ => false,
        };
        if is_it {
            return;
        }
        let versions = Versions {
            live: self.live.clone(),
            canary: now,
        };
        // One that has ended is started anew with the next reload.
        let _ = self.commands.send(Command::Swap(versions)).await;
        self.canary = seated;
    }
}
