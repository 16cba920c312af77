//! One file: asked for, streamed to disk while it is hashed, compared with what Meta said, and put in its place.

use std::io;
use std::sync::Arc;

use duet_rules::media::{Digest, Trouble, after, waits};
use duet_rules::sending::Call;

use crate::effect::Wake;
use crate::graph::{Client, Clients, Description, NoFile};
use crate::intake::feed::Feed;
use crate::store::access::RefusedToken;
use crate::store::calls::WAITS_FOR_TOKEN;
use crate::store::media::{Arrival, Fetch, Fetched, MediaFolder};
use crate::store::{Store, StoreError};
use crate::telemetry::{Metrics, tell_alarms};

pub(super) struct Fetcher {
    pub(super) store: Store,
    pub(super) folder: MediaFolder,
    pub(super) clients: Clients,
    pub(super) file_bytes_max: u64,
    /// Told of events that come of a file.
    pub(super) feed: Arc<Feed>,
    /// Told the sends that were held for a token.
    pub(super) movable: Arc<Wake>,
    pub(super) metrics: Arc<Metrics>,
}

/// What came of a fetch, for the worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Stored,
    /// It is tried again unless this state ends it. The outcome is a label, the cause is for the log.
    Not {
        outcome: &'static str,
        end: Option<&'static str>,
        cause: String,
    },
    /// Its message has gone meanwhile, and what it brought has to go as well.
    Unwanted,
    /// It was not asked for: the token that it needs is not taken now.
    Waits,
    /// The disk or the store refuses; nothing was written down.
    Stuck(String),
}

/// Why there is no file.
enum Fault {
    File(FileFault),
    Unwanted,
    Disk(String),
}

enum FileFault {
    NoFile(NoFile),
    Tampered,
    /// Bytes, or more than that.
    TooLarge(u64),
    Unreachable,
}

impl From<FileFault> for Fault {
    fn from(fault: FileFault) -> Fault {
        Fault::File(fault)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Disk(error.to_string())
    }
}

impl From<NoFile> for Fault {
    fn from(error: NoFile) -> Fault {
        Fault::File(FileFault::NoFile(error))
    }
}

impl Fetcher {
    pub(super) async fn go(&self, fetch: Fetch) -> Ended {
        match self.try_go(fetch).await {
            Ok(ended) => ended,
            Err(error) => Ended::Stuck(error.to_string()),
        }
    }

    async fn try_go(&self, fetch: Fetch) -> Result<Ended, StoreError> {
        let (business, number) = (&fetch.business, &fetch.number);
        let may = self.store.may_call(business, number, crate::now_ms()).await;
        let may = may?;
        if let Call::Wait { until_ms } = may {
            return self.wait(fetch, until_ms).await;
        }
        let got = self.get(&fetch).await;
        if let Err(Fault::File(FileFault::NoFile(NoFile::Token { code, cause }))) = &got {
            tracing::debug!(cause, "a file waits for its token");
            let until_ms = self.refused(&fetch, *code).await?;
            return self.wait(fetch, until_ms).await;
        }
        if may == Call::Trial && got.is_ok() {
            let taken = self
                .store
                .call_taken(business.clone(), number.clone(), crate::now_ms());
            (self.movable)(&taken.await?);
        }
        Ok(self.settle(fetch, got).await)
    }

    /// The token's trouble is the sends', too. The answer is when somebody may try it again.
    async fn refused(&self, fetch: &Fetch, code: i64) -> Result<i64, StoreError> {
        let client = self.clients.of(&fetch.business, &fetch.number);
        let token = RefusedToken {
            business: fetch.business.clone(),
            number: fetch.number.clone(),
            scope: client
                .as_ref()
                .map_or_else(String::new, |client| client.scope().to_owned()),
            set_ms: client.map_or(0, |client| client.set_ms()),
            code,
        };
        let (until_ms, raised) = self.store.call_refused(token, crate::now_ms()).await?;
        tell_alarms(&self.metrics, raised.as_slice());
        Ok(until_ms)
    }

