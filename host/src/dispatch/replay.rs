//! Another version of a plugin over runs that were kept: all that it asks for is answered from what was written down then,
//! and what it does is told and not done. What it asks for beyond that is told, too, and never made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use duet_rules::annotations::{Marks, Note};
use duet_rules::cases::CaseEntry;
use duet_rules::media::Digest;
use duet_rules::plugins_toml::one_line;
use duet_rules::sending::Refusal;
use duet_rules::shadow::{Came, Outcome, differences};
use futures_util::FutureExt;
use ring::digest::{SHA256, digest};

use super::Shared;
use super::files::Files;
use super::instance::settings_digest;
use super::record::{deed, outcome};
use super::seen::{Asked, Call, Seen};
use super::subscription::Subscription;
use crate::effect::{Handling, Send};
use crate::event::{ContactView, Event};
use crate::outbound::{Answered, CallError, Outgoing};
use crate::plugin::{
    self, Answer, Attachment, ConversationState, KeptFile, NewFile, Plugin, World,
};
use crate::store::StoreError;
use crate::store::media::MediaFolder;
use crate::store::runs::KeptRun;

/// No further run begins after so long.
const TIME_MAX: Duration = Duration::from_secs(30);
/// More questions of a run without an answer are counted and not told, nor more calls that it does not make.
const UNMATCHED_MAX: usize = 50;
/// What a call gets that was not made then.
const NOT_RECORDED: &str = "not-recorded";

/// A version of a plugin over kept runs.
#[derive(Debug, Clone)]
pub struct Replay {
    pub version: String,
    /// SHA-256 of the component, hex.
    pub digest: String,
    /// Oldest first.
    pub runs: Vec<Rerun>,
}

/// One of the runs.
#[derive(Debug, Clone)]
pub struct Rerun {
    /// The event's.
    pub seq: i64,
    /// The event's id and kind; absent when it is gone.
    pub event: Option<(String, String)>,
    /// When it ran, ms since 1970.
    pub at_ms: i64,
    /// SHA-256 of the component that ran then, hex.
    pub digest: String,
    /// Whether the settings are other ones now.
    pub other_settings: bool,
    /// How it ended then, in words; absent when that cannot be read.
    pub was: Option<String>,
    pub result: Rehearsed,
}

/// What came of running it again.
#[derive(Debug, Clone)]
pub enum Rehearsed {
    Ran {
        /// How it ended, in words.
        is: String,
        /// Where the run of then did not.
        faulted: bool,
        /// What differs from then.
        differs: Vec<String>,
        /// What it asked for and nobody could answer.
        unmatched: Vec<String>,
    },
    /// Why it was not run.
    Skipped(String),
}

impl Replay {
    /// How many runs have this [`word`](Rerun::word).
    pub fn count(&self, word: &str) -> usize {
        self.runs.iter().filter(|run| run.word() == word).count()
    }
}

impl Rerun {
    /// `faults`, `differs`, `same` or `skipped`.
    pub fn word(&self) -> &'static str {
        match &self.result {
            Rehearsed::Ran { faulted: true, .. } => "faults",
            Rehearsed::Ran {
                differs, unmatched, ..
            } if differs.is_empty() && unmatched.is_empty() => "same",
            Rehearsed::Ran { .. } => "differs",
            Rehearsed::Skipped(_) => "skipped",
        }
    }
}

/// Runs a plugin over kept runs, one after the other.
pub(super) async fn replay(
    shared: &Shared,
    plugin: &Plugin,
    runs: Vec<KeptRun>,
) -> Result<Replay, StoreError> {
    let began = Instant::now();
    let settings = settings_digest(plugin.instance());
    let mut reruns = Vec::new();
    for run in runs {
        let event = shared.feed.get(run.seq).await?;
        let was = serde_json::from_str::<Outcome>(&run.record.outcome).ok();
        let mut rerun = Rerun {
            seq: run.seq,
            event: event
                .as_ref()
                .map(|event| (event.id.clone(), event.kind.clone())),
            at_ms: run.record.now_ms,
            digest: run.digest.clone(),
            other_settings: run.record.settings != settings,
            was: was.as_ref().map(Outcome::to_string),
            result: Rehearsed::Skipped("there was no time left".into()),
        };
        if began.elapsed() < TIME_MAX {
            rerun.result = match event {
                Some(event) => again(plugin, event, run, shared.store.media_folder()).await,
                None => Rehearsed::Skipped("the event is gone".into()),
            };
        }
        reruns.push(rerun);
    }
    Ok(Replay {
        version: plugin.manifest().version.clone(),
        digest: plugin.digest().to_owned(),
        runs: reruns,
    })
}

