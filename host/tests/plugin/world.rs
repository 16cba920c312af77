//! A world in memory: what a run may read, and what a test wants it to see.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use duet::effect::{Effect, Handling, Send};
use duet::event::ContactView;
use duet::outbound::{Answered, Files, Outgoing};
use duet::plugin::{Answer, Attachment, ConversationState, KeptFile, NewFile, Unavailable, World};
use duet_rules::annotations::{Marks, NewNote, Note};
use duet_rules::cases::{Case, CaseEntry};
use duet_rules::media::Digest;
use duet_rules::sending::Refusal;

/// The only file that is here.
const FILE: Digest = Digest([7; 32]);

fn stored_case() -> CaseEntry {
    CaseEntry {
        instance: "tour".into(),
        conversation: 7,
        case: Case {
            key: "41".into(),
            title: Some("Late".into()),
            url: None,
            status: None,
            assignee: None,
        },
        opened_ms: 1_700_000_000_000,
        closed_ms: None,
    }
}

#[derive(Default)]
pub(crate) struct MemoryWorld {
    pub(crate) values: Mutex<BTreeMap<String, Vec<u8>>>,
    /// The thread that read a value last.
    pub(crate) read_on: Mutex<String>,
    pub(crate) person_has_conversation: bool,
    pub(crate) store_is_down: bool,
    pub(crate) panics: bool,
}

impl MemoryWorld {
    /// What dispatch does in a transaction.
    pub(crate) fn commit(&self, effects: &[Effect]) {
        let mut values = self.values.lock().unwrap();
        for effect in effects {
            match effect {
                Effect::Set { key, value, .. } => drop(values.insert(key.clone(), value.clone())),
                Effect::Delete { key } => drop(values.remove(key)),
                Effect::Send(_)
                | Effect::Handle { .. }
                | Effect::SetTimer { .. }
                | Effect::CancelTimer { .. }
                | Effect::AwaitFile { .. }
                | Effect::OpenCase { .. }
                | Effect::ChangeCase { .. }
                | Effect::CloseCase { .. }
                | Effect::Annotate { .. }
                | Effect::Answer(_) => {}
            }
        }
    }
}

fn answer<'a, T: std::marker::Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(async move { Ok(value) })
}

impl World for MemoryWorld {
    fn kv_get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        assert!(!self.panics, "a host function panics");
        let thread = std::thread::current();
        *self.read_on.lock().unwrap() = thread.name().unwrap_or_default().to_owned();
        if self.store_is_down {
            return Box::pin(async { Err(Unavailable("the store is down".into())) });
        }
        answer(self.values.lock().unwrap().get(key).cloned())
    }

    fn kv_list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<String>> {
        let values = self.values.lock().unwrap();
        let keys = values.keys().filter(|key| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        });
        answer(keys.take(limit).cloned().collect())
    }

    fn conversation(&self, id: i64) -> Answer<'_, Option<ConversationState>> {
        let handling = if self.person_has_conversation {
            Handling::Person
        } else {
            Handling::Automation
        };
        answer((id == 7).then_some(ConversationState {
            handling,
            agent: None,
            handling_until_ms: None,
            window_until_ms: None,
        }))
    }

    fn contact(&self, id: i64) -> Answer<'_, Option<ContactView>> {
        answer((id == 5).then(|| ContactView {
            id,
            name: Some("Asha".into()),
            wa_id: None,
            user_id: None,
        }))
    }

    fn refuse<'a>(
        &'a self,
        _: &'a Send,
        handling: Option<Handling>,
    ) -> Answer<'a, Option<Refusal>> {
        let stored = if self.person_has_conversation {
            Handling::Person
        } else {
            Handling::Automation
        };
        let refused = handling.unwrap_or(stored) == Handling::Person;
        let detail = "a person has the conversation".to_owned();
        answer(refused.then_some(Refusal {
            code: "person-has-conversation".into(),
            detail,
            meta_code: None,
        }))
    }

    fn call(&self, calls: Vec<Outgoing>) -> Answer<'_, Vec<Answered>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            let files: Files = Arc::new(|_| Err(std::io::Error::other("no file is here")));
            for call in &calls {
                answers.push(call.make(None, &files).await);
            }
            Ok(answers)
        })
    }

    fn attachment<'a>(
        &'a self,
        conversation: i64,
        message: &'a str,
    ) -> Answer<'a, Option<Attachment>> {
        answer(
            (conversation == 7 && message == "wamid.file").then(|| Attachment {
                state: "stored".into(),
                stored: Some((FILE.to_string(), 5)),
                mime_type: Some("image/jpeg".into()),
                filename: Some("cat.jpg".into()),
            }),
        )
    }

    fn file(&self, digest: Digest) -> Answer<'_, Option<KeptFile>> {
        answer((digest == FILE).then(|| KeptFile {
            mime_type: "image/jpeg".into(),
            bytes: 5,
        }))
    }

    fn read_file(&self, _: Digest, offset: u64, bytes_max: u32) -> Answer<'_, Option<Vec<u8>>> {
        let bytes = b"photo".iter().skip(offset.try_into().unwrap());
        answer(Some(
            bytes.take(bytes_max.try_into().unwrap()).copied().collect(),
        ))
    }

    fn keep_file(&self, _: NewFile) -> Answer<'_, Result<Digest, String>> {
        answer(Ok(FILE))
    }

    fn case<'a>(&'a self, key: &'a str) -> Answer<'a, Option<CaseEntry>> {
        answer((key == "41").then(stored_case))
    }

    fn cases(&self, conversation: i64) -> Answer<'_, Vec<CaseEntry>> {
        answer(match conversation {
            7 => vec![stored_case()],
            _ => Vec::new(),
        })
    }

    fn marks(&self, _: i64) -> Answer<'_, Marks> {
        answer(Marks {
            labels: ["old".into(), "vip".into()].into(),
            assignee: None,
        })
    }

    fn notes(&self, _: i64) -> Answer<'_, Vec<Note>> {
        answer(vec![Note {
            author: "api".into(),
            note: NewNote {
                key: None,
                text: "Call her back".into(),
                agent: None,
            },
            at_ms: 1_700_000_000_000,
        }])
    }
}
