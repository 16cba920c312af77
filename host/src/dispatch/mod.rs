//! Dispatch gives each plugin instance the events that it wants: in a lane strictly in order, across lanes in
//! parallel. Plugins are replaced here while events stream: the next event runs on the new one, what runs
//! already ends on the old one, and a change that does not load changes nothing.
//!
//! - `slot`: an instance of the file; `load`: how it comes to what runs
//! - `lanes`: which event runs next, without I/O
//! - `instance`: one instance at work
//! - `clock`: when it is to be called
//! - `attempt`: one run and its commit; `journal`: its calls; `breakers`: where they may go now
//! - `record`: what it reads, written down as `seen`; `replay`: another version over what was written down; `shadow`: who
//!   asks for that; `rollback`: the way back to the version before
//! - `canary`: another version for a share of the conversations; `promote`: it becomes the live one
//! - `call`: how a run is told
//! - `world`: what a run may read
//! - `subscription`: which events an instance sees
//! - `status`: how it fares

mod attempt;
mod breakers;
mod call;
mod canary;
mod clock;
mod files;
mod instance;
mod journal;
mod lanes;
mod load;
mod promote;
mod record;
mod replay;
mod rollback;
mod seen;
mod shadow;
mod slot;
pub mod status;
mod subscription;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, RwLock};

use duet_rules::plugins_toml::{Pattern, PluginsToml};
use duet_rules::toml_file::Problem;
use tokio::sync::mpsc;

use crate::effect::Wake;
use crate::hooks::Hooks;
use crate::intake::feed::Feed;
use crate::media::Deposits;
use crate::plugin::{Admission, Handler, LogBook, Shelf};
use crate::store::lanes::From;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;
pub use call::Calls;
use instance::{Command, Loaded, Versions};
pub use promote::{PromoteError, Promoted};
pub use replay::{Rehearsed, Replay, Rerun};
pub use rollback::{RollbackError, RolledBack};
pub use shadow::ReplayError;
use slot::{Slot, Slots};
use status::Status;

/// Commands that may wait for an instance.
const COMMANDS_MAX: usize = 1024;

/// What all instances share.
pub struct Shared {
    pub store: Store,
    pub feed: Arc<Feed>,
    /// Tells the outbox which sends wait now.
    pub outbox: Wake,
    /// How long a person keeps a conversation when nothing else is said, ms.
    pub person_ms: i64,
    /// The newest event when the gateway started: for the instances that are loaded first, what came since is new.
    pub begun_after: i64,
    /// What may be called from outside, and who waits for an answer.
    pub hooks: Arc<Hooks>,
    pub metrics: Arc<Metrics>,
    /// Where files go that plugins bring along.
    pub deposits: Deposits,
    /// Whose turn it is among runs, of whichever instance, that store much.
    pub large: tokio::sync::Mutex<()>,
}

/// All instances of `plugins.toml`.
pub struct Dispatch {
    shared: Arc<Shared>,
    admission: Admission,
    shelf: Arc<Shelf>,
    slots: tokio::sync::Mutex<Slots>,
    /// Held while a version is run over kept runs by hand: one at a time.
    replaying: tokio::sync::Mutex<()>,
    /// What the admin sees, also while a change is being loaded.
    listing: RwLock<Vec<Listed>>,
}

/// An instance's name, and how it fares.
pub type Listed = (String, Arc<Status>);

/// Gives `plugin` its events until it is dropped; `wanted` are the kinds that it asks for.
pub async fn work(shared: Arc<Shared>, plugin: Arc<dyn Handler>, wanted: &[Pattern], from: From) {
    let loaded = Loaded::new(plugin, wanted, Arc::default(), Arc::default());
    let versions = Versions {
        live: Arc::new(loaded),
        canary: None,
    };
    let (_commands, told) = mpsc::channel(COMMANDS_MAX);
    instance::work(shared, versions, from, told).await;
}

impl Dispatch {
    pub fn new(shared: Shared, admission: Admission, shelf: Shelf) -> Dispatch {
        Dispatch {
            shared: Arc::new(shared),
            admission,
            shelf: Arc::new(shelf),
            slots: tokio::sync::Mutex::default(),
            replaying: tokio::sync::Mutex::default(),
            listing: RwLock::default(),
        }
    }

