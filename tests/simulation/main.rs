//! The whole way of a message under a clock and dice of its own: the real stores, intake, dispatch and outbox against
//! the sim, with a fault at every step. A seed says all that happens, so that a failure can be repeated.
//!
//! - `world`, `story`: who takes part, and what happens; `people`, `strangers`, `agents`: what they do
//! - `rulings`, `numbers`, `history`: what Meta decides and tells; `late`: words that come behind newer ones; `waits`:
//!   sends that cannot leave for hours
//! - `meta`, `process`, `automation`: Meta, the gateway, its plugins
//! - `books`: what Duet has written down; `log`: what was seen from outside; `oracle`: whether that is as it should be
//!
//! `DUET_SIM_SEEDS` says how many seeds, `DUET_SIM_FROM` the first of them, `DUET_SIM_SEED` which one alone, with its
//! story.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may stop at the first surprise"
)]

mod agents;
mod automation;
mod books;
mod dice;
mod history;
mod late;
mod log;
mod meta;
mod numbers;
mod oracle;
mod people;
mod process;
mod rulings;
mod story;
mod strangers;
mod waits;
mod world;

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use log::{Log, Shared};
use story::Story;

const SEEDS: u64 = 500;
const SEEDS_FULL: u64 = 20_000;
/// So many failures tell enough.
const TOLD_MAX: usize = 10;

#[test]
fn every_seed_ends_as_it_should() {
    let asked = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    if let Some(seed) = asked("DUET_SIM_SEED") {
        let (wrong, story) = run(seed, Some(Vec::new()));
        println!("{}\n", story.join("\n"));
        assert!(wrong.is_empty(), "{}", told(seed, &wrong));
        return;
    }
    let full = std::env::var("DUET_TEST_FULL").is_ok();
    let count = asked("DUET_SIM_SEEDS").unwrap_or(if full { SEEDS_FULL } else { SEEDS });
    let first = asked("DUET_SIM_FROM").unwrap_or(0);
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let began = Instant::now();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count || failed.lock().unwrap().len() >= TOLD_MAX {
                return;
            }
            let (wrong, _) = run(seed, None);
            if !wrong.is_empty() {
                println!("{}", told(seed, &wrong));
                failed.lock().unwrap().push(seed);
            }
        }
    };
    // A story and its store's writer take turns, so that one story never fills a core.
    let threads = 3 * std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    println!(
        "measured: {count} seeds from {first} in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} seeds failed: {failed:?}",
        failed.len()
    );
}

/// The line that repeats it.
fn told(seed: u64, wrong: &[String]) -> String {
    format!(
        "DUET_SIM_SEED={seed} cargo test -p duet-simulation -- --nocapture   # {}",
        wrong.join("; ")
    )
}

/// What is wrong with a seed, and its story, which goes into `lines` if it is wanted.
fn run(seed: u64, lines: Option<Vec<String>>) -> (Vec<String>, Vec<String>) {
    let shared = std::path::Path::new("/dev/shm");
    let folder = if shared.is_dir() {
        tempfile::tempdir_in(shared)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.unwrap();
    books::lay_out(folder.path());
    let log = Shared::new(Mutex::new(Log {
        lines,
        ..Log::default()
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let played = runtime.block_on(AssertUnwindSafe(play(seed, folder.path(), &log)).catch_unwind());
    drop(runtime);
    let mut log = log::lock(&log);
    let mut wrong = std::mem::take(&mut log.wrong);
    if let Err(panic) = played {
        let words = panic.downcast_ref::<String>().cloned();
        wrong.push(words.unwrap_or_else(|| "it panicked".into()));
    }
    (wrong, log.lines.take().unwrap_or_default())
}

async fn play(seed: u64, folder: &std::path::Path, log: &Shared) {
    thread_local! { static CONNECTIONS: duet::graph::Connections = process::connections(); }
    let connections = CONNECTIONS.with(Clone::clone);
    let mut story = Story::begin(seed, folder, connections, log.clone());
    story.run().await;
    oracle::judge(&mut story).await;
}
