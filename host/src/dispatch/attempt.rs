//! One attempt: runs the plugin on an event and commits what comes of it, in one piece. A run that the store
//! could not answer, or whose reads no longer hold, is repeated; that is recovery, and no attempt.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use duet_rules::backoff;
use duet_rules::plugins_toml::Retry;
use tokio::sync::MutexGuard;
use tokio::time::Instant;
use tracing::Instrument;

use super::Shared;
use super::breakers::{Passage, WaitsFor};
use super::call::{span, tell};
use super::files::Files;
use super::instance::Loaded;
use super::journal::{Journal, seed};
use super::record::{Draft, Recorder, outcome};
use super::world::StoreWorld;
use crate::effect::Effect;
use crate::event::Event;
use crate::plugin::{Call, Fault, Outcome, Run, World};
use crate::store::StoreError;
use crate::store::kv::Bounds;
use crate::store::lanes::{End, Finish};
use crate::store::runs::Record;

/// A run that never commits because others always change what it reads becomes an attempt that failed.
const CONFLICTS_MAX: u32 = 50;
/// After so many it takes turns with others that fare like it, so that one key that all of them change lets each through.
const CONFLICTS_BESIDE: u32 = 3;
/// Runs that write more to their store commit one after the other, those of one instance at so many bytes a second: whoever
/// commits beside them waits for one of them at most.
const LARGE_BYTES: usize = 64 << 10;
const LARGE_BYTES_PER_SECOND: f64 = 8.0 * 1024.0 * 1024.0;
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How an attempt ended, for the lane and the log.
#[derive(Debug)]
pub(super) enum Ended {
    Done {
        /// When the first of the timers is due that it has set, ms since 1970.
        timer_ms: Option<i64>,
    },
    Dead {
        attempt: u32,
        failure: Failure,
    },
    Retry {
        attempt: u32,
        due_ms: i64,
        failure: Failure,
    },
    /// It goes on when a destination does that is down; the run was no attempt.
    Waits {
        /// Attempts made so far.
        attempts: u32,
        destination: String,
    },
    /// Another process has the lease: this one must not go on.
    LeaseLost,
}

impl Ended {
    /// The trap or broken limit that ended it.
    pub(super) fn fault(&self) -> Option<&Fault> {
        match self.failure() {
            Some(Failure::Fault(fault)) => Some(fault),
            _ => None,
        }
    }

    pub(super) fn failure(&self) -> Option<&Failure> {
        match self {
            Ended::Retry { failure, .. } | Ended::Dead { failure, .. } => Some(failure),
            Ended::Done { .. } | Ended::Waits { .. } | Ended::LeaseLost => None,
        }
    }

    /// Of a canary: whether the live version has to do the event.
    fn is_left(&self) -> bool {
        matches!(self, Ended::Dead { .. }) || self.fault().is_some()
    }
}

/// What became of an event.
pub(super) struct Attempted {
    /// Which version ended it.
    pub(super) by: Arc<Loaded>,
    pub(super) ended: Ended,
    /// The canary that had it before, and why it has left it to the live version.
    pub(super) left: Option<(Arc<Loaded>, Ended)>,
}

/// Why an attempt failed, without the plugin's own words: they may quote a customer.
#[derive(Debug)]
pub(super) enum Failure {
    Rejected,
    /// It asked for another attempt.
    Unready,
    Fault(Fault),
    /// Its effects could not be stored.
    Unstored,
}

impl Failure {
    fn kind(&self) -> &'static str {
        match self {
            Failure::Rejected => "rejected",
            Failure::Unready => "attempts used up",
            Failure::Fault(fault) => fault.kind.as_str(),
            Failure::Unstored => "effects not stored",
        }
    }

    fn own_words(&self) -> Option<&str> {
        match self {
            Failure::Fault(fault) => fault.own_words(),
            _ => None,
        }
    }

    /// In words, without the plugin's own.
    pub(super) fn for_admins(&self) -> String {
        match self.own_words() {
            Some(words) => format!("{}: {words}", self.kind()),
            None => self.kind().to_owned(),
        }
    }
}