    /// Makes the instances be as the file says. What does not load keeps its old plugin, and the answer says why.
    /// `folder` is where relative component paths start.
    pub async fn apply(&self, file: PluginsToml, folder: &Path) -> Vec<Problem> {
        let mut held = self.slots.lock().await;
        let Slots {
            slots,
            ending,
            loaded,
        } = &mut *held;
        let now = if *loaded {
            From::Now
        } else {
            From::After(self.shared.begun_after)
        };
        self.keep_places(&file).await;
        let mut old: BTreeMap<_, _> = slots
            .drain(..)
            .map(|slot| (slot.name.clone(), slot))
            .collect();
        let mut wanted: Vec<_> = file
            .plugins
            .into_iter()
            .map(|config| {
                (
                    old.remove(&config.name)
                        .unwrap_or_else(|| Slot::new(&config.name)),
                    config,
                )
            })
            .collect();
        self.list(wanted.iter().map(|(slot, _)| slot));
        let mut problems = Vec::new();
        for (mut slot, config) in wanted.drain(..) {
            if slot.want(&config, folder) {
                self.forget_withdrawn(&config.name).await;
            }
            if slot.worker.is_none() {
                slot.status
                    .stand(|standing| standing.business.clone_from(&config.business));
            }
            if config.enabled {
                self.load(&mut slot, config, folder, now, ending, &mut problems)
                    .await;
            } else {
                self.shared.hooks.pause(&slot.name);
                slot.disable(ending).await;
            }
            slots.push(slot);
        }
        for (name, gone) in old {
            tracing::info!(instance = name, "no longer in plugins.toml, it stops");
            self.admission.close_log(&name);
            self.shared.hooks.close(&name);
            if let Some(worker) = gone.worker {
                ending.insert(name, worker.stop().await);
            }
        }
        *loaded = true;
        self.shared.hooks.all_known();
        problems
    }

    /// Tells the store which instances there are.
    async fn keep_places(&self, file: &PluginsToml) {
        let names = file
            .plugins
            .iter()
            .map(|plugin| plugin.name.clone())
            .collect();
        let kept = self
            .shared
            .store
            .keep_instances(names, crate::now_ms())
            .await;
        if let Err(error) = kept {
            tracing::warn!(%error, "the store does not know yet which plugins are gone");
        }
    }

    fn list<'a>(&self, slots: impl Iterator<Item = &'a Slot>) {
        if let Ok(mut listing) = self.listing.write() {
            *listing = slots
                .map(|slot| (slot.name.clone(), slot.status.clone()))
                .collect();
        }
    }

    /// The file cannot be used: everything stays as it is, and every instance says why.
    pub fn keep(&self, problems: &[Problem]) {
        self.shared.metrics.plugins.reload("file-refused");
        let cause = causes(problems);
        for (_, status) in self.instances() {
            status.stand(|standing| {
                standing.cause = Some(cause.clone());
                standing.of_file = true;
            });
        }
    }

    /// Has the event of a dead letter handled again; the answer is whether there was one.
    pub async fn redrive(&self, dead_letter: i64) -> Result<bool, StoreError> {
        let Some((instance, seq)) = self
            .shared
            .store
            .redrive(dead_letter, crate::now_ms())
            .await?
        else {
            return Ok(false);
        };
        let held = self.slots.lock().await;
        let worker = held
            .slots
            .iter()
            .find(|slot| slot.name == instance)
            .and_then(|slot| slot.worker.as_ref());
        if let Some(worker) = worker {
            // An instance that is stopped finds it at its next start.
            let _ = worker.commands.send(Command::Redrive(seq)).await;
        }
        Ok(true)
    }

    /// All instances in order, with how they fare.
    pub fn instances(&self) -> Vec<Listed> {
        self.listing
            .read()
            .map(|listing| listing.clone())
            .unwrap_or_default()
    }

    /// What an instance's plugin has written lately.
    pub fn log(&self, instance: &str) -> Option<Arc<LogBook>> {
        self.admission.log(instance)
    }

    /// Keeps nothing in memory that plugins wrote at events of this contact.
    pub fn forget(&self, contact: i64) {
        self.admission.forget_lines(contact);
    }

    /// Stops all instances; what runs still ends and commits.
    pub async fn stop(&self) {
        let mut held = self.slots.lock().await;
        let Slots { slots, ending, .. } = std::mem::take(&mut *held);
        let mut tasks: Vec<_> = ending.into_values().collect();
        for worker in slots.into_iter().filter_map(|slot| slot.worker) {
            tasks.push(worker.stop().await);
        }
        for task in tasks {
            let _ = task.await;
        }
    }
}

fn causes(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
