//! How Meta looks at a number and its account: what slows campaigns down, and what stops them.

use super::gate::{Cause, Verdict};
use super::template::Template;
use crate::webhook::Account;

/// Meta: the account has been locked.
const CODE_LOCKED: i64 = 131_031;
/// A campaign of a number whose quality is low is looked at again after so long and up to twice that, each row at a
/// time of its own; Meta's word that it is well comes by itself.
const QUALITY_RECHECK_MS: i64 = 300_000;
/// Rows of a campaign have numbers side by side.
const APART_MS: i64 = 97;

/// What Meta has said last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// The number's quality is low.
    pub flagged: bool,
    /// Meta has raised a critical alert that nobody has looked at.
    pub alerted: bool,
    /// The account is disabled.
    pub locked: bool,
    /// Until when the account may not begin conversations, ms since 1970.
    pub restricted_until_ms: i64,
}

impl Standing {
    /// What stands against the template of a row now. One that answers within an open window begins no conversation.
    #[must_use]
    pub fn judge(
        self,
        row: i64,
        template: Template,
        window_open: bool,
        now_ms: i64,
    ) -> Option<Verdict> {
        let barred = self.locked || self.restricted_until_ms > now_ms;
        if barred && (template.marketing || !window_open) {
            return Some(Verdict::Refuse {
                code: CODE_LOCKED,
                cause: Cause::AccountRestricted,
            });
        }
        let apart_ms = row.wrapping_mul(APART_MS).rem_euclid(QUALITY_RECHECK_MS);
        let cause = match (self.flagged, self.alerted) {
            (true, _) => Cause::QualityLow,
            (false, true) => Cause::AccountAlert,
            (false, false) => return None,
        };
        template.marketing.then(|| Verdict::Hold {
            until_ms: now_ms.saturating_add(QUALITY_RECHECK_MS + apart_ms),
            cause,
        })
    }

    /// What Meta holds against the number, the gravest alone, and what that means, in a sentence.
    #[must_use]
    pub fn summary(self, now_ms: i64) -> &'static str {
        if self.locked {
            "Meta has disabled the account: no conversation can be begun and no campaign leaves until Meta reinstates it."
        } else if self.restricted_until_ms > now_ms {
            "Meta has restricted the account: for a time no conversation can be begun and no campaign leaves."
        } else if self.flagged {
            "Meta has flagged the number for its low quality: campaigns wait until Meta says that it is well."
        } else if self.alerted {
            "Meta has raised a critical alert: campaigns wait until somebody acknowledges that alarm."
        } else {
            "Meta has said nothing against it."
        }
    }
}

/// What an `account_update` says of the account's standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountWord {
    /// May not begin conversations until then; 0 when it may again.
    Restricted {
        until_ms: i64,
    },
    Locked,
    Reinstated,
    /// Nothing that Duet does is forbidden, and what was forbidden before stays so.
    Warned,
}

impl AccountWord {
    #[must_use]
    pub fn of(account: &Account) -> Option<AccountWord> {
        match (account.event.as_str(), account.ban.as_deref()) {
            ("account_restriction", _) => Some(match account.restricted_until_ms {
                Some(until_ms) => AccountWord::Restricted { until_ms },
                None => AccountWord::Warned,
            }),
            ("disabled_update", Some("disable")) => Some(AccountWord::Locked),
            ("disabled_update", Some("reinstate")) => Some(AccountWord::Reinstated),
            ("disabled_update" | "account_violation", _) => Some(AccountWord::Warned),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKETING: Template = Template {
        marketing: true,
        refusal: None,
    };
    const UTILITY: Template = Template {
        marketing: false,
        ..MARKETING
    };
    const REFUSED: Option<Verdict> = Some(Verdict::Refuse {
        code: 131_031,
        cause: Cause::AccountRestricted,
    });

    #[test]
    fn a_restricted_account_begins_no_conversation_and_sends_no_campaign() {
        let restricted = Standing {
            restricted_until_ms: 10,
            ..Standing::default()
        };
        let locked = Standing {
            locked: true,
            ..Standing::default()
        };
        for standing in [restricted, locked] {
            assert_eq!(standing.judge(0, MARKETING, true, 9), REFUSED);
            assert_eq!(standing.judge(0, UTILITY, false, 9), REFUSED);
            assert_eq!(standing.judge(0, UTILITY, true, 9), None);
        }
        let ended = restricted.judge(0, MARKETING, false, 10);
        assert_eq!(ended, None);
        assert_eq!(locked.judge(0, MARKETING, false, 10), REFUSED);
    }

    #[test]
    fn low_quality_holds_campaigns_and_nothing_else() {
        let flagged = Standing {
            flagged: true,
            ..Standing::default()
        };
        let held = |until_ms| Verdict::Hold {
            until_ms,
            cause: Cause::QualityLow,
        };
        for (row, until_ms) in [(0, 300_001), (1, 300_098), (2, 300_195), (3_093, 300_022)] {
            let verdict = flagged.judge(row, MARKETING, true, 1);
            assert_eq!(verdict, Some(held(until_ms)), "each at a time of its own");
        }
        assert_eq!(flagged.judge(0, UTILITY, false, 1), None);
        assert!(flagged.summary(1).contains("campaigns wait"));
        let alerted = Standing {
            alerted: true,
            ..Standing::default()
        };
        let held = alerted.judge(0, MARKETING, false, 1);
        assert!(matches!(
            held,
            Some(Verdict::Hold {
                cause: Cause::AccountAlert,
                ..
            })
        ));
        assert_eq!(alerted.judge(0, UTILITY, false, 1), None);
    }

    #[test]
    fn metas_words_for_an_account() {
        let word = |event: &str, ban: Option<&str>, until_ms| {
            AccountWord::of(&Account {
                event: event.into(),
                ban: ban.map(str::to_owned),
                restricted_until_ms: until_ms,
                ..Account::default()
            })
        };
        let until = |until_ms| Some(AccountWord::Restricted { until_ms });
        assert_eq!(word("account_restriction", None, Some(7)), until(7));
        assert_eq!(word("account_restriction", None, Some(0)), until(0));
        let others = word("account_restriction", None, None);
        assert_eq!(others, Some(AccountWord::Warned), "it names only others");
        let disabled = |ban| word("disabled_update", Some(ban), None);
        assert_eq!(disabled("disable"), Some(AccountWord::Locked));
        assert_eq!(disabled("reinstate"), Some(AccountWord::Reinstated));
        assert_eq!(disabled("schedule_for_disable"), Some(AccountWord::Warned));
        assert_eq!(word("partner_added", None, None), None);
    }
}