async fn again(plugin: &Plugin, event: Arc<Event>, run: KeptRun, folder: MediaFolder) -> Rehearsed {
    let record = run.record;
    let Some(kept) = record.seen else {
        return Rehearsed::Skipped("what it read was too much to be kept".into());
    };
    let read = || {
        let was = Came {
            outcome: serde_json::from_str(&record.outcome).ok()?,
            deeds: serde_json::from_str(&record.effects).ok()?,
        };
        Some((was, Seen::read(kept)?))
    };
    let Some((was, seen)) = read() else {
        return Rehearsed::Skipped("what is kept of it cannot be read".into());
    };
    let wanted = &plugin.manifest().events;
    if !Subscription::new(plugin.instance(), wanted).wants(&event) {
        return Rehearsed::Ran {
            is: "does not get the event".into(),
            faulted: false,
            differs: vec!["it does not get this event any more".into()],
            unmatched: Vec::new(),
        };
    }
    let past = Arc::new(Past::new(seen, folder));
    let call = plugin::Call {
        event,
        contact: past.seen.contact.clone(),
        attempt: record.attempt,
        now_ms: record.now_ms,
        seed: Some(record.seed),
        rehearsed: true,
        world: past.clone(),
    };
    let run = plugin.run(call).await;
    let is = Came {
        outcome: outcome(&run.outcome),
        deeds: run.effects.iter().map(deed).collect(),
    };
    let mut differs = differences(&was, &is);
    let (unmade, unmatched) = past.end();
    differs.extend(unmade);
    Rehearsed::Ran {
        is: is.outcome.to_string(),
        faulted: is.outcome.is_fault() && !was.outcome.is_fault(),
        differs,
        unmatched,
    }
}

/// The world of a run, as it was then.
struct Past {
    seen: Seen,
    /// The bytes of files are what they were, or gone.
    files: Files,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    /// Calls that are not asked for yet.
    calls: Vec<Option<Call>>,
    unmatched: Vec<String>,
    more: usize,
    /// What the run has brought along, by its digest in hex.
    kept: BTreeMap<String, KeptFile>,
}

impl Past {
    fn new(mut seen: Seen, folder: MediaFolder) -> Past {
        let calls = std::mem::take(&mut seen.calls);
        let rest = Rest {
            calls: calls.into_iter().map(Some).collect(),
            ..Rest::default()
        };
        Past {
            seen,
            files: Files::new(folder),
            rest: Mutex::new(rest),
        }
    }

    /// The calls that were made then and not now, and what nobody could answer.
    fn end(&self) -> (Vec<String>, Vec<String>) {
        let rest = std::mem::take(&mut *self.lock());
        let unmade = rest.calls.into_iter().flatten().take(UNMATCHED_MAX);
        let unmade =
            unmade.map(|call| format!("it does not call {} any more", one_line(&call.what)));
        let mut unmatched = rest.unmatched;
        if rest.more > 0 {
            unmatched.push(format!("and {} more", rest.more));
        }
        (unmade.collect(), unmatched)
    }

    fn miss(&self, what: impl FnOnce() -> String) {
        let mut rest = self.lock();
        if rest.unmatched.len() < UNMATCHED_MAX {
            rest.unmatched.push(what());
        } else {
            rest.more += 1;
        }
    }

    fn answer(&self, call: &Outgoing) -> Answered {
        let request = call.hash();
        let mut rest = self.lock();
        let mut calls = rest.calls.iter_mut();
        let found = calls.find(|made| matches!(made, Some(call) if call.request == request));
        if let Some(made) = found.and_then(Option::take) {
            return made.answered;
        }
        drop(rest);
        let what = one_line(&Call::what(call));
        self.miss(|| format!("{what} was not called then, or carried something else: the answer is the error {NOT_RECORDED}"));
        Err(CallError {
            code: NOT_RECORDED.to_owned(),
            detail: "the call was not made when the event was handled, and is not made now".into(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World for Past {
    fn kv_get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        let value = self.seen.values.get(key).cloned();
        if value.is_none() {
            self.miss(|| {
                let key = one_line(key);
                format!("the store's key {key:?} was not read then: it is as if there were none")
            });
        }
        async move { Ok(value.flatten()) }.boxed()
    }

    fn kv_list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<String>> {
        let listed = self.seen.lists.iter().find(|list| {
            // One that came to the end has the answer for every limit.
            let enough = list.limit >= limit || list.keys.len() < list.limit;
            list.prefix == prefix && list.after.as_deref() == after && enough
        });
        let keys: Option<Vec<_>> =
            listed.map(|list| list.keys.iter().take(limit).cloned().collect());
        if keys.is_none() {
            self.miss(|| {
                let prefix = one_line(prefix);
                format!(
                    "the store's keys {prefix:?} were not listed then: it is as if there were none"
                )
            });
        }
        async move { Ok(keys.unwrap_or_default()) }.boxed()
    }

    fn conversation(&self, id: i64) -> Answer<'_, Option<ConversationState>> {
        let state = self.seen.conversations.get(&id).cloned();
        if state.is_none() {
            self.miss(|| {
                format!("conversation {id} was not looked at then: it is as if there were none")
            });
        }
        async move { Ok(state.flatten()) }.boxed()
    }

    fn contact(&self, id: i64) -> Answer<'_, Option<ContactView>> {
        let own = self.seen.contact.clone().filter(|contact| contact.id == id);
        let contact = self.seen.contacts.get(&id).cloned().or(own.map(Some));
        if contact.is_none() {
            self.miss(|| {
                format!("contact {id} was not looked at then: it is as if there were none")
            });
        }
        async move { Ok(contact.flatten()) }.boxed()
    }

    fn refuse<'a>(
        &'a self,
        send: &'a Send,
        handling: Option<Handling>,
    ) -> Answer<'a, Option<Refusal>> {
        let asked = Asked::of(send, handling);
        let judged = self.seen.gate.iter().find(|judged| judged.asked == asked);
        if judged.is_none() {
            self.miss(|| {
                let id = send.conversation;
                format!("no such send to conversation {id} was asked for then: it is as if policy had let it through")
            });
        }
        let refusal = judged.and_then(|judged| judged.refusal.clone());
        async move { Ok(refusal) }.boxed()
    }

