//! Save and it is live: watches `plugins.toml` and the components that it names, and asks for a reload when one
//! of them has changed and then been left alone for a moment.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// A file counts as saved when nothing has touched it for so long.
const CALM: Duration = Duration::from_millis(100);
/// A file that is touched again and again is looked at all the same.
const UNREST_MAX: Duration = Duration::from_secs(1);

/// Watches folders, since editors replace files instead of writing into them.
pub struct Watch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    names: Arc<Mutex<BTreeSet<OsString>>>,
    changed: Arc<Notify>,
}

impl Watch {
    pub fn new() -> notify::Result<Watch> {
        let changed = Arc::new(Notify::new());
        let names = Arc::new(Mutex::new(BTreeSet::new()));
        let (tell, known) = (changed.clone(), names.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Without an event some were dropped: looking at the files tells what has changed.
            if event.is_ok_and(|event| !concerns(&event, &known)) {
                return;
            }
            tell.notify_one();
        })?;
        Ok(Watch {
            watcher,
            folders: BTreeSet::new(),
            names,
            changed,
        })
    }

    /// Watches these files and no others.
    pub fn set<'a>(&mut self, files: impl Iterator<Item = &'a Path> + Clone) {
        if let Ok(mut names) = self.names.lock() {
            *names = files
                .clone()
                .filter_map(Path::file_name)
                .map(OsString::from)
                .collect();
        }
        let wanted: BTreeSet<PathBuf> = files.filter_map(folder).collect();
        for gone in self.folders.difference(&wanted) {
            let _ = self.watcher.unwatch(gone);
        }
        for folder in wanted.difference(&self.folders) {
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, folder = %folder.display(), "cannot watch a folder; reload by the API");
            }
        }
        self.folders = wanted;
    }

    /// Waits until something has changed and is calm again.
    pub async fn changed(&self) {
        self.changed.notified().await;
        let calm = async {
            while tokio::time::timeout(CALM, self.changed.notified())
                .await
                .is_ok()
            {}
        };
        let _ = tokio::time::timeout(UNREST_MAX, calm).await;
    }
}

/// Whether one of the files was written, made, moved or removed; others in its folder are nobody's business.
fn concerns(event: &notify::Event, names: &Mutex<BTreeSet<OsString>>) -> bool {
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    let Ok(names) = names.lock() else { return true };
    event.paths.is_empty()
        || event
            .paths
            .iter()
            .any(|path| path.file_name().is_none_or(|name| names.contains(name)))
}

fn folder(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    if folder.as_os_str().is_empty() {
        Some(PathBuf::from("."))
    } else {
        Some(folder.to_owned())
    }
}
