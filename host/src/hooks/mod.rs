//! Calls from plugins' outside systems, between the public listener and dispatch: which hooks may be called now, within
//! which bounds, and what becomes of a call. It is on disk, as an event of its plugin alone, before anybody is answered.
//!
//! - `open`: one hook that may be called
//! - `waiting`: callers who wait for their answers
//!
//! Deliberately absent: HTTP, which is `receive`'s, and running plugins, which is dispatch's.

mod open;
mod waiting;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use duet_rules::hooks::PREFIX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::intake::feed::Feed;
use crate::plugin::Plugin;
use crate::store::hooks::{Answered, HookCall, Taken};
use crate::store::{Store, StoreError};

pub use open::Open;
use waiting::Waiting;

/// Calls at work at once, those that wait for an answer included; of one instance, and of all.
const OF_ONE_MAX: usize = 64;
const OF_ALL_MAX: usize = 256;

/// The hooks of an instance, by their paths.
type Paths = BTreeMap<String, Arc<Open>>;

/// All hooks that may be called now.
pub struct Hooks {
    store: Store,
    feed: Arc<Feed>,
    /// By the names of all instances; nothing for one that is not at work.
    open: RwLock<HashMap<String, Option<Paths>>>,
    /// Whether the plugins of `plugins.toml` were all looked at once: until then nobody knows which hooks there are.
    known: AtomicBool,
    places: Arc<Semaphore>,
    waiting: Waiting,
}

/// A call's right to be at work.
#[derive(Debug)]
pub struct Place {
    _of_one: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Which hook is called.
#[derive(Debug)]
pub enum Found {
    Hook(Arc<Open>),
    Unknown,
    /// Its plugin is not at work, or nobody knows yet which there are.
    NotYet,
}

impl Hooks {
    pub fn new(store: Store, feed: Arc<Feed>) -> Hooks {
        Hooks {
            store,
            feed,
            open: RwLock::default(),
            known: AtomicBool::new(false),
            places: Arc::new(Semaphore::new(OF_ALL_MAX)),
            waiting: Waiting::default(),
        }
    }

    /// From now on these are the hooks of the plugin's instance.
    pub fn open(&self, plugin: &Plugin) {
        let name = &plugin.instance().name;
        let places = Arc::new(Semaphore::new(OF_ONE_MAX));
        let open = plugin.manifest().hooks.iter().filter_map(|hook| {
            let open = Open::new(plugin, hook, places.clone())?;
            Some((hook.path.clone(), Arc::new(open)))
        });
        let open = Some(open.collect());
        let mut held = self.open.write().unwrap_or_else(PoisonError::into_inner);
        held.insert(name.clone(), open);
    }

    /// The instance is switched off, or does not load: its callers are to come again.
    pub fn pause(&self, instance: &str) {
        let mut held = self.open.write().unwrap_or_else(PoisonError::into_inner);
        held.insert(instance.to_owned(), None);
    }

    /// The instance is no more.
    pub fn close(&self, instance: &str) {
        let mut held = self.open.write().unwrap_or_else(PoisonError::into_inner);
        held.remove(instance);
    }

    /// What is not open now is unknown, and no longer only late.
    pub fn all_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Where an instance may be called now: `/hooks/crm/tickets`.
    pub fn paths(&self, instance: &str) -> Vec<String> {
        let held = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let paths = held
            .get(instance)
            .into_iter()
            .flatten()
            .flat_map(BTreeMap::keys);
        paths
            .map(|path| format!("{PREFIX}{instance}/{path}"))
            .collect()
    }

    pub fn find(&self, instance: &str, path: &str) -> Found {
        let held = self.open.read().unwrap_or_else(PoisonError::into_inner);
        match held.get(instance) {
            Some(Some(paths)) => paths
                .get(path)
                .map_or(Found::Unknown, |open| Found::Hook(open.clone())),
            Some(None) => Found::NotYet,
            None if self.known.load(Ordering::Relaxed) => Found::Unknown,
            None => Found::NotYet,
        }
    }

    /// A place for a call; none while too many are at work.
    pub fn place(&self, open: &Open) -> Option<Place> {
        Some(Place {
            _of_one: open.places().try_acquire_owned().ok()?,
            _of_all: self.places.clone().try_acquire_owned().ok()?,
        })
    }

    /// Stores a call and hands it to its plugin; on disk when it returns. Whoever no longer waits for that changes nothing.
    pub async fn take(
        self: &Arc<Self>,
        call: HookCall,
        place: Arc<Place>,
    ) -> Result<Taken, StoreError> {
        let hooks = self.clone();
        let taken = tokio::spawn(async move {
            // Held until the store is done, so that no more calls wait for it than there are places.
            let _place = place;
            let taken = hooks.store.take_hook(call).await?;
            if let Taken::New(event) = &taken {
                crate::failpoint::hit("hooks.taken");
                hooks.feed.publish(vec![event.clone()]);
            }
            Ok(taken)
        });
        taken.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// What the caller of this event is answered, as soon as that is known, and within so long.
    pub async fn answer(&self, seq: i64, at_most: Duration) -> Result<Answered, StoreError> {
        // Whoever is told first and looks then misses nothing.
        let mut told = self.waiting.wait(seq);
        let ended = async {
            loop {
                match self.store.hook_answer(seq)? {
                    Answered::NotYet => told.changed().await,
                    answered => return Ok(answered),
                }
            }
        };
        match tokio::time::timeout(at_most, ended).await {
            Ok(answered) => answered,
            Err(_) => Ok(Answered::NotYet),
        }
    }

    /// The event has come to its end, on disk.
    pub fn ended(&self, seq: i64) {
        self.waiting.tell(seq);
    }
}