    /// No try is spent.
    async fn wait(&self, fetch: Fetch, until_ms: i64) -> Result<Ended, StoreError> {
        let next = waits(fetch.tries, fetch.received_ms, until_ms);
        let cause = WAITS_FOR_TOKEN.to_owned();
        let end = next.end();
        let fetched = Fetched::Not { next, cause };
        Ok(match (self.write_down(fetch, fetched).await?, end) {
            (false, _) => Ended::Unwanted,
            (true, None) => Ended::Waits,
            (true, end) => Ended::Not {
                outcome: "token",
                end,
                cause: "the token was refused for as long as Meta keeps files".to_owned(),
            },
        })
    }

    /// False when nobody waits for it any more. Events may have come of it.
    async fn write_down(&self, fetch: Fetch, fetched: Fetched) -> Result<bool, StoreError> {
        let told = self.store.settle_fetch(fetch, fetched).await?;
        if told {
            self.feed.announce_newest().await;
        }
        Ok(told)
    }

    async fn settle(&self, fetch: Fetch, got: Result<Fetched, Fault>) -> Ended {
        let (fetched, ended) = match got {
            Ok(stored) => (stored, Ended::Stored),
            Err(Fault::Unwanted) => return Ended::Unwanted,
            Err(Fault::Disk(cause)) => {
                // An erasure takes away what is just arriving: then the disk is not to blame.
                return match self.store.awaits(&fetch).await {
                    Ok(false) => Ended::Unwanted,
                    _ => Ended::Stuck(cause),
                };
            }
            Err(Fault::File(fault)) => {
                let outcome = fault.outcome();
                let (trouble, cause) = fault.told(self.file_bytes_max);
                let now_ms = crate::now_ms();
                let random = crate::random();
                let next = after(trouble, fetch.tries, fetch.received_ms, now_ms, random);
                let ended = Ended::Not {
                    outcome,
                    end: next.end(),
                    cause: cause.clone(),
                };
                (Fetched::Not { next, cause }, ended)
            }
        };
        match self.write_down(fetch, fetched).await {
            Ok(true) => ended,
            Ok(false) => Ended::Unwanted,
            // It was swept just now, and is fetched once more.
            Err(StoreError::Conflict) => Ended::Unwanted,
            Err(error) => Ended::Stuck(error.to_string()),
        }
    }

    /// Tries the webhook's own address while it may be alive, then asks Meta for one.
    async fn get(&self, fetch: &Fetch) -> Result<Fetched, Fault> {
        let claimed = fetch.claimed.as_deref().and_then(Digest::read);
        if let Some(url) = &fetch.url
            && (fetch.tries.attempt == 0 || fetch.media_id.is_none())
        {
            let (digest, bytes) = match self.take(fetch, url, &[claimed], None).await {
                Err(Fault::File(FileFault::NoFile(NoFile::Foreign)))
                    if fetch.media_id.is_none() =>
                {
                    return Err(FileFault::Unreachable.into());
                }
                Err(Fault::File(FileFault::NoFile(_))) if fetch.media_id.is_some() => {
                    return self.ask(fetch, claimed).await;
                }
                taken => taken?,
            };
            return Ok(Fetched::Stored {
                digest,
                bytes,
                mime_type: None,
            });
        }
        self.ask(fetch, claimed).await
    }

    /// The one whose number got the file.
    fn client(&self, fetch: &Fetch) -> Result<Client, NoFile> {
        self.clients
            .of(&fetch.business, &fetch.number)
            .ok_or_else(|| NoFile::Passing("there is no access token that can be used".into()))
    }