/// Runs `event` after `attempts` earlier attempts, until something of it is committed. What the canary cannot do is no
/// attempt of its own: the live version runs it.
#[tracing::instrument(level = "debug", skip_all, fields(instance = live.name(), seq = event.seq))]
pub(super) async fn attempt(
    shared: &Shared,
    canary: Option<Arc<Loaded>>,
    live: Arc<Loaded>,
    event: &Arc<Event>,
    attempts: u32,
) -> Attempted {
    let mut left = None;
    if let Some(canary) = canary {
        let leaves = |ended: Ended| match ended.is_left() {
            true => Err(ended),
            false => Ok(ended),
        };
        match until_committed(shared, &canary, event, attempts, leaves).await {
            Ok(ended) => {
                warn(&canary, event, &ended);
                tell_caller(shared, event, &ended);
                return Attempted {
                    by: canary,
                    ended,
                    left,
                };
            }
            Err(why) => {
                warn_left(&canary, event, &why);
                left = Some((canary, why));
            }
        }
    }
    let Ok(ended) = until_committed(shared, &live, event, attempts, Ok::<_, Infallible>).await;
    warn(&live, event, &ended);
    tell_caller(shared, event, &ended);
    Attempted {
        by: live,
        ended,
        left,
    }
}

/// Whoever called a hook may wait for what came of it.
fn tell_caller(shared: &Shared, event: &Event, ended: &Ended) {
    if matches!(ended, Ended::Done { .. } | Ended::Dead { .. }) {
        shared.hooks.ended(event.seq);
    }
}

fn warn_left(canary: &Loaded, event: &Event, why: &Ended) {
    let failure = why.failure();
    tracing::warn!(
        instance = canary.name(),
        seq = event.seq,
        digest = canary.plugin.digest(),
        cause = failure.map(Failure::kind),
        detail = failure.and_then(Failure::own_words),
        "a canary leaves an event to the live version"
    );
}

/// What an admin has to know: an attempt that faulted, an event that is not tried again.
fn warn(loaded: &Loaded, event: &Event, ended: &Ended) {
    let (instance, seq) = (loaded.name(), event.seq);
    match ended {
        Ended::Dead { attempt, failure } => tracing::warn!(
            instance,
            seq,
            attempt,
            cause = failure.kind(),
            detail = failure.own_words(),
            "an event is a dead letter; /api/v1/dead-letters tells its whole cause"
        ),
        Ended::Retry {
            attempt,
            due_ms,
            failure,
        } if ended.fault().is_some() => tracing::warn!(
            instance,
            seq,
            attempt,
            cause = failure.kind(),
            detail = failure.own_words(),
            again_in_ms = due_ms.saturating_sub(crate::now_ms()),
            "an attempt has faulted"
        ),
        Ended::Retry { .. } | Ended::Done { .. } | Ended::Waits { .. } | Ended::LeaseLost => {}
    }
}

