//! One instance at work: scans the events, keeps its lanes, runs what may run, and remembers its place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use duet_rules::breaker::Standing;
use duet_rules::plugins_toml::{Instance, Pattern, StartFrom};
use duet_rules::quarantine::{Change, Quarantine};
use ring::digest::{SHA256, digest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Shared;
use super::attempt::{Attempted, Ended, attempt};
use super::canary::{Canary, Trials, withdraw};
use super::clock::Clock;
use super::lanes::{Item, Lanes};
use super::status::{CanaryCounts, Counts, Quarantined, State, Status, Waiting};
use super::subscription::Subscription;
use crate::event::{Event, Lane};
use crate::plugin::{Fault, Handler};
use crate::store::StoreError;
use crate::store::lanes::From;
use crate::telemetry::tell_alarms;

/// Events read at once.
const SCAN: usize = 512;
/// How often the watermark is written.
const ADVANCE_EVERY: Duration = Duration::from_millis(500);
/// An event that nobody told of is found after so long: whoever made it may have gone before they could.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(500);

/// A plugin with what belongs to its instance.
pub(super) struct Loaded {
    pub(super) plugin: Arc<dyn Handler>,
    /// SHA-256 of its settings.
    pub(super) settings: [u8; 32],
    pub(super) subscription: Subscription,
    pub(super) status: Arc<Status>,
    /// Of a canary: what it alone has done.
    pub(super) canary: Option<Arc<CanaryCounts>>,
    pub(super) turns: Arc<Turns>,
}

/// What runs of an instance do one after the other, whatever their version.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Whose turn it is among those that keep changing what the others read.
    pub(super) contended: tokio::sync::Mutex<()>,
    /// When the next one may store much.
    pub(super) large: tokio::sync::Mutex<Option<tokio::time::Instant>>,
}

/// The version that is live, and the one that has a share of the conversations.
pub(super) struct Versions {
    pub(super) live: Arc<Loaded>,
    pub(super) canary: Option<Arc<Canary>>,
}

impl Loaded {
    /// `wanted` are the kinds that the plugin asks for.
    pub(super) fn new(
        plugin: Arc<dyn Handler>,
        wanted: &[Pattern],
        status: Arc<Status>,
        turns: Arc<Turns>,
    ) -> Loaded {
        Loaded {
            settings: settings_digest(plugin.instance()),
            subscription: Subscription::new(plugin.instance(), wanted),
            plugin,
            status,
            canary: None,
            turns,
        }
    }

    /// Where its runs are counted.
    pub(super) fn counts(&self) -> impl Iterator<Item = &Counts> {
        let canary = self.canary.iter().map(|canary| &canary.counts);
        std::iter::once(&self.status.counts).chain(canary)
    }

    pub(super) fn name(&self) -> &str {
        &self.plugin.instance().name
    }
}

/// SHA-256 of an instance's settings.
pub(super) fn settings_digest(instance: &Instance) -> [u8; 32] {
    let digest = digest(&SHA256, instance.settings.to_string().as_bytes());
    digest.as_ref().try_into().unwrap_or_default()
}

/// What an instance is told while it works.
pub(super) enum Command {
    /// From the next event on, these are the plugin.
    Swap(Versions),
    /// An event from the dead letters, to be tried again.
    Redrive(i64),
    /// Ends after what runs now.
    Stop,
}

/// Works until told to stop; what runs then still ends and commits.
pub(super) async fn work(
    shared: Arc<Shared>,
    versions: Versions,
    now: From,
    commands: mpsc::Receiver<Command>,
) {
    let loaded = versions.live.clone();
    match Worker::start(&shared, versions, now, commands).await {
        Ok(worker) => worker.run().await,
        Err(error) => {
            tracing::error!(%error, instance = loaded.name(), "an instance cannot start");
            loaded.status.stand(|standing| {
                standing.state = State::Rejected;
                standing.cause = Some(error.to_string());
            });
        }
    }
}

/// A run that has ended.
struct Run {
    lane: Lane,
    seq: i64,
    attempted: Attempted,
}

