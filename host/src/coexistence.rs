//! Asks Meta about numbers of which its webhooks leave open whether they are in the app: those that move to
//! another phone, and those that are said to be back. Their sends are held meanwhile.
//!
//! Promises: a number is asked about at once and then with growing pauses, one call at a time; only an answer of
//! Meta's or its lasting silence moves it on, by the table of `rules::coexistence`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use duet_rules::backoff;
use duet_rules::coexistence::State;

use crate::effect::Wake;
use crate::graph::Client;
use crate::store::{Store, StoreError};

/// How often the store is looked at for open numbers.
const LOOK: Duration = Duration::from_secs(1);
/// Pauses between two questions about a number.
const PAUSE_FIRST_MS: u64 = 4_000;
const PAUSE_MAX_MS: u64 = 300_000;
/// Numbers that are asked about side by side; further ones wait until one of these is settled.
const NUMBERS_MAX: u32 = 1000;
/// So many questions in a row without a verdict, and the webhooks alone count.
const SILENT_MAX: u32 = 3;

/// The questions that are open.
pub struct Enquiry {
    store: Store,
    meta: Client,
    /// Told the rows that may leave again.
    movable: Wake,
    asked: HashMap<String, Asked>,
}

struct Asked {
    times: u32,
    /// Of those, the last ones without a verdict.
    silent: u32,
    next: Instant,
}

impl Enquiry {
    pub fn new(store: Store, meta: Client, movable: Wake) -> Enquiry {
        Enquiry {
            store,
            meta,
            movable,
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
                tracing::warn!(%error, "open numbers cannot be looked at");
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let open = self.store.open_numbers(NUMBERS_MAX).await?;
        self.asked.retain(|number, _| open.contains(number));
        for number in open {
            let due = self.asked.get(&number);
            if due.is_none_or(|asked| asked.next <= Instant::now()) {
                self.ask(number).await?;
            }
        }
        Ok(())
    }

    async fn ask(&mut self, number: String) -> Result<(), StoreError> {
        let answer = self.meta.is_on_biz_app(&number).await;
        let asked = self.asked.entry(number.clone()).or_insert(Asked {
            times: 0,
            silent: 0,
            next: Instant::now(),
        });
        asked.times = asked.times.saturating_add(1);
        let pause_ms = backoff::delay_ms(asked.times, PAUSE_FIRST_MS, PAUSE_MAX_MS, rand::random());
        asked.next = Instant::now() + Duration::from_millis(pause_ms);
        let verdict = match answer {
            Ok(on_app) => {
                asked.silent = 0;
                Some(on_app)
            }
            Err(cause) => {
                asked.silent = asked.silent.saturating_add(1);
                tracing::warn!(
                    number,
                    cause,
                    "Meta does not say whether the number is in the app"
                );
                if asked.silent < SILENT_MAX {
                    return Ok(());
                }
                None
            }
        };
        let now_ms = crate::now_ms();
        if let Some((state, freed)) = self
            .store
            .number_on_app(number.clone(), verdict, now_ms)
            .await?
        {
            (self.movable)(&freed);
            if state == State::Live {
                tracing::info!(
                    number,
                    freed = freed.len(),
                    "the number is back; held sends go on"
                );
            }
        }
        Ok(())
    }
}
