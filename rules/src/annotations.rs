//! What people and plugins keep on a conversation among themselves: notes, labels, and to whom it is assigned. What may be
//! said, what it changes, and the events that come of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::sending::Agent;

/// So many labels a conversation has at most.
pub const LABELS_MAX: usize = 50;
/// So many notes of each author are kept on a conversation, the newest.
pub const NOTES_MAX: i64 = 100;
/// So many notes a plugin is shown, the newest.
pub const SHOWN_MAX: usize = 100;

pub const TEXT_BYTES_MAX: usize = 4096;
const KEY_BYTES_MAX: usize = 128;
const LABEL_BYTES_MAX: usize = 64;

const KINDS: [&str; 3] = [NOTED, LABELLED, ASSIGNED];
const NOTED: &str = "conversation.noted";
const LABELLED: &str = "conversation.labelled";
const ASSIGNED: &str = "conversation.assigned";

/// A note, before it is somebody's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNote {
    /// Its author's own word for it: another note of the same key changes nothing.
    pub key: Option<String>,
    pub text: String,
    /// Which person has written it, if that is known.
    pub agent: Option<Agent>,
}

/// A note as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The plugin instance, or `api`.
    pub author: String,
    pub note: NewNote,
    /// Ms since 1970.
    pub at_ms: i64,
}

/// What somebody does to a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Annotation {
    Note(NewNote),
    AddLabel(String),
    RemoveLabel(String),
    /// To this person, or to nobody.
    Assign(Option<Agent>),
}

/// What a conversation has beside its notes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// At most [`LABELS_MAX`], as long as all come in by [`Marks::apply`].
    pub labels: BTreeSet<String>,
    pub assignee: Option<Agent>,
}

impl Annotation {
    /// # Errors
    /// Why this cannot be said of any conversation, in words for whoever says it.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Annotation::Note(note) => {
                within("note's text", &note.text, TEXT_BYTES_MAX)?;
                if let Some(key) = &note.key {
                    within("note's key", key, KEY_BYTES_MAX)?;
                }
                note.agent.as_ref().map_or(Ok(()), Agent::check)
            }
            Annotation::AddLabel(label) | Annotation::RemoveLabel(label) => check_label(label),
            Annotation::Assign(agent) => agent.as_ref().map_or(Ok(()), Agent::check),
        }
    }

    /// The kind of the event that says so.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Annotation::Note(_) => NOTED,
            Annotation::AddLabel(_) | Annotation::RemoveLabel(_) => LABELLED,
            Annotation::Assign(_) => ASSIGNED,
        }
    }

    /// Its body. `by` is the plugin instance, or `api`.
    #[must_use]
    pub fn body(&self, by: &str) -> String {
        let body = match self {
            Annotation::Note(NewNote { key, text, agent }) => {
                json!({"by": by, "key": key, "text": text, "agent": agent})
            }
            Annotation::AddLabel(label) => json!({"by": by, "label": label, "set": true}),
            Annotation::RemoveLabel(label) => json!({"by": by, "label": label, "set": false}),
            Annotation::Assign(agent) => json!({"by": by, "agent": agent}),
        };
        body.to_string()
    }
}

impl Marks {
    /// Does it; a note is no mark and does nothing here. The answer is whether anything has changed.
    ///
    /// # Errors
    /// Why it cannot be done to this conversation; it has not changed then.
    pub fn apply(&mut self, annotation: &Annotation) -> Result<bool, String> {
        match annotation {
            Annotation::Note(_) => Ok(false),
            Annotation::AddLabel(label) => {
                if self.labels.len() >= LABELS_MAX && !self.labels.contains(label) {
                    return Err(format!(
                        "the conversation has {LABELS_MAX} labels; take one off first"
                    ));
                }
                Ok(self.labels.insert(label.clone()))
            }
            Annotation::RemoveLabel(label) => Ok(self.labels.remove(label)),
            Annotation::Assign(agent) => {
                let changes = self.assignee != *agent;
                self.assignee.clone_from(agent);
                Ok(changes)
            }
        }
    }
}

fn within(what: &str, text: &str, max: usize) -> Result<(), String> {
    let bytes = text.len();
    if (1..=max).contains(&bytes) {
        return Ok(());
    }
    Err(format!(
        "a {what} has 1 to {max} bytes, this one has {bytes}"
    ))
}

