//! Save and it is live: watches `plugins.toml` and the components that it names, and asks for a reload when one
//! of them has changed and then been left alone for a moment.
//!
//! The system's events come at once, but none comes for a folder that was made anew or swapped, for what a link
//! leads to, or for what another machine writes. So the files are looked at every two seconds, too.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// A file counts as saved when nothing has touched it for so long.
const CALM: Duration = Duration::from_millis(100);
/// A file that is touched again and again is looked at all the same.
const UNREST_MAX: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells one state of a file from the next, links followed: device, inode, length, seconds and nanoseconds of
/// the last writing. `None` when there is no file.
pub type Fingerprint = Option<(u64, u64, u64, i64, i64)>;
/// Files as they were just before they were read.
pub type Files = BTreeMap<PathBuf, Fingerprint>;

/// What tells a folder from another one at its place; the inode of a removed one may be given to the next.
type Identity = Option<(u64, u64, Option<SystemTime>)>;

/// The files as they are now.
pub fn look(files: impl IntoIterator<Item = PathBuf>) -> Files {
    files
        .into_iter()
        .map(|file| {
            let fingerprint = fingerprint(&file);
            (file, fingerprint)
        })
        .collect()
}

fn fingerprint(file: &Path) -> Fingerprint {
    let facts = std::fs::metadata(file).ok()?;
    let (seconds, nanos) = (facts.mtime(), facts.mtime_nsec());
    Some((facts.dev(), facts.ino(), facts.size(), seconds, nanos))
}

fn identities(folders: impl IntoIterator<Item = PathBuf>) -> BTreeMap<PathBuf, Identity> {
    folders
        .into_iter()
        .map(|folder| {
            let identity = identity(&folder);
            (folder, identity)
        })
        .collect()
}

fn identity(folder: &Path) -> Identity {
    let facts = std::fs::metadata(folder).ok()?;
    Some((facts.dev(), facts.ino(), facts.created().ok()))
}

/// Watches folders, since editors replace files instead of writing into them.
pub struct Watch {
    /// Without it changes are seen by looks only.
    watcher: Option<RecommendedWatcher>,
    /// Each with what is watched there, which may be gone; `None` when that could not be begun.
    folders: BTreeMap<PathBuf, Identity>,
    /// Why a folder cannot be watched, as far as the log knows.
    told: BTreeMap<PathBuf, String>,
    files: Files,
    names: Arc<Mutex<BTreeSet<OsString>>>,
    changed: Arc<Notify>,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch::new()
    }
}

