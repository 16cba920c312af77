//! What the process takes from its machine beside files and sockets: the time, chance, and other threads.
//!
//! A simulation puts its own in their place, for the thread that it runs on: a clock that goes with tokio's paused
//! one, dice with a seed, and threads that are waited for where one stands. What happens then depends on the seed
//! alone.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;

thread_local! {
    static PLAYED: RefCell<Option<Played>> = const { RefCell::new(None) };
}

/// What a simulation has put in the machine's place.
struct Played {
    begun: Instant,
    begun_ms: i64,
    dice: u64,
}

/// While it lives, time and chance of this thread are its own. tokio's clock has to be paused.
pub struct Simulated(());

impl Simulated {
    /// Begins at `now_ms`, ms since 1970.
    #[must_use]
    pub fn new(now_ms: i64, seed: u64) -> Simulated {
        let played = Played {
            begun: Instant::now(),
            begun_ms: now_ms,
            dice: seed,
        };
        PLAYED.set(Some(played));
        Simulated(())
    }

    /// The wall clock goes forward at once, as after a machine's sleep.
    pub fn leap(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        play(|played| played.begun_ms = played.begun_ms.saturating_add(by_ms));
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        PLAYED.set(None);
    }
}

/// The answer of the simulation, if there is one.
fn play<T>(ask: impl FnOnce(&mut Played) -> T) -> Option<T> {
    PLAYED.with_borrow_mut(|played| played.as_mut().map(ask))
}

impl Played {
    fn now_ms(&self) -> i64 {
        let passed_ms = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.begun_ms.saturating_add(passed_ms)
    }

    /// SplitMix64.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Mostly a moment, now and then a disk that is busy.
    fn lag(&mut self) -> Duration {
        let roll = self.roll();
        Duration::from_millis(match roll % 64 {
            0 => roll / 64 % 1000,
            1..16 => roll / 64 % 4,
            _ => 0,
        })
    }
}

/// The wall clock, ms since 1970.
pub fn now_ms() -> i64 {
    play(|played| played.now_ms()).unwrap_or_else(|| jiff::Timestamp::now().as_millisecond())
}

/// A number by chance.
pub fn random() -> u64 {
    play(Played::roll).unwrap_or_else(rand::random)
}

/// The answer of another thread.
pub(crate) async fn answered<F: Future>(answer: F) -> F::Output {
    match play(Played::lag) {
        None => answer.await,
        Some(lag) => {
            let answer = wait_here(answer);
            tokio::time::sleep(lag).await;
            answer
        }
    }
}

/// Runs `work` on a thread that may block.
///
/// # Errors
/// The runtime is ending, or `work` panicked.
pub(crate) async fn blocking<T, W>(work: W) -> Result<T, JoinError>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    match play(Played::lag) {
        None => tokio::task::spawn_blocking(work).await,
        Some(lag) => {
            let result = work();
            tokio::time::sleep(lag).await;
            Ok(result)
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Nothing else runs on this thread meanwhile.
fn wait_here<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    // A task's budget would end the wait without an answer.
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}
