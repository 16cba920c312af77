//! Files that somebody hands over to be sent: streamed to disk while they are hashed, and kept for their business.
//!
//! Promises: a file that was answered for is whole and fsynced, and its business's. One that breaks off leaves nothing.
//! Nothing is taken beyond the bound of all files, and none before the folder is clear of what an earlier process left.
//! A slow client holds its place for a while at most, one of its business's share, and room for little more than what
//! it has sent.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use duet_rules::media::{Digest, FILE_BYTES_MAX, HEAD_BYTES, Sendable, is_animated};
use futures_util::{Stream, StreamExt};

use super::Settings;
use super::queue::{NoPlace, Queue};
use super::room::{NoRoom, Reserved, Room};
use crate::store::media::Arrival;
use crate::store::{Store, StoreError};

/// Room is taken for so much of a body at a time: one that is announced need not come.
const SLICE_BYTES: u64 = 4 << 20;
/// Of a body that is not taken, so much is read.
const REST_BYTES_MAX: usize = 16 << 20;
const PATIENCE: Patience = Patience {
    place: Duration::from_secs(30),
    part: Duration::from_secs(30),
    file: Duration::from_secs(600),
};

/// Takes files in. Cheap to clone; every clone keeps the same bounds.
#[derive(Clone)]
pub struct Deposits {
    store: Store,
    bytes_max: u64,
    queue: Queue,
    room: Room,
    patience: Patience,
    count: Arc<AtomicU64>,
}

