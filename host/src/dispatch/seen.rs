//! What a run has read and what its calls have brought, and how that is kept: as JSON, with values and bodies beside it as
//! they are, so that an erasure finds in them whom it is about.

use std::collections::BTreeMap;

use duet_rules::annotations::{Marks, Note};
use duet_rules::cases::CaseEntry;
use duet_rules::sending::{self, Kind, Refusal};
use serde::{Deserialize, Serialize};

use crate::effect::{Handling, ListRead, Send, Speaker};
use crate::event::ContactView;
use crate::outbound::{Answered, CallError, Outgoing, Response};
use crate::plugin::{Attachment, ConversationState, KeptFile};
use crate::store::runs;

/// All that a run saw of the world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whom the event is about.
    pub(super) contact: Option<ContactView>,
    pub(super) values: BTreeMap<String, Option<Vec<u8>>>,
    pub(super) lists: Vec<ListRead>,
    pub(super) conversations: BTreeMap<i64, Option<ConversationState>>,
    pub(super) contacts: BTreeMap<i64, Option<ContactView>>,
    /// By conversation and Meta's id of the message.
    pub(super) attachments: BTreeMap<(i64, String), Option<Attachment>>,
    /// By their digests in hex. Their bytes are not here.
    pub(super) files: BTreeMap<String, Option<KeptFile>>,
    /// By their keys.
    pub(super) cases: BTreeMap<String, Option<CaseEntry>>,
    /// By conversation.
    pub(super) cases_of: BTreeMap<i64, Vec<CaseEntry>>,
    /// By conversation.
    pub(super) marks: BTreeMap<i64, Marks>,
    /// By conversation.
    pub(super) notes: BTreeMap<i64, Vec<Note>>,
    pub(super) gate: Vec<Judged>,
    /// In the order in which they were made.
    pub(super) calls: Vec<Call>,
}

/// What the gate said of a send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Judged {
    pub(super) asked: Asked,
    pub(super) refusal: Option<Refusal>,
}

/// A send, as far as the gate looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    conversation: i64,
    speaker: Speaker,
    /// `free-form`, `template` and its name, or `mark-read`.
    kind: String,
    /// What the run itself has made of the conversation.
    handling: Option<Handling>,
}

impl Asked {
    pub(super) fn of(send: &Send, handling: Option<Handling>) -> Asked {
        let kind = match sending::kind(&send.message) {
            Kind::FreeForm => "free-form".to_owned(),
            Kind::MarkRead => "mark-read".to_owned(),
            Kind::Template => {
                let name = send.message.pointer("/template/name");
                let name = name.and_then(serde_json::Value::as_str);
                format!("template {}", name.unwrap_or_default())
            }
        };
        Asked {
            conversation: send.conversation,
            speaker: send.speaker,
            kind,
            handling,
        }
    }
}

/// A call, and what it has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// SHA-256 of the request before secrets.
    pub(super) request: [u8; 32],
    /// Method and URL.
    pub(super) what: String,
    pub(super) answered: Answered,
}

impl Call {
    /// Method and URL of a call.
    pub(super) fn what(call: &Outgoing) -> String {
        let request = call.request();
        format!("{} {}", request.method.as_str(), request.url)
    }
}

/// The JSON of what was read. Values stand behind one another in the bytes beside it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Reads {
    contact: Option<ContactView>,
    /// Key, and how many bytes its value has, if there is one.
    values: Vec<(String, Option<usize>)>,
    lists: Vec<ListRead>,
    conversations: Vec<(i64, Option<ConversationState>)>,
    contacts: Vec<(i64, Option<ContactView>)>,
    #[serde(default)]
    attachments: Vec<((i64, String), Option<Attachment>)>,
    #[serde(default)]
    files: Vec<(String, Option<KeptFile>)>,
    #[serde(default)]
    cases: Vec<(String, Option<CaseEntry>)>,
    #[serde(default)]
    cases_of: Vec<(i64, Vec<CaseEntry>)>,
    #[serde(default)]
    marks: Vec<(i64, Marks)>,
    #[serde(default)]
    notes: Vec<(i64, Vec<Note>)>,
    gate: Vec<Judged>,
}

type Headers = Vec<(String, String)>;

/// The JSON of a call. Bodies stand behind one another in the bytes beside it.
#[derive(Debug, Serialize, Deserialize)]
struct KeptCall {
    /// Hex.
    request: String,
    what: String,
    /// Status, headers, and how many bytes the body has.
    answer: Option<(u16, Headers, usize)>,
    /// Code and detail.
    error: Option<(String, String)>,
}

impl Seen {
    pub(super) fn keep(self) -> runs::Seen {
        let (mut read_bytes, mut call_bytes) = (Vec::new(), Vec::new());
        let values = self.values.into_iter().map(|(key, value)| {
            let bytes = value.as_ref().map(Vec::len);
            read_bytes.extend(value.unwrap_or_default());
            (key, bytes)
        });
        let reads = Reads {
            contact: self.contact,
            values: values.collect(),
            lists: self.lists,
            conversations: self.conversations.into_iter().collect(),
            contacts: self.contacts.into_iter().collect(),
            attachments: self.attachments.into_iter().collect(),
            files: self.files.into_iter().collect(),
            cases: self.cases.into_iter().collect(),
            cases_of: self.cases_of.into_iter().collect(),
            marks: self.marks.into_iter().collect(),
            notes: self.notes.into_iter().collect(),
            gate: self.gate,
        };
        let calls = self.calls.into_iter().map(|call| {
            let (answer, error) = match call.answered {
                Ok(response) => {
                    call_bytes.extend_from_slice(&response.body);
                    let bytes = response.body.len();
                    (Some((response.status, response.headers, bytes)), None)
                }
                Err(error) => (None, Some((error.code, error.detail))),
            };
            KeptCall {
                request: hex::encode(call.request),
                what: call.what,
                answer,
                error,
            }
        });
        let calls: Vec<KeptCall> = calls.collect();
        runs::Seen {
            reads: json(&reads),
            read_bytes,
            calls: json(&calls),
            call_bytes,
        }
    }

