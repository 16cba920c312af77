//! What another version of a plugin would have done: its run over an event that was handled before, held against the run
//! that was, in words for whoever decides about the version.
//!
//! Effects are told apart by what they are about: a key, a conversation, a timer. The order of effects on different things
//! is nobody's business; on one thing it is.

use std::collections::BTreeMap;
use std::fmt;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::annotations::{Annotation, NewNote};
use crate::cases::Case;
use crate::plugins_toml::one_line;
use crate::sending::{Agent, Handling, Speaker};

/// More differences of one run are counted and not told.
const TOLD_MAX: usize = 50;
/// So much of a value is kept to be shown; it is compared by its digest.
const BEGINNING_BYTES_MAX: usize = 200;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    /// It asked for another attempt, after so many seconds if it has said so.
    Retry(Option<u32>),
    /// Its reason.
    Reject(String),
    /// What happened, and which limit it was.
    Fault(String),
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    Set {
        key: String,
        value: Content,
        expires_ms: Option<i64>,
    },
    Delete {
        key: String,
    },
    Send {
        conversation: i64,
        speaker: Speaker,
        agent: Option<Agent>,
        message: Value,
    },
    Handle {
        conversation: i64,
        handling: Handling,
        agent: Option<Agent>,
        until_ms: Option<i64>,
    },
    SetTimer {
        name: String,
        at_ms: i64,
        payload: String,
        conversation: Option<i64>,
    },
    CancelTimer {
        name: String,
    },
    AwaitFile {
        conversation: i64,
        message: String,
    },
    OpenCase {
        conversation: i64,
        case: Case,
    },
    ChangeCase {
        case: Case,
    },
    CloseCase {
        key: String,
    },
    Annotate {
        conversation: i64,
        annotation: Annotation,
    },
    /// Of a hook's call.
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Content,
    },
}

/// A value, as far as it is needed to tell it from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Hex.
    sha256: String,
    bytes: usize,
    beginning: String,
}

/// What came of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Came {
    pub outcome: Outcome,
    /// In the order in which they commit.
    pub deeds: Vec<Deed>,
}

impl Outcome {
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(self, Outcome::Fault(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done => f.write_str("done"),
            Outcome::Retry(None) => f.write_str("asks for another attempt"),
            Outcome::Retry(Some(seconds)) => {
                write!(f, "asks for another attempt in {seconds} s")
            }
            Outcome::Reject(reason) => write!(f, "rejects the event: {}", one_line(reason)),
            Outcome::Fault(what) => write!(f, "faults: {}", one_line(what)),
        }
    }
}

impl Content {
    #[must_use]
    pub fn of(value: &[u8]) -> Content {
        let head = value.get(..BEGINNING_BYTES_MAX).unwrap_or(value);
        // Cut within a character, the last one is left out.
        let beginning = head.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        Content {
            sha256: hex::encode(digest(&SHA256, value)),
            bytes: value.len(),
            beginning: beginning.to_owned(),
        }
    }

    fn shown(&self) -> String {
        let shown = format!("{:?}", one_line(&self.beginning));
        if self.beginning.len() == self.bytes {
            return shown;
        }
        let digest = self.sha256.get(..8).unwrap_or_default();
        format!(
            "{shown} and so on ({} bytes, SHA-256 {digest}…)",
            self.bytes
        )
    }
}

impl Deed {
    /// What it is about.
    fn subject(&self) -> String {
        match self {
            Deed::Set { key, .. } | Deed::Delete { key } => {
                format!("store key {:?}", one_line(key))
            }
            Deed::Send { conversation, .. } => format!("send to conversation {conversation}"),
            Deed::Handle { conversation, .. } => format!("who has conversation {conversation}"),
            Deed::SetTimer { name, .. } | Deed::CancelTimer { name } => {
                format!("timer {:?}", one_line(name))
            }
            Deed::AwaitFile { message, .. } => format!("file of message {:?}", one_line(message)),
            Deed::OpenCase { case, .. } | Deed::ChangeCase { case } => {
                format!("case {:?}", one_line(&case.key))
            }
            Deed::CloseCase { key } => format!("case {:?}", one_line(key)),
            Deed::Annotate {
                conversation,
                annotation,
            } => match annotation {
                Annotation::Note(_) => format!("note on conversation {conversation}"),
                Annotation::AddLabel(label) | Annotation::RemoveLabel(label) => {
                    format!("label {:?} of conversation {conversation}", one_line(label))
                }
                Annotation::Assign(_) => format!("assignment of conversation {conversation}"),
            },
            Deed::Answer { .. } => "answer".to_owned(),
        }
    }

