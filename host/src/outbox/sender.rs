//! The loop: learns which conversations have an open row, and sends a courier for each that is due.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use duet_rules::backoff;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::courier::{Courier, Ended};
use super::schedule::{Schedule, due_ms};
use super::uploads::Uploads;
use super::waiting::Waiting;
use super::{Barrier, Feed, Outbox};
use crate::graph::Places;
use crate::store::outbox::Head;
use crate::store::{Store, StoreError};

/// Conversations with open rows that are held in memory; the others are read when there is place.
const CONVERSATIONS_MAX: usize = 200_000;
/// Rows or conversations that one read looks up.
const READ_MAX: usize = 2000;
/// The loop looks around at least so often, whatever the wall clock does.
const TICK_MAX: Duration = Duration::from_secs(30);
/// After a trouble with the store.
const STUCK_MS: i64 = 1000;
/// While Meta cannot be reached, everything waits.
const PAUSE_FIRST_MS: u64 = 1000;
const PAUSE_MAX_MS: u64 = 60_000;
/// Requests that are on the way when the gateway stops get so long to be answered.
const DRAIN: Duration = Duration::from_secs(10);

impl<B: Barrier> Outbox<B> {
    /// Sends until `stop` is true, then waits a little for what is on the way.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let Some(store_id) = start(&self.store, &mut stop).await else {
            return;
        };
        let places = Places::new(self.settings.concurrency.max(1));
        let uploads = Uploads::new(
            self.store.clone(),
            self.clients.clone(),
            self.feed.clone(),
            self.settings.clone(),
            self.metrics.clone(),
            stop.clone(),
        );
        let courier = Courier {
            store: self.store.clone(),
            clients: self.clients,
            uploads,
            feed: self.feed.clone(),
            barrier: self.barrier,
            settings: self.settings.clone(),
            metrics: self.metrics,
            places: places.clone(),
            store_id,
            stop: stop.clone(),
        };
        let mut sender = Sender {
            store: self.store,
            feed: self.feed,
            courier: Arc::new(courier),
            places,
            waiting: Waiting::default(),
            concurrency: self.settings.concurrency.max(1),
            hold_ms: self.settings.hold_ms,
            schedule: Schedule::new(CONVERSATIONS_MAX),
            couriers: JoinSet::new(),
            on_the_way: HashMap::new(),
            unread: Unread {
                walk: Some(0),
                ..Unread::default()
            },
            pause: Pause::default(),
        };
        sender.run(&mut stop).await;
    }
}

/// What must hold before the first send: nothing of an earlier process is taken for our own.
async fn start(store: &Store, stop: &mut watch::Receiver<bool>) -> Option<String> {
    loop {
        let begun = async {
            let taken = store.outbox_take_over(crate::now_ms()).await?;
            if taken > 0 {
                tracing::warn!(rows = taken, "sends of an earlier process have no answer");
            }
            store.store_id().await
        };
        match begun.await {
            Ok(store_id) => return Some(store_id),
            Err(StoreError::Stopped) => return None,
            Err(error) => tracing::warn!(%error, "the outbox waits for the store"),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(1000)) => {}
            _ = stop.wait_for(|stop| *stop) => return None,
        }
    }
}

struct Sender<B> {
    store: Store,
    feed: Feed,
    courier: Arc<Courier<B>>,
    places: Places,
    waiting: Waiting,
    concurrency: usize,
    hold_ms: i64,
    schedule: Schedule,
    couriers: JoinSet<Ended>,
    /// Whose conversation a courier has.
    on_the_way: HashMap<Id, i64>,
    unread: Unread,
    pause: Pause,
}

/// What has to be read from the store.
#[derive(Default)]
struct Unread {
    rows: BTreeSet<i64>,
    /// Conversations, and before when their rows are not to be tried.
    conversations: BTreeMap<i64, i64>,
    /// A walk over the whole outbox, after this conversation.
    walk: Option<i64>,
    /// Not before; the store was in trouble.
    at_ms: i64,
}

/// Meta cannot be reached: one pause for all, instead of an attempt for each row.
#[derive(Default)]
struct Pause {
    until_ms: i64,
    failures: u32,
}

