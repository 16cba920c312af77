use crate::sending::{Agent, Handling};

/// Why somebody else has a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A person wrote from the app.
    Echo,
    /// An agent replied through a plugin or the API.
    Agent,
    /// It was handed over or given back through the API.
    Api,
    /// The same by a plugin.
    Plugin,
    /// A person's time was over.
    Time,
}

/// From when on who has a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub handling: Handling,
    pub cause: Cause,
    /// The plugin instance, or `api`; nobody is known for an echo.
    pub who: Option<String>,
    /// Which person has it, if whoever gave it to a person has said so.
    pub agent: Option<Agent>,
    /// The event that made it so first, 0 when none did; for [`Cause::Time`] the one that gave it to the person.
    pub seq: i64,
    /// ms since 1970, by Meta's clock for an echo.
    pub at_ms: i64,
    /// Until when a person has it, unless something else comes before.
    pub until_ms: Option<i64>,
}

/// The changes as stored, oldest first, with those that time alone has made by `now_ms`.
#[must_use]
pub fn story(stored: Vec<Change>, now_ms: i64) -> Vec<Change> {
    let mut told: Vec<Change> = Vec::with_capacity(stored.len());
    for change in stored {
        let over = told.last().and_then(|last| expiry(last, change.at_ms));
        told.extend(over);
        told.push(change);
    }
    let over = told.last().and_then(|last| expiry(last, now_ms));
    told.extend(over);
    told
}

/// What became of a change by then if nothing else came.
fn expiry(change: &Change, by_ms: i64) -> Option<Change> {
    let until_ms = change.until_ms.filter(|until_ms| *until_ms <= by_ms)?;
    Some(Change {
        handling: Handling::Automation,
        cause: Cause::Time,
        who: None,
        agent: None,
        seq: change.seq,
        at_ms: until_ms,
        until_ms: None,
    })
}

impl Cause {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Echo => "echo",
            Cause::Agent => "agent",
            Cause::Api => "api",
            Cause::Plugin => "plugin",
            Cause::Time => "time",
        }
    }

    /// What [`Cause::as_str`] wrote.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Cause> {
        let all = [
            Cause::Echo,
            Cause::Agent,
            Cause::Api,
            Cause::Plugin,
            Cause::Time,
        ];
        all.into_iter().find(|cause| cause.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(at_ms: i64, until_ms: i64) -> Change {
        Change {
            handling: Handling::Person,
            cause: Cause::Echo,
            who: None,
            agent: None,
            seq: at_ms,
            at_ms,
            until_ms: Some(until_ms),
        }
    }

    fn back(at_ms: i64) -> Change {
        Change {
            handling: Handling::Automation,
            cause: Cause::Api,
            who: Some("api".into()),
            agent: None,
            seq: at_ms,
            at_ms,
            until_ms: None,
        }
    }

    #[test]
    fn time_gives_back_what_nobody_else_gave_back() {
        let told = |stored: Vec<Change>, now_ms| -> Vec<(&str, i64)> {
            let all = story(stored, now_ms);
            all.iter()
                .map(|change| (change.cause.as_str(), change.at_ms))
                .collect()
        };
        assert_eq!(told(vec![], 9), []);
        assert_eq!(told(vec![person(1, 10)], 9), [("echo", 1)]);
        assert_eq!(told(vec![person(1, 10)], 10), [("echo", 1), ("time", 10)]);
        assert_eq!(
            told(vec![person(1, 10), back(5)], 20),
            [("echo", 1), ("api", 5)]
        );
        let twice = vec![person(1, 10), person(15, 30), back(31)];
        let all = [
            ("echo", 1),
            ("time", 10),
            ("echo", 15),
            ("time", 30),
            ("api", 31),
        ];
        assert_eq!(told(twice, 99), all);
    }
}
