//! Cases that other systems keep of conversations: what a plugin may say of one, and the events that come of it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::sending::Agent;

/// The first word of the kinds of those events.
pub const FAMILY: &str = "case";
/// Open at once in an instance, unless its grant says otherwise.
pub const OPEN_DEFAULT: u64 = 10_000;
/// So many closed ones of a conversation are kept.
pub const CLOSED_MAX: i64 = 100;

pub const KEY_BYTES_MAX: usize = 256;
const TITLE_BYTES_MAX: usize = 512;
const URL_BYTES_MAX: usize = 2048;
const STATUS_BYTES_MAX: usize = 64;

/// A case, in the words of the other system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The other system's own id of it.
    pub key: String,
    pub title: Option<String>,
    /// Where people look at it.
    pub url: Option<String>,
    pub status: Option<String>,
    pub assignee: Option<Agent>,
}

/// A case as it stands; times in ms since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseEntry {
    /// The plugin instance whose case it is.
    pub instance: String,
    pub conversation: i64,
    pub case: Case,
    /// For the last time.
    pub opened_ms: i64,
    /// Absent while it is open.
    pub closed_ms: Option<i64>,
}

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Opened,
    Reopened,
    /// It has another assignee, or none any more.
    Assigned,
    Changed,
    Closed,
}

impl Case {
    /// # Errors
    /// Why there can be no such case, in words for the plugin's author.
    pub fn check(&self) -> Result<(), String> {
        if self.key.is_empty() {
            return Err("a case's key has no bytes".to_owned());
        }
        for (what, text, max) in [
            ("key", Some(&self.key), KEY_BYTES_MAX),
            ("title", self.title.as_ref(), TITLE_BYTES_MAX),
            ("url", self.url.as_ref(), URL_BYTES_MAX),
            ("status", self.status.as_ref(), STATUS_BYTES_MAX),
        ] {
            let bytes = text.map_or(0, String::len);
            if bytes > max {
                return Err(format!(
                    "a case's {what} has at most {max} bytes, this one has {bytes}"
                ));
            }
        }
        let is_link = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        if !self.url.as_ref().is_none_or(is_link) {
            return Err("a case's url begins with https:// or http://".to_owned());
        }
        self.assignee.as_ref().map_or(Ok(()), Agent::check)
    }

    /// The body of an event about it.
    #[must_use]
    pub fn body(&self, instance: &str, open: bool) -> String {
        json!({
            "instance": instance,
            "key": self.key,
            "title": self.title,
            "url": self.url,
            "status": self.status,
            "assignee": self.assignee,
            "open": open,
        })
        .to_string()
    }

    /// What it means that this case takes the place of `was`, which says whether it is open, too. `open`: whether it is
    /// from now on. Nothing where nothing changes.
    #[must_use]
    pub fn turn(&self, was: Option<(&Case, bool)>, open: bool) -> Option<Turn> {
        match was {
            None => Some(Turn::Opened),
            Some((_, false)) if open => Some(Turn::Reopened),
            Some((_, true)) if !open => Some(Turn::Closed),
            Some((case, _)) if case.assignee != self.assignee => Some(Turn::Assigned),
            Some((case, _)) if case != self => Some(Turn::Changed),
            Some(_) => None,
        }
    }
}

impl Turn {
    /// The kind of the event.
    #[must_use]
    pub fn kind(self) -> String {
        let word = match self {
            Turn::Opened => "opened",
            Turn::Reopened => "reopened",
            Turn::Assigned => "assigned",
            Turn::Changed => "changed",
            Turn::Closed => "closed",
        };
        format!("{FAMILY}.{word}")
    }
}

/// Whether an event is about a case of this instance's own, which it knows of.
#[must_use]
pub fn is_own(kind: &str, body: &str, instance: &str) -> bool {
    #[derive(Deserialize)]
    struct About {
        instance: String,
    }
    let is_case = kind
        .strip_prefix(FAMILY)
        .is_some_and(|rest| rest.starts_with('.'));
    is_case && serde_json::from_str(body).is_ok_and(|about: About| about.instance == instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(key: &str) -> Case {
        Case {
            key: key.into(),
            title: Some("Late".into()),
            url: Some("https://desk.example.com/7".into()),
            status: None,
            assignee: None,
        }
    }

    #[test]
    fn a_case_that_is_too_long_or_leads_nowhere_is_refused() {
        assert_eq!(case("7").check(), Ok(()));
        assert_eq!(case(&"k".repeat(256)).check(), Ok(()));
        /// A change, and a word of its refusal.
        type Change<'a> = (&'a dyn Fn(&mut Case), &'a str);
        let changes: [Change<'_>; 6] = [
            (&|case| case.key.clear(), "no bytes"),
            (&|case| case.key = "k".repeat(257), "key has at most 256"),
            (
                &|case| case.title = Some("t".repeat(513)),
                "at most 512 bytes",
            ),
            (&|case| case.status = Some("s".repeat(65)), "at most 64"),
            (&|case| case.url = Some("javascript:1".into()), "https://"),
            (
                &|case| {
                    case.assignee = Some(Agent {
                        id: String::new(),
                        name: None,
                    });
                },
                "agent's id",
            ),
        ];
        for (change, told) in changes {
            let mut case = case("7");
            change(&mut case);
            let refused = case.check().unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn an_event_says_what_became_of_a_case() {
        let (plain, agent) = (
            case("7"),
            Agent {
                id: "3".into(),
                name: None,
            },
        );
        let other = Case {
            status: Some("pending".into()),
            ..case("7")
        };
        let given = Case {
            assignee: Some(agent),
            ..other.clone()
        };
        for (is, was, open, turn) in [
            (&plain, None, true, Some(Turn::Opened)),
            (&plain, Some((&plain, true)), true, None),
            (&plain, Some((&plain, false)), true, Some(Turn::Reopened)),
            (&plain, Some((&plain, true)), false, Some(Turn::Closed)),
            (&plain, Some((&plain, false)), false, None),
            (&other, Some((&plain, true)), true, Some(Turn::Changed)),
            (&other, Some((&plain, false)), false, Some(Turn::Changed)),
            (&given, Some((&plain, true)), true, Some(Turn::Assigned)),
            (&plain, Some((&given, true)), true, Some(Turn::Assigned)),
        ] {
            assert_eq!(is.turn(was, open), turn, "{is:?} was {was:?}");
        }
    }

    #[test]
    fn an_instance_knows_of_its_own() {
        let body = case("7").body("desk", true);
        assert!(is_own("case.opened", &body, "desk"));
        assert!(!is_own("case.opened", &body, "csat"));
        assert!(!is_own("message.text", &body, "desk"));
        assert!(!is_own("case.opened", "[]", "desk"));
    }
}
