//! What the host itself adds to a run: dispatch over events that are there already, with a handler that does nothing,
//! so that all that remains is reading, the lease, the place, the commit, and what an instance has beside it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use duet::dispatch::{Shared, work};
use duet::effect::Reads;
use duet::hooks::Hooks;
use duet::intake::feed::Feed;
use duet::media::{self, Deposits};
use duet::outbound::Response;
use duet::plugin::{Call, Handler, Outcome, Run};
use duet::store::Store;
use duet::store::journal::{self, Begun, Circumstances};
use duet::store::lanes::From;
use duet_rules::plugins_toml::{Instance, Pattern};
use futures_util::future::BoxFuture;
use tokio::runtime::Runtime;

use super::Plan;
use super::flow::NO_GRAPH;
use super::run::{IDLE, admission, admit, instance};
use crate::gateway::{Gateway, until};
use crate::load::{Options, precise};
use crate::process;
use crate::table::{Figure, Line};

const EVENTS: u64 = 20_000;
/// As the gateway has them for two cores.
const THREADS: usize = 2;
/// Calls that are begun and answered at once, and altogether.
const CALLS_AT_ONCE: u64 = 32;
const CALLS: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(300);

/// Microseconds for each event.
#[derive(Clone, Copy)]
struct Cost {
    /// From the first to the last, all that goes on at once taken together.
    wall_us: f64,
    /// Of all threads.
    cpu_us: f64,
}

pub(super) fn of_the_host(plan: &Plan) -> Result<Vec<Line>> {
    let folder = plan.fresh("gateway")?;
    fill(plan, &folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()?;
    let store = runtime.block_on(async { Store::open(&folder) })?;
    let ground = Ground { runtime, store };
    let table = |name: &str, more: &str| {
        instance(&format!(
            "[plugins.{name}]\ncomponent = '{IDLE}'\nfrom = \"beginning\"\n{more}\n"
        ))
    };
    let nothing = |name, more| -> Result<Cost> {
        let instance = table(name, more)?;
        ground.dispatch(Arc::new(Nothing { instance }))
    };
    let bare = nothing("bare", "runs_kept = 0")?;
    let kept = nothing("kept", "")?;
    let calling = nothing(
        "calling",
        "runs_kept = 0\n[plugins.calling.http]\nallow = [\"https://api.example.com\"]",
    )?;
    let admission = admission(plan, THREADS)?;
    let idle = table("idle", "runs_kept = 0")?;
    let idle = ground.runtime.block_on(admit(&admission, idle))?;
    let idle = ground.dispatch(idle)?;
    let call = ground.calls()?;
    let line = |name: &str, of: Cost, beside: &'static str, to: Cost| Line {
        name: format!("share of an event: {name}"),
        measured: us(of.wall_us),
        beside: vec![(beside, us(to.wall_us))],
        gate: None,
        note: format!(
            "CPU {:.0} us, beside it {:.0} us; {EVENTS} events at full speed",
            of.cpu_us, to.cpu_us
        ),
    };
    let alone = "lease, place and commit";
    Ok(vec![
        line(
            "read, lease, place and commit",
            bare,
            "with a run that does nothing",
            idle,
        ),
        line("the same and the run kept", kept, alone, bare),
        line("the same and its journal looked up", calling, alone, bare),
        Line {
            note: format!("CPU {:.0} us; {CALLS_AT_ONCE} at once", call.cpu_us),
            ..line(
                "a call begun and answered in the journal",
                call,
                alone,
                bare,
            )
        },
    ])
}

fn us(value: f64) -> Figure {
    Figure { value, unit: " us" }
}

/// Events of as many conversations, made by the gateway itself.
fn fill(plan: &Plan, folder: &Path) -> Result<()> {
    let gateway = Gateway::start(plan.duet()?, folder, "", NO_GRAPH)?;
    let taken = process::load(&Options {
        to: gateway.public,
        connections: 64,
        seconds: 600.0,
        rate: None,
        count: EVENTS,
        first: 0,
        customers: EVENTS,
        text: "hello".into(),
    })?;
    ensure!(taken.ok == EVENTS, "{} times 503", taken.refused);
    until("the events", || {
        let events = gateway.process.metric("duet_events_total")?;
        Ok((events >= precise(EVENTS)).then_some(()))
    })
}

struct Ground {
    runtime: Runtime,
    store: Store,
}

