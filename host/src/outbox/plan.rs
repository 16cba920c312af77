//! What an answer of Meta's means for the row: a pure function of answer, attempt and chance.

use duet_rules::backoff;
use duet_rules::media::is_gone;
use duet_rules::meta_error::Class;
use duet_rules::sending::Kind;

use super::Settings;
use crate::graph::Outcome;
use crate::store::outbox::After;

/// A connection that failed is tried again after so long; meanwhile the sender as a whole pauses.
const UNSENT_RETRY_MS: i64 = 1000;

/// What is to be recorded of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// `wamid` is absent for a read mark.
    Sent {
        wamid: Option<String>,
    },
    Failed {
        code: Option<i64>,
        cause: String,
        after: After,
    },
    /// Meta does not have its file any more: it is uploaded anew, and sent once more.
    FileGone {
        code: i64,
        cause: String,
    },
    /// Not this send but the token is refused: the row waits with all that the token is for.
    TokenRefused {
        code: i64,
    },
    Lost {
        cause: String,
    },
}

/// An attempt that was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// 1 on the first try.
    pub(super) number: u32,
    pub(super) kind: Kind,
    /// It names files by ids of uploads, and none was uploaded a second time for it.
    pub(super) may_upload_again: bool,
    pub(super) now_ms: i64,
    pub(super) random: u64,
}

pub(super) fn plan(
    outcome: Outcome<Option<String>>,
    attempt: Attempt,
    settings: &Settings,
) -> Step {
    let retry = || after(attempt, settings, ordinary(attempt, settings));
    match outcome {
        Outcome::Done(wamid) => Step::Sent { wamid },
        Outcome::Refused(error) if error.class() == Class::Token => {
            Step::TokenRefused { code: error.code }
        }
        Outcome::Refused(error) if attempt.may_upload_again && is_gone(&error) => Step::FileGone {
            code: error.code,
            cause: error.to_string(),
        },
        Outcome::Refused(error) => {
            let after = match error.class() {
                Class::Retry => retry(),
                Class::RetryPair => after(
                    attempt,
                    settings,
                    backoff::pair_delay_ms(attempt.number, attempt.random),
                ),
                Class::NotFor24h | Class::Never | Class::Token => After::Failed,
            };
            Step::Failed {
                code: Some(error.code),
                cause: error.to_string(),
                after,
            }
        }
        Outcome::Turned { status } => {
            let cause = format!(
                "something between here and Meta refused the request with status {status}; check DUET_GRAPH_URL and any proxy"
            );
            Step::Failed {
                code: None,
                cause,
                after: retry(),
            }
        }
        Outcome::NotSent { cause } => {
            let cause = format!("Meta cannot be reached: {cause}");
            let at_ms = attempt.now_ms.saturating_add(UNSENT_RETRY_MS);
            Step::Failed {
                code: None,
                cause,
                after: After::Unsent { at_ms },
            }
        }
        Outcome::Unsendable { cause } => Step::Failed {
            code: None,
            cause: format!("no request can be made of it: {cause}"),
            after: After::Failed,
        },
        // Marking a message read twice is marking it read.
        Outcome::Lost { cause } if attempt.kind == Kind::MarkRead => Step::Failed {
            code: None,
            cause,
            after: retry(),
        },
        Outcome::Lost { cause } => Step::Lost { cause },
    }
}

fn ordinary(attempt: Attempt, settings: &Settings) -> u64 {
    backoff::delay_ms(
        attempt.number,
        settings.retry_first_ms,
        settings.retry_max_ms,
        attempt.random,
    )
}

fn after(attempt: Attempt, settings: &Settings, delay_ms: u64) -> After {
    if attempt.number >= settings.attempts_max {
        return After::Dead;
    }
    let delay_ms = i64::try_from(delay_ms).unwrap_or(i64::MAX);
    After::Retry {
        at_ms: attempt.now_ms.saturating_add(delay_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use duet_rules::meta_error::MetaError;

    fn attempt(number: u32) -> Attempt {
        Attempt {
            number,
            kind: Kind::FreeForm,
            may_upload_again: false,
            now_ms: 0,
            random: 0,
        }
    }

    fn refused(code: i64, number: u32) -> After {
        let error = MetaError {
            code,
            ..MetaError::default()
        };
        match plan(
            Outcome::Refused(error),
            attempt(number),
            &Settings::default(),
        ) {
            Step::Failed { after, .. } => after,
            Step::Sent { .. }
            | Step::Lost { .. }
            | Step::FileGone { .. }
            | Step::TokenRefused { .. } => After::Failed,
        }
    }

    #[test]
    fn a_throttle_waits_and_gives_up_at_the_cap() {
        assert_eq!(refused(130_429, 1), After::Retry { at_ms: 500 });
        assert_eq!(refused(130_429, 4), After::Retry { at_ms: 4000 });
        assert_eq!(refused(131_056, 3), After::Retry { at_ms: 16_000 });
        assert_eq!(refused(131_056, 8), After::Dead);
        assert_eq!(refused(131_000, 8), After::Dead);
        assert_eq!(refused(131_047, 1), After::Failed);
        assert_eq!(refused(131_049, 1), After::Failed);
    }

    #[test]
    fn a_lost_message_is_never_tried_again_but_a_lost_read_mark_is() {
        let lost = || Outcome::Lost {
            cause: "reset".into(),
        };
        let settings = Settings::default();
        let message = plan(lost(), attempt(1), &settings);
        assert_eq!(
            message,
            Step::Lost {
                cause: "reset".into()
            }
        );
        let mark = Attempt {
            kind: Kind::MarkRead,
            ..attempt(1)
        };
        let after = After::Retry { at_ms: 500 };
        let cause = "reset".to_owned();
        assert_eq!(
            plan(lost(), mark, &settings),
            Step::Failed {
                code: None,
                cause,
                after
            }
        );
    }

    #[test]
    fn a_refused_token_says_nothing_against_the_send() {
        for code in [0, 3, 10, 190, 200, 131_005] {
            let error = MetaError {
                code,
                ..MetaError::default()
            };
            let step = plan(Outcome::Refused(error), attempt(8), &Settings::default());
            assert_eq!(step, Step::TokenRefused { code });
        }
    }

    #[test]
    fn a_file_that_is_gone_is_uploaded_once_more_and_no_more() {
        let gone = || {
            Outcome::Refused(MetaError {
                code: 131_053,
                ..MetaError::default()
            })
        };
        let settings = Settings::default();
        let first = Attempt {
            may_upload_again: true,
            ..attempt(1)
        };
        let step = plan(gone(), first, &settings);
        assert!(
            matches!(step, Step::FileGone { code: 131_053, .. }),
            "{step:?}"
        );
        let step = plan(gone(), attempt(2), &settings);
        let failed = Step::Failed {
            code: Some(131_053),
            cause: MetaError {
                code: 131_053,
                ..MetaError::default()
            }
            .to_string(),
            after: After::Failed,
        };
        assert_eq!(step, failed);
    }

    #[test]
    fn what_never_left_does_not_count() {
        let unsent = Outcome::NotSent {
            cause: "refused".into(),
        };
        let step = plan(unsent, attempt(8), &Settings::default());
        let after = After::Unsent {
            at_ms: UNSENT_RETRY_MS,
        };
        assert_eq!(
            step,
            Step::Failed {
                code: None,
                cause: "Meta cannot be reached: refused".into(),
                after
            }
        );
    }
}
