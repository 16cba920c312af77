//! The bound of all files on disk together: what is there, and what is still on its way, fetched or handed over.

use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::store::{Store, StoreError};

/// Cheap to clone; every clone keeps the same bound.
#[derive(Clone)]
pub(super) struct Room {
    store: Store,
    bytes_max: u64,
    coming: Arc<AtomicU64>,
    freed: Arc<Notify>,
}

/// Room for so many bytes, until this is dropped.
pub(super) struct Reserved {
    room: Room,
    bytes: u64,
}

/// Why nothing is reserved.
#[derive(Debug, thiserror::Error)]
pub enum NoRoom {
    #[error(
        "there is no room: all files together may take {bytes_max} bytes on disk, and {kept} are taken; raise media.total_bytes_max, or set retention.media_days"
    )]
    Full { kept: u64, bytes_max: u64 },
    #[error(
        "there is no room just now: all files together may take {bytes_max} bytes on disk, {kept} are taken, and {coming} are kept free for files that are still coming; hand it over again soon"
    )]
    Coming {
        kept: u64,
        coming: u64,
        bytes_max: u64,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Room {
    pub(super) fn new(store: Store, bytes_max: u64) -> Room {
        Room {
            store,
            bytes_max,
            coming: Arc::default(),
            freed: Arc::default(),
        }
    }

    /// Room for so many bytes more. A file that is kept meanwhile counts before it counts no more as coming.
    pub(super) async fn reserve(&self, bytes: u64) -> Result<Reserved, NoRoom> {
        let coming = self.coming.fetch_add(bytes, Ordering::Relaxed);
        let mut reserved = Reserved {
            room: self.clone(),
            bytes,
        };
        let kept = self.store.media_bytes().await?;
        let bytes_max = self.bytes_max;
        let left = bytes_max.checked_sub(kept.saturating_add(bytes));
        if left.is_some_and(|left| left >= coming) {
            return Ok(reserved);
        }
        // This was never anybody's: whoever waits for room is not told of it.
        self.coming
            .fetch_sub(take(&mut reserved.bytes), Ordering::Relaxed);
        Err(match left {
            None => NoRoom::Full { kept, bytes_max },
            Some(_) => NoRoom::Coming {
                kept,
                coming,
                bytes_max,
            },
        })
    }

    /// Waits until something that was reserved is free again.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }
}

impl Reserved {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn add(&mut self, mut more: Reserved) {
        self.bytes = self.bytes.saturating_add(take(&mut more.bytes));
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.room.coming.fetch_sub(self.bytes, Ordering::Relaxed);
            self.room.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_coming_is_told_from_what_is_kept_and_rings_when_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::new(Store::open(folder.path()).unwrap(), 1000);
        assert!(matches!(
            room.reserve(1001).await,
            Err(NoRoom::Full { kept: 0, .. })
        ));
        let mut coming = room.reserve(400).await.unwrap();
        coming.add(room.reserve(300).await.unwrap());
        assert!(matches!(
            room.reserve(301).await,
            Err(NoRoom::Coming { coming: 700, .. })
        ));
        let rang = tokio::time::timeout(Duration::from_millis(20), room.freed()).await;
        assert!(rang.is_err(), "nothing was given back");
        drop(coming);
        room.freed().await;
        assert!(room.reserve(1000).await.is_ok());
    }
}