    fn call(&self, calls: Vec<Outgoing>) -> Answer<'_, Vec<Answered>> {
        let answers = calls.iter().map(|call| self.answer(call)).collect();
        async move { Ok(answers) }.boxed()
    }

    fn attachment<'a>(
        &'a self,
        conversation: i64,
        message: &'a str,
    ) -> Answer<'a, Option<Attachment>> {
        let asked = (conversation, message.to_owned());
        let found = self.seen.attachments.get(&asked).cloned();
        if found.is_none() {
            self.miss(|| {
                let message = one_line(message);
                format!("the file of message {message:?} was not asked for then: it is as if there were none")
            });
        }
        async move { Ok(found.flatten()) }.boxed()
    }

    fn file(&self, digest: Digest) -> Answer<'_, Option<KeptFile>> {
        let name = digest.to_string();
        let file = self.seen.files.get(&name).cloned();
        let kept = self.lock().kept.get(&name).cloned();
        let found = file.or(kept.map(Some));
        if found.is_none() {
            self.miss(|| {
                format!("file {name} was not asked for then: it is as if there were none")
            });
        }
        async move { Ok(found.flatten()) }.boxed()
    }

    fn read_file(
        &self,
        digest: Digest,
        offset: u64,
        bytes_max: u32,
    ) -> Answer<'_, Option<Vec<u8>>> {
        async move {
            let bytes = self.files.read(digest, offset, bytes_max).await?;
            if bytes.is_none() {
                self.miss(|| format!("file {digest} has gone since then"));
            }
            Ok(bytes)
        }
        .boxed()
    }

    /// Nothing is kept; what comes of it names the same digest.
    fn keep_file(&self, file: NewFile) -> Answer<'_, Result<Digest, String>> {
        let hash = digest(&SHA256, &file.bytes);
        let named = hash.as_ref().try_into().map(Digest);
        if let Ok(named) = named {
            let kept = KeptFile {
                mime_type: file.mime_type.to_owned(),
                bytes: u64::try_from(file.bytes.len()).unwrap_or(u64::MAX),
            };
            self.lock().kept.insert(named.to_string(), kept);
        }
        async move { Ok(named.map_err(|error| error.to_string())) }.boxed()
    }

    fn case<'a>(&'a self, key: &'a str) -> Answer<'a, Option<CaseEntry>> {
        let case = self.seen.cases.get(key).cloned();
        if case.is_none() {
            self.miss(|| {
                let key = one_line(key);
                format!("the case {key:?} was not looked at then: it is as if there were none")
            });
        }
        async move { Ok(case.flatten()) }.boxed()
    }

    fn cases(&self, conversation: i64) -> Answer<'_, Vec<CaseEntry>> {
        let cases = self.seen.cases_of.get(&conversation).cloned();
        if cases.is_none() {
            self.miss(|| {
                format!("the cases of conversation {conversation} were not looked at then: it is as if there were none")
            });
        }
        async move { Ok(cases.unwrap_or_default()) }.boxed()
    }

    fn marks(&self, conversation: i64) -> Answer<'_, Marks> {
        let marks = self.seen.marks.get(&conversation).cloned();
        if marks.is_none() {
            self.miss(|| {
                format!("labels and assignee of conversation {conversation} were not looked at then: it is as if there were none")
            });
        }
        async move { Ok(marks.unwrap_or_default()) }.boxed()
    }

    fn notes(&self, conversation: i64) -> Answer<'_, Vec<Note>> {
        let notes = self.seen.notes.get(&conversation).cloned();
        if notes.is_none() {
            self.miss(|| {
                format!("the notes of conversation {conversation} were not looked at then: it is as if there were none")
            });
        }
        async move { Ok(notes.unwrap_or_default()) }.boxed()
    }
}
