//! Uploads of files that sends need: each file once for a number, beside the sends, which wait in the store meanwhile
//! and hold no courier.
//!
//! Promises: of one file for one number at most one upload is under way. It is repeated until Meta has taken or refused
//! it, and whatever came of it is on disk before a send goes on; a crash at any moment only repeats it. What Meta has got
//! while the file was wiped is used for nothing. Nobody waits for an upload whose message needs none.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duet_rules::backoff;
use duet_rules::media::Digest;
use duet_rules::meta_error::{Class, MetaError};
use duet_rules::provider::Provider;
use tokio::sync::{Semaphore, watch};

use super::{Feed, Settings};
use crate::failpoint::hit;
use crate::graph::{Client, Clients, NO_TOKEN, Outcome, OutgoingFile};
use crate::store::access::RefusedToken;
use crate::store::media::{MediaFolder, Upload, Uploaded};
use crate::store::{Store, StoreError};
use crate::telemetry::{Metrics, tell_alarms};

/// Files on their way to Meta at once.
const PLACES: usize = 4;
/// Of them to partners: an API that hangs leaves one to Meta's own.
const PARTNERS_MAX: usize = 3;
/// Files that are known here; what waits for another one asks again.
const UNDER_WAY_MAX: usize = 10_000;
/// After a trouble with the store.
const STUCK: Duration = Duration::from_secs(1);
/// A file is named by its bytes alone.
const NOT_HERE: &str = "its file is not on disk, or not what it was; hand it over again";
/// Meta may have got zeros for a part of it, and somebody else waits for the same bytes, which were handed over anew.
const WIPED: &str = "its file was erased while it was uploaded";

/// Cheap to clone; every clone knows the same uploads.
#[derive(Clone)]
pub(super) struct Uploads {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clients: Clients,
    feed: Feed,
    settings: Settings,
    metrics: Arc<Metrics>,
    places: Semaphore,
    partners: Semaphore,
    under_way: Mutex<HashSet<Key>>,
    stop: watch::Receiver<bool>,
}

/// What is one file to Meta: number, bytes and type.
type Key = (String, Digest, String);

/// What came of one try.
enum Try {
    Ended(Uploaded),
    /// It is tried again; a try that reached nobody does not count.
    Again {
        counts: bool,
        code: Option<i64>,
        cause: String,
    },
}

impl Uploads {
    pub(super) fn new(
        store: Store,
        clients: Clients,
        feed: Feed,
        settings: Settings,
        metrics: Arc<Metrics>,
        stop: watch::Receiver<bool>,
    ) -> Uploads {
        Uploads {
            inner: Arc::new(Inner {
                store,
                clients,
                feed,
                settings,
                metrics,
                places: Semaphore::new(PLACES),
                partners: Semaphore::new(PARTNERS_MAX),
                under_way: Mutex::default(),
                stop,
            }),
        }
    }

    /// A send waits for this upload; call it after that is on disk.
    pub(super) fn want(&self, upload: Upload) {
        if let Some(entry) = Entry::of(&self.inner, &upload) {
            let inner = self.inner.clone();
            tokio::spawn(async move { inner.work(upload, entry).await });
        }
    }
}

impl Inner {
    async fn work(self: Arc<Self>, upload: Upload, entry: Entry) {
        let mut entry = Some(entry);
        let mut stop = self.stop.clone();
        while let Some(held) = entry.take() {
            let ended = tokio::select! {
                biased;
                // The sends wait on disk, and ask anew after the next start.
                _ = stop.wait_for(|stop| *stop) => return,
                ended = self.bring(&upload) => ended,
            };
            drop(held);
            // A send that began to wait while it ended found it under way, and has told nobody.
            let waits = self.store.awaits_upload(upload.clone(), crate::now_ms());
            if ended && matches!(waits.await, Ok(true)) {
                entry = Entry::of(&self, &upload);
            }
        }
    }

