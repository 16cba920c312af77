//! The way back: the component of a version that was live before takes the place of the file that `plugins.toml` names.
//! What is on disk is what runs, so a rollback needs no word in a file of its own, and the next saved version undoes it.
//! While a canary runs, the way back is to be without it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use duet_rules::plugins_toml::Instance;
use duet_rules::toml_file::Problem;

use super::canary::withdraw;
use super::load::read;
use super::slot::Slot;
use super::status::{CanaryStanding, CanaryState};
use super::{Dispatch, causes};
use crate::file::replace;
use crate::plugin::{Component, Plugin, Shelf};
use crate::store::StoreError;
use crate::store::canaries::Withdrawn;
use crate::store::versions::Version;

/// Why a canary is none any more, when an admin has said so.
const BY_HAND: &str = "it was rolled back by hand";

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// The version that all events go to now.
    pub version: Version,
    /// The file that it was written to; none where it was live all along, beside a canary.
    pub file: Option<PathBuf>,
    /// Other plugins whose component is the same file.
    pub others: Vec<String>,
    /// The version that is no canary any more.
    pub withdrawn: Option<String>,
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
    pub(super) async fn goes_on(&self, slot: &Slot) -> Option<Arc<Plugin>> {
        let (instance, folder) = slot.wanted.clone()?;
        let last = self.last_live(instance, folder).await;
        last.unwrap_or_else(|why| {
            tracing::warn!(
                instance = slot.name,
                why,
                "the version that was live cannot go on"
            );
            None
        })
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

    /// Withdraws the canary that runs, or else puts the version before the one in the component's file in its place. A
    /// reload has to follow.
    pub async fn roll_back(&self, name: &str) -> Result<RolledBack, RollbackError> {
        let mut held = self.slots.lock().await;
        let slots = held.slots.iter_mut();
        let slot = slots.into_iter().find(|slot| slot.name == name);
        if let Some(back) = self
            .end_canary(slot.ok_or(RollbackError::NoPlugin)?)
            .await?
        {
            return Ok(back);
        }
        let slot = held.slot(name).ok_or(RollbackError::NoPlugin)?;
        let (file, others) = held.file_of(slot).ok_or(RollbackError::NoPlugin)?;
        let versions = self.shared.store.versions(name).await?;
        let (shelf, written) = (Arc::clone(&self.shelf), file.clone());
        let put = tokio::task::spawn_blocking(move || put_back(&shelf, versions, &written));
        let (version, replaced) = put
            .await
            .unwrap_or(Err(RollbackError::Store(StoreError::Stopped)))?;
        let withdrawn = self.withdraw_promoted(slot, replaced).await?;
        Ok(RolledBack {
            version,
            file: Some(file),
            others,
            withdrawn,
        })
    }

    /// Nothing where no canary runs.
    async fn end_canary(&self, slot: &mut Slot) -> Result<Option<RolledBack>, RollbackError> {
        let standing = slot.status.standing().canary;
        let runs = standing.is_some_and(|standing| standing.state == CanaryState::Running);
        let (Some(worker), true) = (&mut slot.worker, runs) else {
            return Ok(None);
        };
        let Some(seated) = worker.canary.clone() else {
            return Ok(None);
        };
        let live = &worker.plugin;
        let versions = self.shared.store.versions(&slot.name).await?;
        let version = versions
            .into_iter()
            .find(|version| version.digest == live.digest());
        let version = version.unwrap_or_else(|| Version {
            digest: live.digest().to_owned(),
            version: live.manifest().version.clone(),
            live_ms: crate::now_ms(),
        });
        worker.seat(None).await;
        withdraw(&self.shared.store, seated.loaded(), BY_HAND.to_owned()).await?;
        Ok(Some(RolledBack {
            version,
            file: None,
            others: Vec::new(),
            withdrawn: Some(seated.plugin.manifest().version.clone()),
        }))
    }

    /// What was promoted and is rolled back is no canary again.
    async fn withdraw_promoted(
        &self,
        slot: &Slot,
        replaced: Option<String>,
    ) -> Result<Option<String>, RollbackError> {
        let standing = slot.status.standing().canary;
        let promoted =
            standing.filter(|standing| standing.digest.is_some() && standing.digest == replaced);
        let Some(CanaryStanding {
            digest: Some(digest),
            version: Some(version),
            ..
        }) = promoted
        else {
            return Ok(None);
        };
        let withdrawn = Withdrawn {
            digest,
            version: version.clone(),
            cause: BY_HAND.to_owned(),
            at_ms: crate::now_ms(),
        };
        let kept = self.shared.store.withdraw(slot.name.clone(), withdrawn);
        kept.await?;
        Ok(Some(version))
    }
}

/// The version that was put back, and the digest of what was there.
fn put_back(
    shelf: &Shelf,
    versions: Vec<Version>,
    file: &Path,
) -> Result<(Version, Option<String>), RollbackError> {
    // One that cannot be read is none of those that were live.
    let now = Component::read(file).ok().map(|now| now.digest);
    let is_there = |version: &Version| now.as_ref() == Some(&version.digest);
    let version = versions.into_iter().find(|version| !is_there(version));
    let version = version.ok_or(RollbackError::NoVersion)?;
    let kept = shelf.path(&version.digest);
    let component = match shelf.get(&version.digest) {
        Ok(component) => component,
        Err(error) => return Err(RollbackError::Unkept(version.version, kept, error)),
    };
    replace(file, &component.bytes)
        .map_err(|error| RollbackError::Unwritten(file.to_owned(), error, kept))?;
    Ok((version, now))
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