/// `lets` says what may be committed: what it does not let through never was.
async fn until_committed<L>(
    shared: &Shared,
    loaded: &Loaded,
    event: &Arc<Event>,
    attempts: u32,
    lets: impl Fn(Ended) -> Result<Ended, L>,
) -> Result<Ended, L> {
    let (mut pause, mut conflicts, mut _turn) = (PAUSE_FIRST, 0, None);
    while conflicts < CONFLICTS_MAX {
        let now_ms = crate::now_ms();
        let (decision, draft) = match run(shared, loaded, event, attempts + 1, now_ms).await {
            // A pause begins when the run has ended.
            Ok((run, waits_for, draft)) => {
                let decision = decide(run, waits_for, loaded, attempts, crate::now_ms());
                (decision, draft)
            }
            Err(error) => (Decision::Wait(error.to_string()), None),
        };
        let (end, ended) = match decision {
            Decision::Commit(end, ended) => (end, lets(ended)?),
            Decision::Wait(why) => {
                tracing::warn!(
                    instance = loaded.name(),
                    seq = event.seq,
                    why,
                    "a run waits for the store"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
        };
        let record = draft.and_then(|draft| draft.record(&end));
        let tells = match &end {
            End::Done { effects, .. } => effects.iter().any(Effect::makes_events),
            End::Retry { .. } | End::Dead { .. } => false,
        };
        match commit(shared, loaded, event, end, record, now_ms).await {
            Ok(waiting) => {
                crate::failpoint::hit("dispatch.finished");
                (shared.outbox)(&waiting);
                if tells {
                    shared.feed.announce_newest().await;
                }
                return Ok(ended);
            }
            // What it has read no longer holds: once more.
            Err(StoreError::Conflict) => {
                conflicts += 1;
                match conflicts {
                    CONFLICTS_BESIDE => _turn = Some(loaded.turns.contended.lock().await),
                    _ => tokio::task::yield_now().await,
                }
            }
            Err(StoreError::LeaseLost(_) | StoreError::Stopped) => return Ok(Ended::LeaseLost),
            Err(error) => {
                let cause = error.to_string();
                return failed(shared, loaded, event, attempts + 1, &cause, lets).await;
            }
        }
    }
    let cause = "what the run reads is always changed by others";
    failed(shared, loaded, event, attempts + 1, cause, lets).await
}

/// The run, what it has found down, and what may be kept of it.
async fn run(
    shared: &Shared,
    loaded: &Loaded,
    event: &Arc<Event>,
    attempt: u32,
    now_ms: i64,
) -> Result<(Run, Option<WaitsFor>, Option<Draft>), StoreError> {
    let contact = match event.contact {
        Some(id) => shared.store.contact(&event.business, id).await?,
        None => None,
    };
    let passage = Arc::new(Passage::of(loaded));
    let journal = match &loaded.plugin.instance().grants.http {
        Some(_) => {
            let passage = passage.clone();
            Some(Journal::open(shared, loaded, event, attempt, now_ms, passage).await?)
        }
        None => None,
    };
    // The clock of a repeated run is the first one's, for the guest: what is stored and compared goes by the real one.
    let seen_ms = journal.as_ref().map_or(now_ms, Journal::now_ms);
    let kept = loaded.plugin.instance().runs_kept > 0;
    let seed = match &journal {
        Some(journal) => Some(journal.seed()),
        None => kept.then(seed),
    };
    let world = StoreWorld {
        store: shared.store.clone(),
        instance: loaded.name().to_owned(),
        business: loaded.plugin.instance().business.clone(),
        seq: event.seq,
        contact: event.contact,
        is_history: event.history,
        now_ms,
        journal,
        deposits: shared.deposits.clone(),
        files: Files::new(shared.store.media_folder()),
    };
    let (world, recorder): (Arc<dyn World>, _) = match seed.filter(|_| kept) {
        Some(seed) => {
            let recorder = Arc::new(Recorder::new(world, contact.clone()));
            (recorder.clone(), Some((recorder, seed)))
        }
        None => (Arc::new(world), None),
    };
    let call = Call {
        event: event.clone(),
        contact,
        attempt,
        now_ms: seen_ms,
        seed,
        rehearsed: false,
        world,
    };
    let span = span(loaded, event, attempt);
    let run = loaded.plugin.run(call).instrument(span.clone()).await;
    tell(shared, loaded, &span, &run);
    let draft = recorder.map(|(recorder, seed)| Draft {
        recorder,
        outcome: outcome(&run.outcome),
        attempt,
        now_ms: seen_ms,
        seed,
        settings: loaded.settings,
    });
    Ok((run, passage.waits_for(), draft))
}

enum Decision {
    Commit(End, Ended),
    /// The store did not answer: once more, later.
    Wait(String),
}

/// After `attempts` earlier attempts. A run that has failed was none when it waits for something.
fn decide(
    run: Run,
    waits_for: Option<WaitsFor>,
    loaded: &Loaded,
    attempts: u32,
    now_ms: i64,
) -> Decision {
    let attempt = attempts + 1;
    let retry = &loaded.plugin.instance().retry;
    let (cause, seconds, failure) = match run.outcome {
        Outcome::Done => {
            let set = run.effects.iter().filter_map(|effect| match effect {
                Effect::SetTimer { at_ms, .. } => Some(*at_ms),
                _ => None,
            });
            let ended = Ended::Done {
                timer_ms: set.min(),
            };
            let end = End::Done {
                effects: run.effects,
                reads: run.reads,
            };
            return Decision::Commit(end, ended);
        }
        Outcome::Unavailable(why) => return Decision::Wait(why),
        Outcome::Reject(reason) => {
            let end = End::Dead {
                attempts: attempt,
                cause: format!("rejected: {reason}"),
            };
            let failure = Failure::Rejected;
            return Decision::Commit(end, Ended::Dead { attempt, failure });
        }
        Outcome::Retry(seconds) => {
            let asked = "the plugin asked for another attempt";
            let cause = match run.failed_call {
                Some(call) => format!("{asked}; the last of its calls that failed: {call}"),
                None => asked.to_owned(),
            };
            (cause, seconds, Failure::Unready)
        }
        Outcome::Fault(fault) => (fault.to_string(), None, Failure::Fault(fault)),
    };
    if let Some(WaitsFor {
        destination,
        next_ms,
    }) = waits_for
    {
        let end = End::Retry {
            attempt: attempts,
            next_ms,
            cause: format!("{cause}; {destination} is down, and the event waits for it"),
            waits_for: Some(destination.clone()),
        };
        let ended = Ended::Waits {
            attempts,
            destination,
        };
        return Decision::Commit(end, ended);
    }
    again(retry, attempt, now_ms, cause, seconds, failure)
}

/// Another attempt later, or a dead letter after the last one.
fn again(
    retry: &Retry,
    attempt: u32,
    now_ms: i64,
    cause: String,
    seconds: Option<u32>,
    failure: Failure,
) -> Decision {
    if u64::from(attempt) >= retry.attempts {
        let end = End::Dead {
            attempts: attempt,
            cause,
        };
        return Decision::Commit(end, Ended::Dead { attempt, failure });
    }
    let max_ms = retry.max_seconds.saturating_mul(1000);
    let first_ms = retry.first_seconds.saturating_mul(1000);
    let delay_ms = match seconds {
        Some(seconds) => u64::from(seconds).saturating_mul(1000).min(max_ms),
        None => backoff::delay_ms(attempt, first_ms, max_ms, crate::random()),
    };
    let due_ms = now_ms.saturating_add(i64::try_from(delay_ms).unwrap_or(i64::MAX));
    let end = End::Retry {
        attempt,
        next_ms: due_ms,
        cause,
        waits_for: None,
    };
    Decision::Commit(
        end,
        Ended::Retry {
            attempt,
            due_ms,
            failure,
        },
    )
}

/// Commits the end of a run; while the disk refuses, again and again with growing pauses.
async fn commit(
    shared: &Shared,
    loaded: &Loaded,
    event: &Event,
    end: End,
    record: Option<Record>,
    now_ms: i64,
) -> Result<Vec<i64>, StoreError> {
    let _turn = match written_bytes(&end) {
        bytes if bytes > LARGE_BYTES => Some(large_turn(shared, loaded, bytes).await),
        _ => None,
    };
    let grants = &loaded.plugin.instance().grants;
    let finish = Finish {
        epoch: shared.store.epoch(),
        instance: loaded.name().to_owned(),
        digest: loaded.plugin.digest().to_owned(),
        lane: event.lane().to_string(),
        seq: event.seq,
        contact: event.contact,
        now_ms,
        person_ms: shared.person_ms,
        store_max: grants.store.map(|grant| Bounds {
            bytes_max: grant.bytes_max,
            keys_max: grant.keys_max,
        }),
        timers_max: grants.timers.map(|grant| grant.max),
        cases_max: grants.cases.map(|grant| grant.max),
        runs_max: loaded.plugin.instance().runs_kept,
        record,
        end,
    };
    let finish = Arc::new(finish);
    let mut pause = PAUSE_FIRST;
    loop {
        crate::failpoint::hit("dispatch.before_finish");
        match shared.store.finish(finish.clone()).await {
            Err(StoreError::Unavailable(reason)) => {
                tracing::warn!(
                    reason,
                    instance = loaded.name(),
                    "effects wait for the store"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            result => return result,
        }
    }
}

/// Waits until a run of an instance may commit so much; no other run does meanwhile.
async fn large_turn<'a>(
    shared: &'a Shared,
    loaded: &'a Loaded,
    bytes: usize,
) -> (MutexGuard<'a, Option<Instant>>, MutexGuard<'a, ()>) {
    let mut next = loaded.turns.large.lock().await;
    if let Some(next) = *next {
        tokio::time::sleep_until(next).await;
    }
    let turn = shared.large.lock().await;
    let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
    *next = Some(Instant::now() + Duration::from_secs_f64(bytes / LARGE_BYTES_PER_SECOND));
    (next, turn)
}

/// Bytes of values that are written to the store.
fn written_bytes(end: &End) -> usize {
    let effects: &[Effect] = match end {
        End::Done { effects, .. } => effects,
        End::Retry { .. } | End::Dead { .. } => &[],
    };
    let each = effects.iter().map(|effect| match effect {
        Effect::Set { value, .. } => value.len(),
        _ => 0,
    });
    each.sum()
}

/// The effects themselves could not be stored: the attempt has failed.
async fn failed<L>(
    shared: &Shared,
    loaded: &Loaded,
    event: &Event,
    attempt: u32,
    cause: &str,
    lets: impl Fn(Ended) -> Result<Ended, L>,
) -> Result<Ended, L> {
    tracing::error!(
        instance = loaded.name(),
        seq = event.seq,
        cause,
        "the effects could not be stored"
    );
    let now_ms = crate::now_ms();
    let decision = again(
        &loaded.plugin.instance().retry,
        attempt,
        now_ms,
        cause.to_owned(),
        None,
        Failure::Unstored,
    );
    let Decision::Commit(end, ended) = decision else {
        return Ok(Ended::LeaseLost);
    };
    let ended = lets(ended)?;
    Ok(
        match commit(shared, loaded, event, end, None, now_ms).await {
            Ok(_) => ended,
            // Nothing can be stored for this event: the lane waits, and nothing is lost.
            Err(StoreError::LeaseLost(_) | StoreError::Stopped) => Ended::LeaseLost,
            Err(_) => Ended::Retry {
                attempt,
                due_ms: now_ms.saturating_add(60_000),
                failure: Failure::Unstored,
            },
        },
    )
}