/// How long is waited.
#[derive(Clone, Copy)]
struct Patience {
    /// For a place.
    place: Duration,
    /// Between two parts of a body, and for the rest of one that is not taken.
    part: Duration,
    /// From the first part of a body to the last.
    file: Duration,
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
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    #[error("the file is empty")]
    Empty,
    #[error("the file broke off: {0}")]
    Broken(String),
    #[error("the file did not go on within {0} seconds; hand it over again")]
    Stalled(u64),
    #[error(
        "the file was not whole after {0} seconds; hand it over through a faster connection, or make it smaller"
    )]
    Slow(u64),
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
            room: Room::new(store.clone(), settings.total_bytes_max),
            store,
            bytes_max: FILE_BYTES_MAX
                .min(settings.file_bytes_max)
                .min(settings.total_bytes_max),
            queue: Queue::new(),
            patience: PATIENCE,
            count: Arc::default(),
        }
    }

    /// From now on files are taken.
    pub fn open(&self) {
        self.queue.open();
    }

    /// Where files that are fetched find room, too.
    pub(super) fn room(&self) -> Room {
        self.room.clone()
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
        // Whoever is still sending would not hear the answer; the slow one is not waited for again.
        if !matches!(
            taken,
            Ok(_) | Err(DepositError::Stalled(_) | DepositError::Slow(_))
        ) {
            let mut left = REST_BYTES_MAX;
            let rest = async {
                while left > 0
                    && let Some(Ok(chunk)) = body.next().await
                {
                    left = left.saturating_sub(chunk.len());
                }
            };
            let _ = tokio::time::timeout(self.patience.part, rest).await;
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
        let _place = self
            .queue
            .enter(&deposit.business, self.patience.place)
            .await?;
        // What has no room now is told so before it is sent.
        drop(self.room.reserve(deposit.bytes.unwrap_or(0)).await?);
        let bytes_max = deposit.bytes.unwrap_or(self.bytes_max);
        let mut reserved = self.room.reserve(bytes_max.min(SLICE_BYTES)).await?;
        let file_max = self.patience.file;
        let received = self.receive(body, bytes_max, &mut reserved);
        let received = tokio::time::timeout(file_max, received).await;
        let (arrival, head) = received.map_err(|_| DepositError::Slow(file_max.as_secs()))??;
        self.keep(deposit, arrival, &head).await
    }

    /// The bytes on disk, and the first of them. They have room as they come; `bytes_max` will come.
    async fn receive<E: std::fmt::Display>(
        &self,
        body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
        bytes_max: u64,
        reserved: &mut Reserved,
    ) -> Result<(Arrival, Vec<u8>), DepositError> {
        let nth = self.count.fetch_add(1, Ordering::Relaxed);
        let folder = self.store.media_folder();
        let mut arrival = blocking(move || folder.deposit(nth)).await?;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        while let Some(chunk) = self.next(body).await? {
            let more = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let bytes = arrival.bytes().saturating_add(more);
            if bytes > self.bytes_max {
                return Err(DepositError::TooLarge(self.bytes_max));
            }
            if bytes > reserved.bytes() {
                let slice = SLICE_BYTES.min(bytes_max.saturating_sub(reserved.bytes()));
                reserved.add(self.room.reserve(slice.max(more)).await?);
            }
            let missing = HEAD_BYTES.saturating_sub(head.len());
            head.extend(chunk.iter().take(missing));
            let write = move || arrival.write(&chunk).map(|()| arrival);
            arrival = blocking::<Arrival>(write).await?;
        }
        Ok((arrival, head))
    }

    async fn next<E: std::fmt::Display>(
        &self,
        body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    ) -> Result<Option<Bytes>, DepositError> {
        let part_max = self.patience.part;
        match tokio::time::timeout(part_max, body.next()).await {
            Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
            Ok(Some(Err(error))) => Err(DepositError::Broken(error.to_string())),
            Ok(None) => Ok(None),
            Err(_) => Err(DepositError::Stalled(part_max.as_secs())),
        }
    }

    async fn keep(
        &self,
        deposit: Deposit,
        arrival: Arrival,
        head: &[u8],
    ) -> Result<(Digest, Sendable), DepositError> {
        if arrival.bytes() == 0 {
            return Err(DepositError::Empty);
        }
        let folder = self.store.media_folder();
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
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, DepositError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(DepositError::Disk(io::Error::other(error))),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::media::Settings;

    const FILE_BYTES: u64 = 600;

    struct House {
        deposits: Deposits,
        folder: tempfile::TempDir,
    }

    impl House {
        fn new() -> House {
            House::with(FILE_BYTES, 1000)
        }

        fn with(file_bytes_max: u64, total_bytes_max: u64) -> House {
            let folder = tempfile::tempdir().unwrap();
            let settings = Settings {
                file_bytes_max,
                total_bytes_max,
                fetches_max: 4,
            };
            let deposits = Deposits::new(Store::open(folder.path()).unwrap(), settings);
            deposits.open();
            House { deposits, folder }
        }

        fn arriving(&self) -> usize {
            let new = std::fs::read_dir(self.folder.path().join("media/new"));
            new.map_or(0, Iterator::count)
        }
    }

    fn deposit(bytes: u64) -> Deposit {
        Deposit {
            business: String::new(),
            mime_type: "image/png",
            bytes: Some(bytes),
        }
    }

    fn whole(bytes: usize) -> impl Stream<Item = io::Result<Bytes>> + Unpin {
        stream::iter([Ok(Bytes::from(vec![1; bytes]))])
    }

    /// A byte every now and then, without an end.
    fn trickle() -> impl Stream<Item = io::Result<Bytes>> + Unpin {
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok(Bytes::from_static(b".")), ()))
        });
        Box::pin(drops)
    }

    #[tokio::test]
    async fn a_client_that_is_slow_or_silent_is_not_waited_for_for_ever() {
        let mut house = House::new();
        house.deposits.patience.file = Duration::from_millis(100);
        let slow = house.deposits.take(deposit(9), trickle()).await;
        assert!(matches!(slow, Err(DepositError::Slow(_))), "{slow:?}");
        house.deposits.patience = Patience {
            part: Duration::from_millis(50),
            ..PATIENCE
        };
        let silent = stream::pending::<io::Result<Bytes>>();
        let silent = house.deposits.take(deposit(9), silent).await;
        assert!(
            matches!(silent, Err(DepositError::Stalled(_))),
            "{silent:?}"
        );
        assert_eq!(house.arriving(), 0, "nothing is left of them");
        let taken = house.deposits.take(deposit(9), whole(9)).await;
        assert!(taken.is_ok(), "{taken:?}");
    }

    #[tokio::test]
    async fn what_is_still_coming_counts_as_what_is_here() {
        let house = House::new();
        let fetched = house.deposits.room().reserve(FILE_BYTES).await.unwrap();
        let refused = house.deposits.take(deposit(FILE_BYTES), whole(9)).await;
        assert!(
            matches!(
                refused,
                Err(DepositError::NoRoom(NoRoom::Coming {
                    coming: FILE_BYTES,
                    ..
                }))
            ),
            "{refused:?}"
        );
        drop(fetched);
        let coming = house.deposits.clone();
        let coming = tokio::spawn(async move { coming.take(deposit(FILE_BYTES), trickle()).await });
        while house.arriving() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(house.deposits.room().reserve(FILE_BYTES).await.is_err());
        coming.abort();
        assert!(coming.await.is_err());
        assert!(house.deposits.room().reserve(FILE_BYTES).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_announced_and_does_not_come_takes_little_of_the_room() {
        const FILE: u64 = 90 << 20;
        let house = House::with(FILE, 100 << 20);
        for bytes in [None, Some(FILE)] {
            let deposit = Deposit {
                bytes,
                ..deposit(0)
            };
            let coming = house.deposits.clone();
            let coming = tokio::spawn(async move { coming.take(deposit, trickle()).await });
            while house.arriving() == 0 {
                tokio::task::yield_now().await;
            }
            assert!(house.deposits.room().reserve(FILE).await.is_ok());
            coming.abort();
            assert!(coming.await.is_err());
        }
        // One that comes has as much as it needs.
        let chunk = |_| Ok::<_, io::Error>(Bytes::from(vec![1; 1 << 20]));
        let body = stream::iter((0..9).map(chunk));
        let taken = house.deposits.take(deposit(9 << 20), body).await;
        assert!(taken.is_ok(), "{taken:?}");
    }
}
