//! The way back: the component of a version that was live before takes the place of the file that `plugins.toml` names.
//! What is on disk is what runs, so a rollback needs no word in a file of its own, and the next saved version undoes it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use duet_rules::plugins_toml::Instance;
use duet_rules::toml_file::Problem;
use tokio::task::JoinHandle;

use super::{Dispatch, Slot, causes, read};
use crate::file::replace;
use crate::plugin::{Component, Plugin, Shelf};
use crate::store::StoreError;
use crate::store::lanes::From;
use crate::store::versions::Version;

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    pub version: Version,
    /// The file that it was written to.
    pub file: PathBuf,
    /// Other plugins whose component is the same file.
    pub others: Vec<String>,
}

/// Why nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    #[error("plugins.toml names no such plugin")]
    NoPlugin,
    #[error("no version before this one is kept")]
    NoVersion,
    #[error("the component of version {0} cannot be read ({1}: {2}), so nothing was put back")]
    Unkept(String, PathBuf, std::io::Error),
    #[error(
        "cannot write {0}: {1}; let the gateway's user write there, or put {2} in its place by hand"
    )]
    Unwritten(PathBuf, std::io::Error, PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Dispatch {
    /// Keeps a version that takes over now, so that there is a way back to it.
    pub(super) async fn keep_version(&self, plugin: &Plugin, component: Component) {
        let instance = &plugin.instance().name;
        let kept = self.shelve(plugin, component).await;
        if let Err(why) = kept {
            tracing::warn!(
                instance,
                why,
                "a version is not kept, so there will be no way back to it"
            );
        }
    }

    async fn shelve(&self, plugin: &Plugin, component: Component) -> Result<(), String> {
        let (store, instance) = (&self.shared.store, &plugin.instance().name);
        let versions = store.versions(instance).await;
        let versions = versions.map_err(|error| error.to_string())?;
        let known = versions.first();
        let is_live = known.is_some_and(|live| live.digest == component.digest);
        let version = Version {
            digest: component.digest.clone(),
            version: plugin.manifest().version.clone(),
            live_ms: crate::now_ms(),
        };
        let shelf = Arc::clone(&self.shelf);
        on_disk(move || shelf.put(&component)).await?;
        if is_live {
            return Ok(());
        }
        let digests = store.went_live(instance.clone(), version).await;
        let digests = digests.map_err(|error| error.to_string())?;
        let shelf = Arc::clone(&self.shelf);
        on_disk(move || shelf.keep(&digests)).await
    }

    /// After a start the version that was live goes on in place of one that may not take over.
    pub(super) async fn go_on(
        &self,
        slot: &mut Slot,
        now: From,
        ending: &mut HashMap<String, JoinHandle<()>>,
    ) {
        let Some((instance, folder)) = slot.wanted.clone() else {
            return;
        };
        match self.last_live(instance, folder).await {
            Ok(Some(plugin)) => self.replace(slot, plugin, now, ending).await,
            Ok(None) => {}
            Err(why) => tracing::warn!(
                instance = slot.name,
                why,
                "the version that was live cannot go on"
            ),
        }
    }

    /// The version of an instance that was live last, from what is kept of it; nothing where none is known.
    async fn last_live(
        &self,
        instance: Instance,
        folder: PathBuf,
    ) -> Result<Option<Arc<Plugin>>, String> {
        let versions = self.shared.store.versions(&instance.name).await;
        let versions = versions.map_err(|error| error.to_string())?;
        let Some(live) = versions.into_iter().next() else {
            return Ok(None);
        };
        let shelf = Arc::clone(&self.shelf);
        let component = on_disk(move || shelf.get(&live.digest)).await?;
        let told = |problems: Vec<Problem>| causes(&problems);
        let read = read(instance.clone(), folder, Some(component)).await;
        let Some((component, secrets)) = read.map_err(told)? else {
            return Ok(None);
        };
        let admitted = self.admission.admit(component, instance, secrets).await;
        admitted.map(Some).map_err(told)
    }

    /// Puts the version before the one in the component's file in its place. A reload has to follow.
    pub async fn roll_back(&self, name: &str) -> Result<RolledBack, RollbackError> {
        let held = self.slots.lock().await;
        let path_of = |slot: &Slot| {
            let (instance, folder) = slot.wanted.as_ref()?;
            Some(folder.join(&instance.component))
        };
        let slot = held.slots.iter().find(|slot| slot.name == name);
        let file = slot.and_then(path_of).ok_or(RollbackError::NoPlugin)?;
        let same = held.slots.iter().filter(|slot| slot.name != name);
        let same = same.filter(|&slot| path_of(slot).as_ref() == Some(&file));
        let others = same.map(|slot| slot.name.clone()).collect();

        let versions = self.shared.store.versions(name).await?;
        let (shelf, written) = (Arc::clone(&self.shelf), file.clone());
        let put = tokio::task::spawn_blocking(move || put_back(&shelf, versions, &written));
        let version = put
            .await
            .unwrap_or(Err(RollbackError::Store(StoreError::Stopped)))?;
        Ok(RolledBack {
            version,
            file,
            others,
        })
    }
}

fn put_back(shelf: &Shelf, versions: Vec<Version>, file: &Path) -> Result<Version, RollbackError> {
    // One that cannot be read is none of those that were live.
    let now = Component::read(file).ok();
    let is_there = |version: &Version| now.as_ref().is_some_and(|now| now.digest == version.digest);
    let version = versions.into_iter().find(|version| !is_there(version));
    let version = version.ok_or(RollbackError::NoVersion)?;
    let kept = shelf.path(&version.digest);
    let component = match shelf.get(&version.digest) {
        Ok(component) => component,
        Err(error) => return Err(RollbackError::Unkept(version.version, kept, error)),
    };
    replace(file, &component.bytes)
        .map_err(|error| RollbackError::Unwritten(file.to_owned(), error, kept))?;
    Ok(version)
}

/// Work with files, and why it failed.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
