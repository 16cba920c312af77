//! Reads the templates of every account from Meta: at the start, every few hours, and when a webhook or a send
//! says that the list may have changed.
//!
//! Promises: one call at a time, with growing pauses while Meta does not answer; a list that was not read to its
//! end changes nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use duet_rules::backoff;

use crate::graph::Client;
use crate::store::{Store, StoreError};

/// How often the store is asked whether a list is to be read.
const LOOK: Duration = Duration::from_secs(1);
const EVERY_MS: i64 = 4 * 3_600_000;
/// Two readings of an account lie so far apart at least, and further the more of them there are without a rest: Meta
/// allows 200 calls an hour.
const PAUSE_FIRST_MS: u64 = 4_000;
const PAUSE_MAX_MS: u64 = 300_000;
const REST: Duration = Duration::from_millis(PAUSE_MAX_MS);
const WABAS_MAX: u32 = 1000;

/// The lists that are kept.
pub struct Catalogue {
    store: Store,
    meta: Client,
    asked: HashMap<String, Asked>,
}

struct Asked {
    next: Instant,
    /// Readings, good or bad, without a rest between them: a template that nobody has made may be wanted for ever.
    times: u32,
    /// Of those, the last ones that failed.
    failures: u32,
}

impl Catalogue {
    pub fn new(store: Store, meta: Client) -> Catalogue {
        Catalogue {
            store,
            meta,
            asked: HashMap::new(),
        }
    }

    /// Ends only by being dropped.
    pub async fn run(mut self) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "the lists of templates cannot be kept");
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let before_ms = crate::now_ms().saturating_sub(EVERY_MS);
        self.asked
            .retain(|_, asked| asked.next + REST > Instant::now());
        for waba in self.store.wabas_to_read(before_ms, WABAS_MAX).await? {
            let due = self.asked.get(&waba);
            if due.is_none_or(|asked| asked.next <= Instant::now()) {
                self.ask(waba).await?;
            }
        }
        Ok(())
    }

    async fn ask(&mut self, waba: String) -> Result<(), StoreError> {
        let begun_ms = crate::now_ms();
        let answer = self.meta.templates(&waba).await;
        let asked = self.asked.entry(waba.clone()).or_insert(Asked {
            next: Instant::now(),
            times: 0,
            failures: 0,
        });
        asked.times = asked.times.saturating_add(1);
        asked.failures = match &answer {
            Ok(_) => 0,
            Err(_) => asked.failures.saturating_add(1),
        };
        let pause_ms = backoff::delay_ms(asked.times, PAUSE_FIRST_MS, PAUSE_MAX_MS, rand::random());
        asked.next = Instant::now() + Duration::from_millis(pause_ms);
        match answer {
            Ok(listed) => {
                let count = listed.len();
                self.store
                    .templates_read(waba.clone(), listed, begun_ms)
                    .await?;
                tracing::info!(waba, count, "the templates are read");
            }
            Err(cause) if asked.failures == 1 => {
                tracing::warn!(waba, cause, "Meta does not list the templates");
            }
            Err(cause) => tracing::debug!(waba, cause, "Meta does not list the templates"),
        }
        Ok(())
    }
}
