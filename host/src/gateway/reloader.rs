//! Reads `plugins.toml` and hands it to dispatch: at the start, when a file has changed, and when asked to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use duet_rules::plugins_toml::{self, Instance, PluginsToml};
use duet_rules::toml_file::{FILE_BYTES_MAX, Problem};
use tokio::sync::{Mutex, watch};

use crate::dispatch::Dispatch;
use crate::file::read_at_most;
use crate::reload::{Files, Watch, look};

pub(super) struct Reloader {
    dispatch: Arc<Dispatch>,
    path: PathBuf,
    /// One reload at a time; holds what the last good file named, so that it goes on being watched, as it was
    /// before it was read, so that what changes meanwhile is seen.
    files: Mutex<Files>,
}

impl Reloader {
    pub(super) fn new(dispatch: Arc<Dispatch>, path: PathBuf) -> Reloader {
        Reloader {
            dispatch,
            files: Mutex::new(Files::from([(path.clone(), None)])),
            path,
        }
    }

    /// Makes the instances be as the file says; a file that cannot be used changes nothing. All problems are
    /// logged and answered.
    pub(super) async fn reload(&self) -> Vec<Problem> {
        let mut files = self.files.lock().await;
        *files = look(files.keys().cloned());
        let problems = match self.read() {
            Ok(file) => {
                let folder = self.folder();
                let paths = file.plugins.iter().flat_map(Instance::paths);
                let mut named = look(paths.map(|path| folder.join(path)));
                named.extend(files.remove_entry(&self.path));
                *files = named;
                self.dispatch.apply(file, folder).await
            }
            Err(problems) => {
                self.dispatch.keep(&problems);
                problems
            }
        };
        for problem in &problems {
            tracing::error!("{problem}");
        }
        problems
    }

    /// Loads what the file says, and again whenever one of the files has changed, until `stop` is true.
    pub(super) async fn watch(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut watch = Watch::new();
        // Before the first reading, too: what changes during it is seen at once.
        watch.set(self.files.lock().await.clone());
        loop {
            self.reload().await;
            watch.set(self.files.lock().await.clone());
            tokio::select! {
                () = watch.changed() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn read(&self) -> Result<PluginsToml, Vec<Problem>> {
        let name = self.path.display().to_string();
        match read_at_most(&self.path, FILE_BYTES_MAX + 1) {
            Ok(text) => plugins_toml::parse(&name, text).into_result(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::info!(file = name, "there is no such file, so no plugins");
                Ok(PluginsToml {
                    plugins: Vec::new(),
                })
            }
            Err(error) => Err(vec![Problem {
                file: name,
                line: 1,
                column: 1,
                message: format!("cannot be read: {error}"),
                remedy: "let the gateway's user read it, or name another file with DUET_PLUGINS"
                    .into(),
            }]),
        }
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}
