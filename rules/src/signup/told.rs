use crate::coexistence::{Kind, Sync};
use crate::history::State as Came;

/// How a step stands, as the owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Waits,
    AtWork,
    Done,
    /// It has ended without bringing what it should.
    Failed,
}

impl Mark {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mark::Waits => "waits",
            Mark::AtWork => "at-work",
            Mark::Done => "done",
            Mark::Failed => "failed",
        }
    }

    /// Nothing more will come.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Mark::Waits | Mark::AtWork => false,
            Mark::Done | Mark::Failed => true,
        }
    }
}

/// What the owner is told while the number does not go on; why, is in words for the admin.
pub const NOT_GOING_ON: &str = "It does not go on just now, and is tried again by itself. Keep the WhatsApp Business app open on your phone. If this is still here in an hour, tell those who sent you the link: some of it has to be done within 24 hours.";

/// A step, in words for the owner.
pub type Told = (Mark, &'static str);

/// How the contacts or the chats come along. `came`: what has come of the chats; nothing for contacts.
#[must_use]
pub fn told(kind: Kind, asked: Sync, came: Came) -> Told {
    match kind {
        Kind::Contacts => contacts(asked),
        Kind::History => history(asked, came),
    }
}

fn contacts(asked: Sync) -> Told {
    match asked {
        Sync::Came => (Mark::Done, "They are here."),
        Sync::None | Sync::NotSent => (Mark::Waits, ""),
        Sync::Asked | Sync::Awaited | Sync::Unknown => {
            (Mark::AtWork, "They are on their way. Keep the app open.")
        }
        Sync::Silent => (
            Mark::Failed,
            "Nothing has come for six hours. Tell those who sent you the link.",
        ),
        Sync::Spent | Sync::Late | Sync::Declined | Sync::Refused(_) => (
            Mark::Failed,
            "WhatsApp does not hand them over. Tell those who sent you the link.",
        ),
    }
}

fn history(asked: Sync, came: Came) -> Told {
    const DECLINED: Told = (
        Mark::Done,
        "You chose not to share them. New messages come all the same.",
    );
    match came {
        Came::Complete => return (Mark::Done, "They are here."),
        Came::Declined => return DECLINED,
        Came::Syncing => return (Mark::AtWork, "They are coming. Keep the app open."),
        Came::Stalled => {
            return (
                Mark::Failed,
                "Nothing has come for a day. Tell those who sent you the link.",
            );
        }
        Came::Incomplete => {
            return (
                Mark::Failed,
                "They came, with gaps. Tell those who sent you the link.",
            );
        }
        Came::None => {}
    }
    match asked {
        Sync::None | Sync::NotSent => (Mark::Waits, ""),
        Sync::Declined => DECLINED,
        Sync::Asked | Sync::Awaited | Sync::Unknown | Sync::Came => (
            Mark::AtWork,
            "WhatsApp was asked for them. This may take some minutes; keep the app open.",
        ),
        Sync::Silent => (
            Mark::Failed,
            "Nothing has come for six hours. Tell those who sent you the link.",
        ),
        Sync::Spent | Sync::Late | Sync::Refused(_) => (
            Mark::Failed,
            "WhatsApp does not hand them over. Tell those who sent you the link.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_ended_is_told_as_ended_and_all_else_is_waited_for() {
        let asked = [
            Sync::None,
            Sync::NotSent,
            Sync::Asked,
            Sync::Awaited,
            Sync::Unknown,
            Sync::Silent,
            Sync::Came,
            Sync::Spent,
            Sync::Late,
            Sync::Declined,
            Sync::Refused(10),
        ];
        for sync in asked {
            let (mark, words) = told(Kind::Contacts, sync, Came::None);
            assert_eq!(mark == Mark::Failed, sync.has_failed(), "{sync:?}");
            assert_eq!(mark == Mark::Waits, words.is_empty(), "{sync:?}");
            let (mark, _) = told(Kind::History, sync, Came::None);
            let failed = sync.has_failed() && sync != Sync::Declined;
            assert_eq!(mark == Mark::Failed, failed, "{sync:?}");
            for (came, expected) in [
                (Came::Syncing, Mark::AtWork),
                (Came::Complete, Mark::Done),
                (Came::Declined, Mark::Done),
                (Came::Stalled, Mark::Failed),
                (Came::Incomplete, Mark::Failed),
            ] {
                assert_eq!(told(Kind::History, sync, came).0, expected, "{sync:?}");
            }
        }
    }
}
