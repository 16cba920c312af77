//! Admission: from bytes and an instance of `plugins.toml` to a plugin that may run, or to every reason why not.
//!
//! All that can be told without compiling is told at once; a component with a problem is never compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use duet_rules::contract::CONTRACT;
use duet_rules::hooks::{Mode, Proof};
use duet_rules::manifest::{Manifest, SECTION};
use duet_rules::plugins_toml::{self, Instance};
use duet_rules::toml_file::Problem;
use tokio::task::JoinHandle;

use super::compile::Compiler;
use super::facts::Facts;
use super::linked::Linked;
use super::log_book::{LogBook, LogBooks};
use super::outline::{Outline, outline};
use super::secrets::Secrets;
use super::threads::Habit;
use super::{Component, Plugin, PluginThreads, settings};
use crate::outbound::{Egress, Keeper, Tokens};

/// What admits plugins: the compiler, the threads that they will run on and the connections for their calls.
pub struct Admission {
    compiler: Compiler,
    threads: Arc<PluginThreads>,
    logs: LogBooks,
    tokens: Tokens,
}

impl Admission {
    pub fn new(compiler: Compiler, threads: Arc<PluginThreads>) -> Self {
        Admission {
            compiler,
            threads,
            logs: LogBooks::default(),
            tokens: Tokens::default(),
        }
    }

    /// The same, where refresh tokens are kept.
    #[must_use]
    pub fn with_keeper(self, keeper: Arc<dyn Keeper>) -> Self {
        Admission {
            tokens: Tokens::new(keeper),
            ..self
        }
    }

    /// Runs what hands events to plugins on the plugins' own threads: a run then costs no change of threads.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.threads.spawn(work)
    }

    /// What an instance has written lately; none before its plugin was first admitted.
    pub fn log(&self, instance: &str) -> Option<Arc<LogBook>> {
        self.logs.of(instance)
    }

    /// Keeps no line that was written at an event of this contact.
    pub fn forget_lines(&self, contact: i64) {
        self.logs.forget(contact);
    }

    /// Keeps no line of an instance that is no more.
    pub fn close_log(&self, instance: &str) {
        self.logs.close(instance);
    }

    /// Checks and compiles a component for one instance with its secrets, and brings it up once. The problems carry lines of
    /// `plugins.toml`.
    pub async fn admit(
        &self,
        component: Component,
        instance: Instance,
        secrets: Secrets,
    ) -> Result<Arc<Plugin>, Vec<Problem>> {
        let (manifest, outline) = inspect(&component.bytes, &instance)?;
        let proofs = proofs(&instance, &manifest, &secrets)?;
        let egress = self.egress(&instance, &secrets);
        let digest = component.digest;
        let compiled = self
            .compiler
            .compile(&digest, Arc::clone(&component.bytes))
            .await
            .map_err(|error| {
                let message = format!("plugin {:?} cannot be compiled: {error:#}", instance.name);
                vec![at(&instance, message, "build it again with a current SDK")]
            })?;
        let linked = Linked::new(&outline, &compiled.component).map_err(|error| {
            let message = format!(
                "plugin {:?} does not fit contract {CONTRACT}: {error:#}",
                instance.name
            );
            vec![at(&instance, message, "build it again with a current SDK")]
        })?;
        let plugin = Plugin {
            facts: Arc::new(Facts::new(
                &instance,
                self.logs.open(&instance.name, instance.log),
                egress,
            )),
            linked: Arc::new(linked),
            habit: Habit::default(),
            share: self.threads.share(),
            threads: Arc::clone(&self.threads),
            _compiled: compiled,
            digest,
            manifest,
            instance,
            secrets,
            proofs,
        };
        plugin.dry_run().await.map_err(|fault| {
            let message = format!(
                "plugin {:?} does not come up: {fault}",
                plugin.instance.name
            );
            vec![at(
                &plugin.instance,
                message,
                "mend what it does before its first event, or raise the limit",
            )]
        })?;
        Ok(Arc::new(plugin))
    }

    /// Where an instance may call, if anywhere.
    fn egress(&self, instance: &Instance, secrets: &Secrets) -> Option<Arc<Egress>> {
        let grant = instance.grants.http.clone()?;
        let egress = Egress::new(&self.tokens, instance, grant, secrets.http.clone());
        Some(Arc::new(egress))
    }
}

