//! What `plugins.toml` says of an instance becomes what runs: admitted aside, taken over between two events.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use duet_rules::plugins_toml::Instance;
use duet_rules::toml_file::Problem;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::canary::Seated;
use super::instance::{self, Command, Loaded, Versions};
use super::slot::{Slot, Worker, same};
use super::status::State;
use super::{COMMANDS_MAX, Dispatch, causes};
use crate::config::environment;
use crate::plugin::secrets::{self, Secrets};
use crate::plugin::{Component, Plugin};
use crate::store::lanes::{Claim, From};

impl Dispatch {
    pub(super) async fn load(
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
            standing.egress = plugin.egress().cloned();
            standing.cause = None;
            standing.of_file = false;
        });
        tracing::info!(
            instance = slot.name,
            version = manifest.version,
            digest = plugin.digest(),
            "plugin is live"
        );
        let (status, turns) = (slot.status.clone(), slot.turns.clone());
        let live = Loaded::new(plugin.clone(), &manifest.events, status, turns);
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
}

/// The component of an instance, unless another one is given, and its secrets; nothing when the runtime is ending.
pub(super) async fn read(
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
