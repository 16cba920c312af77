//! Who hands files over waits here for a place. A business has a share of them, and beyond its first place all have a
//! share together: slow clients hold up their own business's files, and those of others only when as many businesses
//! are slow at once as there are places left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Files that arrive at once: each is an open file and a little memory.
const PLACES: usize = 64;
/// Of them those of one business.
const OF_BUSINESS_MAX: usize = 4;
/// Of them those beyond the first one of each business.
const FURTHER_MAX: usize = 36;
/// Of a business that wait: each holds one of the listener's connections.
const WAITING_MAX: usize = 8;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Queue {
    all: Arc<Semaphore>,
    further: Arc<Semaphore>,
    /// Of those who wait or have a place.
    businesses: Arc<Mutex<HashMap<String, Arc<Share>>>>,
}

/// The places of a business.
struct Share {
    all: Arc<Semaphore>,
    /// The one that it has beside those of others.
    first: Arc<Semaphore>,
}

/// A place, until this is dropped.
pub(super) struct Place {
    _share: Arc<Share>,
    _permits: [OwnedSemaphorePermit; 3],
}

/// Why there was no place in time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    #[error(
        "as many files of this business are being handed over as may be at once; hand this one over when one of them is through"
    )]
    Crowded,
    #[error(
        "as many files are being handed over as may be at once, or the gateway has just started; hand it over again soon"
    )]
    Busy,
}

impl Queue {
    /// Without a place before it is opened.
    pub(super) fn new() -> Queue {
        Queue {
            all: Arc::new(Semaphore::new(0)),
            further: Arc::new(Semaphore::new(FURTHER_MAX)),
            businesses: Arc::default(),
        }
    }

    pub(super) fn open(&self) {
        self.all.add_permits(PLACES);
    }

    /// Waits for a place. Who waits for one of its business stands in nobody else's way.
    pub(super) async fn enter(&self, business: &str, wait_max: Duration) -> Result<Place, NoPlace> {
        let until = Instant::now() + wait_max;
        let share = self.of(business).ok_or(NoPlace::Crowded)?;
        let Ok(Ok(own)) = timeout_at(until, share.all.clone().acquire_owned()).await else {
            return Err(NoPlace::Crowded);
        };
        let one_of_all = async {
            // Neither is ever closed.
            let one = tokio::select! {
                biased;
                one = share.first.clone().acquire_owned() => one,
                one = self.further.clone().acquire_owned() => one,
            };
            Some((one.ok()?, self.all.clone().acquire_owned().await.ok()?))
        };
        let Ok(Some((one, of_all))) = timeout_at(until, one_of_all).await else {
            return Err(NoPlace::Busy);
        };
        Ok(Place {
            _share: share,
            _permits: [own, one, of_all],
        })
    }

    /// The places of a business; none when too many wait for them.
    fn of(&self, business: &str) -> Option<Arc<Share>> {
        let businesses = self.businesses.lock();
        let mut businesses = businesses.unwrap_or_else(PoisonError::into_inner);
        businesses.retain(|_, share| Arc::strong_count(share) > 1);
        let share = businesses.entry(business.to_owned());
        let share = share.or_insert_with(|| {
            Arc::new(Share {
                all: Arc::new(Semaphore::new(OF_BUSINESS_MAX)),
                first: Arc::new(Semaphore::new(1)),
            })
        });
        // Whoever waits or has a place holds one.
        let here = Arc::strong_count(share).saturating_sub(1);
        (here < OF_BUSINESS_MAX + WAITING_MAX).then(|| share.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_business_has_its_share_and_no_more() {
        let queue = Queue::new();
        assert_eq!(queue.enter("a", MOMENT).await.err(), Some(NoPlace::Busy));
        queue.open();
        let mut places = Vec::new();
        for business in ["a", "b", "c"] {
            for _ in 0..OF_BUSINESS_MAX {
                places.push(queue.enter(business, MOMENT).await.unwrap());
            }
            let none = queue.enter(business, MOMENT).await.err();
            assert_eq!(none, Some(NoPlace::Crowded), "{business}");
        }
        let waiting = vec![queue.of("a").unwrap(); WAITING_MAX];
        assert!(queue.of("a").is_none(), "no more may wait");
        drop(waiting);
        places.remove(0);
        assert!(queue.enter("a", MOMENT).await.is_ok(), "one is free again");
        drop(places);
        drop(queue.enter("d", MOMENT).await);
        assert_eq!(queue.businesses.lock().unwrap().len(), 1, "nobody waits");
    }

    #[tokio::test]
    async fn businesses_that_take_what_they_can_leave_places_to_those_that_have_none() {
        let queue = Queue::new();
        queue.open();
        let mut places = Vec::new();
        let mut slow = 0;
        // They come until one of them gets less than its share.
        while places.len() == slow * OF_BUSINESS_MAX {
            slow += 1;
            for _ in 0..OF_BUSINESS_MAX {
                places.extend(queue.enter(&slow.to_string(), MOMENT).await.ok());
            }
        }
        assert!(slow > 12, "{slow}");
        assert!(places.len() < PLACES, "{}", places.len());
        let other = queue.enter("another one", MOMENT).await;
        assert!(other.is_ok(), "{:?}", other.err());
    }
}
