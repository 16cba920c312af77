//! How a number is shown: its life, and how far it has come since it was connected.

use super::{Number, Pulse, State, Sync};
use crate::history;

/// One word for an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Connecting,
    SyncingContacts,
    SyncingHistory,
    Live,
    AtRisk,
    Offboarded,
    Reconnecting,
    Disconnected,
}

/// How far a number has come since it was connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joining {
    /// The gateway is about to ask for what the number brings.
    pub connecting: bool,
    pub contacts: Sync,
    pub history: Sync,
    /// What has come of the history.
    pub came: history::State,
}

/// The stage at `now_ms`, ms since 1970.
#[must_use]
pub fn stage(life: &Number, joining: &Joining, now_ms: i64) -> Stage {
    match life.state {
        State::Offboarded => return Stage::Offboarded,
        State::Reconnecting => return Stage::Reconnecting,
        State::Disconnected => return Stage::Disconnected,
        State::Live => {}
    }
    if joining.connecting && joining.contacts == Sync::None {
        return Stage::Connecting;
    }
    if life.pulse(now_ms) != Pulse::Well {
        return Stage::AtRisk;
    }
    let contacts = joining.contacts.is_awaited();
    if joining.came == history::State::Syncing || (joining.history.is_awaited() && !contacts) {
        return Stage::SyncingHistory;
    }
    if contacts {
        return Stage::SyncingContacts;
    }
    Stage::Live
}

impl Stage {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Connecting => "connecting",
            Stage::SyncingContacts => "syncing-contacts",
            Stage::SyncingHistory => "syncing-history",
            Stage::Live => "live",
            Stage::AtRisk => "at-risk",
            Stage::Offboarded => "offboarded",
            Stage::Reconnecting => "reconnecting",
            Stage::Disconnected => "disconnected",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3_600_000;

    fn number(state: State, app_seen_ms: i64) -> Number {
        Number {
            state,
            since_ms: 0,
            app_seen_ms: Some(app_seen_ms),
            reason: None,
            initiated_by: None,
        }
    }

    #[test]
    fn each_line_of_the_table_holds() {
        use history::State::{Complete, None as Nothing, Stalled, Syncing};
        let cases = [
            ((false, Sync::None, Sync::None, Nothing), Stage::Live),
            ((true, Sync::None, Sync::None, Nothing), Stage::Connecting),
            (
                (true, Sync::Asked, Sync::None, Nothing),
                Stage::SyncingContacts,
            ),
            (
                (false, Sync::Awaited, Sync::Awaited, Nothing),
                Stage::SyncingContacts,
            ),
            (
                (false, Sync::Came, Sync::Awaited, Nothing),
                Stage::SyncingHistory,
            ),
            // A lost answer may have been a yes.
            (
                (false, Sync::Came, Sync::Unknown, Nothing),
                Stage::SyncingHistory,
            ),
            (
                (false, Sync::Awaited, Sync::Came, Syncing),
                Stage::SyncingHistory,
            ),
            ((false, Sync::Came, Sync::Came, Complete), Stage::Live),
            ((false, Sync::Came, Sync::Came, Stalled), Stage::Live),
            ((false, Sync::Spent, Sync::Late, Nothing), Stage::Live),
            ((false, Sync::Silent, Sync::Declined, Nothing), Stage::Live),
        ];
        for ((connecting, contacts, history, came), expected) in cases {
            let joining = Joining {
                connecting,
                contacts,
                history,
                came,
            };
            let now_ms = 20 * DAY_MS;
            let seen = |days: i64| number(State::Live, now_ms - days * DAY_MS);
            assert_eq!(stage(&seen(0), &joining, now_ms), expected, "{joining:?}");
            let silent = match expected {
                Stage::Connecting => Stage::Connecting,
                _ => Stage::AtRisk,
            };
            assert_eq!(stage(&seen(10), &joining, now_ms), silent, "{joining:?}");
            for (state, shown) in [
                (State::Offboarded, Stage::Offboarded),
                (State::Reconnecting, Stage::Reconnecting),
                (State::Disconnected, Stage::Disconnected),
            ] {
                assert_eq!(stage(&number(state, 0), &joining, now_ms), shown);
            }
        }
    }
}
