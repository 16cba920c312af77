//! Many signed webhooks fast, with what Meta does beside: several messages in a body, repetitions of what was
//! answered 200, and bodies that got no 200 again and again until they do.
//!
//! Texts go to conversations that nobody else writes into; echoes and statuses are about other customers, so
//! that a person never silences the conversations whose replies are counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::meta::Meta;
use crate::webhook;

/// Posters at work; each has conversations of its own, so that order within one is known.
const POSTERS: usize = 48;
/// What one answered body in so many is followed by: the same body again.
const REPEAT_ONE_IN: u32 = 12;
const RETRIES_AT_ONCE: usize = 16;

/// One element of a posted body.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Element {
    pub kind: &'static str,
    pub wamid: String,
    /// The customer's phone.
    pub customer: String,
}

impl Element {
    /// A text of a customer.
    #[must_use]
    pub fn text(wamid: &str, customer: &str) -> Element {
        element("message.text", wamid.to_owned(), customer)
    }
}

/// A body that was posted.
#[derive(Clone, Debug)]
pub struct Posted {
    pub body: Bytes,
    pub elements: Vec<Element>,
    /// Answered 200 at the first attempt.
    pub at_once: bool,
    /// Answered 200 at all.
    pub acknowledged: bool,
}

/// What was posted so far, in an order that is right within each conversation.
#[derive(Clone)]
pub struct Flood {
    seed: u64,
    conversations: usize,
    next_id: Arc<AtomicUsize>,
    posted: Arc<Mutex<Vec<Posted>>>,
}

/// How much, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    pub bodies: usize,
    pub per_second: usize,
}

impl Flood {
    #[must_use]
    pub fn new(seed: u64, conversations: usize) -> Flood {
        Flood {
            seed,
            conversations,
            next_id: Arc::default(),
            posted: Arc::default(),
        }
    }

    /// Posts until the amount is reached or the gateway is gone. The answer is how many bodies were answered 200.
    ///
    /// # Errors
    /// When a poster breaks off.
    pub async fn run(&self, meta: &Meta, amount: Amount) -> anyhow::Result<usize> {
        let left = Arc::new(AtomicUsize::new(amount.bodies));
        let gone = Arc::new(AtomicBool::new(false));
        let every = Duration::from_secs_f64(POSTERS as f64 / amount.per_second.max(1) as f64);
        let mut posters = tokio::task::JoinSet::new();
        for number in 0..POSTERS {
            let (flood, meta) = (self.clone(), meta.clone());
            let (left, gone) = (left.clone(), gone.clone());
            posters.spawn(async move { flood.poster(number, &meta, &left, &gone, every).await });
        }
        let mut taken = 0;
        while let Some(poster) = posters.join_next().await {
            taken += poster??;
        }
        Ok(taken)
    }

