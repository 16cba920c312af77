//! The loop: learns what is open, and fetches what is due as far as there is room.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::Media;
use super::fetch::{Ended, Fetcher};
use super::room::{NoRoom, Reserved, Room};
use crate::graph::{Placed, Places};
use crate::store::StoreError;
use crate::store::media::{Fetch, Skipped};
use crate::telemetry::Throttle;

/// The loop looks around at least so often.
const TICK_MAX: Duration = Duration::from_secs(30);
/// After a trouble with the disk or the store.
const STUCK: Duration = Duration::from_secs(5);

impl Media {
    /// Fetches until `stop` is true; what is on its way then is fetched anew after the next start.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let settings = self.settings;
        let fetcher = Fetcher {
            store: self.store.clone(),
            folder: self.store.media_folder(),
            clients: self.clients.clone(),
            file_bytes_max: settings.file_bytes_max.min(settings.total_bytes_max),
            feed: self.feed.clone(),
            movable: self.movable.clone(),
            metrics: self.metrics.clone(),
        };
        let mut worker = Worker {
            room: self.deposits.room(),
            media: self,
            fetcher: Arc::new(fetcher),
            tasks: JoinSet::new(),
            busy: HashMap::new(),
            places: Places::new(settings.fetches_max),
            not_before: Instant::now(),
            starved: false,
            troubles: Throttle::default(),
            full: Throttle::default(),
        };
        worker.clear(&mut stop).await;
        worker.media.deposits.open();
        worker.work(&mut stop).await;
    }
}

struct Worker {
    media: Media,
    fetcher: Arc<Fetcher>,
    tasks: JoinSet<Ended>,
    /// Whose file a task fetches.
    busy: HashMap<Id, i64>,
    /// Shared with what is handed over.
    room: Room,
    /// A partner's API that hangs holds a share of the tasks.
    places: Places,
    not_before: Instant,
    /// Something is due, and there was no room for it.
    starved: bool,
    troubles: Throttle,
    full: Throttle,
}

impl Worker {
    /// What an earlier process left goes before anything new comes.
    async fn clear(&self, stop: &mut watch::Receiver<bool>) {
        while let Err(error) = self.media.store.sweep_orphans().await {
            tracing::warn!(%error, "the media folder cannot be cleared");
            tokio::select! {
                () = tokio::time::sleep(STUCK) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn work(&mut self, stop: &mut watch::Receiver<bool>) {
        let (bell, room) = (self.media.bell.clone(), self.room.clone());
        while !*stop.borrow() {
            let wait = match self.start_due(crate::now_ms()).await {
                Ok(wait) => wait,
                Err(error) => self.stuck(&error.to_string()),
            };
            let free = self.tasks.len() < self.media.settings.fetches_max;
            let back = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                back = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => back,
                () = bell.notified(), if free => None,
                () = room.freed(), if self.starved => None,
                () = tokio::time::sleep(wait) => None,
            };
            if let Some(back) = back {
                self.welcome(back).await;
            }
        }
    }

    /// Starts what is due. The answer is how long nothing else can begin by itself.
    async fn start_due(&mut self, now_ms: i64) -> Result<Duration, StoreError> {
        let pause = self.not_before.saturating_duration_since(Instant::now());
        if !pause.is_zero() {
            return Ok(pause);
        }
        self.starved = false;
        loop {
            let places = self.media.settings.fetches_max;
            let free = places.saturating_sub(self.tasks.len());
            if free == 0 {
                return Ok(TICK_MAX);
            }
            let mut crowded = false;
            let open = self.media.store.fetches(self.skipped(), free, now_ms);
            for fetch in open.await? {
                let later_ms = u64::try_from(fetch.next_ms.saturating_sub(now_ms)).unwrap_or(0);
                if later_ms > 0 {
                    return Ok(Duration::from_millis(later_ms).min(TICK_MAX));
                }
                let Some(reserved) = self.reserve().await? else {
                    self.starved = true;
                    return Ok(TICK_MAX);
                };
                let client = self.media.clients.of(&fetch.business, &fetch.number);
                match self.places.place(client.as_ref()) {
                    Placed::Full(_) => crowded = true,
                    placed => self.start(fetch, (placed, reserved)),
                }
            }
            // Others stand behind those whose API has just become full.
            if !crowded {
                return Ok(TICK_MAX);
            }
        }
    }

    fn skipped(&self) -> Skipped {
        let taken = self.places.taken();
        Skipped {
            messages: self.busy.values().copied().collect(),
            businesses: self.media.clients.of_apis(|api| taken.is_full(api)),
        }
    }

    /// Room for the largest file, if there is.
    async fn reserve(&self) -> Result<Option<Reserved>, StoreError> {
        let (reserved, full) = match self.room.reserve(self.fetcher.file_bytes_max).await {
            Ok(reserved) => (Some(reserved), None),
            // What is on its way may leave some.
            Err(NoRoom::Coming { .. }) => (None, None),
            Err(NoRoom::Full { kept, bytes_max }) => (None, Some((kept, bytes_max))),
            Err(NoRoom::Store(error)) => return Err(error),
        };
        self.media
            .metrics
            .media_paused
            .set(i64::from(full.is_some()));
        if let Some((kept, total_max)) = full
            && self.full.pass(Instant::now()).is_some()
        {
            tracing::warn!(
                kept,
                total_max,
                "files of messages are not fetched: there is no room; raise media.total_bytes_max, or set retention.media_days"
            );
        }
        Ok(reserved)
    }

    fn start(&mut self, fetch: Fetch, holds: (Placed, Reserved)) {
        let (fetcher, message) = (self.fetcher.clone(), fetch.message);
        let task = self.tasks.spawn(async move {
            let ended = fetcher.go(fetch).await;
            drop(holds);
            ended
        });
        self.busy.insert(task.id(), message);
    }

    async fn welcome(&mut self, back: Result<(Id, Ended), JoinError>) {
        let (task, ended) = match back {
            Ok((task, ended)) => (task, ended),
            Err(error) => (error.id(), Ended::Stuck(error.to_string())),
        };
        self.busy.remove(&task);
        match ended {
            Ended::Stored => self.media.metrics.media("stored"),
            Ended::Waits => self.media.metrics.media("token"),
            Ended::Not {
                outcome,
                end,
                cause,
            } => {
                self.media.metrics.media(outcome);
                if let Some(state) = end {
                    self.media.metrics.media_given_up(state);
                }
                if let Some(count) = self.troubles.pass(Instant::now()) {
                    tracing::warn!(count, cause, end, "files of messages were not fetched");
                }
            }
            Ended::Unwanted => {
                if let Err(error) = self.media.store.sweep_media().await {
                    self.stuck(&error.to_string());
                }
            }
            Ended::Stuck(cause) => {
                self.media.metrics.media("stuck");
                self.stuck(&cause);
            }
        }
    }

    /// Everything waits a little.
    fn stuck(&mut self, cause: &str) -> Duration {
        self.not_before = Instant::now() + STUCK;
        if let Some(count) = self.full.pass(Instant::now()) {
            tracing::warn!(count, cause, "files of messages cannot be kept now");
        }
        STUCK
    }
}
