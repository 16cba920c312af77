//! Receipts become events. Two readers walk the receipt log: one takes what is live, the other the history
//! parts, in slices, and yields to the first. Each remembers (receipt, element) in the transaction that stores
//! the slice, so that a crash repeats nothing and loses nothing.

pub mod feed;

use std::sync::Arc;
use std::time::Duration;

use duet_rules::webhook;
use tokio::sync::{Notify, watch};

use crate::effect::Wake;
use crate::newest::Newest;
use crate::store::intake::{Part, Place, Recorded, Slice, Terms};
use crate::store::receipts::{Receipt, ReceiptLog};
use crate::store::{Store, StoreError};
use crate::telemetry::{Metrics, tell_alarms};
use feed::Feed;

/// One commit takes about so many elements: about 10 ms of the writer's time.
const SLICE_ELEMENTS: usize = 200;
/// Bodies read and decoded at once.
const READ_BYTES: usize = 1 << 20;
/// History waits at most so long for the live part before each slice.
const YIELD_MAX: Duration = Duration::from_millis(200);
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// What intake needs, and tells.
pub struct Intake {
    pub store: Store,
    pub log: ReceiptLog,
    pub feed: Arc<Feed>,
    pub terms: Terms,
    /// Told the outbox rows whose conversation may go on.
    pub movable: Wake,
    pub caught_up: Arc<CaughtUp>,
    /// The last receipt whose live part is taken in.
    pub live: Newest,
    /// Rung when there are files to fetch.
    pub media: Arc<Notify>,
    pub metrics: Arc<Metrics>,
}

/// Tells when intake has passed what was acknowledged: the last gate before a send waits for it.
pub struct CaughtUp {
    log: ReceiptLog,
    live: Newest,
}

impl CaughtUp {
    /// `live` is the last receipt whose live part is taken in.
    pub fn new(log: ReceiptLog, live: Newest) -> CaughtUp {
        CaughtUp { log, live }
    }

    /// The newest acknowledged receipt that may forbid a send.
    pub fn newest_forbidding(&self) -> i64 {
        self.log.newest_forbidding()
    }

    /// Waits until every receipt that is acknowledged now has its live part taken in.
    pub async fn wait(&self) {
        let acknowledged = self.log.acknowledged();
        self.live.beyond(acknowledged - 1).await;
    }
}

impl Intake {
    /// Takes in one part until `stop` changes.
    pub async fn run(self: Arc<Self>, part: Part, mut stop: watch::Receiver<bool>) {
        let arrivals = self.log.newest();
        let mut place = self.start(part).await;
        while !*stop.borrow() {
            let seen = arrivals.get();
            match self.pass(part, place).await {
                // What could not be read is read again: it waits here, whatever else arrives.
                None => tokio::time::sleep(RETRY_MAX).await,
                Some(next) if next != place => place = next,
                Some(_) => tokio::select! {
                    biased;
                    _ = arrivals.beyond(seen) => {}
                    _ = stop.changed() => {}
                },
            }
        }
    }

    async fn start(&self, part: Part) -> Place {
        loop {
            match self.store.intake_place(part).await {
                Ok(place) => {
                    self.tell(part, place);
                    return place;
                }
                Err(error) => {
                    tracing::warn!(%error, "intake does not know yet where it was");
                    tokio::time::sleep(RETRY_MAX).await;
                }
            }
        }
    }

    fn tell(&self, part: Part, place: Place) {
        if part == Part::Live {
            self.live.raise(place.receipt);
            self.metrics
                .intake_lag_receipts
                .set(self.log.acknowledged() - place.receipt);
        }
    }

