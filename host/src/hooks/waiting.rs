//! Callers who wait for their answers, by the event that their call has become.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Told that an event has come to its end; each of its callers may listen.
type Bell = watch::Sender<()>;

#[derive(Debug, Default)]
pub(super) struct Waiting(Arc<Mutex<HashMap<i64, Bell>>>);

/// One who listens. The last one of an event takes the bell along.
pub(super) struct Waiter {
    seq: i64,
    told: watch::Receiver<()>,
    waiting: Arc<Mutex<HashMap<i64, Bell>>>,
}

impl Waiting {
    pub(super) fn wait(&self, seq: i64) -> Waiter {
        let told = lock(&self.0).entry(seq).or_default().subscribe();
        Waiter {
            seq,
            told,
            waiting: self.0.clone(),
        }
    }

    pub(super) fn tell(&self, seq: i64) {
        if let Some(bell) = lock(&self.0).get(&seq) {
            bell.send_replace(());
        }
    }
}

impl Waiter {
    /// Completes when the event was told of since the last time, or since the waiter is there.
    pub(super) async fn changed(&mut self) {
        if self.told.changed().await.is_err() {
            // The bell lives as long as its waiters.
            std::future::pending().await
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiting);
        if waiting
            .get(&self.seq)
            .is_some_and(|bell| bell.receiver_count() <= 1)
        {
            waiting.remove(&self.seq);
        }
    }
}

fn lock(waiting: &Mutex<HashMap<i64, Bell>>) -> MutexGuard<'_, HashMap<i64, Bell>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn all_who_wait_for_an_event_are_told_and_leave_nothing_behind() {
        let waiting = Waiting::default();
        let (mut one, mut other, mut third) = (waiting.wait(1), waiting.wait(1), waiting.wait(2));
        assert!(one.changed().now_or_never().is_none());
        waiting.tell(1);
        waiting.tell(3);
        assert!(one.changed().now_or_never().is_some());
        assert!(one.changed().now_or_never().is_none());
        assert!(other.changed().now_or_never().is_some());
        assert!(third.changed().now_or_never().is_none());
        drop((one, third));
        assert_eq!(lock(&waiting.0).len(), 1);
        drop(other);
        assert!(lock(&waiting.0).is_empty());
    }
}
