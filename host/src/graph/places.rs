//! The places that requests to partners take, so that an API that hangs holds up what goes to it and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use duet_rules::provider::Provider;
use duet_rules::sending::{OnTheWay, may_call};

use super::Client;

/// So many places for one kind of requests. Cheap to clone.
#[derive(Clone)]
pub struct Places {
    taken: Arc<Mutex<Taken>>,
}

/// Who has which of the places.
#[derive(Clone)]
pub struct Taken {
    /// The APIs with a request on the way, and how many.
    apis: BTreeMap<Arc<str>, usize>,
    places: usize,
}

/// A place that is taken; it is free when this is dropped.
pub struct Place {
    places: Places,
    api: Arc<str>,
}

/// Whether a request has a place.
pub enum Placed {
    /// It needs none: it goes to Meta, or nowhere.
    Free,
    /// Until this is dropped.
    Taken(Place),
    /// This API has as many requests as it may.
    Full(Arc<str>),
}

impl Places {
    #[must_use]
    pub fn new(places: usize) -> Places {
        let taken = Taken {
            apis: BTreeMap::new(),
            places,
        };
        Places {
            taken: Arc::new(Mutex::new(taken)),
        }
    }

    /// A place for a request of this client.
    pub fn place(&self, client: Option<&Client>) -> Placed {
        match client {
            Some(client) if client.provider() != Provider::Meta => {
                let taken = self.take(client.base().as_str());
                taken.map_or_else(Placed::Full, Placed::Taken)
            }
            _ => Placed::Free,
        }
    }

    /// A place for a request to this API; the API's name when there is none now.
    fn take(&self, api: &str) -> Result<Place, Arc<str>> {
        let mut taken = self.lock();
        let api: Arc<str> = match taken.apis.get_key_value(api) {
            Some((known, _)) => known.clone(),
            None => api.into(),
        };
        if taken.is_full(&api) {
            return Err(api);
        }
        taken.add(&api);
        let places = self.clone();
        Ok(Place { places, api })
    }

    /// Who has which of them now.
    pub fn taken(&self) -> Taken {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Whether this API has as many requests as it may.
    pub fn is_full(&self, api: &str) -> bool {
        let taken = OnTheWay {
            of_api: self.apis.get(api).copied().unwrap_or(0),
            of_partners: self.apis.values().sum(),
        };
        !may_call(taken, self.places)
    }

    /// Counts one more.
    pub fn add(&mut self, api: &Arc<str>) {
        *self.apis.entry(api.clone()).or_default() += 1;
    }

    fn remove(&mut self, api: &str) {
        if let Some(taken) = self.apis.get_mut(api) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                self.apis.remove(api);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(&self.api);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_has_its_share_and_is_forgotten_when_nothing_is_on_the_way() {
        let places = Places::new(8);
        let hanging: Vec<_> = (0..2).map(|_| places.take("a").ok()).collect();
        assert!(hanging.iter().all(Option::is_some));
        assert_eq!(places.take("a").err().as_deref(), Some("a"));
        let taken = places.taken();
        assert!(taken.is_full("a") && !taken.is_full("b"));
        assert!(places.take("b").is_ok(), "another API is not held up");
        assert_eq!(places.taken().apis.len(), 1);
        drop(hanging);
        assert!(places.taken().apis.is_empty());
        assert!(places.take("a").is_ok());
    }
}