    async fn ask(&self, fetch: &Fetch, claimed: Option<Digest>) -> Result<Fetched, Fault> {
        let id = fetch.media_id.as_deref().ok_or(FileFault::Unreachable)?;
        let Description {
            url,
            mime_type,
            sha256,
            bytes,
        } = self.client(fetch)?.describe_media(id).await?;
        if let Some(bytes) = bytes.filter(|bytes| *bytes > self.file_bytes_max) {
            return Err(FileFault::TooLarge(bytes).into());
        }
        let claims = [claimed, sha256.as_deref().and_then(Digest::read)];
        let (digest, bytes) = self.take(fetch, &url, &claims, bytes).await?;
        Ok(Fetched::Stored {
            digest,
            bytes,
            mime_type,
        })
    }

    /// Streams what is behind an address to its place, if it is what Meta has announced.
    async fn take(
        &self,
        fetch: &Fetch,
        url: &str,
        claims: &[Option<Digest>],
        announced: Option<u64>,
    ) -> Result<(Digest, u64), Fault> {
        let mut download = self.client(fetch)?.download(url).await?;
        if let Some(bytes) = download.bytes.filter(|bytes| *bytes > self.file_bytes_max) {
            return Err(FileFault::TooLarge(bytes).into());
        }
        let (folder, message) = (self.folder.clone(), fetch.message);
        let mut arrival = blocking(move || folder.arrival(message)).await?;
        // Nothing of an erased message comes back to the disk: an erasure from now on finds the arrival.
        match self.store.awaits(fetch).await {
            Ok(true) => {}
            Ok(false) => return Err(Fault::Unwanted),
            Err(error) => return Err(Fault::Disk(error.to_string())),
        }
        while let Some(chunk) = download.chunk().await? {
            let more = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let bytes = arrival.bytes().saturating_add(more);
            if bytes > self.file_bytes_max {
                return Err(FileFault::TooLarge(bytes).into());
            }
            let write = move || arrival.write(&chunk).map(|()| arrival);
            arrival = blocking::<Arrival>(write).await?;
        }
        let digest = arrival.digest()?;
        let mut claims = claims.iter().flatten().peekable();
        let as_announced = match claims.peek() {
            Some(_) => claims.all(|claim| *claim == digest),
            None => announced.is_none_or(|bytes| bytes == arrival.bytes()),
        };
        if !as_announced {
            return Err(FileFault::Tampered.into());
        }
        let folder = self.folder.clone();
        blocking(move || folder.place(arrival)).await
    }
}

impl FileFault {
    /// The outcome in the metrics.
    fn outcome(&self) -> &'static str {
        match self {
            FileFault::NoFile(NoFile::Passing(_)) => "unanswered",
            FileFault::NoFile(NoFile::Refused(_)) => "refused",
            FileFault::NoFile(NoFile::Token { .. }) => "token",
            FileFault::NoFile(NoFile::Foreign) | FileFault::Unreachable => "foreign",
            FileFault::Tampered => "tampered",
            FileFault::TooLarge(_) => "too_large",
        }
    }

    fn told(self, file_bytes_max: u64) -> (Trouble, String) {
        match self {
            FileFault::NoFile(NoFile::Passing(cause) | NoFile::Token { cause, .. }) => {
                (Trouble::Passing, cause)
            }
            FileFault::NoFile(NoFile::Refused(cause)) => (Trouble::Strike, cause),
            FileFault::NoFile(NoFile::Foreign) => (
                Trouble::Strike,
                "Meta named an address that is not its own".into(),
            ),
            FileFault::Tampered => (
                Trouble::Strike,
                "the bytes are not those that Meta announced".into(),
            ),
            FileFault::TooLarge(bytes) => (
                Trouble::TooLarge,
                format!(
                    "it has {bytes} bytes or more; media.file_bytes_max allows {file_bytes_max}"
                ),
            ),
            FileFault::Unreachable => (
                Trouble::Unreachable,
                "the webhook gave neither an id nor an address of Meta's".into(),
            ),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(Fault::Disk(error.to_string())),
    }
}
