//! Writes down what a run reads and is answered while it goes on, so that it can be kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use duet_rules::annotations::{Marks, Note};
use duet_rules::cases::CaseEntry;
use duet_rules::media::Digest;
use duet_rules::sending::Refusal;
use duet_rules::shadow::{self, Content, Deed};
use futures_util::FutureExt;

use super::seen::{Asked, Call, Judged, Seen, json};
use super::world::StoreWorld;
use crate::effect::{Effect, Handling, ListRead, Send};
use crate::event::ContactView;
use crate::outbound::{Answered, Outgoing};
use crate::plugin::{Answer, Attachment, ConversationState, KeptFile, NewFile, Outcome, World};
use crate::store::lanes::End;
use crate::store::runs::Record;

/// A run that reads more is kept without what it has read.
const SEEN_BYTES_MAX: usize = 256 << 10;
/// So is one whose effects take more than this, and those are not kept either.
const EFFECTS_BYTES_MAX: usize = 256 << 10;
/// Reckoned for each answer beside its bytes.
const ANSWER_BYTES: usize = 64;

/// A world that remembers what it was asked.
pub(super) struct Recorder {
    world: StoreWorld,
    /// None when it was too much.
    seen: Mutex<Option<Sheet>>,
}

struct Sheet {
    seen: Seen,
    bytes_left: usize,
}

impl Recorder {
    pub(super) fn new(world: StoreWorld, contact: Option<ContactView>) -> Recorder {
        let sheet = Sheet {
            seen: Seen {
                contact,
                ..Seen::default()
            },
            bytes_left: SEEN_BYTES_MAX,
        };
        Recorder {
            world,
            seen: Mutex::new(Some(sheet)),
        }
    }

    /// What the run has seen, once it is over.
    pub(super) fn take(&self) -> Option<Seen> {
        self.lock().take().map(|sheet| sheet.seen)
    }

    /// Writes down an answer of so many bytes, as long as there is room.
    fn note(&self, bytes: usize, write: impl FnOnce(&mut Seen)) {
        let mut held = self.lock();
        let Some(sheet) = held.as_mut() else {
            return;
        };
        match sheet
            .bytes_left
            .checked_sub(bytes.saturating_add(ANSWER_BYTES))
        {
            Some(left) => {
                sheet.bytes_left = left;
                write(&mut sheet.seen);
            }
            None => *held = None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sheet>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World for Recorder {
    fn kv_get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        async move {
            let value = self.world.kv_get(key).await?;
            let bytes = key.len() + value.as_ref().map_or(0, Vec::len);
            self.note(bytes, |seen| {
                let first = seen.values.entry(key.to_owned());
                first.or_insert_with(|| value.clone());
            });
            Ok(value)
        }
        .boxed()
    }

    fn kv_list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<String>> {
        async move {
            let keys = self.world.kv_list(prefix, after, limit).await?;
            let bytes = keys.iter().map(|key| key.len() + ANSWER_BYTES);
            let bytes = bytes.sum::<usize>() + prefix.len() + after.map_or(0, str::len);
            self.note(bytes, |seen| {
                seen.lists.push(ListRead {
                    prefix: prefix.to_owned(),
                    after: after.map(str::to_owned),
                    limit,
                    keys: keys.clone(),
                });
            });
            Ok(keys)
        }
        .boxed()
    }

    fn conversation(&self, id: i64) -> Answer<'_, Option<ConversationState>> {
        async move {
            let state = self.world.conversation(id).await?;
            self.note(0, |seen| {
                let first = seen.conversations.entry(id);
                first.or_insert_with(|| state.clone());
            });
            Ok(state)
        }
        .boxed()
    }

    fn contact(&self, id: i64) -> Answer<'_, Option<ContactView>> {
        async move {
            let contact = self.world.contact(id).await?;
            let bytes = contact
                .as_ref()
                .map_or(0, |contact| contact.name.as_ref().map_or(0, String::len));
            self.note(bytes, |seen| {
                let first = seen.contacts.entry(id);
                first.or_insert_with(|| contact.clone());
            });
            Ok(contact)
        }
        .boxed()
    }

