//! The newest events in memory, so that dispatch reads from disk only when it lags behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::event::Event;
use crate::newest::Newest;
use crate::store::{Store, StoreError};

/// Events and bytes of bodies kept in memory.
const EVENTS_MAX: usize = 4096;
const BYTES_MAX: usize = 8 << 20;

/// Where dispatch reads the events from, in order of `seq`.
pub struct Feed {
    store: Store,
    recent: Mutex<Recent>,
    newest: Newest,
}

#[derive(Default)]
struct Recent {
    events: BTreeMap<i64, Arc<Event>>,
    bytes: usize,
}

impl Feed {
    pub fn new(store: Store) -> Feed {
        Feed {
            store,
            recent: Mutex::default(),
            newest: Newest::default(),
        }
    }

    /// Makes committed events known.
    pub fn publish(&self, events: Vec<Arc<Event>>) {
        let Some(newest) = events.iter().map(|event| event.seq).max() else {
            return;
        };
        if let Ok(mut recent) = self.recent.lock() {
            recent.add(events);
        }
        self.newest.raise(newest);
    }

    /// Makes known that there is an event, to be read from the store.
    pub fn announce(&self, seq: i64) {
        self.newest.raise(seq);
    }

    /// Makes known what is in the store by now. When it cannot be read, the next event that is published tells.
    pub async fn announce_newest(&self) {
        match self.store.newest_event().await {
            Ok(seq) => self.announce(seq),
            Err(error) => tracing::warn!(%error, "events wait for the next one"),
        }
    }

    /// The newest `seq` published since the start.
    pub fn newest(&self) -> Newest {
        self.newest.clone()
    }

    /// Up to `limit` events after `after`, without a gap.
    pub async fn after(&self, after: i64, limit: usize) -> Result<Vec<Arc<Event>>, StoreError> {
        let recent = self
            .recent
            .lock()
            .map(|recent| recent.after(after, limit))
            .unwrap_or_default();
        if !recent.is_empty() {
            return Ok(recent);
        }
        self.store.events_after(after, limit).await
    }

    /// One event, unless it has been erased.
    pub async fn get(&self, seq: i64) -> Result<Option<Arc<Event>>, StoreError> {
        let recent = self
            .recent
            .lock()
            .ok()
            .and_then(|recent| recent.events.get(&seq).cloned());
        match recent {
            Some(event) => Ok(Some(event)),
            None => {
                let events = self.store.events_after(seq - 1, 1).await?;
                Ok(events.into_iter().find(|event| event.seq == seq))
            }
        }
    }

    /// Forgets what is kept in memory: an erased contact must not linger here.
    pub fn forget(&self) {
        if let Ok(mut recent) = self.recent.lock() {
            *recent = Recent::default();
        }
    }
}

impl Recent {
    fn add(&mut self, events: Vec<Arc<Event>>) {
        for event in events {
            self.bytes += event.body.len();
            self.events.insert(event.seq, event);
        }
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some((_, event)) = self.events.pop_first() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(event.body.len());
        }
    }

    /// The events that follow `after` one by one; nothing if the next one is not here.
    fn after(&self, after: i64, limit: usize) -> Vec<Arc<Event>> {
        let following = self
            .events
            .range(after.saturating_add(1)..)
            .zip(after.saturating_add(1)..);
        following
            .take(limit)
            .take_while(|((seq, _), next)| **seq == *next)
            .map(|((_, event), _)| event.clone())
            .collect()
    }
}
