//! Whether a number is in the app and on the Cloud API, by what Meta and the app say.

/// Meta's words within so long of each other may be in any order; older ones are late.
const DOUBT_MS: i64 = 10 * 60 * 1000;
const DAY_MS: i64 = 24 * 3_600_000;
/// Meta disconnects a number whose app was not opened for about 14 days (`PRIMARY_INACTIVITY`).
const APP_SILENT_MAX_DAYS: i64 = 14;
const AT_RISK_DAYS: i64 = 10;
const URGENT_DAYS: i64 = 13;

/// Where a number is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Live,
    /// It moves to another phone, or is registered anew; Meta has suspended its sends.
    Offboarded,
    /// It is said to be back; Meta has not confirmed it yet.
    Reconnecting,
    /// It is no longer on the Cloud API.
    Disconnected,
}

/// What is known of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    pub state: State,
    /// When that began by Meta's clock, ms since 1970; 0 if nothing was ever said.
    pub since_ms: i64,
    /// When the app on the phone last showed life, ms since 1970.
    pub app_seen_ms: Option<i64>,
    /// Meta's words for why and by whom it was disconnected.
    pub reason: Option<String>,
    pub initiated_by: Option<String>,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign<'a> {
    Added,
    Removed {
        /// Such as `PRIMARY_INACTIVITY`.
        reason: Option<&'a str>,
        /// `USER` or `SYSTEM`.
        initiated_by: Option<&'a str>,
    },
    Offboarded,
    Reconnected,
    /// Only the app on the phone makes this: an echo, a change in its address book.
    App,
    /// Meta's answer to `is_on_biz_app`.
    OnApp(bool),
    /// Meta was asked several times and gave no verdict.
    NoVerdict,
}

/// How long the app has been silent, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    Well,
    /// From the tenth day on: somebody should open the app.
    AtRisk,
    /// From the thirteenth day on: Meta disconnects the number tomorrow.
    Urgent,
}

impl<'a> Sign<'a> {
    /// What `account_update` says; `event` in lower case, `None` when it does not bear on the number's life.
    #[must_use]
    pub fn of_account(
        event: &str,
        reason: Option<&'a str>,
        initiated_by: Option<&'a str>,
    ) -> Option<Self> {
        Some(match event {
            "partner_added" => Sign::Added,
            "partner_removed" | "account_deleted" => Sign::Removed {
                reason,
                initiated_by,
            },
            "account_offboarded" => Sign::Offboarded,
            "account_reconnected" => Sign::Reconnected,
            _ => return None,
        })
    }
}

impl Number {
    /// What is known after `sign`, which happened at `at_ms` (ms since 1970, by the clock of whoever tells it).
    #[must_use]
    pub fn after(&self, sign: Sign<'_>, at_ms: i64) -> Number {
        let mut next = self.clone();
        if matches!(sign, Sign::App | Sign::Added | Sign::Reconnected) {
            next.app_seen_ms = Some(self.app_seen_ms.map_or(at_ms, |seen| seen.max(at_ms)));
        }
        let state = self.moved(sign, at_ms);
        if let (
            State::Disconnected,
            Sign::Removed {
                reason,
                initiated_by,
            },
        ) = (state, sign)
        {
            next.reason = reason.map(str::to_owned).or(next.reason);
            next.initiated_by = initiated_by.map(str::to_owned).or(next.initiated_by);
        }
        // Added or removed once more, it was the other in between, though that word is still on its way.
        let anew = matches!(
            (sign, state),
            (Sign::Added, State::Live) | (Sign::Removed { .. }, State::Disconnected)
        );
        if state != self.state || anew {
            next.state = state;
            // An answer says what is, and not since when: a word that is still on its way may be older than it.
            if !matches!(sign, Sign::OnApp(_) | Sign::NoVerdict) {
                next.since_ms = self.since_ms.max(at_ms);
            }
        }
        if state == State::Live {
            (next.reason, next.initiated_by) = (None, None);
        }
        next
    }

