//! The outlet: what waits to be delivered. Changes and retries lie on a heap until they are due, then go to a
//! lane; a lane makes one delivery at a time, so what belongs to one conversation keeps its order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::delivery::{self, Letter};
use super::envelope::Change;
use crate::state::{State, lock};

/// What travels: a change that has no body yet, or a body that is tried again.
pub(crate) enum Parcel {
    Change(Change),
    Letter(Letter),
}

struct Due {
    at: Instant,
    seq: u64,
    generation: u64,
    lane: usize,
    parcel: Parcel,
}

pub(crate) struct Outlet {
    heap: Mutex<BinaryHeap<Reverse<Due>>>,
    wake: Notify,
    lanes: Vec<mpsc::UnboundedSender<(u64, Parcel)>>,
    /// Everything that has not come to its end: on the heap, in a lane, in flight.
    pending: AtomicUsize,
    ended: Notify,
    pending_max: usize,
    dropped: AtomicU64,
    seq: AtomicU64,
    /// Goes up when the sim is reset; parcels of an older one are thrown away.
    generation: AtomicU64,
}

/// The receiving ends of the lanes, until the tasks start.
pub(crate) type Lanes = Vec<mpsc::UnboundedReceiver<(u64, Parcel)>>;

impl Outlet {
    pub(crate) fn new(lanes: usize, pending_max: usize) -> (Self, Lanes) {
        let (senders, receivers) = (0..lanes.clamp(1, 256))
            .map(|_| mpsc::unbounded_channel())
            .unzip();
        let outlet = Self {
            heap: Mutex::default(),
            wake: Notify::new(),
            lanes: senders,
            pending: AtomicUsize::new(0),
            ended: Notify::new(),
            pending_max,
            dropped: AtomicU64::new(0),
            seq: AtomicU64::new(0),
            generation: AtomicU64::new(0),
        };
        (outlet, receivers)
    }

    /// Starts the clockwork and the lanes.
    pub(crate) fn start(state: &Arc<State>, lanes: Lanes, tasks: &mut JoinSet<()>) {
        let clockwork = Arc::clone(state);
        tasks.spawn(async move { clockwork.outlet.run().await });
        for lane in lanes {
            tasks.spawn(delivery::run(Arc::clone(state), lane));
        }
    }

    /// Sends a change after `delay`, or drops it when too much is waiting already.
    pub(crate) fn change(&self, change: Change, delay: Duration, lane_of: Option<u64>) {
        if self.pending.load(Ordering::Relaxed) >= self.pending_max {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let lane = lane_of.unwrap_or_else(|| hash(&change.lane));
        self.add(Parcel::Change(change), delay, lane);
    }

    /// Sends a finished body after `delay`. Bodies on retry are never dropped: they were counted once.
    pub(crate) fn letter(&self, letter: Letter, delay: Duration) {
        let lane = hash(&letter.lane);
        self.add(Parcel::Letter(letter), delay, lane);
    }

    fn add(&self, parcel: Parcel, delay: Duration, lane: u64) {
        self.pending.fetch_add(1, Ordering::AcqRel);
        let lane = usize::try_from(lane % self.lanes.len().max(1) as u64).unwrap_or(0);
        let due = Due {
            at: Instant::now() + delay,
            seq: self.seq.fetch_add(1, Ordering::Relaxed),
            generation: self.generation.load(Ordering::Relaxed),
            lane,
            parcel,
        };
        lock(&self.heap).push(Reverse(due));
        self.wake.notify_one();
    }

    /// Parcels came to their end.
    pub(crate) fn done(&self, parcels: usize) {
        self.pending.fetch_sub(parcels, Ordering::AcqRel);
        self.ended.notify_waiters();
    }

    /// Time has passed: what waits is due that much earlier.
    pub(crate) fn hasten(&self, by: Duration) {
        let mut heap = lock(&self.heap);
        let now = Instant::now();
        *heap = std::mem::take(&mut *heap)
            .into_iter()
            .map(|Reverse(due)| {
                let at = due.at.checked_sub(by).unwrap_or(now);
                Reverse(Due { at, ..due })
            })
            .collect();
        drop(heap);
        self.wake.notify_one();
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    pub(crate) fn is_current(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Relaxed) == generation
    }

    pub(crate) fn clear(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
        let gone = std::mem::take(&mut *lock(&self.heap)).len();
        self.done(gone);
        self.dropped.store(0, Ordering::Relaxed);
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until nothing is on its way any more; false when the time ran out.
    pub(crate) async fn wait_quiet(&self, timeout: Duration) -> bool {
        tokio::time::timeout(timeout, self.wait_pending(0))
            .await
            .is_ok()
    }

    /// Waits until no more than `pending` are on their way.
    pub(crate) async fn wait_pending(&self, pending: usize) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.pending() <= pending {
                return;
            }
            ended.await;
        }
    }

    async fn run(&self) {
        loop {
            let next = self.hand_out_due();
            match next {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, self.wake.notified()).await;
                }
                None => self.wake.notified().await,
            }
        }
    }

    /// Gives everything that is due to its lane; says when the next parcel will be.
    fn hand_out_due(&self) -> Option<Instant> {
        let mut heap = lock(&self.heap);
        let now = Instant::now();
        while let Some(Reverse(due)) = heap.peek() {
            if due.at > now {
                return Some(due.at);
            }
            let Some(Reverse(due)) = heap.pop() else {
                break;
            };
            if let Some(lane) = self.lanes.get(due.lane) {
                // A lane is closed only when the sim stops.
                let _ = lane.send((due.generation, due.parcel));
            }
        }
        None
    }
}

fn hash(lane: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    lane.hash(&mut hasher);
    hasher.finish()
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}
