//! How Meta looks at a number and its account: what slows campaigns down, and what stops them.

use super::gate::{Cause, Verdict};
use super::template::Template;
use crate::webhook::Account;

/// Meta: the account has been locked.
const CODE_LOCKED: i64 = 131_031;
/// A number whose quality is low is looked at again after so long; Meta's word that it is well comes by itself.
const QUALITY_RECHECK_MS: i64 = 300_000;

/// What Meta has said last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// The number's quality is low.
    pub flagged: bool,
    /// The account is disabled.
    pub locked: bool,
    /// Until when the account may not begin conversations, ms since 1970.
    pub restricted_until_ms: i64,
}

impl Standing {
    /// What stands against a template now. One that answers within an open window begins no conversation.
    #[must_use]
    pub fn judge(self, template: Template, window_open: bool, now_ms: i64) -> Option<Verdict> {
        let barred = self.locked || self.restricted_until_ms > now_ms;
        if barred && (template.marketing || !window_open) {
            return Some(Verdict::Refuse {
                code: CODE_LOCKED,
                cause: Cause::AccountRestricted,
            });
        }
        (self.flagged && template.marketing).then(|| Verdict::Hold {
            until_ms: now_ms.saturating_add(QUALITY_RECHECK_MS),
            cause: Cause::QualityLow,
        })
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
    /// Nothing is forbidden yet.
    Warned,
}

impl AccountWord {
    #[must_use]
    pub fn of(account: &Account) -> Option<AccountWord> {
        match (account.event.as_str(), account.ban.as_deref()) {
            ("account_restriction", _) => Some(AccountWord::Restricted {
                until_ms: account.restricted_until_ms.unwrap_or(0),
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
            assert_eq!(standing.judge(MARKETING, true, 9), REFUSED);
            assert_eq!(standing.judge(UTILITY, false, 9), REFUSED);
            assert_eq!(standing.judge(UTILITY, true, 9), None);
        }
        assert_eq!(restricted.judge(MARKETING, false, 10), None, "it has ended");
        assert_eq!(locked.judge(MARKETING, false, 10), REFUSED);
    }

    #[test]
    fn low_quality_holds_campaigns_and_nothing_else() {
        let flagged = Standing {
            flagged: true,
            ..Standing::default()
        };
        let held = Verdict::Hold {
            until_ms: 300_001,
            cause: Cause::QualityLow,
        };
        assert_eq!(flagged.judge(MARKETING, true, 1), Some(held));
        assert_eq!(flagged.judge(UTILITY, false, 1), None);
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
        assert_eq!(word("account_restriction", None, None), until(0));
        let disabled = |ban| word("disabled_update", Some(ban), None);
        assert_eq!(disabled("disable"), Some(AccountWord::Locked));
        assert_eq!(disabled("reinstate"), Some(AccountWord::Reinstated));
        assert_eq!(disabled("schedule_for_disable"), Some(AccountWord::Warned));
        assert_eq!(word("partner_added", None, None), None);
    }
}