    /// Takes in what lies after `place`, at most about `READ_BYTES`; none if it could not be read.
    async fn pass(&self, part: Part, place: Place) -> Option<Place> {
        let log = self.log.clone();
        let read = crate::machine::blocking(move || {
            let receipts = log.read_after(place.receipt, part == Part::History, READ_BYTES)?;
            Ok::<_, StoreError>(decode(&receipts, part, place))
        });
        let slices = match read.await {
            Ok(Ok(slices)) => slices,
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot read the receipt log");
                return None;
            }
            Err(_) => return None,
        };
        let mut place = place;
        for batch in batches(slices, place) {
            if part == Part::History {
                let _ = tokio::time::timeout(YIELD_MAX, self.caught_up.wait()).await;
            }
            place = batch.place;
            self.record(part, batch).await;
            self.tell(part, place);
        }
        Some(place)
    }

    /// Stores a batch. If the store refuses it for good, each receipt goes alone.
    async fn record(&self, part: Part, batch: Batch) {
        let Batch { slices, place } = batch;
        match persist(|| {
            self.store
                .record(part, slices.clone(), place, self.terms.clone())
        })
        .await
        {
            Ok(recorded) => self.publish(recorded),
            Err(_) => {
                let last = slices.len().saturating_sub(1);
                for (at, slice) in slices.into_iter().enumerate() {
                    let alone = Place {
                        receipt: slice.receipt,
                        element: 0,
                    };
                    self.record_alone(part, slice, if at == last { place } else { alone })
                        .await;
                }
            }
        }
    }

    /// Stores one receipt's slice; one that the store will never take ends as unreadable, visibly. Nothing is
    /// passed that is neither stored nor marked.
    async fn record_alone(&self, part: Part, slice: Slice, place: Place) {
        let mut slice = slice;
        loop {
            match persist(|| {
                self.store
                    .record(part, vec![slice.clone()], place, self.terms.clone())
            })
            .await
            {
                Ok(recorded) => return self.publish(recorded),
                Err(StoreError::Stopped) => return std::future::pending().await,
                Err(error) => {
                    tracing::error!(%error, receipt = slice.receipt, "a receipt's elements cannot be stored, it is kept as unreadable");
                    if slice.unreadable.is_some() {
                        tokio::time::sleep(RETRY_MAX).await;
                    }
                    slice = slice.refused(&error);
                }
            }
        }
    }

    /// Tells the outbox, the metrics and dispatch.
    fn publish(&self, recorded: Recorded) {
        (self.movable)(&recorded.movable);
        tell_alarms(&self.metrics, &recorded.alarms);
        if recorded.media {
            self.media.notify_one();
        }
        for event in &recorded.events {
            self.metrics.events(&event.kind, 1);
        }
        self.feed.publish(recorded.events);
    }
}

/// Repeats while the disk refuses, with growing pauses; any other error is the answer.
async fn persist<T, F, W>(mut work: W) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
    W: FnMut() -> F,
{
    let mut pause = RETRY_FIRST;
    loop {
        match work().await {
            Err(StoreError::Unavailable(reason)) => {
                tracing::warn!(reason, "intake waits for the store");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
            result => return result,
        }
    }
}

fn decode(receipts: &[Receipt], part: Part, place: Place) -> Vec<Slice> {
    let mut skip = usize::try_from(place.element).unwrap_or(0);
    receipts
        .iter()
        .map(|receipt| decode_one(receipt, part, std::mem::take(&mut skip)))
        .collect()
}

fn decode_one(receipt: &Receipt, part: Part, skip: usize) -> Slice {
    let wanted = match (part, receipt.history) {
        (Part::Live, false) => webhook::Part::All,
        (Part::Live, true) => webhook::Part::Live,
        (Part::History, _) => webhook::Part::History,
    };
    let decoded = match receipt.metas() {
        Ok(body) => webhook::decode(&body, wanted).map_err(|error| error.to_string()),
        Err(word) => Err(word.to_string()),
    };
    let (elements, unreadable) = match decoded {
        Ok(elements) => (elements.into_iter().skip(skip).collect(), None),
        Err(error) => {
            // Why may quote the body: it stands beside the receipt, not in the log.
            tracing::warn!(
                receipt = receipt.id,
                "a genuine body is no webhook of Meta's; it is kept as unreadable"
            );
            (Vec::new(), Some(error))
        }
    };
    Slice {
        receipt: receipt.id,
        received_ms: receipt.received_ms,
        elements,
        unreadable,
        partner_of: receipt.partner_of.clone(),
    }
}

/// What one commit takes, and the place after it.
struct Batch {
    slices: Vec<Slice>,
    place: Place,
}

/// Cuts slices into commits of at most `SLICE_ELEMENTS`; a larger body is split and remembered by element.
fn batches(slices: Vec<Slice>, place: Place) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut open: Vec<Slice> = Vec::new();
    let mut count = 0;
    let mut taken = place.element;
    let mut last = place;
    for mut slice in slices {
        if count + slice.elements.len() > SLICE_ELEMENTS && !open.is_empty() {
            batches.push(Batch {
                slices: std::mem::take(&mut open),
                place: last,
            });
            count = 0;
        }
        let mut rest = std::mem::take(&mut slice.elements).into_iter();
        while rest.len() > SLICE_ELEMENTS {
            // Vectors of their own size: split ones would keep the room of the whole body, batch after batch.
            let elements: Vec<_> = rest.by_ref().take(SLICE_ELEMENTS).collect();
            taken = taken.saturating_add(i64::try_from(elements.len()).unwrap_or(i64::MAX));
            let place = Place {
                receipt: slice.receipt - 1,
                element: taken,
            };
            let head = Slice {
                elements,
                unreadable: None,
                partner_of: slice.partner_of.clone(),
                ..slice
            };
            batches.push(Batch {
                slices: vec![head],
                place,
            });
        }
        slice.elements = rest.collect();
        count += slice.elements.len();
        taken = 0;
        last = Place {
            receipt: slice.receipt,
            element: 0,
        };
        open.push(slice);
    }
    if !open.is_empty() {
        batches.push(Batch {
            slices: open,
            place: last,
        });
    }
    batches
}