    fn moved(&self, sign: Sign<'_>, at_ms: i64) -> State {
        use State::{Disconnected, Live, Offboarded, Reconnecting};
        let older = at_ms < self.since_ms;
        if at_ms.saturating_add(DOUBT_MS) < self.since_ms {
            return self.state;
        }
        match (sign, self.state) {
            // The two crossed on their way.
            (Sign::Added, Disconnected | Offboarded | Reconnecting) if older => self.state,
            (Sign::Removed { .. }, Live | Reconnecting) if older => Reconnecting,
            // It was added again before it moved.
            (Sign::Removed { .. }, Offboarded) if older => Offboarded,
            (Sign::Added, _) => Live,
            (Sign::Removed { .. }, _) => Disconnected,
            (Sign::Offboarded, Live | Reconnecting) if older => Reconnecting,
            (Sign::Offboarded, Live | Reconnecting) => Offboarded,
            // It was added in between, though that word is still on its way.
            (Sign::Offboarded, Disconnected) if !older => Offboarded,
            // It was back before it was removed.
            (Sign::Reconnected, Disconnected) if older => Disconnected,
            (Sign::Reconnected, Offboarded | Disconnected) => Reconnecting,
            (Sign::App, Offboarded | Disconnected) if at_ms > self.since_ms => Reconnecting,
            // The answer to a question from before says nothing of now.
            (Sign::OnApp(_), state) if older => state,
            (Sign::OnApp(true), Offboarded | Reconnecting) => Live,
            (Sign::OnApp(false), Reconnecting) => Offboarded,
            (Sign::NoVerdict, Reconnecting) => Live,
            (_, state) => state,
        }
    }

    /// How the app's silence is to be seen at `now_ms`. A number whose app was never seen is not in the app, as
    /// far as anybody knows.
    #[must_use]
    pub fn pulse(&self, now_ms: i64) -> Pulse {
        let silent_ms = match (self.state, self.app_seen_ms) {
            (State::Live, Some(seen)) => now_ms.saturating_sub(seen),
            _ => return Pulse::Well,
        };
        if silent_ms >= URGENT_DAYS * DAY_MS {
            Pulse::Urgent
        } else if silent_ms >= AT_RISK_DAYS * DAY_MS {
            Pulse::AtRisk
        } else {
            Pulse::Well
        }
    }

    /// When Meta disconnects the number unless the app is opened before, ms since 1970.
    #[must_use]
    pub fn app_due_ms(&self) -> Option<i64> {
        let seen = self.app_seen_ms.filter(|_| self.state == State::Live)?;
        Some(seen.saturating_add(APP_SILENT_MAX_DAYS * DAY_MS))
    }
}

