//! The way on: a canary's component takes the place of the live one's file, as an admin would put it there. The version
//! before is kept like any that was live.

use std::path::{Path, PathBuf};

use super::Dispatch;
use super::slot::Slot;
use super::status::CanaryState;
use crate::file::replace;
use crate::plugin::Component;
use crate::store::StoreError;

/// A canary that was put in the live version's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promoted {
    pub version: String,
    /// SHA-256 of the component, hex.
    pub digest: String,
    /// The file that it was written to.
    pub file: PathBuf,
    /// Other plugins whose component is the same file.
    pub others: Vec<String>,
}

/// Why none was.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    #[error("plugins.toml names no such plugin")]
    NoPlugin,
    #[error(
        "no canary runs: plugins.toml has no [plugins.{0}.canary], or none of its conversations"
    )]
    NoCanary(String),
    #[error("the canary's component is the live one already")]
    Same,
    #[error("no canary runs: {0}; build it anew, or put its component in the place of {1} by hand")]
    NotRunning(String, PathBuf),
    #[error(
        "{0} is not the component that runs as the canary; duet plugin list says what does, and why"
    )]
    Changed(PathBuf),
    #[error(
        "cannot write {0}: {1}; let the gateway's user write there, or put {2} in its place by hand"
    )]
    Unwritten(PathBuf, std::io::Error, PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Dispatch {
    /// Puts the canary that runs into the live version's file. A reload has to follow.
    pub async fn promote(&self, name: &str) -> Result<Promoted, PromoteError> {
        let held = self.slots.lock().await;
        let slot = held.slot(name).ok_or(PromoteError::NoPlugin)?;
        let (file, others) = held.file_of(slot).ok_or(PromoteError::NoPlugin)?;
        let standing = slot.status.standing().canary;
        let standing = standing.ok_or_else(|| PromoteError::NoCanary(name.to_owned()))?;
        match standing.state {
            CanaryState::Running => {}
            CanaryState::Same => return Err(PromoteError::Same),
            CanaryState::Withdrawn | CanaryState::Refused => {
                let cause = standing.cause.unwrap_or_default();
                return Err(PromoteError::NotRunning(cause, file));
            }
        }
        let digest = standing.digest.unwrap_or_default();
        let from = slot.canary_file().ok_or(PromoteError::NoPlugin)?;
        let (wanted, to) = (digest.clone(), file.clone());
        let put = tokio::task::spawn_blocking(move || put(&from, &wanted, &to));
        put.await
            .unwrap_or(Err(PromoteError::Store(StoreError::Stopped)))?;
        Ok(Promoted {
            version: standing.version.unwrap_or_default(),
            digest,
            file,
            others,
        })
    }
}

fn put(from: &Path, digest: &str, to: &Path) -> Result<(), PromoteError> {
    let component = Component::read(from).ok();
    let component = component.filter(|component| component.digest == digest);
    let component = component.ok_or_else(|| PromoteError::Changed(from.to_owned()))?;
    replace(to, &component.bytes)
        .map_err(|error| PromoteError::Unwritten(to.to_owned(), error, from.to_owned()))
}

impl Slot {
    fn canary_file(&self) -> Option<PathBuf> {
        let (instance, folder) = self.wanted.as_ref()?;
        Some(folder.join(&instance.canary.as_ref()?.component))
    }
}
