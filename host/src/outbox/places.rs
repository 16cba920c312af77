//! The places that requests to partners take, so that an API that hangs holds up its own sends and no others.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use duet_rules::sending::{OnTheWay, may_call};

/// Conversations that wait for one API; more are looked at again after a while.
const WAITING_MAX: usize = 200_000;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Places {
    inner: Arc<Mutex<HashMap<Arc<str>, Api>>>,
    places: usize,
}

#[derive(Default)]
struct Api {
    taken: usize,
    /// Conversations whose courier found no place.
    waiting: BTreeSet<i64>,
}

/// A place that is taken; it is free when this is dropped.
pub(super) struct Place {
    places: Places,
    api: Arc<str>,
}

impl Places {
    pub(super) fn new(places: usize) -> Places {
        Places {
            inner: Arc::default(),
            places,
        }
    }

    /// A place for a request to this API; the API's name when there is none now.
    pub(super) fn take(&self, api: &str) -> Result<Place, Arc<str>> {
        let mut apis = self.lock();
        let api: Arc<str> = match apis.get_key_value(api) {
            Some((known, _)) => known.clone(),
            None => api.into(),
        };
        let taken = taken(&apis, &api);
        if !may_call(taken, self.places) {
            return Err(api);
        }
        apis.entry(api.clone()).or_default().taken += 1;
        let places = self.clone();
        Ok(Place { places, api })
    }

    /// A conversation goes on when there is a place again. False when too many wait already.
    pub(super) fn wait(&self, api: &Arc<str>, conversation: i64) -> bool {
        let mut apis = self.lock();
        let waiting = &mut apis.entry(api.clone()).or_default().waiting;
        if waiting.len() >= WAITING_MAX {
            return false;
        }
        waiting.insert(conversation);
        true
    }

    /// Whether a conversation waits for which there is a place.
    pub(super) fn is_ready(&self) -> bool {
        let apis = self.lock();
        let free = |(name, api): (&Arc<str>, &Api)| {
            !api.waiting.is_empty() && may_call(taken(&apis, name), self.places)
        };
        apis.iter().any(free)
    }

    /// The conversations for which there is a place now; they wait no more.
    pub(super) fn ready(&self) -> Vec<i64> {
        let mut apis = self.lock();
        let mut ready = Vec::new();
        let names: Vec<Arc<str>> = apis.keys().cloned().collect();
        for name in names {
            let mut of_name = taken(&apis, &name);
            let Some(api) = apis.get_mut(&name) else {
                continue;
            };
            while may_call(of_name, self.places)
                && let Some(conversation) = api.waiting.pop_first()
            {
                of_name.of_api += 1;
                of_name.of_partners += 1;
                ready.push(conversation);
            }
        }
        apis.retain(|_, api| api.taken > 0 || !api.waiting.is_empty());
        ready
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Api>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn taken(apis: &HashMap<Arc<str>, Api>, name: &str) -> OnTheWay {
    OnTheWay {
        of_api: apis.get(name).map_or(0, |api| api.taken),
        of_partners: apis.values().map(|api| api.taken).sum(),
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(api) = self.places.lock().get_mut(&self.api) {
            api.taken = api.taken.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_found_no_place_goes_on_when_one_is_free() {
        let places = Places::new(8);
        let hanging: Vec<_> = (0..2).map(|_| places.take("a").ok()).collect();
        assert!(hanging.iter().all(Option::is_some));
        let api = places.take("a").err().unwrap();
        assert!(places.wait(&api, 7) && places.wait(&api, 8));
        assert!(places.take("b").is_ok(), "another API is not held up");
        assert!(!places.is_ready());
        assert_eq!(places.ready(), [0_i64; 0]);
        drop(hanging);
        assert!(places.is_ready());
        assert_eq!(places.ready(), [7, 8]);
        assert!(!places.is_ready());
    }
}
