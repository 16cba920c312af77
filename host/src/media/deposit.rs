//! Files that somebody hands over to be sent: streamed to disk while they are hashed, and kept for their business.
//!
//! Promises: a file that was answered for is whole and fsynced, and its business's. One that breaks off leaves nothing.
//! Nothing is taken beyond the bound of all files, and none before the folder is clear of what an earlier process left.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use duet_rules::media::{Digest, FILE_BYTES_MAX, HEAD_BYTES, Sendable, is_animated};
use futures_util::{Stream, StreamExt};
use tokio::sync::Semaphore;

use super::Settings;
use crate::store::media::{Arrival, MediaFolder};
use crate::store::{Store, StoreError};

/// Files that arrive at once; the next one waits for a place.
const PLACES: usize = 4;
const PLACE_WAIT_MAX: Duration = Duration::from_secs(30);
/// Of a body that is not taken, so much is read.
const REST_BYTES_MAX: usize = 16 << 20;
/// Between two parts of a body.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Takes files in. Cheap to clone; every clone keeps the same bounds.
#[derive(Clone)]
pub struct Deposits {
    store: Store,
    bytes_max: u64,
    total_bytes_max: u64,
    places: Arc<Semaphore>,
    coming: Arc<AtomicU64>,
    count: Arc<AtomicU64>,
}

/// What is handed over, and for whom.
#[derive(Debug, Clone)]
pub struct Deposit {
    /// Whose it is; `""` is the gateway's own.
    pub business: String,
    /// One that Meta takes, without parameters.
    pub mime_type: &'static str,
    /// As announced, if it was.
    pub bytes: Option<u64>,
}

/// Why a file was not taken. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum DepositError {
    #[error("the file has more than {0} bytes, and none that is sent may have more")]
    TooLarge(u64),
    #[error(
        "there is no room: all files together may take {total_max} bytes on disk, and {kept} are taken; raise media.total_bytes_max, or set retention.media_days"
    )]
    NoRoom { kept: u64, total_max: u64 },
    #[error("the file is empty")]
    Empty,
    #[error("the file broke off: {0}")]
    Broken(String),
    /// Others are being taken, or the gateway has just started.
    #[error("too many files arrive at once")]
    Busy,
    #[error("the disk refuses: {0}")]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Deposits {
    /// Takes nothing before it is opened.
    #[must_use]
    pub fn new(store: Store, settings: Settings) -> Deposits {
        Deposits {
            store,
            bytes_max: FILE_BYTES_MAX
                .min(settings.file_bytes_max)
                .min(settings.total_bytes_max),
            total_bytes_max: settings.total_bytes_max,
            places: Arc::new(Semaphore::new(0)),
            coming: Arc::default(),
            count: Arc::default(),
        }
    }

    /// From now on files are taken.
    pub fn open(&self) {
        self.places.add_permits(PLACES);
    }

    /// Bytes that those that are arriving may still need.
    pub(super) fn coming(&self) -> u64 {
        self.coming.load(Ordering::Relaxed)
    }

    /// Takes a file in; the answer is its digest and what Meta will look at.
    ///
    /// # Errors
    /// [`DepositError`].
    pub async fn take<E: std::fmt::Display>(
        &self,
        deposit: Deposit,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<(Digest, Sendable), DepositError> {
        let taken = self.arrive(deposit, &mut body).await;
        let mut left = REST_BYTES_MAX;
        // Whoever is still sending would not hear the answer.
        while taken.is_err()
            && left > 0
            && let Ok(Some(chunk)) = next(&mut body).await
        {
            left = left.saturating_sub(chunk.len());
        }
        taken
    }

    async fn arrive<E: std::fmt::Display>(
        &self,
        deposit: Deposit,
        body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    ) -> Result<(Digest, Sendable), DepositError> {
        if deposit.bytes.is_some_and(|bytes| bytes > self.bytes_max) {
            return Err(DepositError::TooLarge(self.bytes_max));
        }
        let place = tokio::time::timeout(PLACE_WAIT_MAX, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(DepositError::Busy);
        };
        let _room = self
            .reserve(deposit.bytes.unwrap_or(self.bytes_max))
            .await?;
        let (folder, nth) = (
            self.store.media_folder(),
            self.count.fetch_add(1, Ordering::Relaxed),
        );
        let begun = folder.clone();
        let mut arrival = blocking(move || begun.deposit(nth)).await?;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        while let Some(chunk) = next(body).await? {
            let more = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            if arrival.bytes().saturating_add(more) > self.bytes_max {
                return Err(DepositError::TooLarge(self.bytes_max));
            }
            let missing = HEAD_BYTES.saturating_sub(head.len());
            head.extend(chunk.iter().take(missing));
            let write = move || arrival.write(&chunk).map(|()| arrival);
            arrival = blocking::<Arrival>(write).await?;
        }
        self.keep(deposit, folder, arrival, &head).await
    }

    async fn keep(
        &self,
        deposit: Deposit,
        folder: MediaFolder,
        arrival: Arrival,
        head: &[u8],
    ) -> Result<(Digest, Sendable), DepositError> {
        if arrival.bytes() == 0 {
            return Err(DepositError::Empty);
        }
        let (digest, bytes) = blocking(move || folder.place(arrival)).await?;
        let file = Sendable {
            mime_type: deposit.mime_type.to_owned(),
            bytes,
            animated: is_animated(head),
        };
        self.store
            .keep_given(deposit.business, digest, file.clone(), crate::now_ms())
            .await?;
        Ok((digest, file))
    }

    /// Room for so many bytes, as long as the answer lives.
    async fn reserve(&self, bytes: u64) -> Result<Room, DepositError> {
        let room = Room {
            coming: self.coming.clone(),
            bytes,
        };
        let coming = self.coming.fetch_add(bytes, Ordering::Relaxed);
        let kept = self.store.media_bytes().await?.saturating_add(coming);
        if kept.saturating_add(bytes) > self.total_bytes_max {
            return Err(DepositError::NoRoom {
                kept,
                total_max: self.total_bytes_max,
            });
        }
        Ok(room)
    }
}

struct Room {
    coming: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.coming.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

async fn next<E: std::fmt::Display>(
    body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
) -> Result<Option<Bytes>, DepositError> {
    match tokio::time::timeout(IDLE_MAX, body.next()).await {
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(Some(Err(error))) => Err(DepositError::Broken(error.to_string())),
        Ok(None) => Ok(None),
        Err(_) => Err(DepositError::Broken("it stopped coming".into())),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, DepositError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(DepositError::Disk(io::Error::other(error))),
    }
}