impl Watch {
    pub fn new() -> Watch {
        let changed = Arc::new(Notify::new());
        let names = Arc::new(Mutex::new(BTreeSet::new()));
        let (tell, known) = (changed.clone(), names.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Without an event some were dropped: looking at the files tells what has changed.
            if event.is_ok_and(|event| !concerns(&event, &known)) {
                return;
            }
            tell.notify_one();
        });
        Watch {
            watcher: watcher
                .inspect_err(|error| {
                    tracing::warn!(%error, "files cannot be watched; they are looked at every 2 s");
                })
                .ok(),
            folders: BTreeMap::new(),
            told: BTreeMap::new(),
            files: Files::new(),
            names,
            changed,
        }
    }

    /// Watches these files and no others. They have changed when they differ from these fingerprints.
    pub fn set(&mut self, files: Files) {
        if let Ok(mut names) = self.names.lock() {
            *names = files
                .keys()
                .filter_map(|file| file.file_name())
                .map(OsString::from)
                .collect();
        }
        self.arm(identities(files.keys().filter_map(|file| folder(file))));
        self.files = files;
    }

    /// Waits until something has changed and is calm again.
    pub async fn changed(&mut self) {
        let mut last = loop {
            let event = tokio::time::timeout(LOOK_EVERY, self.changed.notified()).await;
            let now = self.look().await;
            if event.is_ok() || now != self.files {
                break now;
            }
        };
        let calm = async {
            loop {
                let event = tokio::time::timeout(CALM, self.changed.notified()).await;
                let now = self.look().await;
                if event.is_err() && now == last {
                    break;
                }
                last = now;
            }
        };
        let _ = tokio::time::timeout(UNREST_MAX, calm).await;
    }

    /// Looks at all files, and watches the folders that have changed anew.
    async fn look(&mut self) -> Files {
        let (files, folders) = (self.files.clone(), self.folders.clone());
        let looks = tokio::task::spawn_blocking(move || {
            (look(files.into_keys()), identities(folders.into_keys()))
        });
        match looks.await {
            Ok((files, folders)) => {
                self.arm(folders);
                files
            }
            // The runtime is ending.
            Err(_) => self.files.clone(),
        }
    }

    /// Watches these folders and no others; one that is another than the one watched at its place is watched anew.
    fn arm(&mut self, found: BTreeMap<PathBuf, Identity>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let armed = std::mem::replace(&mut self.folders, found);
        for (folder, watched) in &armed {
            if self.folders.get(folder) != Some(watched) {
                // Fails when the watch has ended with its folder.
                let _ = watcher.unwatch(folder);
            }
        }
        self.told
            .retain(|folder, _| self.folders.contains_key(folder));
        for (folder, identity) in &mut self.folders {
            if armed.get(folder) == Some(identity) {
                continue;
            }
            let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) else {
                continue;
            };
            // As if there were none, so that the next look tries again.
            *identity = None;
            let cause = error.to_string();
            if self.told.get(folder) != Some(&cause) {
                tracing::warn!(%error, folder = %folder.display(), "cannot watch a folder; its files are looked at every 2 s");
                self.told.insert(folder.clone(), cause);
            }
        }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A watched file, and what the gateway does with it.
    struct Scene {
        root: TempDir,
        file: PathBuf,
        watch: Watch,
    }

    impl Scene {
        fn new(file: &str, prepare: impl FnOnce(&Path)) -> Scene {
            let root = tempfile::tempdir().unwrap();
            prepare(root.path());
            let file = root.path().join(file);
            let mut watch = Watch::new();
            watch.set(look([file.clone()]));
            Scene { root, file, watch }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        /// The change is seen, and the reload that follows is the only one.
        async fn reloads(&mut self) {
            tokio::time::timeout(PATIENCE, self.watch.changed())
                .await
                .unwrap();
            self.watch.set(look([self.file.clone()]));
            assert_eq!(self.watch.look().await, self.watch.files);
        }

        /// The system tells of a change, without a look.
        async fn is_told_at_once(&mut self) {
            fs::write(&self.file, "at once").unwrap();
            tokio::time::timeout(PATIENCE, self.watch.changed.notified())
                .await
                .unwrap();
        }
    }

    fn folder_with(file: &Path, content: &str) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    #[tokio::test]
    async fn a_folder_made_anew_is_watched() {
        let mut scene = Scene::new("c/x.wasm", |root| folder_with(&root.join("c/x.wasm"), "1"));
        fs::remove_dir_all(scene.path("c")).unwrap();
        scene.reloads().await;
        folder_with(&scene.file, "2");
        scene.reloads().await;
        scene.is_told_at_once().await;
    }

    #[tokio::test]
    async fn a_folder_made_later_is_watched() {
        let mut scene = Scene::new("c/x.wasm", |_| ());
        folder_with(&scene.file, "1");
        scene.reloads().await;
        scene.is_told_at_once().await;
    }

    #[tokio::test]
    async fn a_folder_that_takes_the_place_of_another_is_watched() {
        let mut scene = Scene::new("config/plugins.toml", |root| {
            folder_with(&root.join("config/plugins.toml"), "1");
            folder_with(&root.join("next/plugins.toml"), "2");
        });
        fs::rename(scene.path("config"), scene.path("last")).unwrap();
        fs::rename(scene.path("next"), scene.path("config")).unwrap();
        scene.reloads().await;
        scene.is_told_at_once().await;
    }

    /// As Kubernetes mounts a ConfigMap.
    #[tokio::test]
    async fn a_link_to_a_folder_that_is_swapped_is_followed() {
        let mut scene = Scene::new("plugins.toml", |root| {
            folder_with(&root.join("v1/plugins.toml"), "1");
            folder_with(&root.join("v2/plugins.toml"), "2");
            symlink("v1", root.join("..data")).unwrap();
            symlink("..data/plugins.toml", root.join("plugins.toml")).unwrap();
        });
        symlink("v2", scene.path("..next")).unwrap();
        fs::rename(scene.path("..next"), scene.path("..data")).unwrap();
        scene.reloads().await;
    }

    #[tokio::test]
    async fn what_a_link_leads_to_is_watched() {
        let mut scene = Scene::new("x.wasm", |root| {
            folder_with(&root.join("elsewhere/built.wasm"), "1");
            symlink("elsewhere/built.wasm", root.join("x.wasm")).unwrap();
        });
        fs::write(scene.path("elsewhere/built.wasm"), "two").unwrap();
        scene.reloads().await;
    }
}