    /// What becomes of that.
    fn content(&self) -> String {
        match self {
            Deed::Set {
                value, expires_ms, ..
            } => {
                let lasting =
                    expires_ms.map_or_else(String::new, |at| format!(" until {}", time(at)));
                format!("{}{lasting}", value.shown())
            }
            Deed::Delete { .. } => "deleted".to_owned(),
            Deed::Send {
                speaker,
                agent,
                message,
                ..
            } => {
                let by = match speaker {
                    Speaker::Automation => String::new(),
                    Speaker::Person => format!(" as {}", person(agent.as_ref())),
                };
                format!("{}{by}", said(message))
            }
            Deed::Handle {
                handling,
                agent,
                until_ms,
                ..
            } => {
                let until = until_ms.map_or_else(String::new, |at| format!(" until {}", time(at)));
                match handling {
                    Handling::Person => format!("{}{until}", person(agent.as_ref())),
                    Handling::Automation => "automations".to_owned(),
                }
            }
            Deed::SetTimer {
                at_ms,
                payload,
                conversation,
                ..
            } => {
                let within =
                    conversation.map_or_else(String::new, |id| format!(" in conversation {id}"));
                format!("{}{within} with {:?}", time(*at_ms), one_line(payload))
            }
            Deed::CancelTimer { .. } => "cancelled".to_owned(),
            Deed::AwaitFile { conversation, .. } => {
                format!("awaited in conversation {conversation}")
            }
            Deed::OpenCase { conversation, case } => {
                format!("open in conversation {conversation}, {}", told(case))
            }
            Deed::ChangeCase { case } => told(case),
            Deed::CloseCase { .. } => "closed".to_owned(),
            Deed::Annotate { annotation, .. } => annotated(annotation),
            Deed::Answer {
                status,
                headers,
                body,
            } => {
                let headers = headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}"));
                let headers: Vec<String> = headers.collect();
                format!(
                    "{status} {} [{}]",
                    body.shown(),
                    one_line(&headers.join(", "))
                )
            }
        }
    }
}

fn person(agent: Option<&Agent>) -> String {
    agent.map_or_else(
        || "a person".to_owned(),
        |agent| format!("a person, {}", one_line(&agent.to_string())),
    )
}

fn annotated(annotation: &Annotation) -> String {
    match annotation {
        Annotation::Note(NewNote { key, text, agent }) => {
            let key = key.as_ref().map_or_else(String::new, |key| {
                format!(" under the key {:?}", one_line(key))
            });
            let by = agent
                .as_ref()
                .map_or_else(String::new, |agent| format!(" by {}", person(Some(agent))));
            format!("{:?}{key}{by}", one_line(text))
        }
        Annotation::AddLabel(_) => "added".to_owned(),
        Annotation::RemoveLabel(_) => "taken off".to_owned(),
        Annotation::Assign(Some(agent)) => person(Some(agent)),
        Annotation::Assign(None) => "nobody".to_owned(),
    }
}

fn told(case: &Case) -> String {
    let Case {
        key: _,
        title,
        url,
        status,
        assignee,
    } = case;
    let assignee = assignee.as_ref().map(Agent::to_string);
    let told = [
        ("title", title.as_ref()),
        ("url", url.as_ref()),
        ("status", status.as_ref()),
        ("assignee", assignee.as_ref()),
    ];
    let told = told
        .into_iter()
        .filter_map(|(name, text)| Some(format!("{name} {:?}", one_line(text?))));
    told.collect::<Vec<_>>().join(", ")
}

/// The words of a text message; another one as JSON.
fn said(message: &Value) -> String {
    match message.pointer("/text/body").and_then(Value::as_str) {
        Some(text) => format!("{:?}", one_line(text)),
        None => one_line(&message.to_string()),
    }
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |at| at.to_string())
}

/// What differs between the run that was and the one that would be, a line each; nothing where nothing does.
#[must_use]
pub fn differences(was: &Came, is: &Came) -> Vec<String> {
    let mut told = Vec::new();
    if was.outcome != is.outcome {
        told.push(format!("outcome: was {}, is {}", was.outcome, is.outcome));
    }
    let mut subjects: BTreeMap<String, (Vec<&Deed>, Vec<&Deed>)> = BTreeMap::new();
    for deed in &was.deeds {
        subjects.entry(deed.subject()).or_default().0.push(deed);
    }
    for deed in &is.deeds {
        subjects.entry(deed.subject()).or_default().1.push(deed);
    }
    for (subject, (was, is)) in &subjects {
        told.extend(about(subject, was, is));
    }
    if told.len() > TOLD_MAX {
        let more = told.len() - TOLD_MAX;
        told.truncate(TOLD_MAX);
        told.push(format!("and {more} more"));
    }
    told
}

