//! An instance as `plugins.toml` names it: what runs for it, and what the file last said.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use duet_rules::plugins_toml::Instance;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::canary::Seated;
use super::instance::{Command, Loaded, Turns};
use super::status::{State, Status};
use crate::plugin::Plugin;

#[derive(Default)]
pub(super) struct Slots {
    /// In the order of `plugins.toml`.
    pub(super) slots: Vec<Slot>,
    /// Workers that were told to stop and still end what runs. The next one of the same name waits for it.
    pub(super) ending: HashMap<String, JoinHandle<()>>,
    /// Whether a file was loaded since the start.
    pub(super) loaded: bool,
}

/// One instance.
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) status: Arc<Status>,
    pub(super) worker: Option<Worker>,
    /// What the file says of it, and where relative paths start.
    pub(super) wanted: Option<(Instance, PathBuf)>,
    pub(super) turns: Arc<Turns>,
}

pub(super) struct Worker {
    pub(super) plugin: Arc<Plugin>,
    pub(super) live: Arc<Loaded>,
    pub(super) canary: Option<Seated>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) task: JoinHandle<()>,
}

impl Worker {
    /// Tells it to stop; the answer completes when what runs has ended.
    pub(super) async fn stop(self) -> JoinHandle<()> {
        let _ = self.commands.send(Command::Stop).await;
        self.task
    }
}

impl Slots {
    pub(super) fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name == name)
    }

    /// The file of the live component, and who else has the same.
    pub(super) fn file_of(&self, slot: &Slot) -> Option<(PathBuf, Vec<String>)> {
        let path_of = |slot: &Slot| {
            let (instance, folder) = slot.wanted.as_ref()?;
            Some(folder.join(&instance.component))
        };
        let file = path_of(slot)?;
        let others = self.slots.iter().filter(|other| other.name != slot.name);
        let others = others.filter(|&other| path_of(other).as_ref() == Some(&file));
        let others = others.map(|other| other.name.clone()).collect();
        Some((file, others))
    }
}

impl Slot {
    pub(super) fn new(name: &str) -> Slot {
        Slot {
            name: name.to_owned(),
            status: Arc::default(),
            worker: None,
            wanted: None,
            turns: Arc::default(),
        }
    }

    /// The file says this of it from now on; the answer is whether it said something else before.
    pub(super) fn want(&mut self, config: &Instance, folder: &Path) -> bool {
        let before = self.wanted.replace((config.clone(), folder.to_owned()));
        let terms = |instance: &Instance| {
            let canary = instance.canary.as_ref();
            canary.map(|canary| (canary.component.clone(), canary.percent, canary.events))
        };
        before.is_some_and(|(before, _)| !same(&before, config) || terms(&before) != terms(config))
    }

    pub(super) fn seated(&self) -> Option<Seated> {
        self.worker.as_ref()?.canary.clone()
    }

    pub(super) async fn seat_canary(&mut self, canary: Option<Seated>) {
        if let Some(worker) = &mut self.worker {
            worker.seat(canary).await;
        }
    }

    pub(super) async fn disable(&mut self, ending: &mut HashMap<String, JoinHandle<()>>) {
        if let Some(worker) = self.worker.take() {
            ending.insert(self.name.clone(), worker.stop().await);
        }
        self.status.stand(|standing| {
            standing.state = State::Disabled;
            standing.canary = None;
            standing.cause = None;
            standing.of_file = false;
        });
    }
}

/// Whether a change of the file leaves the instance as it is, its canary aside: its lines may have moved.
pub(super) fn same(one: &Instance, other: &Instance) -> bool {
    let moved = Instance {
        file: one.file.clone(),
        line: one.line,
        business_line: one.business_line,
        events_line: one.events_line,
        promote_line: one.promote_line,
        canary: one.canary.clone(),
        settings_lines: one.settings_lines.clone(),
        grant_lines: one.grant_lines.clone(),
        secret_lines: one.secret_lines.clone(),
        hook_lines: one.hook_lines.clone(),
        ..other.clone()
    };
    moved == *one
}
