//! Waiting with an end.

use std::time::{Duration, Instant};

use anyhow::bail;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer. The error names what did not happen, and the last thing seen.
///
/// # Errors
/// When the time is over, or when asking itself fails.
pub async fn until<T, A>(
    what: &str,
    at_most: Duration,
    mut ask: impl FnMut() -> A,
) -> anyhow::Result<T>
where
    A: Future<Output = anyhow::Result<Seen<T>>>,
{
    let began = Instant::now();
    let mut every = LOOK_EVERY;
    loop {
        match ask().await? {
            Seen::Done(value) => return Ok(value),
            Seen::NotYet(seen) if began.elapsed() >= at_most => {
                bail!("{what}: not within {at_most:?}; last seen: {seen}")
            }
            Seen::NotYet(_) => tokio::time::sleep(every).await,
        }
        every = (every * 5 / 4).min(Duration::from_millis(250));
    }
}

/// What a look has found.
#[derive(Debug)]
pub enum Seen<T> {
    Done(T),
    /// In words, for the error.
    NotYet(String),
}

impl<T> Seen<T> {
    /// Done if the condition holds.
    pub fn when(holds: bool, value: T, otherwise: impl FnOnce() -> String) -> Seen<T> {
        if holds {
            Seen::Done(value)
        } else {
            Seen::NotYet(otherwise())
        }
    }
}
