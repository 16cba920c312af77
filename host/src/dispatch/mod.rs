//! Dispatch gives each plugin instance the events that it wants: in a lane strictly in order, across lanes in
//! parallel. Plugins are replaced here while events stream: the next event runs on the new one, what runs
//! already ends on the old one, and a change that does not load changes nothing.
//!
//! - `lanes`: which event runs next, without I/O
//! - `instance`: one instance at work
//! - `clock`: when it is to be called
//! - `attempt`: one run and its commit; `journal`: its calls
//! - `record`: what it reads, written down as `seen`; `replay`: another version over what was written down; `shadow`: who
//!   asks for that; `rollback`: the way back to the version before
//! - `canary`: another version for a share of the conversations; `promote`: it becomes the live one
//! - `call`: how a run is told
//! - `world`: what a run may read
//! - `subscription`: which events an instance sees
//! - `status`: how it fares

mod attempt;
mod call;
mod canary;
mod clock;
mod files;
mod instance;
mod journal;
mod lanes;
mod promote;
mod record;
mod replay;
mod rollback;
mod seen;
mod shadow;
pub mod status;
mod subscription;
mod world;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use duet_rules::plugins_toml::{Instance, Pattern, PluginsToml};
use duet_rules::toml_file::Problem;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::environment;
use crate::effect::Wake;
use crate::hooks::Hooks;
use crate::intake::feed::Feed;
use crate::media::Deposits;
use crate::plugin::secrets::{self, Secrets};
use crate::plugin::{Admission, Component, Handler, LogBook, Plugin, Shelf};
use crate::store::lanes::{Claim, From};
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;
pub use call::Calls;
use canary::Seated;
use instance::{Command, Loaded, Turn, Versions};
pub use promote::{PromoteError, Promoted};
pub use replay::{Rehearsed, Replay, Rerun};
pub use rollback::{RollbackError, RolledBack};
pub use shadow::ReplayError;
use status::{State, Status};

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

#[derive(Default)]
struct Slots {
    /// In the order of `plugins.toml`.
    slots: Vec<Slot>,
    /// Workers that were told to stop and still end what runs. The next one of the same name waits for it.
    ending: HashMap<String, JoinHandle<()>>,
    /// Whether a file was loaded since the start.
    loaded: bool,
}

/// One instance.
struct Slot {
    name: String,
    status: Arc<Status>,
    worker: Option<Worker>,
    /// What the file says of it, and where relative paths start.
    wanted: Option<(Instance, PathBuf)>,
    contended: Arc<Turn>,
}

struct Worker {
    plugin: Arc<Plugin>,
    live: Arc<Loaded>,
    canary: Option<Seated>,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

impl Worker {
    /// Tells it to stop; the answer completes when what runs has ended.
    async fn stop(self) -> JoinHandle<()> {
        let _ = self.commands.send(Command::Stop).await;
        self.task
    }
}

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

    async fn load(
        &self,
        slot: &mut Slot,
        config: Instance,
        folder: &Path,
        now: From,
        ending: &mut HashMap<String, JoinHandle<()>>,
        problems: &mut Vec<Problem>,
    ) {
        let (plugin, refused) = self.next_live(slot, &config, folder).await;
        let live = match (&plugin, &slot.worker) {
            (Some((plugin, _)), _) => Some(plugin.clone()),
            (None, Some(worker)) => Some(worker.plugin.clone()),
            (None, None) => None,
        };
        // Under tables that are not taken there is no canary but the one that there is.
        let live = live.filter(|live| same(live.instance(), &config));
        let live = live.as_deref();
        let canary = self.canary(slot, &config, folder, live, problems).await;
        match plugin {
            Some((plugin, component)) => {
                if let Some(component) = component {
                    self.keep_version(&plugin, component).await;
                }
                self.replace(slot, plugin, canary, now, ending).await;
            }
            None => slot.seat_canary(canary).await,
        }
        if !refused.is_empty() {
            self.refuse(slot, &refused);
            problems.extend(refused);
        }
    }

    /// The plugin that is to take over, and its component where that is the file's; nothing if what runs goes on. And why
    /// it is not what the file wants.
    async fn next_live(
        &self,
        slot: &Slot,
        config: &Instance,
        folder: &Path,
    ) -> (Option<(Arc<Plugin>, Option<Component>)>, Vec<Problem>) {
        let (plugin, component) = match self.admit(slot, config.clone(), folder).await {
            Ok(Some(admitted)) => admitted,
            Ok(None) => return (None, Vec::new()),
            Err(refused) => return (None, refused),
        };
        match self.take_over(slot, plugin).await {
            Ok(plugin) => (Some((plugin, Some(component))), Vec::new()),
            Err(refused) if slot.worker.is_none() => {
                let last = self.goes_on(slot).await;
                (last.map(|plugin| (plugin, None)), refused)
            }
            Err(refused) => (None, refused),
        }
    }

    /// What runs goes on, if anything does.
    fn refuse(&self, slot: &Slot, refused: &[Problem]) {
        self.shared.metrics.plugins.reload("refused");
        let cause = causes(refused);
        tracing::error!(
            instance = slot.name,
            cause,
            kept = slot.worker.is_some(),
            "a plugin does not load"
        );
        let state = match slot.worker {
            Some(_) => State::Ready,
            None => {
                self.shared.hooks.pause(&slot.name);
                State::Rejected
            }
        };
        slot.status.stand(|standing| {
            standing.state = state;
            standing.cause = Some(cause);
            standing.of_file = false;
        });
    }