    /// Until it has ended: false when the store is.
    async fn bring(&self, upload: &Upload) -> bool {
        let (mut tries, mut counted) = (0_u32, 0_u32);
        loop {
            tries = tries.saturating_add(1);
            let Some(tried) = self.attempt(upload).await else {
                return true;
            };
            let uploaded = match tried {
                Try::Ended(uploaded) => uploaded,
                Try::Again {
                    counts,
                    code,
                    cause,
                } => {
                    counted = counted.saturating_add(u32::from(counts));
                    if counted < self.settings.attempts_max {
                        self.tell("retried", code, Some(&cause));
                        self.pause(tries).await;
                        continue;
                    }
                    Uploaded::Dead { code, cause }
                }
            };
            return self.settle(upload, uploaded).await;
        }
    }

    /// One try; nothing when nobody waits any more.
    async fn attempt(&self, upload: &Upload) -> Option<Try> {
        let client = || self.clients.of(&upload.business, &upload.number);
        let is_partners = |client: &Client| client.provider() != Provider::Meta;
        // Neither is ever closed.
        let partner = match client().as_ref().is_some_and(is_partners) {
            true => Some(self.partners.acquire().await.ok()?),
            false => None,
        };
        let _place = self.places.acquire().await.ok()?;
        let waits = self.store.awaits_upload(upload.clone(), crate::now_ms());
        match waits.await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(uncounted(error.to_string())),
        }
        match self.store.upload_of(upload.clone(), crate::now_ms()).await {
            Ok(Some(_)) => return Some(Try::Ended(Uploaded::Known)),
            Ok(None) => {}
            Err(error) => return Some(uncounted(error.to_string())),
        }
        let (folder, digest) = (self.store.media_folder(), upload.digest);
        let opened = tokio::task::spawn_blocking(move || folder.open(digest)).await;
        let Ok(Ok((file, bytes))) = opened else {
            return Some(Try::Ended(Uploaded::Failed {
                code: None,
                cause: NOT_HERE.into(),
            }));
        };
        // Not before: its token may have been changed while it waited.
        let Some(client) = client() else {
            return Some(uncounted(NO_TOKEN.into()));
        };
        if is_partners(&client) && partner.is_none() {
            return Some(uncounted("its business went to a partner just now".into()));
        }
        let sent = file.try_clone();
        let outgoing = OutgoingFile {
            file,
            bytes,
            mime_type: upload.mime_type.clone(),
        };
        hit("upload.before_call");
        let outcome = client.upload(&upload.number, outgoing).await;
        hit("upload.answered_before_commit");
        if matches!(outcome, Outcome::Done(_)) {
            let whole = move || MediaFolder::is_whole(&mut sent?, digest);
            let whole = tokio::task::spawn_blocking(whole).await;
            if !matches!(whole, Ok(Ok(true))) {
                return Some(uncounted(WIPED.into()));
            }
        }
        Some(judge(outcome, |code| RefusedToken {
            business: upload.business.clone(),
            number: upload.number.clone(),
            scope: client.scope().to_owned(),
            set_ms: client.set_ms(),
            code,
        }))
    }

    /// However long the store refuses: sends wait for it.
    async fn settle(&self, upload: &Upload, uploaded: Uploaded) -> bool {
        let (outcome, code, cause) = match &uploaded {
            Uploaded::Done { .. } => ("done", None, None),
            Uploaded::Known => ("known", None, None),
            Uploaded::Failed { code, cause } => ("refused", *code, Some(cause.as_str())),
            Uploaded::Dead { code, cause } => ("dead", *code, Some(cause.as_str())),
            Uploaded::TokenRefused(token) => ("held", Some(token.code), None),
        };
        self.tell(outcome, code, cause);
        loop {
            let (upload, uploaded) = (upload.clone(), uploaded.clone());
            let settled = self
                .store
                .settle_upload(upload, uploaded, crate::now_ms())
                .await;
            match settled {
                Ok((rows, raised)) => {
                    hit("upload.stored");
                    tell_alarms(&self.metrics, raised.as_slice());
                    self.feed.wake(rows);
                    return true;
                }
                Err(StoreError::Stopped | StoreError::LeaseLost(_)) => return false,
                Err(error) => tracing::warn!(%error, "an upload waits for the store"),
            }
            tokio::time::sleep(STUCK).await;
        }
    }

    /// Counts and logs; Meta's own words stay in the outbox.
    fn tell(&self, outcome: &'static str, code: Option<i64>, cause: Option<&str>) {
        self.metrics.upload(outcome);
        match code {
            Some(code) => {
                let why = duet_rules::meta_error::meaning(code);
                tracing::warn!(outcome, code, why, "a file for sends");
            }
            None if cause.is_none() => tracing::debug!(outcome, "a file for sends"),
            None => tracing::warn!(outcome, why = cause, "a file for sends"),
        }
    }

    async fn pause(&self, tries: u32) {
        let settings = &self.settings;
        let delay_ms = backoff::delay_ms(
            tries,
            settings.retry_first_ms,
            settings.retry_max_ms,
            crate::random(),
        );
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload's place among those under way; it is free again when this is dropped.
struct Entry {
    inner: Arc<Inner>,
    key: Key,
}

impl Entry {
    fn of(inner: &Arc<Inner>, upload: &Upload) -> Option<Entry> {
        let key = (
            upload.number.clone(),
            upload.digest,
            upload.mime_type.clone(),
        );
        let mut under_way = inner.under_way();
        let new = under_way.len() < UNDER_WAY_MAX && under_way.insert(key.clone());
        drop(under_way);
        new.then(|| Entry {
            inner: inner.clone(),
            key,
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.inner.under_way().remove(&self.key);
    }
}

/// What an answer of Meta's means for an upload.
fn judge(outcome: Outcome<String>, token: impl FnOnce(i64) -> RefusedToken) -> Try {
    let again = |code, cause| Try::Again {
        counts: true,
        code,
        cause,
    };
    match outcome {
        Outcome::Done(media_id) => Try::Ended(Uploaded::Done { media_id }),
        Outcome::Refused(error) => match error.class() {
            Class::Token => Try::Ended(Uploaded::TokenRefused(token(error.code))),
            Class::Retry | Class::RetryPair => again(Some(error.code), refused(&error)),
            Class::NotFor24h | Class::Never => Try::Ended(Uploaded::Failed {
                code: Some(error.code),
                cause: refused(&error),
            }),
        },
        Outcome::Turned { status } => again(
            None,
            format!(
                "something between here and Meta refused its file with status {status}; check DUET_GRAPH_URL and any proxy"
            ),
        ),
        Outcome::Lost { cause } => {
            again(None, format!("its file got no answer of Meta's: {cause}"))
        }
        Outcome::NotSent { cause } => uncounted(cause),
        Outcome::Unsendable { cause } => Try::Ended(Uploaded::Failed {
            code: None,
            cause: format!("no upload can be made of its file: {cause}"),
        }),
    }
}

fn refused(error: &MetaError) -> String {
    format!("Meta did not take its file: {error}")
}

fn uncounted(cause: String) -> Try {
    Try::Again {
        counts: false,
        code: None,
        cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(code: i64) -> RefusedToken {
        RefusedToken {
            business: String::new(),
            number: String::new(),
            scope: String::new(),
            set_ms: 0,
            code,
        }
    }

    #[test]
    fn only_a_no_of_metas_ends_an_upload() {
        let refused = |code| {
            Outcome::Refused(MetaError {
                code,
                ..MetaError::default()
            })
        };
        let lost = || Outcome::Lost {
            cause: "reset".into(),
        };
        let unsent = || Outcome::NotSent {
            cause: "refused".into(),
        };
        for (outcome, ends, counts) in [
            (Outcome::Done("1".into()), true, false),
            (refused(131_053), true, false),
            (refused(100), true, false),
            (refused(190), true, false),
            (refused(131_000), false, true),
            (refused(80_007), false, true),
            (lost(), false, true),
            (unsent(), false, false),
            (Outcome::Turned { status: 413 }, false, true),
        ] {
            let what = format!("{outcome:?}");
            match judge(outcome, token) {
                Try::Ended(_) => assert!(ends, "{what}"),
                Try::Again {
                    counts: counted, ..
                } => {
                    assert!(!ends && counted == counts, "{what}");
                }
            }
        }
    }
}
