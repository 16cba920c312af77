//! One run: one event, a fresh store, an outcome. Whatever goes wrong stays inside.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use duet_rules::hooks::{self, Mode};
use duet_rules::plugins_toml::Limits;
use futures_util::FutureExt;
use wasmtime::{Store, UpdateDeadline};

use super::Plugin;
use super::bindings::duet::plugin::types;
use super::bindings::exports::duet::plugin::on_hook::Response;
use super::fault::{Fault, FaultKind, Stop, Teller, shortened};
use super::guest_log::Level;
use super::linked::Linked;
use super::log_book::Source;
use super::meter::{BudgetSpent, Metered};
use super::running::Running;
use super::world::{Nowhere, World};
use crate::effect::{Answer, Effect, Reads};
use crate::event::{ContactView, Event};

/// Bytes that a guest may hand over in one host call beyond what it may write to its store, put into calls, or bring
/// along as a file.
const TRANSFER_BYTES_SPARE: usize = 1024 * 1024;

/// Handles of resources that a guest may own at once.
const COMPONENT_HANDLES_MAX: usize = 1024;

/// One event for one plugin.
pub struct Call {
    pub event: Arc<Event>,
    pub contact: Option<ContactView>,
    /// 1 on the first try.
    pub attempt: u32,
    /// What the guest sees as now, ms since 1970.
    pub now_ms: i64,
    /// What it sees as chance where no secret depends on it, such as the order of a map; WASI's own if absent.
    pub seed: Option<[u8; 16]>,
    /// Whether it is only to be seen what would come of it: what the plugin writes to its log is kept nowhere.
    pub rehearsed: bool,
    pub world: Arc<dyn World>,
}

/// What became of a call.
#[derive(Debug)]
pub struct Run {
    pub outcome: Outcome,
    /// Empty unless the outcome is [`Outcome::Done`].
    pub effects: Vec<Effect>,
    /// Must still hold when the effects commit.
    pub reads: Reads,
    pub cpu_us: u64,
    /// From the guest's start; waiting for a place is not in it.
    pub wall_us: u64,
    pub memory_peak_bytes: u64,
    pub host_calls: u64,
    /// Among them, those to outside systems.
    pub http_calls: u64,
    /// The last of those that failed: method, where to, and the error's code. Nothing of it is a customer's.
    pub failed_call: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Seconds to wait, or the gateway's backoff.
    Retry(Option<u32>),
    Reject(String),
    Fault(Fault),
    /// What the guest asked for could not be read. Not the plugin's doing and no attempt: repeat it.
    Unavailable(String),
}

impl Outcome {
    /// The word in metrics and spans: `done`, `retry`, `reject`, `unavailable`, or `fault.` and its kind.
    pub fn word(&self) -> Cow<'static, str> {
        match self {
            Outcome::Done => "done".into(),
            Outcome::Retry(_) => "retry".into(),
            Outcome::Reject(_) => "reject".into(),
            Outcome::Fault(fault) => format!("fault.{}", fault.kind.as_str()).into(),
            Outcome::Unavailable(_) => "unavailable".into(),
        }
    }
}

impl Plugin {
    /// Handles one event, where it is called; the wait for a place comes before its time begins. Dropping the
    /// future stops the run.
    pub async fn run(&self, call: Call) -> Run {
        let source = Source {
            event: &call.event.id,
            contact: call.event.contact,
        };
        let world = Arc::clone(&call.world);
        let store = self.new_store(world, source, call.now_ms, call.seed, call.rehearsed);
        let task = if self.answers(&call.event) {
            Task::Answer(seen_event(call))
        } else {
            Task::Handle(seen_event(call))
        };
        self.carry_out(store, task).await
    }

