//! A number that only grows, and those who wait for it to: they are woken in the order in which they came, so that a
//! simulation can repeat a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

/// Cheap to clone; all clones are the same number.
#[derive(Clone, Default)]
pub struct Newest {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    number: AtomicI64,
    grown: Notify,
}

impl Newest {
    pub fn new(number: i64) -> Newest {
        let newest = Newest::default();
        newest.raise(number);
        newest
    }

    pub fn get(&self) -> i64 {
        self.inner.number.load(Ordering::Acquire)
    }

    /// A smaller number changes nothing.
    pub fn raise(&self, number: i64) {
        if self.inner.number.fetch_max(number, Ordering::AcqRel) < number {
            self.inner.grown.notify_waiters();
        }
    }

    /// Waits until it is larger than `seen`.
    pub async fn beyond(&self, seen: i64) -> i64 {
        loop {
            let grown = self.inner.grown.notified();
            tokio::pin!(grown);
            // From here on no growth is missed.
            grown.as_mut().enable();
            let number = self.get();
            if number > seen {
                return number;
            }
            grown.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Newest;

    #[tokio::test]
    async fn whoever_waits_is_told_and_nothing_goes_back() {
        let newest = Newest::new(3);
        assert_eq!(newest.beyond(2).await, 3);
        let (raised, seen) = tokio::join!(async { newest.raise(5) }, newest.beyond(4));
        assert_eq!(((), 5), (raised, seen));
        newest.raise(4);
        assert_eq!(newest.get(), 5);
    }
}
