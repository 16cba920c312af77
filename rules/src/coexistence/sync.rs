//! Asking Meta for a number's contacts and history: each may be asked for once, within a day after the number was
//! connected. A pure function of the last request, of what came, and of when one looks.
//!
//! | what is known | state | what is still possible |
//! |---|---|---|
//! | it came | came | |
//! | never asked, or the request did not leave | none, not-sent | ask |
//! | the request is on its way | asked | wait |
//! | Meta has accepted it | awaited | wait |
//! | the answer was lost: it may have been accepted | unknown | wait; asking again burns nothing and may be refused as spent |
//! | accepted or unknown, and nothing came for six hours | silent | ask again, or connect anew |
//! | 2593107: it was asked for before | spent | wait for what that brings, or connect anew |
//! | 2593108: more than a day after the number was connected | late | connect anew |
//! | 2593109, as an answer or a webhook: not shared | declined | connect anew, and share it |
//! | refused otherwise | refused | mend what Meta names, then ask |
//!
//! Promises: whatever may have been accepted is not asked for again unless an admin says so. To connect anew means
//! that the business disconnects the number in the app (Settings, Account, Business Platform) and goes through the
//! signup again.

/// A request may be made for so long after the number was connected (Meta's page on onboarding users of the app).
pub const WINDOW_MS: i64 = 24 * 3_600_000;
/// A request of which nothing came for so long was accepted in vain.
pub const SILENT_MAX_MS: i64 = 6 * 3_600_000;

const SPENT: i64 = 2_593_107;
const LATE: i64 = 2_593_108;
const DECLINED: i64 = 2_593_109;
const ANEW: &str =
    "disconnect the number in the app (Settings, Account, Business Platform) and connect it anew";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Contacts,
    History,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is on its way.
    Asked,
    Accepted,
    /// By Meta, with this code.
    Refused(i64),
    /// Nothing of it has reached Meta.
    NotSent,
    /// The answer was lost.
    Unknown,
}

/// The last request of a kind since the number was connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// ms since 1970.
    pub asked_ms: i64,
    pub outcome: Outcome,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    None,
    NotSent,
    Asked,
    Awaited,
    Unknown,
    Silent,
    Came,
    Spent,
    Late,
    Declined,
    Refused(i64),
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Contacts, Kind::History];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Contacts => "contacts",
            Kind::History => "history",
        }
    }

    /// What [`Kind::as_str`] wrote.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Meta's word, in `sync_type`.
    #[must_use]
    pub fn sync_type(self) -> &'static str {
        match self {
            Kind::Contacts => "smb_app_state_sync",
            Kind::History => "history",
        }
    }
}

impl Sync {
    /// Where a kind stands at `now_ms`. `came`: something of it has come; `declined`: a webhook has said so.
    #[must_use]
    pub fn of(last: Option<Request>, came: bool, declined: bool, now_ms: i64) -> Sync {
        if came {
            return Sync::Came;
        }
        if declined {
            return Sync::Declined;
        }
        let Some(last) = last else {
            return Sync::None;
        };
        let silent = now_ms.saturating_sub(last.asked_ms) >= SILENT_MAX_MS;
        match last.outcome {
            Outcome::Asked => Sync::Asked,
            Outcome::NotSent => Sync::NotSent,
            Outcome::Accepted | Outcome::Unknown if silent => Sync::Silent,
            Outcome::Accepted => Sync::Awaited,
            Outcome::Unknown => Sync::Unknown,
            Outcome::Refused(SPENT) => Sync::Spent,
            Outcome::Refused(LATE) => Sync::Late,
            Outcome::Refused(DECLINED) => Sync::Declined,
            Outcome::Refused(code) => Sync::Refused(code),
        }
    }

    /// Whether something may come any moment.
    #[must_use]
    pub fn is_awaited(self) -> bool {
        matches!(self, Sync::Asked | Sync::Awaited | Sync::Unknown)
    }

    /// Whether it has ended without bringing anything.
    #[must_use]
    pub fn has_failed(self) -> bool {
        matches!(
            self,
            Sync::Silent | Sync::Spent | Sync::Late | Sync::Declined | Sync::Refused(_)
        )
    }