/// A label is a word or a few, as people read them in a list.
fn check_label(label: &str) -> Result<(), String> {
    within("label", label, LABEL_BYTES_MAX)?;
    if label.trim() != label || label.chars().any(char::is_control) {
        return Err(
            "a label has no space before or behind it and no control characters".to_owned(),
        );
    }
    Ok(())
}

/// Whether an event tells of what this instance has done itself.
#[must_use]
pub fn is_own(kind: &str, body: &str, instance: &str) -> bool {
    #[derive(Deserialize)]
    struct Told {
        by: String,
    }
    KINDS.contains(&kind) && serde_json::from_str(body).is_ok_and(|told: Told| told.by == instance)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn agent(id: &str) -> Agent {
        Agent {
            id: id.into(),
            name: None,
        }
    }

    fn note(key: Option<&str>, text: &str) -> Annotation {
        Annotation::Note(NewNote {
            key: key.map(Into::into),
            text: text.into(),
            agent: None,
        })
    }

    #[test]
    fn what_is_empty_too_long_or_no_word_is_refused() {
        let add = |label: &str| Annotation::AddLabel(label.into());
        let sound = [
            note(None, "Wants two"),
            note(Some(&"k".repeat(128)), &"t".repeat(4096)),
            add("vip"),
            add("to call back"),
            add(&"ä".repeat(32)),
            Annotation::Assign(None),
        ];
        for annotation in sound {
            assert_eq!(annotation.check(), Ok(()), "{annotation:?}");
        }
        for (annotation, told) in [
            (note(None, ""), "a note's text has 1 to 4096 bytes"),
            (note(None, &"t".repeat(4097)), "this one has 4097"),
            (note(Some(""), "t"), "a note's key has 1 to 128 bytes"),
            (note(Some(&"k".repeat(129)), "t"), "this one has 129"),
            (add(""), "a label has 1 to 64 bytes"),
            (add(&"ä".repeat(33)), "this one has 66"),
            (add(" vip"), "no space"),
            (add("v\nip"), "no control"),
            (Annotation::RemoveLabel("vip ".into()), "no space"),
            (Annotation::Assign(Some(agent(""))), "an agent's id"),
        ] {
            let refused = annotation.check().unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn events_tell_who_did_what_and_an_instance_knows_its_own() {
        let assign = Annotation::Assign(Some(agent("3")));
        let off = Annotation::RemoveLabel("vip".into());
        for (annotation, kind, member, value) in [
            (
                note(Some("7"), "Wants two"),
                "conversation.noted",
                "text",
                json!("Wants two"),
            ),
            (off, "conversation.labelled", "set", json!(false)),
            (
                assign,
                "conversation.assigned",
                "agent",
                json!({"id": "3", "name": null}),
            ),
        ] {
            let body = annotation.body("desk");
            let read: Value = serde_json::from_str(&body).unwrap();
            assert_eq!((annotation.kind(), &read["by"]), (kind, &json!("desk")));
            assert_eq!(read[member], value);
            assert!(is_own(kind, &body, "desk") && !is_own(kind, &body, "csat"));
            assert!(!is_own("conversation.person", &body, "desk"));
        }
        assert!(!is_own(NOTED, "[]", "desk"));
    }

    fn annotations() -> impl Strategy<Value = Vec<Annotation>> {
        let label = || (0..LABELS_MAX + 5).prop_map(|at| format!("label {at}"));
        let one = prop_oneof![
            4 => label().prop_map(Annotation::AddLabel),
            1 => label().prop_map(Annotation::RemoveLabel),
            1 => prop::option::of("[ab]").prop_map(|id| Annotation::Assign(id.map(|id| agent(&id)))),
            1 => Just(note(None, "t")),
        ];
        prop::collection::vec(one, 0..150)
    }

    proptest! {
        /// What is said twice changes nothing, whatever is refused changes nothing, and there are never too many labels.
        #[test]
        fn marks_stay_within_bounds_and_know_what_changes(said in annotations()) {
            let mut marks = Marks::default();
            for annotation in said {
                let before = marks.clone();
                match marks.apply(&annotation) {
                    Ok(changed) => {
                        prop_assert_eq!(changed, marks != before);
                        prop_assert_eq!(marks.apply(&annotation), Ok(false));
                    }
                    Err(_) => {
                        prop_assert_eq!(before.labels.len(), LABELS_MAX);
                        prop_assert_eq!(&marks, &before);
                    }
                }
                prop_assert!(marks.labels.len() <= LABELS_MAX);
            }
        }
    }
}