impl Ground {
    /// Hands all events to a handler, from the first read to the last commit.
    fn dispatch(&self, handler: Arc<dyn Handler>) -> Result<Cost> {
        let ended = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&ended);
        let feed = Arc::new(Feed::new(self.store.clone()));
        let no_files = media::Settings {
            file_bytes_max: 0,
            total_bytes_max: 0,
            fetches_max: 1,
        };
        let shared = Shared {
            store: self.store.clone(),
            feed: feed.clone(),
            hooks: Arc::new(Hooks::new(self.store.clone(), feed)),
            deposits: Deposits::new(self.store.clone(), no_files),
            // Each commit tells the outbox.
            outbox: Box::new(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            }),
            person_ms: 0,
            begun_after: 0,
            metrics: Arc::default(),
            large: tokio::sync::Mutex::default(),
        };
        let wanted: Vec<Pattern> = vec!["*".parse().map_err(anyhow::Error::msg)?];
        let meter = Meter::begin()?;
        let worker = self.runtime.spawn(async move {
            work(Arc::new(shared), handler, &wanted, From::After(0)).await;
        });
        let end = Instant::now() + PATIENCE;
        while ended.load(Ordering::Relaxed) < EVENTS {
            ensure!(
                Instant::now() < end && !worker.is_finished(),
                "dispatch came to an end too early"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        let cost = meter.end(EVENTS);
        worker.abort();
        cost
    }

    /// Begins calls and answers them, as a run does that makes one.
    fn calls(&self) -> Result<Cost> {
        let meter = Meter::begin()?;
        let store = &self.store;
        self.runtime.block_on(async {
            let mut callers = tokio::task::JoinSet::new();
            for caller in 0..CALLS_AT_ONCE {
                let store = store.clone();
                callers.spawn(async move { one_after_the_other(&store, caller).await });
            }
            while let Some(caller) = callers.join_next().await {
                caller??;
            }
            anyhow::Ok(())
        })?;
        meter.end(CALLS / CALLS_AT_ONCE * CALLS_AT_ONCE)
    }
}

async fn one_after_the_other(store: &Store, caller: u64) -> Result<()> {
    let seen = Arc::new(Circumstances {
        now_ms: 0,
        seed: [0; 16],
        digest: "measured".into(),
        settings: [0; 32],
    });
    for number in 0..CALLS / CALLS_AT_ONCE {
        let run = Arc::new(journal::Run {
            instance: "calling".into(),
            seq: i64::try_from(number * CALLS_AT_ONCE + caller + 1)?,
            attempt: 1,
            epoch: store.epoch(),
        });
        let begun = Begun {
            request: [7; 32],
            occurrence: 0,
            safe: false,
        };
        let calls = vec![begun.clone()];
        store
            .begin_calls(run.clone(), seen.clone(), calls, Vec::new())
            .await?;
        let answered = Response {
            status: 200,
            headers: Vec::new(),
            body: b"{}".to_vec(),
        };
        store.answer_call(run, begun, Ok(answered)).await?;
    }
    Ok(())
}

/// Time and CPU of this process since a moment.
struct Meter {
    began: Instant,
    cpu_us: f64,
}

impl Meter {
    fn begin() -> Result<Meter> {
        Ok(Meter {
            cpu_us: cpu_us()?,
            began: Instant::now(),
        })
    }

    fn end(self, events: u64) -> Result<Cost> {
        let each = |us: f64| us / precise(events);
        Ok(Cost {
            wall_us: each(self.began.elapsed().as_secs_f64() * 1e6),
            cpu_us: each(cpu_us()? - self.cpu_us),
        })
    }
}

/// What all threads of this process have computed, for themselves and in the kernel.
fn cpu_us() -> Result<f64> {
    /// `USER_HZ` is 100 on Linux.
    const TICK_US: f64 = 10_000.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name in brackets may hold spaces; `utime` and `stime` are the twelfth and the next field after it.
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    let ticks = rest.split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() * TICK_US)
}

/// A plugin without a run.
struct Nothing {
    instance: Instance,
}

impl Handler for Nothing {
    fn instance(&self) -> &Instance {
        &self.instance
    }

    fn digest(&self) -> &'static str {
        "nothing"
    }

    fn run(&self, _: Call) -> BoxFuture<'_, Run> {
        Box::pin(async {
            Run {
                outcome: Outcome::Done,
                effects: Vec::new(),
                reads: Reads::default(),
                cpu_us: 0,
                wall_us: 0,
                memory_peak_bytes: 0,
                host_calls: 0,
                http_calls: 0,
                failed_call: None,
            }
        })
    }
}
