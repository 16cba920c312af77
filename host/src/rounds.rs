//! Rounds of questions to Meta: the store says about whom, and each is asked at once and then with growing pauses, one
//! call at a time. What is asked, and what the answer means, stands with each errand.
//!
//! Promises: a pause grows with every question that is not separated from the one before by the errand's rest; a
//! store that fails ends nothing.

use std::collections::HashMap;
use std::time::Duration;

use duet_rules::backoff;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::StoreError;

/// How often the store is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Pauses between two questions about the same.
const PAUSE_FIRST_MS: u64 = 4_000;
pub const PAUSE_MAX_MS: u64 = 300_000;

/// Whether a question was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Answer,
    Nothing,
}

/// What is asked.
pub trait Errand: Send + 'static {
    /// What cannot be done while the store fails, for the log.
    const WHAT: &'static str;
    /// After so long without a question its pauses are short again.
    const REST: Duration;

    /// About whom there is something to ask now.
    fn open(&self) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Asks; `unheard` questions in a row before this one had no answer.
    fn ask(
        &self,
        whom: &str,
        unheard: u32,
    ) -> impl Future<Output = Result<Heard, StoreError>> + Send;
}

struct Asked {
    next: Instant,
    times: u32,
    /// Of those, the last ones without an answer.
    unheard: u32,
}

/// Makes the rounds until `stopping`; the question that is open then is waited for.
pub async fn make<E: Errand>(errand: E, mut stopping: watch::Receiver<bool>) {
    let mut asked = HashMap::new();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = looks.tick() => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        if let Err(error) = round(&errand, &mut asked, &stopping).await {
            tracing::warn!(%error, what = E::WHAT, "a round of questions to Meta broke off");
        }
    }
}

async fn round<E: Errand>(
    errand: &E,
    asked: &mut HashMap<String, Asked>,
    stopping: &watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let open = errand.open().await?;
    asked.retain(|whom, asked| open.contains(whom) || asked.next + E::REST > Instant::now());
    for whom in open {
        let before = asked.get(&whom);
        if before.is_some_and(|asked| asked.next > Instant::now()) {
            continue;
        }
        if *stopping.borrow() {
            return Ok(());
        }
        let (times, unheard) = before.map_or((0, 0), |asked| (asked.times, asked.unheard));
        let heard = errand.ask(&whom, unheard).await;
        let times = times.saturating_add(1);
        let unheard = match heard {
            Ok(Heard::Answer) => 0,
            Ok(Heard::Nothing) | Err(_) => unheard.saturating_add(1),
        };
        let pause_ms = backoff::delay_ms(times, PAUSE_FIRST_MS, PAUSE_MAX_MS, crate::random());
        let next = Instant::now() + Duration::from_millis(pause_ms);
        asked.insert(
            whom,
            Asked {
                next,
                times,
                unheard,
            },
        );
        heard?;
    }
    Ok(())
}
