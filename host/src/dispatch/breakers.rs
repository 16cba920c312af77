//! The systems that one instance calls: which of its calls may leave now, and which of its events wait for what is down.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use duet_rules::breaker::{self, Change, Heard, Pass, Standing};

use super::instance::Loaded;
use super::status::{Status, Waiting};
use crate::outbound::{Answered, CallError, Files, Outgoing};

/// All versions of the instance share them.
#[derive(Debug, Default)]
pub(super) struct Breakers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    rule: breaker::Breakers,
    /// What the last call met, by destination, in a word or two.
    causes: BTreeMap<String, String>,
}

impl Breakers {
    /// It was down until then when an earlier process ended.
    pub(super) fn resume(&self, destination: &str, until_ms: i64) {
        self.known()
            .rule
            .resume(destination, crate::now_ms(), until_ms);
    }

    /// The plugin or its secrets have changed: what is down may be tried at once.
    pub(super) fn hurry(&self) {
        self.known().rule.hurry(crate::now_ms());
    }

    pub(super) fn standing(&self, destination: &str) -> Standing {
        self.known().rule.standing(destination, crate::now_ms())
    }

    /// How it stands with one that events wait for; nothing when it does well.
    pub(super) fn waiting(&self, destination: &str) -> Option<Waiting> {
        let known = self.known();
        let cause = known.causes.get(destination).cloned();
        Some(Waiting {
            destination: destination.to_owned(),
            until_ms: known.rule.until_ms(destination)?,
            cause: cause.unwrap_or_else(|| "since before the start".to_owned()),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way out for the calls of one run.
pub(super) struct Passage {
    instance: String,
    status: Arc<Status>,
    /// Destinations that its calls have found down, and whether one of those was not made for it.
    down: Mutex<BTreeMap<String, bool>>,
}

/// What a run has found down.
pub(super) struct WaitsFor {
    pub(super) destination: String,
    /// When it may be tried, ms since 1970.
    pub(super) next_ms: i64,
}

impl Passage {
    pub(super) fn of(loaded: &Loaded) -> Passage {
        Passage {
            instance: loaded.name().to_owned(),
            status: loaded.status.clone(),
            down: Mutex::default(),
        }
    }

    /// Makes a call, unless its destination is left alone.
    pub(super) async fn make(&self, call: &Outgoing, key: Option<&str>, files: &Files) -> Answered {
        let destination = call.destination();
        let passed = self.known().rule.pass(&destination, crate::now_ms());
        let Some(pass) = passed else {
            self.note(&destination, true);
            return Err(CallError::left_alone());
        };
        // A run that is ended while it waits for the answer has waited too long.
        let mut under_way = UnderWay {
            passage: self,
            destination: &destination,
            pass,
            heard: Heard::Down,
            cause: "timeout".to_owned(),
        };
        let answered = call.make(key, files).await;
        under_way.heard = heard(&answered);
        under_way.cause = cause(&answered);
        answered
    }

    /// Gives the run an answer from before.
    pub(super) fn repeat(&self, call: &Outgoing, answered: &Answered) {
        if heard(answered).is_failure() {
            self.note(&call.destination(), false);
        }
    }

    /// What its event waits for once the run has failed: what is down still, or was when a call was not made for it.
    pub(super) fn waits_for(&self) -> Option<WaitsFor> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, now_ms) = (self.known(), crate::now_ms());
        down.iter().find_map(|(destination, unmade)| {
            let until_ms = known.rule.until_ms(destination);
            let until_ms = until_ms.or(unmade.then_some(now_ms))?;
            Some(WaitsFor {
                destination: destination.clone(),
                next_ms: until_ms.max(now_ms),
            })
        })
    }

    fn note(&self, destination: &str, unmade: bool) {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        *down.entry(destination.to_owned()).or_default() |= unmade;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.status.breakers.known()
    }
}

/// A call that passed; its end is heard when it is dropped.
struct UnderWay<'a> {
    passage: &'a Passage,
    destination: &'a str,
    pass: Pass,
    heard: Heard,
    cause: String,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let (destination, cause, now_ms) = (self.destination, &self.cause, crate::now_ms());
        let instance = &self.passage.instance;
        if self.heard.is_failure() {
            self.passage.note(destination, false);
        }
        let mut known = self.passage.known();
        let (pass, heard, random) = (self.pass, self.heard, crate::random());
        match known.rule.heard(destination, pass, heard, now_ms, random) {
            None => {}
            Some(Change::Over) => {
                known.causes.remove(destination);
                tracing::info!(instance, destination, "a destination answers again");
            }
            Some(Change::Paused { until_ms }) => {
                tracing::warn!(
                    instance,
                    destination,
                    cause,
                    again_in_ms = until_ms.saturating_sub(now_ms),
                    "a destination is down; events that need it wait"
                );
                known.causes.insert(destination.to_owned(), cause.clone());
            }
        }
    }
}

fn cause(answered: &Answered) -> String {
    match answered {
        Ok(response) => format!("status {}", response.status),
        Err(error) => error.code.clone(),
    }
}

fn heard(answered: &Answered) -> Heard {
    match answered {
        Ok(response) => {
            let mut headers = response.headers.iter();
            let after = headers.find(|(name, _)| name == "retry-after");
            let after = after.map(|(_, text)| text.as_str());
            Heard::answer(response.status, after, crate::now_ms())
        }
        Err(error) => Heard::error(&error.code),
    }
}