    fn refuse<'a>(
        &'a self,
        send: &'a Send,
        handling: Option<Handling>,
    ) -> Answer<'a, Option<Refusal>> {
        async move {
            let refusal = self.world.refuse(send, handling).await?;
            let bytes = refusal.as_ref().map_or(0, |refusal| refusal.detail.len());
            self.note(bytes, |seen| {
                seen.gate.push(Judged {
                    asked: Asked::of(send, handling),
                    refusal: refusal.clone(),
                });
            });
            Ok(refusal)
        }
        .boxed()
    }

    fn call(&self, calls: Vec<Outgoing>) -> Answer<'_, Vec<Answered>> {
        async move {
            let asked = calls.iter().map(|call| (call.hash(), Call::what(call)));
            let asked: Vec<_> = asked.collect();
            let answers = self.world.call(calls).await?;
            for ((request, what), answered) in asked.into_iter().zip(&answers) {
                let bytes = what.len() + bytes_of(answered);
                self.note(bytes, |seen| {
                    seen.calls.push(Call {
                        request,
                        what,
                        answered: answered.clone(),
                    });
                });
            }
            Ok(answers)
        }
        .boxed()
    }

    fn attachment<'a>(
        &'a self,
        conversation: i64,
        message: &'a str,
    ) -> Answer<'a, Option<Attachment>> {
        async move {
            let found = self.world.attachment(conversation, message).await?;
            let bytes = found
                .as_ref()
                .map_or(0, |found| found.filename.as_ref().map_or(0, String::len));
            self.note(message.len() + bytes, |seen| {
                let first = seen.attachments.entry((conversation, message.to_owned()));
                first.or_insert_with(|| found.clone());
            });
            Ok(found)
        }
        .boxed()
    }

    fn file(&self, digest: Digest) -> Answer<'_, Option<KeptFile>> {
        async move {
            let file = self.world.file(digest).await?;
            self.note(0, |seen| {
                let first = seen.files.entry(digest.to_string());
                first.or_insert_with(|| file.clone());
            });
            Ok(file)
        }
        .boxed()
    }

    /// The bytes are not written down: they stand in the folder of the files for as long as anybody may have them.
    fn read_file(
        &self,
        digest: Digest,
        offset: u64,
        bytes_max: u32,
    ) -> Answer<'_, Option<Vec<u8>>> {
        self.world.read_file(digest, offset, bytes_max)
    }

    /// The answer follows from the bytes.
    fn keep_file(&self, file: NewFile) -> Answer<'_, Result<Digest, String>> {
        self.world.keep_file(file)
    }

    fn case<'a>(&'a self, key: &'a str) -> Answer<'a, Option<CaseEntry>> {
        async move {
            let case = self.world.case(key).await?;
            let bytes = key.len() + case.as_ref().map_or(0, case_bytes);
            self.note(bytes, |seen| {
                let first = seen.cases.entry(key.to_owned());
                first.or_insert_with(|| case.clone());
            });
            Ok(case)
        }
        .boxed()
    }

    fn cases(&self, conversation: i64) -> Answer<'_, Vec<CaseEntry>> {
        async move {
            let cases = self.world.cases(conversation).await?;
            let bytes = cases.iter().map(case_bytes).sum();
            self.note(bytes, |seen| {
                let first = seen.cases_of.entry(conversation);
                first.or_insert_with(|| cases.clone());
            });
            Ok(cases)
        }
        .boxed()
    }

    fn marks(&self, conversation: i64) -> Answer<'_, Marks> {
        async move {
            let marks = self.world.marks(conversation).await?;
            self.note(json(&marks).len(), |seen| {
                let first = seen.marks.entry(conversation);
                first.or_insert_with(|| marks.clone());
            });
            Ok(marks)
        }
        .boxed()
    }

    fn notes(&self, conversation: i64) -> Answer<'_, Vec<Note>> {
        async move {
            let notes = self.world.notes(conversation).await?;
            self.note(json(&notes).len(), |seen| {
                let first = seen.notes.entry(conversation);
                first.or_insert_with(|| notes.clone());
            });
            Ok(notes)
        }
        .boxed()
    }
}