impl<B: Barrier> Sender<B> {
    async fn run(&mut self, stop: &mut watch::Receiver<bool>) {
        loop {
            self.read(crate::now_ms()).await;
            self.start_due(crate::now_ms());
            let tick = self.tick(crate::now_ms());
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(back) = self.couriers.join_next_with_id() => self.welcome(back, crate::now_ms()),
                () = self.feed.changed(), if self.can_start(crate::now_ms()) => {}
                () = tokio::time::sleep(tick) => {}
            }
            while let Some(back) = self.couriers.try_join_next_with_id() {
                self.welcome(back, crate::now_ms());
            }
        }
        let answered = async { while self.couriers.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, answered).await.is_err() {
            tracing::warn!(rows = self.couriers.len(), "stopped before Meta answered");
        }
    }

    /// Whether one more courier may leave.
    fn can_start(&self, now_ms: i64) -> bool {
        self.couriers.len() < self.concurrency && now_ms >= self.pause.until_ms
    }

    /// Reads what was told, and goes on with the walk if there is place. What cannot leave yet is not read either.
    async fn read(&mut self, now_ms: i64) {
        if now_ms < self.unread.at_ms || !self.can_start(now_ms) {
            return;
        }
        let told = self
            .feed
            .take(READ_MAX.saturating_sub(self.unread.rows.len()));
        self.unread.rows.extend(told.rows);
        let ready = self.waiting.ready(self.places.taken()).into_iter();
        self.unread.conversations.extend(ready.map(|id| (id, 0)));
        if told.all {
            self.unread.walk = Some(0);
        }
        if let Err(error) = self.read_told().await {
            return self.postpone(now_ms, &error);
        }
        if let Err(error) = self.walk().await {
            self.postpone(now_ms, &error);
        }
    }

    fn postpone(&mut self, now_ms: i64, error: &StoreError) {
        tracing::warn!(%error, "cannot read the outbox");
        self.unread.at_ms = now_ms.saturating_add(STUCK_MS);
    }

    async fn read_told(&mut self) -> Result<(), StoreError> {
        if self.unread.rows.is_empty() && self.unread.conversations.is_empty() {
            return Ok(());
        }
        let rows = self.unread.rows.iter().copied().collect();
        let conversations = self.unread.conversations.keys().copied().collect();
        let heads = self.store.outbox_heads_of(rows, conversations).await?;
        self.unread.rows.clear();
        let floors = std::mem::take(&mut self.unread.conversations);
        for (conversation, head) in heads {
            let floor_ms = floors.get(&conversation).copied().unwrap_or(0);
            self.put(conversation, head, floor_ms);
        }
        Ok(())
    }

    async fn walk(&mut self) -> Result<(), StoreError> {
        let Some(after) = self.unread.walk else {
            return Ok(());
        };
        if self.schedule.is_full() {
            return Ok(());
        }
        let heads = self.store.outbox_heads(after, READ_MAX).await?;
        self.unread.walk = match heads.last() {
            Some(last) if heads.len() == READ_MAX => Some(last.conversation),
            _ => None,
        };
        for head in heads {
            self.put(head.conversation, Some(head), 0);
        }
        Ok(())
    }

    fn put(&mut self, conversation: i64, head: Option<Head>, floor_ms: i64) {
        let due_ms = head
            .map_or(0, |head| due_ms(&head, self.hold_ms))
            .max(floor_ms);
        if let Some(left_out) = self.schedule.put(conversation, head, due_ms) {
            // No place: the walk comes by again.
            let before = left_out.saturating_sub(1);
            self.unread.walk = Some(self.unread.walk.map_or(before, |after| after.min(before)));
        }
    }

    fn start_due(&mut self, now_ms: i64) {
        while self.can_start(now_ms) {
            let Some(head) = self.schedule.start(now_ms) else {
                return;
            };
            let courier = self.courier.clone();
            let task = self.couriers.spawn(async move { courier.go(head).await });
            self.on_the_way.insert(task.id(), head.conversation);
        }
    }

    /// How long nothing can happen by itself.
    fn tick(&self, now_ms: i64) -> Duration {
        if self.couriers.len() >= self.concurrency {
            return TICK_MAX;
        }
        let unread = &self.unread;
        // What was told during a pause is read behind it.
        let to_read = now_ms < self.pause.until_ms
            || self.waiting.is_ready(&self.places.taken())
            || !unread.rows.is_empty()
            || !unread.conversations.is_empty()
            || (unread.walk.is_some() && !self.schedule.is_full());
        let read_ms = to_read.then_some(unread.at_ms);
        let wait_ms = read_ms
            .into_iter()
            .chain(self.schedule.next_due_ms())
            .min()
            .map(|at_ms| at_ms.max(self.pause.until_ms).saturating_sub(now_ms));
        wait_ms.map_or(TICK_MAX, |wait_ms| {
            Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)).min(TICK_MAX)
        })
    }

    fn welcome(&mut self, back: Result<(Id, Ended), JoinError>, now_ms: i64) {
        let (task, ended) = match back {
            Ok((task, ended)) => (task, ended),
            Err(error) => {
                tracing::error!(%error, "a courier fell");
                (error.id(), Ended::Stuck)
            }
        };
        let Some(conversation) = self.on_the_way.remove(&task) else {
            return;
        };
        self.schedule.finish(conversation);
        let floor_ms = match &ended {
            // Read again when its API has a place.
            Ended::Crowded(api) if self.waiting.wait(api, conversation) => return,
            Ended::Stuck | Ended::Crowded(_) => now_ms.saturating_add(STUCK_MS),
            Ended::Reached | Ended::Unreachable | Ended::Uncalled => 0,
        };
        self.unread.conversations.insert(conversation, floor_ms);
        self.pause.learn(&ended, now_ms);
    }
}

impl Pause {
    /// Those who left before the pause began say nothing new.
    fn learn(&mut self, ended: &Ended, now_ms: i64) {
        match ended {
            Ended::Reached => *self = Pause::default(),
            Ended::Unreachable if now_ms >= self.until_ms => {
                self.failures = self.failures.saturating_add(1);
                let delay_ms =
                    backoff::delay_ms(self.failures, PAUSE_FIRST_MS, PAUSE_MAX_MS, crate::random());
                self.until_ms = now_ms.saturating_add(i64::try_from(delay_ms).unwrap_or(i64::MAX));
            }
            Ended::Unreachable | Ended::Uncalled | Ended::Crowded(_) | Ended::Stuck => {}
        }
    }
}