impl State {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Offboarded => "offboarded",
            State::Reconnecting => "reconnecting",
            State::Disconnected => "disconnected",
        }
    }

    /// What [`State::as_str`] wrote.
    #[must_use]
    pub fn from_word(word: &str) -> State {
        match word {
            "offboarded" => State::Offboarded,
            "reconnecting" => State::Reconnecting,
            "disconnected" => State::Disconnected,
            _ => State::Live,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T: i64 = 1_768_477_203_000;
    const REMOVED: Sign<'_> = Sign::Removed {
        reason: Some("PRIMARY_INACTIVITY"),
        initiated_by: Some("SYSTEM"),
    };

    fn fresh() -> Number {
        Number {
            state: State::Live,
            since_ms: 0,
            app_seen_ms: None,
            reason: None,
            initiated_by: None,
        }
    }

    fn after(signs: &[(Sign<'_>, i64)]) -> Number {
        signs
            .iter()
            .fold(fresh(), |number, (sign, at_ms)| number.after(*sign, *at_ms))
    }

    #[test]
    fn each_line_of_the_table_holds() {
        use State::{Disconnected, Live, Offboarded, Reconnecting};
        let cases: [(&[(Sign<'_>, i64)], State); 14] = [
            (&[(REMOVED, T)], Disconnected),
            (&[(REMOVED, T), (Sign::Added, T + 1)], Live),
            (&[(Sign::Offboarded, T)], Offboarded),
            (
                &[(Sign::Offboarded, T), (Sign::Reconnected, T + 1)],
                Reconnecting,
            ),
            // Meta's own samples: the older word comes last.
            (
                &[(Sign::Offboarded, T + 1), (Sign::Reconnected, T)],
                Reconnecting,
            ),
            (
                &[
                    (Sign::Offboarded, T),
                    (Sign::Reconnected, T + 2),
                    (Sign::Offboarded, T + 1),
                ],
                Reconnecting,
            ),
            (
                &[
                    (Sign::Offboarded, T),
                    (Sign::Reconnected, T),
                    (Sign::OnApp(true), T),
                ],
                Live,
            ),
            (
                &[
                    (Sign::Offboarded, T),
                    (Sign::Reconnected, T),
                    (Sign::OnApp(false), T),
                ],
                Offboarded,
            ),
            (
                &[
                    (Sign::Offboarded, T),
                    (Sign::Reconnected, T),
                    (Sign::NoVerdict, T),
                ],
                Live,
            ),
            (
                &[(Sign::Offboarded, T), (Sign::NoVerdict, T + 1)],
                Offboarded,
            ),
            (&[(Sign::Offboarded, T), (Sign::OnApp(true), T + 1)], Live),
            (&[(Sign::Offboarded, T), (Sign::App, T + 1)], Reconnecting),
            // Written before the phone was changed, delivered after.
            (&[(Sign::Offboarded, T), (Sign::App, T - 1)], Offboarded),
            (&[(REMOVED, T), (Sign::OnApp(true), T + 1)], Disconnected),
        ];
        for (signs, state) in cases {
            assert_eq!(after(signs).state, state, "{signs:?}");
        }
    }

    #[test]
    fn added_and_removed_that_cross_end_as_the_later_one_says() {
        let late = after(&[(REMOVED, T + 1000), (Sign::Added, T)]);
        assert_eq!(late.state, State::Disconnected);
        let twice = after(&[(REMOVED, T), (REMOVED, T + 2000), (Sign::Added, T + 1000)]);
        assert_eq!(twice.state, State::Disconnected);
        let was_back = after(&[(REMOVED, T + 1000), (Sign::Reconnected, T)]);
        assert_eq!(was_back.state, State::Disconnected);
        let back = after(&[(REMOVED, T), (Sign::Added, T + 2000), (REMOVED, T + 1000)]);
        assert_eq!(back.state, State::Reconnecting);
        assert_eq!(back.after(Sign::OnApp(true), T + 3000).state, State::Live);
    }

    #[test]
    fn added_and_moved_that_cross_end_as_the_later_one_says() {
        let late = after(&[
            (REMOVED, T),
            (Sign::Offboarded, T + 2000),
            (Sign::Added, T + 1000),
        ]);
        assert_eq!(late.state, State::Offboarded);
        // The app shows life at once, and whether the move is over Meta alone knows.
        let asked = after(&[
            (REMOVED, T),
            (Sign::Offboarded, T + 2000),
            (Sign::App, T + 3000),
            (Sign::Added, T + 1000),
        ]);
        assert_eq!(asked.state, State::Reconnecting);
        let added = after(&[
            (Sign::Added, T + 1000),
            (Sign::Offboarded, T + 2000),
            (REMOVED, T),
        ]);
        assert_eq!(added.state, State::Offboarded);
        let back = after(&[
            (Sign::Offboarded, T + 1000),
            (Sign::Reconnected, T + 2000),
            (REMOVED, T),
        ]);
        assert_eq!(back.state, State::Reconnecting);
        let gone = after(&[(REMOVED, T + 1000), (Sign::Offboarded, T)]);
        assert_eq!(gone.state, State::Disconnected);
    }

    #[test]
    fn an_answer_makes_no_word_too_late() {
        let hour = 3_600_000;
        let answer = (Sign::OnApp(false), T + hour);
        let gone = after(&[
            (Sign::Offboarded, T),
            (Sign::Reconnected, T),
            answer,
            (REMOVED, T + 1000),
        ]);
        assert_eq!(gone.state, State::Disconnected);
    }

    #[test]
    fn a_word_that_comes_late_makes_no_newer_one_of_those_before_it() {
        let crossed = [
            (REMOVED, T),
            (Sign::Added, T + 5000),
            (REMOVED, T + 1000),
            (Sign::Offboarded, T + 3000),
        ];
        assert_eq!(after(&crossed).state, State::Reconnecting);
    }

    #[test]
    fn an_answer_to_an_older_question_changes_nothing() {
        for on_app in [true, false] {
            let answer = (Sign::OnApp(on_app), T + 1000);
            let moved = after(&[(Sign::Reconnected, T), (Sign::Offboarded, T + 2000), answer]);
            assert_eq!(moved.state, State::Offboarded);
        }
    }

    #[test]
    fn a_late_repetition_changes_nothing() {
        let hour = 3_600_000;
        let back = after(&[(REMOVED, T), (Sign::Added, T + hour)]);
        for sign in [REMOVED, Sign::Offboarded] {
            assert_eq!(back.after(sign, T), back, "{sign:?}");
        }
    }

    #[test]
    fn reason_and_initiator_last_as_long_as_the_disconnection() {
        let gone = after(&[(REMOVED, T)]);
        assert_eq!(
            (gone.reason.as_deref(), gone.initiated_by.as_deref()),
            (Some("PRIMARY_INACTIVITY"), Some("SYSTEM"))
        );
        // The other shape of the same event, which gives no reason.
        let told = Sign::Removed {
            reason: None,
            initiated_by: None,
        };
        assert_eq!(gone.after(told, T + 1).reason, gone.reason);
        assert_eq!(gone.after(Sign::Added, T + 1).reason, None);
    }

    #[test]
    fn the_app_must_be_opened_every_fourteen_days() {
        let seen = after(&[(Sign::App, T)]);
        for (days, pulse) in [
            (0, Pulse::Well),
            (9, Pulse::Well),
            (10, Pulse::AtRisk),
            (12, Pulse::AtRisk),
            (13, Pulse::Urgent),
            (40, Pulse::Urgent),
        ] {
            assert_eq!(seen.pulse(T + days * DAY_MS), pulse, "{days} days");
        }
        assert_eq!(seen.app_due_ms(), Some(T + 14 * DAY_MS));
        assert_eq!(fresh().pulse(T), Pulse::Well);
        let removed = after(&[(Sign::App, T), (REMOVED, T)]);
        assert_eq!(removed.app_due_ms(), None);
        assert_eq!(removed.pulse(T + 40 * DAY_MS), Pulse::Well);
    }

    fn sign() -> impl Strategy<Value = (Sign<'static>, i64)> {
        let signs = vec![
            Sign::Added,
            REMOVED,
            Sign::Offboarded,
            Sign::Reconnected,
            Sign::App,
            Sign::OnApp(true),
            Sign::OnApp(false),
            Sign::NoVerdict,
        ];
        (prop::sample::select(signs), 0..DOUBT_MS)
    }

    proptest! {
        /// Whatever came in whatever order, a number that Meta says is in the app is not held for good.
        #[test]
        fn metas_answer_sets_a_number_free(signs in prop::collection::vec(sign(), 0..12)) {
            let number = after(&signs).after(Sign::OnApp(true), DOUBT_MS);
            prop_assert!(matches!(number.state, State::Live | State::Disconnected));
        }

        /// A phone that was moved and is back ends live in every order of the two words, however often each comes.
        #[test]
        fn moving_to_another_phone_ends_live(words in prop::collection::vec((any::<bool>(), 0..5000_i64), 1..8)) {
            let number = words.iter().fold(fresh(), |number, (back, late_ms)| {
                number.after(if *back { Sign::Reconnected } else { Sign::Offboarded }, T + late_ms)
            });
            prop_assert_eq!(number.after(Sign::OnApp(true), T + 6000).state, State::Live);
        }

        /// Only somebody with the phone in hand adds the number or brings it back.
        #[test]
        fn the_last_sign_of_the_app_is_kept(signs in prop::collection::vec(sign(), 0..8)) {
            let of_the_app = |sign| matches!(sign, Sign::App | Sign::Added | Sign::Reconnected);
            let times = signs.iter().filter(|(sign, _)| of_the_app(*sign)).map(|(_, at_ms)| *at_ms);
            prop_assert_eq!(after(&signs).app_seen_ms, times.max());
        }

        #[test]
        fn words_are_read_as_written(state in prop::sample::select(vec![
            State::Live, State::Offboarded, State::Reconnecting, State::Disconnected,
        ])) {
            prop_assert_eq!(State::from_word(state.as_str()), state);
        }
    }
}