    /// The plugin as the file wants it with its component, or nothing if it runs already so.
    async fn admit(
        &self,
        slot: &Slot,
        config: Instance,
        folder: &Path,
    ) -> Result<Option<(Arc<Plugin>, Component)>, Vec<Problem>> {
        let (component, secrets) = match read(config.clone(), folder.to_owned(), None).await? {
            Some(read) => read,
            // The runtime is ending, and everything with it.
            None => return Ok(None),
        };
        self.claim(&config).await?;
        if let Some(worker) = &slot.worker
            && !worker.commands.is_closed()
            && slot.status.standing().cause.is_none()
            && same(worker.plugin.instance(), &config)
            && worker.plugin.instance().canary.is_some() == config.canary.is_some()
            && component.digest == worker.plugin.digest()
            && secrets == *worker.plugin.secrets()
        {
            return Ok(None);
        }
        let admitted = self.admission.admit(component.clone(), config, secrets);
        Ok(Some((admitted.await?, component)))
    }

    /// An instance works for one business, for good.
    async fn claim(&self, config: &Instance) -> Result<(), Vec<Problem>> {
        let claim = self.shared.store.claim(&config.name, &config.business);
        let (message, remedy) = match claim.await {
            Ok(Claim::Granted) => return Ok(()),
            Ok(Claim::NoSuchBusiness) => (
                format!("there is no business {:?}", config.business),
                "make it with POST /api/v1/businesses, then reload; or take the line out for the gateway's own".to_owned(),
            ),
            Ok(Claim::OfAnother) => (
                format!(
                    "plugin {:?} has worked for another business, and its store holds what it saw there",
                    config.name
                ),
                "give the table another name".to_owned(),
            ),
            Err(error) => (
                format!("the store cannot tell whose plugin {:?} is: {error}", config.name),
                "reload once the store is well again".to_owned(),
            ),
        };
        Err(vec![config.business_problem(message, remedy)])
    }

    async fn replace(
        &self,
        slot: &mut Slot,
        plugin: Arc<Plugin>,
        canary: Option<Seated>,
        now: From,
        ending: &mut HashMap<String, JoinHandle<()>>,
    ) {
        self.shared.metrics.plugins.reload("loaded");
        // Who reads that it is ready may call it.
        self.shared.hooks.open(&plugin);
        let manifest = plugin.manifest();
        slot.status.stand(|standing| {
            standing.business.clone_from(&plugin.instance().business);
            standing.state = State::Ready;
            standing.version = Some(manifest.version.clone());
            standing.digest = Some(plugin.digest().to_owned());
            standing.cause = None;
            standing.of_file = false;
        });
        tracing::info!(
            instance = slot.name,
            version = manifest.version,
            digest = plugin.digest(),
            "plugin is live"
        );
        let (status, turn) = (slot.status.clone(), slot.contended.clone());
        let live = Loaded::new(plugin.clone(), &manifest.events, status, turn);
        let live = Arc::new(live);
        let versions = || Versions {
            live: live.clone(),
            canary: canary.as_ref().map(|seated| seated.canary.clone()),
        };
        if let Some(worker) = &mut slot.worker
            && worker
                .commands
                .send(Command::Swap(versions()))
                .await
                .is_ok()
        {
            (worker.plugin, worker.live, worker.canary) = (plugin, live, canary);
            return;
        }
        let (commands, told) = mpsc::channel(COMMANDS_MAX);
        let work = instance::work(self.shared.clone(), versions(), now, told);
        let before = ending.remove(&slot.name);
        let task = self.admission.spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            work.await;
        });
        slot.worker = Some(Worker {
            plugin,
            live,
            canary,
            commands,
            task,
        });
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

    /// Why an instance's calls get no token, with the remedy, if that is so.
    pub fn token_cause(&self, instance: &str) -> Option<String> {
        self.admission.token_cause(instance)
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

impl Slot {
    fn new(name: &str) -> Slot {
        Slot {
            name: name.to_owned(),
            status: Arc::default(),
            worker: None,
            wanted: None,
            contended: Arc::default(),
        }
    }

    /// The file says this of it from now on; the answer is whether it said something else before.
    fn want(&mut self, config: &Instance, folder: &Path) -> bool {
        let before = self.wanted.replace((config.clone(), folder.to_owned()));
        let terms = |instance: &Instance| {
            let canary = instance.canary.as_ref();
            canary.map(|canary| (canary.component.clone(), canary.percent, canary.events))
        };
        before.is_some_and(|(before, _)| !same(&before, config) || terms(&before) != terms(config))
    }

    fn seated(&self) -> Option<Seated> {
        self.worker.as_ref()?.canary.clone()
    }

    async fn seat_canary(&mut self, canary: Option<Seated>) {
        if let Some(worker) = &mut self.worker {
            worker.seat(canary).await;
        }
    }

    async fn disable(&mut self, ending: &mut HashMap<String, JoinHandle<()>>) {
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

/// The component of an instance, unless another one is given, and its secrets; nothing when the runtime is ending.
async fn read(
    instance: Instance,
    folder: PathBuf,
    given: Option<Component>,
) -> Result<Option<(Component, Secrets)>, Vec<Problem>> {
    let read = tokio::task::spawn_blocking(move || {
        let component = match given {
            Some(component) => component,
            None => Component::of(&instance, &folder).map_err(|problem| vec![problem])?,
        };
        let secrets = secrets::read(&instance, &folder, &environment)?;
        Ok::<_, Vec<Problem>>((component, secrets))
    });
    read.await.map_or(Ok(None), |read| read.map(Some))
}

fn causes(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whether a change of the file leaves the instance as it is, its canary aside: its lines may have moved.
fn same(one: &Instance, other: &Instance) -> bool {
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