struct Worker {
    shared: Arc<Shared>,
    /// The version that is live.
    loaded: Arc<Loaded>,
    trials: Trials,
    commands: mpsc::Receiver<Command>,
    lanes: Lanes,
    clock: Clock,
    quarantine: Quarantine,
    /// What its standing says that events wait for.
    waiting: Vec<Waiting>,
    running: JoinSet<Run>,
    advanced: i64,
    /// What the feed's newest was when there was nothing more to read.
    read_until: Option<i64>,
    stopping: bool,
}

impl Worker {
    async fn start(
        shared: &Arc<Shared>,
        versions: Versions,
        now: From,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Worker, StoreError> {
        let loaded = versions.live;
        let from = match loaded.plugin.instance().from {
            StartFrom::Now => now,
            StartFrom::Beginning => From::After(0),
            StartFrom::Seq(seq) => {
                From::After(i64::try_from(seq).unwrap_or(i64::MAX).saturating_sub(1))
            }
        };
        let place = loop {
            let business = loaded.plugin.instance().business.clone();
            match shared
                .store
                .place(loaded.name().to_owned(), business, from)
                .await
            {
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
                place => break place?,
            }
        };
        for delivery in &place.deliveries {
            if let Some(destination) = &delivery.destination {
                let breakers = &loaded.status.breakers;
                breakers.resume(destination, delivery.next_ms);
            }
        }
        loaded.status.stand(|standing| standing.waiting.clear());
        let (redriven, retries): (Vec<_>, Vec<_>) = place
            .deliveries
            .into_iter()
            .partition(|delivery| delivery.redriven);
        let retries: BTreeMap<_, _> = retries
            .into_iter()
            .map(|delivery| (delivery.seq, delivery))
            .collect();
        let mut worker = Worker {
            shared: shared.clone(),
            clock: Clock::new(&loaded),
            loaded,
            trials: Trials::of(versions.canary),
            commands,
            lanes: Lanes::new(place.watermark, place.lanes, retries),
            quarantine: Quarantine::default(),
            waiting: Vec::new(),
            running: JoinSet::new(),
            advanced: place.watermark,
            read_until: None,
            stopping: false,
        };
        worker.release().await;
        worker.trim_runs().await;
        for delivery in redriven {
            worker.redrive(delivery.seq).await;
        }
        Ok(worker)
    }

    async fn run(mut self) {
        let newest = self.shared.feed.newest();
        let mut advance = tokio::time::interval(ADVANCE_EVERY);
        let mut look = tokio::time::interval(LOOK_EVERY);
        while !(self.stopping && self.running.is_empty()) {
            if !self.stopping {
                self.clock.ring(&self.shared, &self.loaded).await;
            }
            let seen = newest.get();
            let mut more = false;
            if !self.stopping {
                self.lanes.wake(crate::now_ms());
                self.let_go();
                more = self.scan(seen).await;
                self.start_runs().await;
            }
            let due_ms = self.next_due();
            tokio::select! {
                biased;
                Some(ended) = self.running.join_next() => self.ended(ended).await,
                command = self.commands.recv() => self.told(command).await,
                _ = advance.tick() => self.advance().await,
                _ = look.tick() => self.read_until = None,
                () = std::future::ready(()), if more => tokio::task::yield_now().await,
                _ = newest.beyond(seen) => {}
                () = until(due_ms) => {}
            }
            while let Some(ended) = self.running.try_join_next() {
                self.ended(ended).await;
            }
        }
        self.advance().await;
        if self.loaded.status.standing().quarantine.is_some() {
            self.release().await;
        }
    }

    async fn told(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Swap(Versions { live, canary })) => {
                self.trials.swap(canary);
                if Arc::ptr_eq(&live, &self.loaded) {
                    return;
                }
                self.clock = Clock::new(&live);
                self.loaded = live;
                self.quarantine = Quarantine::default();
                self.loaded.status.breakers.hurry();
                self.release().await;
                self.trim_runs().await;
            }
            Some(Command::Redrive(seq)) => self.redrive(seq).await,
            Some(Command::Stop) | None => self.stopping = true,
        }
    }

    /// Fills the lanes with the next batch of what has happened since; true if there may be more. `newest` is what the
    /// feed says.
    async fn scan(&mut self, newest: i64) -> bool {
        let wanted = SCAN.min(self.lanes.room());
        if wanted == 0 || self.read_until == Some(newest) {
            return false;
        }
        let events = match self.shared.feed.after(self.lanes.scanned(), wanted).await {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(%error, instance = self.loaded.name(), "cannot read events");
                tokio::time::sleep(PAUSE).await;
                return true;
            }
        };
        let more = !events.is_empty();
        self.read_until = (!more).then_some(newest);
        for event in events {
            let canary = self.trials.of_event(&event);
            let version = canary.as_ref().unwrap_or(&self.loaded);
            let wanted = version.subscription.wants(&event);
            self.lanes.offer(event, wanted);
        }
        more
    }

    /// Lanes go on whose destination answers again; of those whose destination may be tried one does.
    fn let_go(&mut self) {
        let breakers = &self.loaded.status.breakers;
        let held: Vec<_> = self.lanes.held().cloned().collect();
        let mut waiting = Vec::new();
        for destination in &held {
            match breakers.standing(destination) {
                Standing::Well => self.lanes.release(destination),
                Standing::Due => self.lanes.try_one(destination),
                Standing::Tried | Standing::Paused => {}
            }
            waiting.extend(breakers.waiting(destination));
        }
        if waiting != self.waiting {
            self.waiting.clone_from(&waiting);
            self.loaded
                .status
                .stand(|standing| standing.waiting = waiting);
        }
    }

    async fn start_runs(&mut self) {
        let parallel = usize::try_from(self.loaded.plugin.instance().parallel).unwrap_or(1);
        while self.running.len() < parallel
            && self
                .quarantine
                .lets_run(self.running.len(), crate::now_ms())
            && let Some((lane, item)) = self.lanes.next(parallel)
        {
            match self.event(&item).await {
                Ok(Some(event)) => self.spawn(lane, event, item.attempt),
                // Erased meanwhile: nothing is left to be done.
                Ok(None) => self.lanes.done(&lane),
                Err(error) => {
                    tracing::warn!(%error, instance = self.loaded.name(), "cannot read an event");
                    self.lanes
                        .retry(&lane, item.attempt, crate::now_ms().saturating_add(1000));
                }
            }
        }
        self.loaded.status.set_depth(self.lanes.depth());
    }

    async fn event(&self, item: &Item) -> Result<Option<Arc<Event>>, StoreError> {
        match &item.event {
            Some(event) => Ok(Some(event.clone())),
            None => self.shared.feed.get(item.seq).await,
        }
    }

    fn spawn(&mut self, lane: Lane, event: Arc<Event>, attempts: u32) {
        let shared = self.shared.clone();
        let (canary, live) = (self.trials.of_event(&event), self.loaded.clone());
        self.quarantine.begun();
        self.running.spawn(async move {
            let attempted = attempt(&shared, canary, live, &event, attempts).await;
            let seq = event.seq;
            Run {
                lane,
                seq,
                attempted,
            }
        });
    }

    async fn ended(&mut self, run: Result<Run, tokio::task::JoinError>) {
        let Run {
            lane,
            seq,
            attempted,
        } = match run {
            Ok(run) => run,
            Err(error) => {
                // The lane stays taken until a restart; that is safer than an event handled twice.
                tracing::error!(%error, instance = self.loaded.name(), "an attempt broke off");
                return;
            }
        };
        attempted.count();
        if let Some((canary, cause)) = self.trials.ended(seq, &attempted) {
            let withdrawn = withdraw(&self.shared.store, &canary, cause).await;
            if let Err(error) = withdrawn {
                tracing::warn!(%error, instance = canary.name(), "a canary that was withdrawn may come back with a restart");
            }
        }
        let Attempted { by, ended, .. } = attempted;
        // What was replaced meanwhile says nothing of the new one, a canary nothing of the live version, and what waits
        // nothing at all.
        if Arc::ptr_eq(&by, &self.loaded) && !matches!(ended, Ended::Waits { .. }) {
            self.judge(seq, &ended).await;
        }
        match ended {
            Ended::Done { timer_ms } => {
                if let Some(at_ms) = timer_ms {
                    self.clock.set(at_ms);
                }
                self.lanes.done(&lane);
            }
            Ended::Dead { .. } => self.lanes.done(&lane),
            Ended::Retry {
                attempt, due_ms, ..
            } => self.lanes.retry(&lane, attempt, due_ms),
            Ended::Waits {
                attempts,
                destination,
            } => self.lanes.hold(&lane, attempts, destination),
            Ended::LeaseLost => self.stopping = true,
        }
    }

    /// Whether it is left alone from now on, or no longer.
    async fn judge(&mut self, seq: i64, ended: &Ended) {
        let fault = ended.fault();
        let terms = &self.loaded.plugin.instance().quarantine;
        let now_ms = crate::now_ms();
        let faulted = fault.is_some();
        let change = self
            .quarantine
            .ended(terms, seq, faulted, now_ms, crate::random());
        match change {
            None => {}
            Some(Change::Begun { until_ms }) => {
                let cause = fault.map(Fault::for_admins).unwrap_or_default();
                self.leave_alone(Quarantined { until_ms, cause }).await;
            }
            Some(Change::Over) => {
                tracing::info!(
                    instance = self.loaded.name(),
                    "a plugin has its events again"
                );
                self.release().await;
            }
        }
    }

    async fn leave_alone(&self, quarantine: Quarantined) {
        let instance = self.loaded.plugin.instance();
        let raised = self.shared.store.plugin_quarantined(
            instance.business.clone(),
            instance.name.clone(),
            &quarantine.cause,
            crate::now_ms(),
        );
        match raised.await {
            Ok(raised) => tell_alarms(&self.shared.metrics, raised.as_slice()),
            Err(error) => {
                tracing::warn!(%error, instance = instance.name, "an alarm cannot be raised");
            }
        }
        self.loaded
            .status
            .stand(|standing| standing.quarantine = Some(quarantine));
    }

    async fn release(&self) {
        self.loaded
            .status
            .stand(|standing| standing.quarantine = None);
        let instance = self.loaded.name();
        let settled = self
            .shared
            .store
            .plugin_released(instance.to_owned(), crate::now_ms());
        if let Err(error) = settled.await {
            tracing::warn!(%error, instance, "an alarm stays open that has lost its reason");
        }
    }

    /// Fewer may be kept than before.
    async fn trim_runs(&self) {
        let instance = self.loaded.plugin.instance();
        let store = &self.shared.store;
        let trimmed = store.trim_runs(instance.name.clone(), instance.runs_kept);
        if let Err(error) = trimmed.await {
            tracing::warn!(%error, instance = instance.name, "more runs are kept than runs_kept says");
        }
    }

    /// When the clock rings, and a lane is due, or an event may be tried in quarantine or after a pause.
    fn next_due(&self) -> Option<i64> {
        let now_ms = crate::now_ms();
        let tried_ms = self.quarantine.due_ms(now_ms);
        let lane_ms = tried_ms.or_else(|| self.lanes.next_due());
        let pauses = self.waiting.iter().map(|waiting| waiting.until_ms);
        let paused_ms = pauses.filter(|until_ms| *until_ms > now_ms).min();
        [lane_ms, paused_ms, self.clock.due_ms()]
            .into_iter()
            .flatten()
            .min()
    }

    async fn redrive(&mut self, seq: i64) {
        match self.shared.feed.get(seq).await {
            Ok(Some(event)) => self.lanes.redrive(event),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, seq, "a dead letter waits for the next start"),
        }
    }

    async fn advance(&mut self) {
        let watermark = self.lanes.watermark();
        if watermark > self.advanced {
            match self
                .shared
                .store
                .advance(self.loaded.name().to_owned(), watermark)
                .await
            {
                Ok(()) => self.advanced = watermark,
                Err(error) => tracing::debug!(%error, "the watermark is written later"),
            }
        }
    }
}

/// Sleeps until a time in ms since 1970; for ever without one.
async fn until(due_ms: Option<i64>) {
    match due_ms {
        Some(due_ms) => {
            let wait_ms = u64::try_from(due_ms.saturating_sub(crate::now_ms())).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
        None => std::future::pending().await,
    }
}