    /// What [`Seen::keep`] has made; `None` where it cannot be read.
    pub(super) fn read(kept: runs::Seen) -> Option<Seen> {
        let reads: Reads = serde_json::from_str(&kept.reads).ok()?;
        let mut bytes = kept.read_bytes.as_slice();
        let mut values = BTreeMap::new();
        for (key, length) in reads.values {
            let value = match length {
                Some(length) => Some(cut(&mut bytes, length)?),
                None => None,
            };
            values.insert(key, value);
        }
        let kept_calls: Vec<KeptCall> = serde_json::from_str(&kept.calls).ok()?;
        let mut bytes = kept.call_bytes.as_slice();
        let mut calls = Vec::new();
        for call in kept_calls {
            let answered = match (call.answer, call.error) {
                (Some((status, headers, length)), _) => Ok(Response {
                    status,
                    headers,
                    body: cut(&mut bytes, length)?,
                }),
                (None, Some((code, detail))) => Err(CallError { code, detail }),
                (None, None) => return None,
            };
            let mut request = [0; 32];
            hex::decode_to_slice(&call.request, &mut request).ok()?;
            calls.push(Call {
                request,
                what: call.what,
                answered,
            });
        }
        Some(Seen {
            contact: reads.contact,
            values,
            lists: reads.lists,
            conversations: reads.conversations.into_iter().collect(),
            contacts: reads.contacts.into_iter().collect(),
            attachments: reads.attachments.into_iter().collect(),
            files: reads.files.into_iter().collect(),
            cases: reads.cases.into_iter().collect(),
            cases_of: reads.cases_of.into_iter().collect(),
            marks: reads.marks.into_iter().collect(),
            notes: reads.notes.into_iter().collect(),
            gate: reads.gate,
            calls,
        })
    }
}

/// Only what has a key that is no text cannot be written, and there is none.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Takes so many bytes from the beginning.
fn cut(bytes: &mut &[u8], length: usize) -> Option<Vec<u8>> {
    let (first, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(first.to_vec())
}

#[cfg(test)]
mod tests {
    use duet_rules::annotations::NewNote;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_seen_comes_back_as_it_was() {
        let contact = ContactView {
            id: 5,
            name: Some("Asha \"A\"".into()),
            wa_id: Some("919800000001".into()),
            user_id: None,
        };
        let send = Send {
            conversation: 7,
            speaker: Speaker::Automation,
            agent: None,
            message: json!({"type": "template", "template": {"name": "order"}}),
        };
        let call = |request: u8, answered| Call {
            request: [request; 32],
            what: "POST https://a.example.com/".into(),
            answered,
        };
        let response = Response {
            status: 201,
            headers: vec![("a".into(), "b".into())],
            body: vec![0xff, 0, b'x'],
        };
        let lost = CallError {
            code: "lost".into(),
            detail: "the line".into(),
        };
        let seen = Seen {
            contact: Some(contact.clone()),
            values: BTreeMap::from([
                ("a".into(), Some(vec![0xfe, 1])),
                ("b".into(), None),
                ("c".into(), Some(Vec::new())),
                ("d".into(), Some(b"4915112340987".to_vec())),
            ]),
            lists: vec![ListRead {
                prefix: "a".into(),
                after: None,
                limit: 10,
                keys: vec!["a".into()],
            }],
            conversations: BTreeMap::from([(
                7,
                Some(ConversationState {
                    handling: Handling::Person,
                    agent: None,
                    handling_until_ms: Some(9),
                    window_until_ms: None,
                }),
            )]),
            contacts: BTreeMap::from([(5, Some(contact)), (6, None)]),
            attachments: BTreeMap::from([(
                (7, "wamid.1".into()),
                Some(Attachment {
                    state: "stored".into(),
                    stored: Some(("ab".into(), 7)),
                    mime_type: Some("image/jpeg".into()),
                    filename: None,
                }),
            )]),
            files: BTreeMap::from([("ab".into(), None)]),
            cases: BTreeMap::from([("a".into(), None)]),
            cases_of: BTreeMap::from([(7, Vec::new())]),
            marks: BTreeMap::from([(
                7,
                Marks {
                    labels: ["vip".into()].into(),
                    assignee: None,
                },
            )]),
            notes: BTreeMap::from([(
                7,
                vec![Note {
                    author: "api".into(),
                    note: NewNote {
                        key: None,
                        text: "Wants two".into(),
                        agent: None,
                    },
                    at_ms: 9,
                }],
            )]),
            gate: vec![Judged {
                asked: Asked::of(&send, Some(Handling::Automation)),
                refusal: Some(Refusal {
                    code: "window-closed".into(),
                    detail: "closed".into(),
                    meta_code: Some(131_047),
                }),
            }],
            calls: vec![call(1, Ok(response)), call(2, Err(lost))],
        };
        let kept = seen.clone().keep();
        // As it is, so that an erasure finds it.
        assert!(kept.read_bytes.ends_with(b"4915112340987"));
        assert_eq!(Seen::read(kept.clone()), Some(seen));
        let short = runs::Seen {
            call_bytes: vec![1],
            ..kept
        };
        assert_eq!(Seen::read(short), None);
        assert_eq!(Seen::read(runs::Seen::default()), None);
    }
}