fn case_bytes(entry: &CaseEntry) -> usize {
    json(entry).len()
}

fn bytes_of(answered: &Answered) -> usize {
    match answered {
        Ok(response) => {
            let headers = response.headers.iter();
            let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
            headers + response.body.len()
        }
        Err(error) => error.code.len() + error.detail.len(),
    }
}

/// A run while it is not decided whether it is kept.
pub(super) struct Draft {
    pub(super) recorder: Arc<Recorder>,
    /// How it ended.
    pub(super) outcome: shadow::Outcome,
    pub(super) attempt: u32,
    pub(super) now_ms: i64,
    pub(super) seed: [u8; 16],
    pub(super) settings: [u8; 32],
}

impl Draft {
    /// What is kept of the run, if this is the end of its event.
    pub(super) fn record(self, end: &End) -> Option<Record> {
        let effects: &[Effect] = match end {
            End::Done { effects, .. } => effects,
            End::Dead { .. } => &[],
            End::Retry { .. } => return None,
        };
        let deeds: Vec<Deed> = effects.iter().map(deed).collect();
        let effects = json(&deeds);
        let whole = effects.len() <= EFFECTS_BYTES_MAX;
        let seen = self.recorder.take().filter(|_| whole);
        Some(Record {
            attempt: self.attempt,
            now_ms: self.now_ms,
            seed: self.seed,
            settings: self.settings,
            outcome: json(&self.outcome),
            effects: if whole { effects } else { "[]".to_owned() },
            seen: seen.map(Seen::keep),
        })
    }
}

/// How a run ended, as it is compared. The end of one that could not read is none.
pub(super) fn outcome(outcome: &Outcome) -> shadow::Outcome {
    match outcome {
        Outcome::Done => shadow::Outcome::Done,
        Outcome::Retry(seconds) => shadow::Outcome::Retry(*seconds),
        Outcome::Reject(reason) => shadow::Outcome::Reject(reason.clone()),
        Outcome::Fault(fault) => shadow::Outcome::Fault(fault.to_string()),
        Outcome::Unavailable(why) => shadow::Outcome::Fault(why.clone()),
    }
}

/// An effect, as it is compared.
pub(super) fn deed(effect: &Effect) -> Deed {
    match effect {
        Effect::Set {
            key,
            value,
            expires_ms,
        } => Deed::Set {
            key: key.clone(),
            value: Content::of(value),
            expires_ms: *expires_ms,
        },
        Effect::Delete { key } => Deed::Delete { key: key.clone() },
        Effect::Send(send) => Deed::Send {
            conversation: send.conversation,
            speaker: send.speaker,
            agent: send.agent.clone(),
            message: send.message.clone(),
        },
        Effect::Handle {
            conversation,
            handling,
            agent,
            until_ms,
        } => Deed::Handle {
            conversation: *conversation,
            handling: *handling,
            agent: agent.clone(),
            until_ms: *until_ms,
        },
        Effect::SetTimer {
            name,
            at_ms,
            payload,
            conversation,
        } => Deed::SetTimer {
            name: name.clone(),
            at_ms: *at_ms,
            payload: payload.clone(),
            conversation: *conversation,
        },
        Effect::CancelTimer { name } => Deed::CancelTimer { name: name.clone() },
        Effect::AwaitFile {
            conversation,
            message,
        } => Deed::AwaitFile {
            conversation: *conversation,
            message: message.clone(),
        },
        Effect::OpenCase { conversation, case } => Deed::OpenCase {
            conversation: *conversation,
            case: case.clone(),
        },
        Effect::ChangeCase { case } => Deed::ChangeCase { case: case.clone() },
        Effect::CloseCase { key } => Deed::CloseCase { key: key.clone() },
        Effect::Annotate {
            conversation,
            annotation,
        } => Deed::Annotate {
            conversation: *conversation,
            annotation: annotation.clone(),
        },
        Effect::Answer(answer) => Deed::Answer {
            status: answer.status,
            headers: answer.headers.clone(),
            body: Content::of(&answer.body),
        },
    }
}