    /// Whether it may be asked for now. `again`: an admin takes the risk that it is refused as asked for before.
    ///
    /// # Errors
    /// Why not, and what else there is to do.
    pub fn may_ask(
        self,
        kind: Kind,
        again: bool,
        window_until_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), String> {
        if self == Sync::Asked {
            return Err("It is being asked for just now.".into());
        }
        if again {
            return Ok(());
        }
        match self {
            Sync::None | Sync::NotSent | Sync::Refused(_) => {}
            _ => return Err(self.summary(kind)),
        }
        if window_until_ms.is_some_and(|until| now_ms >= until) {
            return Err(Sync::Late.summary(kind));
        }
        Ok(())
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Sync::None => "none",
            Sync::NotSent => "not-sent",
            Sync::Asked => "asked",
            Sync::Awaited => "awaited",
            Sync::Unknown => "unknown",
            Sync::Silent => "silent",
            Sync::Came => "synced",
            Sync::Spent => "spent",
            Sync::Late => "late",
            Sync::Declined => "declined",
            Sync::Refused(_) => "refused",
        }
    }

    /// What has happened and what is still possible, in a sentence or two.
    #[must_use]
    pub fn summary(self, kind: Kind) -> String {
        let what = kind.as_str();
        match self {
            Sync::None => format!("Nobody has asked Meta for the {what}."),
            Sync::NotSent => {
                format!("The request for the {what} has not reached Meta; it can be made again.")
            }
            Sync::Asked => format!("Meta is being asked for the {what}."),
            Sync::Awaited => {
                format!("Meta has accepted the request for the {what}; nothing has come yet.")
            }
            Sync::Unknown => format!(
                "Meta's answer to the request for the {what} was lost: it may have been accepted. What comes will tell; asking again with --again burns nothing, and Meta may refuse it."
            ),
            Sync::Silent => format!(
                "Nothing has come for six hours after the request for the {what}. Ask again with --again, which Meta may refuse; else {ANEW}."
            ),
            Sync::Came if kind == Kind::History => "The history has come.".into(),
            Sync::Came => format!("The {what} have come."),
            Sync::Spent => format!(
                "Meta says that it was asked for the {what} before (2593107), which it gives once. What that request brings may still come; else {ANEW}."
            ),
            Sync::Late => format!(
                "Meta can be asked for the {what} within 24 hours after the number was connected, and that is over (2593108). To ask again, {ANEW}."
            ),
            Sync::Declined => format!(
                "The business chose in the app not to share the {what} (2593109). To share them, {ANEW}."
            ),
            Sync::Refused(code) => format!(
                "Meta refused the request for the {what} with code {code}; mend what it names, then ask again."
            ),
        }
    }
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Asked => "asked",
            Outcome::Accepted => "accepted",
            Outcome::Refused(_) => "refused",
            Outcome::NotSent => "not-sent",
            Outcome::Unknown => "unknown",
        }
    }

    /// What [`Outcome::as_str`] wrote; `code` is Meta's.
    #[must_use]
    pub fn from_word(word: &str, code: Option<i64>) -> Outcome {
        match word {
            "asked" => Outcome::Asked,
            "accepted" => Outcome::Accepted,
            "refused" => Outcome::Refused(code.unwrap_or(0)),
            "not-sent" => Outcome::NotSent,
            _ => Outcome::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T: i64 = 1_768_477_203_000;

    fn of(outcome: Outcome, after_ms: i64) -> Sync {
        let last = Request {
            asked_ms: T,
            outcome,
        };
        Sync::of(Some(last), false, false, T + after_ms)
    }

    #[test]
    fn each_line_of_the_table_holds() {
        assert_eq!(Sync::of(None, false, false, T), Sync::None);
        for (outcome, soon, late) in [
            (Outcome::Asked, Sync::Asked, Sync::Asked),
            (Outcome::Accepted, Sync::Awaited, Sync::Silent),
            (Outcome::Unknown, Sync::Unknown, Sync::Silent),
            (Outcome::NotSent, Sync::NotSent, Sync::NotSent),
            (Outcome::Refused(2_593_107), Sync::Spent, Sync::Spent),
            (Outcome::Refused(2_593_108), Sync::Late, Sync::Late),
            (Outcome::Refused(2_593_109), Sync::Declined, Sync::Declined),
            (
                Outcome::Refused(131_000),
                Sync::Refused(131_000),
                Sync::Refused(131_000),
            ),
        ] {
            assert_eq!(of(outcome, 0), soon, "{outcome:?}");
            assert_eq!(of(outcome, SILENT_MAX_MS), late, "{outcome:?}");
            let last = Request {
                asked_ms: T,
                outcome,
            };
            assert_eq!(Sync::of(Some(last), true, true, T), Sync::Came);
            assert_eq!(Sync::of(Some(last), false, true, T), Sync::Declined);
        }
    }

    #[test]
    fn only_what_cannot_have_been_accepted_is_asked_for_without_a_word_of_the_admins() {
        let open = Some(T + WINDOW_MS);
        for (sync, may) in [
            (Sync::None, true),
            (Sync::NotSent, true),
            (Sync::Refused(190), true),
            (Sync::Asked, false),
            (Sync::Awaited, false),
            (Sync::Unknown, false),
            (Sync::Silent, false),
            (Sync::Came, false),
            (Sync::Spent, false),
            (Sync::Late, false),
            (Sync::Declined, false),
        ] {
            let asked = |again, now_ms| sync.may_ask(Kind::History, again, open, now_ms).is_ok();
            assert_eq!(asked(false, T), may, "{sync:?}");
            assert!(!asked(false, T + WINDOW_MS), "{sync:?}");
            assert_eq!(asked(true, T + WINDOW_MS), sync != Sync::Asked, "{sync:?}");
        }
    }

    proptest! {
        /// Whatever time passes, a request that may have been accepted is never open again by itself.
        #[test]
        fn time_alone_asks_for_nothing_twice(after_ms in 0..100 * WINDOW_MS, unknown in any::<bool>()) {
            let outcome = if unknown { Outcome::Unknown } else { Outcome::Accepted };
            let sync = of(outcome, after_ms);
            prop_assert!(sync.may_ask(Kind::Contacts, false, None, T + after_ms).is_err());
        }

        #[test]
        fn words_are_read_as_written(code in any::<i64>()) {
            for outcome in [Outcome::Asked, Outcome::Accepted, Outcome::Refused(code), Outcome::NotSent, Outcome::Unknown] {
                prop_assert_eq!(Outcome::from_word(outcome.as_str(), Some(code)), outcome);
            }
            for kind in Kind::ALL {
                prop_assert_eq!(Kind::from_word(kind.as_str()), Some(kind));
            }
        }
    }
}