/// What proves the calls of each hook that is signed, by its path.
fn proofs(
    instance: &Instance,
    manifest: &Manifest,
    secrets: &Secrets,
) -> Result<BTreeMap<String, Arc<Proof>>, Vec<Problem>> {
    let (mut proofs, mut problems) = (BTreeMap::new(), Vec::new());
    for hook in &manifest.hooks {
        let (Some(scheme), Some(secret)) = (&hook.signature, secrets.hooks.get(&hook.path)) else {
            continue;
        };
        match Proof::new(scheme, secret.expose()) {
            Ok(proof) => {
                proofs.insert(hook.path.clone(), Arc::new(proof));
            }
            Err(reason) => {
                let message = format!("the secret of hook {:?} is of no use: {reason}", hook.path);
                let remedy = format!(
                    "give the one that its caller has; its calls come {}",
                    scheme.told()
                );
                problems.push(instance.hook_problem(&hook.path, message, remedy));
            }
        }
    }
    if problems.is_empty() {
        Ok(proofs)
    } else {
        Err(problems)
    }
}

/// What is wrong with a component for this instance, as far as can be said without compiling it.
pub fn check(bytes: &[u8], instance: &Instance) -> Vec<Problem> {
    inspect(bytes, instance).err().unwrap_or_default()
}

/// The same of a canary's component beside the live version's; `instance` has the canary's.
pub fn check_canary(bytes: &[u8], live: &[u8], instance: &Instance) -> Vec<Problem> {
    let canary = match inspect(bytes, instance) {
        Ok((canary, _)) => canary,
        Err(problems) => return problems,
    };
    // What is wrong with the live version is told as its own.
    let live = inspect(live, instance).ok();
    let problem = live.and_then(|(live, _)| instance.beside(&live, &canary));
    problem.into_iter().collect()
}

/// Everything that can be said of a component without compiling it.
pub(super) fn inspect<'a>(
    bytes: &'a [u8],
    instance: &Instance,
) -> Result<(Manifest, Outline<'a>), Vec<Problem>> {
    let name = &instance.name;
    let outline = outline(bytes).map_err(|error| {
        let message = format!(
            "plugin {name:?}: {} is no plugin: {error}",
            instance.component.display()
        );
        vec![at(
            instance,
            message,
            "build it for wasm32-wasip2, or with the SDK of its language",
        )]
    })?;
    let manifest = match outline.manifests.as_slice() {
        [section] => Manifest::parse(&instance.component.display().to_string(), section),
        sections => {
            let message = format!(
                "plugin {name:?} has {} sections called {SECTION}, one is needed",
                sections.len()
            );
            Err(vec![at(
                instance,
                message,
                "build it with the SDK, which embeds the manifest",
            )])
        }
    };
    let mut problems = Vec::new();
    if outline.handler().is_none() {
        let message = format!("plugin {name:?} does not export duet:plugin/on-event@{CONTRACT}");
        problems.push(at(
            instance,
            message,
            "export a handler, with the SDK's plugin macro for example",
        ));
    }
    let manifest = match manifest {
        Ok(manifest) => {
            problems.extend(plugins_toml::check(instance, &manifest, &outline.uses()));
            problems.extend(settings::check(instance, &manifest.settings));
            let mut hooks = manifest.hooks.iter();
            if let Some(hook) = hooks.find(|hook| hook.mode == Mode::Answer)
                && outline.hook_handler().is_none()
            {
                let message = format!(
                    "plugin {name:?} answers calls of its hook {:?} and does not export duet:plugin/on-hook@{CONTRACT}",
                    hook.path
                );
                let remedy = "export a handler for hooks, or give the hook the mode event";
                problems.push(at(instance, message, remedy));
            }
            Some(manifest)
        }
        Err(found) => {
            problems.extend(found);
            None
        }
    };
    problems.sort_by_key(|problem| problem.line);
    match manifest {
        Some(manifest) if problems.is_empty() => Ok((manifest, outline)),
        _ => Err(problems),
    }
}

fn at(instance: &Instance, message: String, remedy: &str) -> Problem {
    Problem {
        file: instance.file.clone(),
        line: instance.line,
        column: 1,
        message,
        remedy: remedy.to_owned(),
    }
}
