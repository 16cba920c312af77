//! A version of a plugin over its kept runs, asked for by hand.

use std::sync::Arc;

use duet_rules::toml_file::Problem;
use tokio::sync::oneshot;

use super::replay::{Replay, replay};
use super::{Dispatch, causes, read};
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
