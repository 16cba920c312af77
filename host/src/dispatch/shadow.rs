//! A version of a plugin over its kept runs: asked for by hand, and before it takes over where `promote` says so.

use std::sync::Arc;

use duet_rules::plugins_toml::Promote;
use duet_rules::toml_file::Problem;
use tokio::sync::oneshot;

use super::load::read;
use super::replay::{Replay, replay};
use super::slot::{Slot, Worker, same};
use super::status::Shadow;
use super::{Dispatch, causes};
use crate::plugin::{Component, Plugin};
use crate::store::StoreError;
use crate::store::runs::{KeptRun, Which};

/// Why no version was run over kept runs.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("plugins.toml names no such plugin")]
    NoPlugin,
    #[error(
        "no such run of the plugin is kept; the last runs_kept events that it was done with are, 20 if plugins.toml says nothing"
    )]
    NoRuns,
    #[error("{}", causes(.0))]
    Problems(Vec<Problem>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A version that was run over kept runs before it takes over.
struct Shadowed {
    told: Shadow,
    /// The first event that it faulted on.
    faulted: Option<i64>,
    /// How many it was run over.
    tried: usize,
}

impl Dispatch {
    /// Runs an instance's component, or the one that is given, over its kept runs; nothing else comes of it.
    pub async fn replay(
        &self,
        name: &str,
        which: Which,
        component: Option<Component>,
    ) -> Result<Replay, ReplayError> {
        let _one = self.replaying.lock().await;
        let wanted = {
            let held = self.slots.lock().await;
            let slot = held.slots.iter().find(|slot| slot.name == name);
            slot.and_then(|slot| slot.wanted.clone())
        };
        let (instance, folder) = wanted.ok_or(ReplayError::NoPlugin)?;
        let runs = self.shared.store.kept_runs(name.to_owned(), which).await?;
        if runs.is_empty() {
            return Err(ReplayError::NoRuns);
        }
        let read = read(instance.clone(), folder, component).await;
        let (component, secrets) = read
            .map_err(ReplayError::Problems)?
            .ok_or(StoreError::Stopped)?;
        let admitted = self.admission.admit(component, instance, secrets).await;
        let plugin = admitted.map_err(ReplayError::Problems)?;
        Ok(self.rehearse(plugin, runs).await?)
    }

    /// The plugin that was admitted, if it may take over: under `promote = "shadow"` it must not fault on a kept run. One
    /// that was at work last may go on, as after a restart.
    pub(super) async fn take_over(
        &self,
        slot: &Slot,
        plugin: Arc<Plugin>,
    ) -> Result<Arc<Plugin>, Vec<Problem>> {
        let instance = plugin.instance();
        if instance.promote != Promote::Shadow {
            slot.status.stand(|standing| standing.shadow = None);
            return Ok(plugin);
        }
        let shadow = self.shadow(slot, &plugin).await.map_err(|error| {
            let message = format!(
                "plugin {:?} could not be run over its kept runs: {error}",
                instance.name
            );
            vec![instance.promote_problem(message, "reload once the store is well again".into())]
        })?;
        let Some(shadow) = shadow else {
            return Ok(plugin);
        };
        slot.status
            .stand(|standing| standing.shadow = Some(shadow.told.clone()));
        match shadow.faulted {
            None if shadow.tried == 0 => {
                let message = format!(
                    "version {} of plugin {:?} was run over none of its {} kept runs",
                    shadow.told.version, instance.name, shadow.told.skipped
                );
                let remedy = format!(
                    "duet plugin replay {} tells why; mend it, or write promote = \"at-once\"",
                    instance.name
                );
                Err(vec![instance.promote_problem(message, remedy)])
            }
            None => Ok(plugin),
            Some(seq) => {
                let message = format!(
                    "version {} of plugin {:?} faulted on {} of its kept runs, first on event {seq}",
                    shadow.told.version, instance.name, shadow.told.faults
                );
                let remedy = format!(
                    "duet plugin replay {} tells each; mend it, or write promote = \"at-once\"",
                    instance.name
                );
                Err(vec![instance.promote_problem(message, remedy)])
            }
        }
    }

    /// Nothing where there is no need.
    async fn shadow(
        &self,
        slot: &Slot,
        plugin: &Arc<Plugin>,
    ) -> Result<Option<Shadowed>, StoreError> {
        let name = &plugin.instance().name;
        let store = &self.shared.store;
        let digest = plugin.digest();
        // The file says again what it said before a change that was not taken.
        let is_live = slot.worker.as_ref().is_some_and(|worker| {
            let live = &worker.plugin;
            live.digest() == digest && same(live.instance(), plugin.instance())
        });
        if is_live {
            return Ok(None);
        }
        // The way back to a version that was live is never barred, nor is one at a start that was live last.
        let is_other = |worker: &Worker| worker.plugin.digest() != digest;
        if slot.worker.as_ref().is_none_or(is_other) {
            let versions = store.versions(name).await?;
            if versions.iter().any(|version| version.digest == digest) {
                return Ok(None);
            }
        }
        let runs = store.kept_runs(name.clone(), Which::Last(u64::MAX)).await?;
        if runs.is_empty() {
            return Ok(None);
        }
        let replay = self.rehearse(plugin.clone(), runs).await?;
        let mut faulted = replay.runs.iter().filter(|run| run.word() == "faults");
        let told = Shadow {
            at_ms: crate::now_ms(),
            version: replay.version.clone(),
            digest: replay.digest.clone(),
            same: replay.count("same"),
            differs: replay.count("differs"),
            faults: replay.count("faults"),
            skipped: replay.count("skipped"),
        };
        tracing::info!(
            instance = name,
            version = told.version,
            digest = told.digest,
            same = told.same,
            differs = told.differs,
            faults = told.faults,
            skipped = told.skipped,
            "a version was run over kept runs"
        );
        Ok(Some(Shadowed {
            faulted: faulted.next().map(|run| run.seq),
            tried: told.same + told.differs + told.faults,
            told,
        }))
    }

    /// Runs a plugin over kept runs, where plugins run.
    async fn rehearse(
        &self,
        plugin: Arc<Plugin>,
        runs: Vec<KeptRun>,
    ) -> Result<Replay, StoreError> {
        let (tell, told) = oneshot::channel();
        let shared = self.shared.clone();
        self.admission.spawn(async move {
            // Nobody listens any more when the gateway is ending.
            let _ = tell.send(replay(&shared, &plugin, runs).await);
        });
        told.await.unwrap_or(Err(StoreError::Stopped))
    }
}