    /// Brings up an instance and asks nothing of it.
    ///
    /// # Errors
    /// The trap or broken limit in which that ends.
    pub(super) async fn dry_run(&self) -> Result<(), Fault> {
        let source = Source {
            event: "",
            contact: None,
        };
        let store = self.new_store(Arc::new(Nowhere), source, crate::now_ms(), None, true);
        match self.carry_out(store, Task::Begin).await.outcome {
            Outcome::Fault(fault) => Err(fault),
            // What it asks for at an event may not be there yet.
            _ => Ok(()),
        }
    }

    async fn carry_out(&self, store: Store<Running>, task: Task) -> Run {
        let _place = self.threads.place(&self.share).await;
        let run = AssertUnwindSafe(self.run_here(store, task)).catch_unwind();
        run.await.unwrap_or_else(|_| {
            // The panic hook has logged what and where.
            Run::nothing(Outcome::Fault(Fault {
                kind: FaultKind::Panic,
                message: "the gateway panicked in a host function".to_owned(),
            }))
        })
    }

    async fn run_here(&self, store: Store<Running>, task: Task) -> Run {
        let limits = &self.facts.limits;
        let log = Arc::clone(&store.data().log);
        let cpu_us = Arc::new(AtomicU64::new(0));
        let started = Instant::now();

        let guest = guest(
            Arc::clone(&self.linked),
            store,
            task,
            *limits,
            Arc::clone(&cpu_us),
        );
        let driven = self.threads.drive(Box::pin(guest), &cpu_us, &self.habit);
        let Some((ended, running)) = driven.await else {
            return Run::nothing(Outcome::Unavailable("the gateway is ending".to_owned()));
        };

        let wall_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let teller = Teller {
            instance: &self.facts.name,
            limits,
        };
        let mut answer = None;
        let outcome = match ended {
            Err(_) => Outcome::Fault(teller.wall()),
            Ok(Err(BudgetSpent)) => Outcome::Fault(teller.cpu()),
            Ok(Ok(Ok(Ok(None)))) => Outcome::Done,
            Ok(Ok(Ok(Ok(Some(response))))) => match given(response) {
                Ok(given) => {
                    answer = Some(Effect::Answer(given));
                    Outcome::Done
                }
                Err(reason) => Outcome::Reject(shortened(reason)),
            },
            Ok(Ok(Ok(Err(types::Failure::Retry(seconds))))) => Outcome::Retry(seconds),
            Ok(Ok(Ok(Err(types::Failure::Reject(reason))))) => Outcome::Reject(shortened(reason)),
            Ok(Ok(Err(error))) => match error.downcast_ref::<Stop>() {
                Some(Stop::Unavailable(why)) => Outcome::Unavailable(why.clone()),
                Some(stop) => Outcome::Fault(teller.stop(stop)),
                None => {
                    // The author finds the names of the functions in the plugin's log.
                    log.write(Level::Error, &format!("{error:?}"));
                    Outcome::Fault(teller.trap(&error, &log.last_words()))
                }
            },
        };
        let memory_peak_bytes = u64::try_from(running.memory.bytes_peak).unwrap_or(u64::MAX);
        let (host_calls, http_calls) = (running.host_calls, running.http_calls);
        let failed_call = running.failed_call;
        let (mut effects, reads) = running.buffer.into_parts();
        if outcome == Outcome::Done {
            effects.extend(answer);
        } else {
            effects.clear();
        }
        Run {
            outcome,
            effects,
            reads,
            cpu_us: cpu_us.load(Ordering::Relaxed),
            wall_us,
            memory_peak_bytes,
            host_calls,
            http_calls,
            failed_call,
        }
    }

    /// Whether the event is a call of a hook that the plugin answers.
    fn answers(&self, event: &Event) -> bool {
        let path = event.kind.strip_prefix(hooks::KIND);
        let path = path.filter(|_| event.instance.is_some());
        let mut hooks = self.manifest.hooks.iter();
        hooks.any(|hook| hook.mode == Mode::Answer && Some(hook.path.as_str()) == path)
    }

