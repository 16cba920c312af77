//! Which rows have changed: new ones after a commit, settled ones after a status.
//!
//! Promises: telling never waits and never fails. When too many rows wait here they are forgotten, and
//! the sender reads the outbox anew instead.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

const ROWS_MAX: usize = 65_536;

/// Cheap to clone; every clone tells the same sender.
#[derive(Clone, Default)]
pub struct Feed {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

/// What the sender has to look at.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) rows: BTreeSet<i64>,
    /// Read the whole outbox.
    pub(super) all: bool,
}

impl Feed {
    /// Call it after the commit that made or settled these rows.
    pub fn wake(&self, rows: impl IntoIterator<Item = i64>) {
        let mut waiting = self.waiting();
        waiting.rows.extend(rows);
        if waiting.rows.len() > ROWS_MAX {
            waiting.rows.clear();
            waiting.all = true;
        }
        drop(waiting);
        self.inner.changed.notify_one();
    }

    /// At most `limit` rows; the rest is told again.
    pub(super) fn take(&self, limit: usize) -> Waiting {
        let mut waiting = self.waiting();
        let mut taken = Waiting {
            all: std::mem::take(&mut waiting.all),
            ..Waiting::default()
        };
        while taken.rows.len() < limit
            && let Some(row) = waiting.rows.pop_first()
        {
            taken.rows.insert(row);
        }
        if !waiting.rows.is_empty() {
            self.inner.changed.notify_one();
        }
        taken
    }

    /// Returns at once if something was told since the last time.
    pub(super) async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.inner
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_rows_become_one_look_at_all() {
        let feed = Feed::default();
        feed.wake(0..10);
        let taken = feed.take(4);
        assert_eq!((taken.rows.len(), taken.all), (4, false));
        feed.wake(0..100_000);
        let taken = feed.take(4);
        assert_eq!((taken.rows.len(), taken.all), (0, true));
        assert!(!feed.take(4).all);
    }

    #[tokio::test]
    async fn what_was_told_before_the_wait_wakes_it() {
        let feed = Feed::default();
        feed.wake([1, 2]);
        feed.changed().await;
        feed.take(1);
        feed.changed().await;
        assert_eq!(feed.take(9).rows.len(), 1);
    }
}
