//! The calls of one run: those that an earlier run has had answered are not made again, the others are on disk before
//! they leave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use duet_rules::journal::{Next, Replay, idempotency_key};
use futures_util::future::try_join_all;

use super::Shared;
use super::breakers::Passage;
use super::instance::Loaded;
use crate::event::Event;
use crate::outbound::{Answered, Files, Outgoing};
use crate::plugin::Unavailable;
use crate::store::journal::{Begun, Circumstances, Past, Run};
use crate::store::{Store, StoreError};

pub(super) struct Journal {
    store: Store,
    /// Of the event, the same for ever.
    event_id: String,
    run: Arc<Run>,
    circumstances: Arc<Circumstances>,
    replay: Mutex<Replay<Answered>>,
    passage: Arc<Passage>,
}

impl Journal {
    /// For a run that begins now, of a plugin that may call. One that repeats an earlier run sees that one's time and
    /// chance.
    pub(super) async fn open(
        shared: &Shared,
        loaded: &Loaded,
        event: &Event,
        attempt: u32,
        now_ms: i64,
        passage: Arc<Passage>,
    ) -> Result<Journal, StoreError> {
        let instance = loaded.plugin.instance();
        let now = Circumstances {
            now_ms,
            seed: seed(),
            digest: loaded.plugin.digest().to_owned(),
            settings: loaded.settings,
        };
        let run = Run {
            instance: instance.name.clone(),
            seq: event.seq,
            attempt,
            epoch: shared.store.epoch(),
        };
        let past = shared.store.past_calls(&run.instance, run.seq).await?;
        let (circumstances, replay) = place(attempt, now, past);
        Ok(Journal {
            store: shared.store.clone(),
            event_id: event.id.clone(),
            run: Arc::new(run),
            circumstances: Arc::new(circumstances),
            replay: Mutex::new(replay),
            passage,
        })
    }

    /// What the run sees as now, ms since 1970.
    pub(super) fn now_ms(&self) -> i64 {
        self.circumstances.now_ms
    }

    /// What the run sees as chance.
    pub(super) fn seed(&self) -> [u8; 16] {
        self.circumstances.seed
    }

    /// The answers, in the order of the calls.
    pub(super) async fn call(&self, calls: Vec<Outgoing>) -> Result<Vec<Answered>, Unavailable> {
        let (next, begun, forgotten) = self.look_up(&calls);
        if !begun.is_empty() {
            let (run, circumstances) = (self.run.clone(), self.circumstances.clone());
            let kept = self.store.begin_calls(run, circumstances, begun, forgotten);
            kept.await.map_err(untold)?;
        }
        let each = calls.iter().zip(next);
        try_join_all(each.map(|(call, next)| self.answer(call, next))).await
    }

    fn look_up(&self, calls: &[Outgoing]) -> (Vec<Next<Answered>>, Vec<Begun>, Vec<i64>) {
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        let ask = |call: &Outgoing| replay.next(call.hash(), call.request().method.is_safe());
        let next: Vec<_> = calls.iter().map(ask).collect();
        let made = calls
            .iter()
            .zip(&next)
            .filter_map(|(call, next)| match next {
                Next::Make { occurrence } => Some(begun(call, *occurrence)),
                Next::Replay(_) => None,
            });
        let begun = made.collect();
        if replay.take_diverged() {
            let Run {
                instance,
                seq,
                attempt,
                ..
            } = &*self.run;
            tracing::warn!(
                instance,
                seq,
                attempt,
                "a run calls otherwise than one before it, or is another plugin or has other settings; it goes on live"
            );
        }
        (next, begun, replay.take_forgotten())
    }

    async fn answer(&self, call: &Outgoing, next: Next<Answered>) -> Result<Answered, Unavailable> {
        let occurrence = match next {
            Next::Replay(answered) => {
                self.passage.repeat(call, &answered);
                return Ok(answered);
            }
            Next::Make { occurrence } => occurrence,
        };
        let begun = begun(call, occurrence);
        let request = call.request();
        let key = (!begun.safe).then(|| {
            let own = request.idempotency_key.as_deref();
            let Run { instance, .. } = &*self.run;
            idempotency_key(&self.event_id, instance, &begun.request, occurrence, own)
        });
        crate::failpoint::hit("journal.before_call");
        let folder = self.store.media_folder();
        let files: Files = Arc::new(move |digest| folder.open(digest));
        let answered = self.passage.make(call, key.as_deref(), &files).await;
        crate::failpoint::hit("journal.answered_before_commit");
        let kept = self
            .store
            .answer_call(self.run.clone(), begun, answered.clone());
        kept.await.map_err(untold)?;
        crate::failpoint::hit("journal.answer_kept");
        Ok(answered)
    }
}

/// What a run that begins `now` repeats of the `past`, and what it sees.
fn place(attempt: u32, now: Circumstances, past: Past) -> (Circumstances, Replay<Answered>) {
    let Past {
        attempts,
        mut entries,
    } = past;
    let same = |then: &Circumstances| then.digest == now.digest && then.settings == now.settings;
    let alike: BTreeMap<_, _> = attempts
        .into_iter()
        .filter(|(_, then)| same(then))
        .collect();
    for entry in &mut entries {
        entry.same = alike.contains_key(&entry.attempt);
    }
    let seen = alike.get(&attempt).cloned().unwrap_or(now);
    (seen, Replay::new(attempt, entries))
}

fn begun(call: &Outgoing, occurrence: u32) -> Begun {
    Begun {
        request: call.hash(),
        occurrence,
        safe: call.request().method.is_safe(),
    }
}

/// What a run sees as chance.
pub(super) fn seed() -> [u8; 16] {
    let mut seed = [0; 16];
    let halves = [crate::random(), crate::random()];
    for (byte, drawn) in seed
        .iter_mut()
        .zip(halves.iter().flat_map(|half| half.to_be_bytes()))
    {
        *byte = drawn;
    }
    seed
}

fn untold(error: StoreError) -> Unavailable {
    Unavailable(error.to_string())
}