    /// Posts one body of the test's own, and counts it with the rest. The answer is the status.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(
        &self,
        meta: &Meta,
        body: &Value,
        elements: Vec<Element>,
    ) -> anyhow::Result<u16> {
        let body = Bytes::from(serde_json::to_vec(body)?);
        let at = self.note(Posted {
            body: body.clone(),
            elements,
            at_once: false,
            acknowledged: false,
        });
        let status = meta.post(body).await?;
        if status == 200 {
            self.acknowledge(at, true);
        }
        Ok(status)
    }

    async fn poster(
        &self,
        number: usize,
        meta: &Meta,
        left: &AtomicUsize,
        gone: &AtomicBool,
        every: Duration,
    ) -> anyhow::Result<usize> {
        let from = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut dice = StdRng::seed_from_u64(
            self.seed ^ u64::try_from(from)?.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        // One after the other, so that a short run keeps the pace as well.
        let first = every.mul_f64(number as f64 / POSTERS as f64);
        let mut pace = tokio::time::interval_at(tokio::time::Instant::now() + first, every);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        let mut taken = 0;
        while !gone.load(Ordering::Relaxed) && take_one(left) {
            pace.tick().await;
            let (body, elements) = self.write(number, &mut dice)?;
            // Noted before it leaves: the gateway may have it even when this is cut off.
            let at = self.note(Posted {
                body: body.clone(),
                elements,
                at_once: false,
                acknowledged: false,
            });
            match meta.post(body.clone()).await {
                Ok(200) => {
                    taken += 1;
                    self.acknowledge(at, true);
                    if dice.random_ratio(1, REPEAT_ONE_IN) {
                        // Whether the repetition is answered does not matter: it adds nothing.
                        drop(meta.post(body).await);
                    }
                }
                Ok(_) => {}
                Err(_) => gone.store(true, Ordering::Relaxed),
            }
        }
        Ok(taken)
    }

    fn write(&self, poster: usize, dice: &mut StdRng) -> anyhow::Result<(Bytes, Vec<Element>)> {
        let mut elements = Vec::new();
        let mut changes = Vec::new();
        let customer = self.customer(poster, dice);
        match dice.random_range(0..10) {
            0 => {
                let (wamid, to) = (self.wamid(), "919700000001");
                changes.push(webhook::echo(to, &wamid, "from the phone"));
                elements.push(element("echo.text", wamid, to));
            }
            1 => {
                let (wamid, to) = (self.wamid(), "919700000002");
                changes.push(webhook::status(to, &wamid, "delivered"));
                elements.push(element("status.delivered", wamid, to));
            }
            many => {
                let ids: Vec<_> = (0..=many % 3).map(|_| self.wamid()).collect();
                let texts: Vec<_> = ids.iter().map(|id| (id.as_str(), "is it open?")).collect();
                changes.push(webhook::texts(&customer, "Asha", &texts));
                elements.extend(
                    ids.iter()
                        .map(|id| element("message.text", id.clone(), &customer)),
                );
            }
        }
        Ok((
            serde_json::to_vec::<Value>(&webhook::body(&changes))?.into(),
            elements,
        ))
    }

    /// One of the poster's own.
    fn customer(&self, poster: usize, dice: &mut StdRng) -> String {
        let own = (self.conversations / POSTERS).max(1);
        format!("9198{:08}", poster * own + dice.random_range(0..own))
    }

    fn wamid(&self) -> String {
        format!(
            "wamid.F{}.{}",
            self.seed,
            self.next_id.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Posts what got no 200 again until it does, as Meta would.
    ///
    /// # Errors
    /// When a body is still not taken after many attempts.
    pub async fn retry(&self, meta: &Meta) -> anyhow::Result<usize> {
        let waiting: Vec<_> = self
            .lock()
            .iter()
            .enumerate()
            .filter(|(_, posted)| !posted.acknowledged)
            .map(|(at, posted)| (at, posted.body.clone()))
            .collect();
        let count = waiting.len();
        let queue = Arc::new(Mutex::new(waiting));
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..RETRIES_AT_ONCE {
            let (flood, meta, queue) = (self.clone(), meta.clone(), queue.clone());
            workers.spawn(async move {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some((at, body)) = next else {
                        return anyhow::Ok(());
                    };
                    deliver(&meta, body).await?;
                    flood.acknowledge(at, false);
                }
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker??;
        }
        Ok(count)
    }

    /// Elements of bodies that were answered 200 so far.
    #[must_use]
    pub fn acknowledged(&self, kind: &str) -> usize {
        let posted = self.lock();
        let bodies = posted.iter().filter(|posted| posted.acknowledged);
        bodies
            .flat_map(|posted| &posted.elements)
            .filter(|element| element.kind == kind)
            .count()
    }

    /// Everything posted, and forgets it.
    #[must_use]
    pub fn take(&self) -> Vec<Posted> {
        std::mem::take(&mut *self.lock())
    }

    fn note(&self, one: Posted) -> usize {
        let mut posted = self.lock();
        posted.push(one);
        posted.len() - 1
    }

    fn acknowledge(&self, at: usize, at_once: bool) {
        if let Some(posted) = self.lock().get_mut(at) {
            (posted.acknowledged, posted.at_once) = (true, at_once);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Posted>> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn deliver(meta: &Meta, body: Bytes) -> anyhow::Result<()> {
    const ATTEMPTS_MAX: u32 = 200;
    let mut last = None;
    for _ in 0..ATTEMPTS_MAX {
        match meta.post(body.clone()).await {
            Ok(200) => return Ok(()),
            other => last = Some(other),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    last.map_or(Ok(()), |last| Err(anyhow::anyhow!("{last:?}")))
        .context("a repeated webhook is never taken")
}

fn element(kind: &'static str, wamid: String, customer: &str) -> Element {
    Element {
        kind,
        wamid,
        customer: customer.to_owned(),
    }
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}