/// What both begin and end with is the same; what lies between is told pair by pair.
fn about(subject: &str, was: &[&Deed], is: &[&Deed]) -> Vec<String> {
    let same = was.iter().zip(is).take_while(|(was, is)| was == is);
    let begins = same.count();
    let (was, is) = (was.get(begins..), is.get(begins..));
    let (was, is) = (was.unwrap_or_default(), is.unwrap_or_default());
    let same = was.iter().rev().zip(is.iter().rev());
    let ends = same.take_while(|(was, is)| was == is).count();
    let (was, is) = (
        was.get(..was.len() - ends).unwrap_or_default(),
        is.get(..is.len() - ends).unwrap_or_default(),
    );
    let pairs = (0..was.len().max(is.len())).map(|at| (was.get(at), is.get(at)));
    let told = pairs.filter_map(|pair| match pair {
        (Some(was), Some(is)) if was == is => None,
        (Some(was), Some(is)) => {
            let (was, is) = (was.content(), is.content());
            Some(match was == is {
                true => format!("{subject}: differs beyond what is shown: {was}"),
                false => format!("{subject}: was {was}, is {is}"),
            })
        }
        (Some(was), None) => Some(format!("{subject}: {} is gone", was.content())),
        (None, Some(is)) => Some(format!("{subject}: {} is new", is.content())),
        (None, None) => None,
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// `7<hi` sends to conversation 7, `7!hi` as a person, `a=1` sets, `a-` deletes, `t@5` sets a timer, `t~` cancels
    /// it, `7+` hands over, `7*` gives back, `7#vip` labels, `7%vip` takes the label off, `7^3` assigns, `7&hi` notes,
    /// `200?hi` answers.
    fn deed(word: &str) -> Deed {
        let at = word
            .find([
                '<', '!', '=', '-', '@', '~', '+', '*', '#', '%', '^', '&', '?',
            ])
            .unwrap();
        let (name, rest) = (word[..at].to_owned(), &word[at + 1..]);
        let id = || name.parse().unwrap();
        let send = |speaker| Deed::Send {
            conversation: id(),
            speaker,
            agent: None,
            message: json!({"type": "text", "text": {"body": rest}}),
        };
        let handle = |handling| Deed::Handle {
            conversation: id(),
            handling,
            agent: None,
            until_ms: None,
        };
        let annotate = |annotation| Deed::Annotate {
            conversation: id(),
            annotation,
        };
        match word.as_bytes()[at] {
            b'#' => annotate(Annotation::AddLabel(rest.into())),
            b'%' => annotate(Annotation::RemoveLabel(rest.into())),
            b'^' => annotate(Annotation::Assign(Some(Agent {
                id: rest.into(),
                name: None,
            }))),
            b'&' => annotate(Annotation::Note(NewNote {
                key: None,
                text: rest.into(),
                agent: None,
            })),
            b'<' => send(Speaker::Automation),
            b'!' => send(Speaker::Person),
            b'=' => Deed::Set {
                key: name,
                value: Content::of(rest.as_bytes()),
                expires_ms: None,
            },
            b'-' => Deed::Delete { key: name },
            b'@' => Deed::SetTimer {
                name,
                at_ms: rest.parse().unwrap(),
                payload: "p".into(),
                conversation: None,
            },
            b'~' => Deed::CancelTimer { name },
            b'?' => Deed::Answer {
                status: name.parse().unwrap(),
                headers: vec![("a".into(), "b".into())],
                body: Content::of(rest.as_bytes()),
            },
            b'+' => handle(Handling::Person),
            _ => handle(Handling::Automation),
        }
    }

    fn came(words: &str) -> Came {
        Came {
            outcome: Outcome::Done,
            deeds: words.split_whitespace().map(deed).collect(),
        }
    }

    #[test]
    fn what_differs_is_told_thing_by_thing() {
        let cases: [(&str, &str, &[&str]); 15] = [
            ("", "", &[]),
            ("7<hi a=1 t@5 8+", "8+ t@5 7<hi a=1", &[]),
            ("", "7<hi", &["send to conversation 7: \"hi\" is new"]),
            ("7<hi", "", &["send to conversation 7: \"hi\" is gone"]),
            (
                "7<hi",
                "7!hi",
                &["send to conversation 7: was \"hi\", is \"hi\" as a person"],
            ),
            // One more between two that stay.
            (
                "7<a 7<c",
                "7<a 7<b 7<c",
                &["send to conversation 7: \"b\" is new"],
            ),
            (
                "7<a 7<b",
                "7<b 7<a",
                &[
                    "send to conversation 7: was \"a\", is \"b\"",
                    "send to conversation 7: was \"b\", is \"a\"",
                ],
            ),
            (
                "a=1 b=2",
                "a- b=2 c=3",
                &[
                    "store key \"a\": was \"1\", is deleted",
                    "store key \"c\": \"3\" is new",
                ],
            ),
            (
                "t@0",
                "t~",
                &["timer \"t\": was 1970-01-01T00:00:00Z with \"p\", is cancelled"],
            ),
            (
                "7+",
                "7*",
                &["who has conversation 7: was a person, is automations"],
            ),
            (
                "7#vip",
                "7%vip",
                &["label \"vip\" of conversation 7: was added, is taken off"],
            ),
            (
                "7^3",
                "7^4",
                &["assignment of conversation 7: was a person, 3, is a person, 4"],
            ),
            (
                "7&hi 8&hi",
                "7&ho 8&hi",
                &["note on conversation 7: was \"hi\", is \"ho\""],
            ),
            (
                "200?hi",
                "404?hi",
                &["answer: was 200 \"hi\" [a: b], is 404 \"hi\" [a: b]"],
            ),
            (
                "7<a",
                "8<a",
                &[
                    "send to conversation 7: \"a\" is gone",
                    "send to conversation 8: \"a\" is new",
                ],
            ),
        ];
        for (was, is, told) in cases {
            assert_eq!(
                differences(&came(was), &came(is)),
                told,
                "{was:?} to {is:?}"
            );
        }
    }

    #[test]
    fn another_outcome_comes_first() {
        let faulted = Came {
            outcome: Outcome::Fault("cpu: used more than 200 ms of CPU".into()),
            deeds: Vec::new(),
        };
        assert_eq!(
            differences(&came("7<hi"), &faulted),
            [
                "outcome: was done, is faults: cpu: used more than 200 ms of CPU",
                "send to conversation 7: \"hi\" is gone"
            ]
        );
    }

    #[test]
    fn values_that_begin_alike_are_told_apart_and_much_is_cut() {
        let set = |value: String| Came {
            outcome: Outcome::Done,
            deeds: vec![Deed::Set {
                key: "k".into(),
                value: Content::of(value.as_bytes()),
                expires_ms: None,
            }],
        };
        // The 200th byte lies within a character.
        let long = |end: &str| set(format!("a{}{end}", "ä".repeat(200)));
        let told = differences(&long("1"), &long("2"));
        assert!(
            told.len() == 1 && told[0].contains("(402 bytes, SHA-256 "),
            "{told:?}"
        );
        let many: Vec<String> = (0..60).map(|key| format!("k{key}=1")).collect();
        let told = differences(&came(""), &came(&many.join(" ")));
        assert_eq!(told.len(), TOLD_MAX + 1);
        assert_eq!(told[TOLD_MAX], "and 10 more");
    }

    fn deeds() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(
            "(7|8)(<|!)[ab]|[ab](=[xy]|-)|t(@[12]|~)|(7|8)(\\+|\\*)|(7|8)(#|%|\\^|&)[ab]",
            0..8,
        )
    }

    proptest! {
        /// Nothing is told exactly when each thing fares the same; and what is kept is what was.
        #[test]
        fn silence_means_the_same(was in deeds(), is in deeds()) {
            let (was, is) = (came(&was.join(" ")), came(&is.join(" ")));
            prop_assert!(differences(&was, &was).is_empty());
            let by_subject = |came: &Came| {
                let mut deeds = came.deeds.clone();
                deeds.sort_by_key(Deed::subject);
                deeds
            };
            prop_assert_eq!(differences(&was, &is).is_empty(), by_subject(&was) == by_subject(&is));
            let kept = serde_json::to_string(&was.deeds).unwrap();
            prop_assert_eq!(serde_json::from_str::<Vec<Deed>>(&kept).unwrap(), was.deeds);
        }
    }
}