    fn new_store(
        &self,
        world: Arc<dyn World>,
        source: Source<'_>,
        now_ms: i64,
        seed: Option<[u8; 16]>,
        rehearsed: bool,
    ) -> Store<Running> {
        let facts = Arc::clone(&self.facts);
        let running = Running::new(facts, world, source, now_ms, seed, rehearsed);
        let mut store = Store::new(self.linked.engine(), running);
        store.limiter(|running| &mut running.memory);
        store.set_hostcall_fuel(self.transfer_bytes_max());
        store.set_max_component_handles(COMPONENT_HANDLES_MAX);
        // At each tick the thread goes to another run; the meter decides whether this one may go on.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| {
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(tokio::task::yield_now()),
            ))
        });
        store
    }

    fn transfer_bytes_max(&self) -> usize {
        let limits = &self.facts.limits;
        let http = self.facts.egress.as_ref();
        let http = http.map_or(0, |_| limits.http_request_bytes_max);
        let media = self.facts.media.filter(|grant| grant.keep);
        let media = media.map_or(0, |grant| grant.bytes_max);
        usize::try_from(limits.store_bytes_max.max(http).max(media))
            .unwrap_or(usize::MAX)
            .saturating_add(TRANSFER_BYTES_SPARE)
    }
}

impl Run {
    /// Of a guest of which nothing is left.
    fn nothing(outcome: Outcome) -> Run {
        Run {
            outcome,
            effects: Vec::new(),
            reads: Reads::default(),
            cpu_us: 0,
            wall_us: 0,
            memory_peak_bytes: 0,
            host_calls: 0,
            http_calls: 0,
            failed_call: None,
        }
    }
}

/// A plugin's answer, if it is one that can be given.
fn given(response: Response) -> Result<Answer, String> {
    let answer = Answer {
        status: response.status,
        headers: response.headers,
        body: response.body,
    };
    hooks::check_answer(&answer).map(|()| answer)
}

/// What is asked of a fresh instance.
enum Task {
    /// That it comes up.
    Begin,
    Handle(types::Event),
    /// To answer the call of a hook that the event is.
    Answer(types::Event),
}

/// How a guest ended: in time, within its CPU, without a trap, well, and with an answer to a hook's call.
type Ended = Result<
    Result<wasmtime::Result<Result<Option<Response>, types::Failure>>, BudgetSpent>,
    tokio::time::error::Elapsed,
>;

/// Gives the guest its task and its time. It holds all that it needs, so that it can go
/// on on another thread.
async fn guest(
    linked: Arc<Linked>,
    mut store: Store<Running>,
    task: Task,
    limits: Limits,
    cpu_us: Arc<AtomicU64>,
) -> (Ended, Running) {
    let guest = async {
        match &task {
            Task::Begin => linked.begin(&mut store).await.map(|()| Ok(None)),
            Task::Handle(event) => {
                let handled = linked.call(&mut store, event).await?;
                Ok(handled.map(|()| None))
            }
            Task::Answer(event) => {
                let answered = linked.answer(&mut store, event).await?;
                Ok(answered.map(Some))
            }
        }
    };
    let metered = Metered::new(guest, limits.cpu_ms_max.saturating_mul(1_000), cpu_us);
    let ended = tokio::time::timeout(Duration::from_millis(limits.wall_ms_max), metered).await;
    (ended, store.into_data())
}

/// The event as the contract has it. Ids and times are never negative.
fn seen_event(call: Call) -> types::Event {
    let event = &*call.event;
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    types::Event {
        seq: unsigned(event.seq),
        id: event.id.clone(),
        kind: event.kind.clone(),
        number: event.number.clone(),
        conversation: event.conversation.map(unsigned),
        contact: call.contact.map(Into::into),
        at_ms: event.at_ms.map(unsigned),
        received_ms: unsigned(event.received_ms),
        attempt: call.attempt,
        body: event.body.clone(),
    }
}
