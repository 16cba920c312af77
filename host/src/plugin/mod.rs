//! Plugins: from a file's bytes to runs.
//!
//! [`Admission`] checks a component against its grants before anything is compiled, [`Compiler`] compiles it in a
//! child process, and [`Plugin::run`] handles one event in a fresh store. `imports` is the host's side of the
//! contract; what a run does is kept in `buffer` and comes out as effects. Deliberately absent: the store, HTTP
//! servers, retries, ordering. A run reads and calls through [`World`] and changes nothing here.

mod admit;
mod bindings;
mod buffer;
mod compile;
mod component;
mod engine;
mod facts;
mod fault;
mod guest_log;
mod imports;
mod linked;
mod log_book;
mod memory;
mod meter;
mod outline;
mod run;
mod running;
pub mod secrets;
mod settings;
mod shelf;
mod threads;
mod wasi;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use duet_rules::hooks::Proof;
use duet_rules::manifest::Manifest;
use duet_rules::plugins_toml::Instance;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::outbound::Egress;

pub use admit::{Admission, check, check_canary};
pub use compile::{Compiler, compile_main};
pub use component::{COMPONENT_BYTES_MAX, Component};
pub use engine::PluginEngine;
pub use fault::{Fault, FaultKind};
pub use guest_log::TARGET as LOG_TARGET;
pub use log_book::{LogBook, LogLine};
pub use outline::{Outline, outline};
pub use run::{Call, Outcome, Run};
pub use shelf::Shelf;
pub use threads::PluginThreads;
pub use world::{Answer, Attachment, ConversationState, KeptFile, NewFile, Unavailable, World};

/// A plugin that may run: checked, compiled, linked to what it was granted, with its settings.
///
/// Runs that go on hold it; a replaced one is gone when its last run ends.
pub struct Plugin {
    facts: Arc<facts::Facts>,
    linked: Arc<linked::Linked>,
    threads: Arc<PluginThreads>,
    habit: threads::Habit,
    share: threads::Share,
    /// Held so that another instance of the same component shares the code.
    _compiled: Arc<compile::Compiled>,
    digest: String,
    manifest: Manifest,
    instance: Instance,
    secrets: secrets::Secrets,
    /// Of its hooks, by their paths.
    proofs: BTreeMap<String, Arc<Proof>>,
}

/// What handles events: a plugin, or whatever a simulation puts in its place.
pub trait Handler: Send + Sync {
    /// As `plugins.toml` has it.
    fn instance(&self) -> &Instance;

    /// SHA-256 of what runs, in hex.
    fn digest(&self) -> &str;

    /// Handles one event. Dropping the future stops the run.
    fn run(&self, call: Call) -> BoxFuture<'_, Run>;
}

impl Handler for Plugin {
    fn instance(&self) -> &Instance {
        &self.instance
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    fn run(&self, call: Call) -> BoxFuture<'_, Run> {
        self.run(call).boxed()
    }
}

impl Plugin {
    /// SHA-256 of the component, in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Those that it was loaded with.
    pub fn secrets(&self) -> &secrets::Secrets {
        &self.secrets
    }

    /// What proves the calls of a hook; nothing for one that is unsigned.
    pub fn proof(&self, path: &str) -> Option<&Arc<Proof>> {
        self.proofs.get(path)
    }

    /// As `plugins.toml` has it.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// What it calls through, if it may call.
    pub fn egress(&self) -> Option<&Arc<Egress>> {
        self.facts.egress.as_ref()
    }
}
