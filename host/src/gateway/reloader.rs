//! Reads `plugins.toml` and hands it to dispatch: at the start, when a file has changed, and when asked to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use duet_rules::plugins_toml::{self, PluginsToml};
use duet_rules::toml_file::{FILE_BYTES_MAX, Problem};
use tokio::sync::{Mutex, watch};

use crate::dispatch::Dispatch;
use crate::file::read_at_most;
use crate::reload::Watch;

pub(super) struct Reloader {
    dispatch: Arc<Dispatch>,
    path: PathBuf,
    /// One reload at a time; holds what the last good file named, so that it goes on being watched.
    files: Mutex<Vec<PathBuf>>,
}

impl Reloader {
    pub(super) fn new(dispatch: Arc<Dispatch>, path: PathBuf) -> Reloader {
        Reloader {
            dispatch,
            files: Mutex::new(vec![path.clone()]),
            path,
        }
    }

    /// Makes the instances be as the file says; a file that cannot be used changes nothing. All problems are
    /// logged and answered.
    pub(super) async fn reload(&self) -> Vec<Problem> {
        let mut files = self.files.lock().await;
        let problems = match self.read() {
            Ok(file) => {
                let folder = self.folder();
                *files = std::iter::once(self.path.clone())
                    .chain(
                        file.plugins
                            .iter()
                            .map(|plugin| folder.join(&plugin.component)),
                    )
                    .collect();
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
        let mut watch = Watch::new()
            .inspect_err(|error| {
                tracing::warn!(%error, "files cannot be watched; reload by the API");
            })
            .ok();
        loop {
            // Before and after: what changes during a reload is seen, and what the file names since.
            self.look_at_files(&mut watch).await;
            self.reload().await;
            self.look_at_files(&mut watch).await;
            let Some(watch) = &mut watch else { return };
            tokio::select! {
                () = watch.changed() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn look_at_files(&self, watch: &mut Option<Watch>) {
        if let Some(watch) = watch {
            watch.set(self.files.lock().await.iter().map(PathBuf::as_path));
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
