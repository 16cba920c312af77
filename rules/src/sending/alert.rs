//! What an `account_alerts` webhook means for campaigns. Meta tells by it that a messaging limit is not raised, that an
//! Official Business Account was granted or denied, that a profile photo is gone ("account_alerts webhook reference").
//!
//! | severity | kind | while it is active |
//! |---|---|---|
//! | informational | any | nothing |
//! | warning | any | somebody should look |
//! | critical | of the official account or the profile | somebody should look |
//! | critical | of the messaging limit, or not known | somebody should look, and campaigns wait until then |
//! | not known | any | somebody should look |

use crate::webhook::AccountAlert;

/// What follows from an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertWord {
    /// It is no longer active.
    Over,
    /// Good to know, nothing to do.
    News,
    Look,
    /// Campaigns wait until somebody has looked, or it is over.
    Stop,
}

impl AlertWord {
    #[must_use]
    pub fn of(alert: &AccountAlert) -> AlertWord {
        let is_harmless = ["oba_", "profile_"]
            .iter()
            .any(|kind| alert.kind.starts_with(kind));
        match (alert.status.as_deref(), alert.severity.as_str()) {
            (Some("none"), _) => AlertWord::Over,
            (_, "informational") => AlertWord::News,
            (_, "critical") if !is_harmless => AlertWord::Stop,
            _ => AlertWord::Look,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds() {
        const LIMIT: &str = "increased_capabilities_eligibility_failed";
        for (status, severity, kind, word) in [
            (
                Some("active"),
                "informational",
                "oba_approved",
                AlertWord::News,
            ),
            (Some("active"), "warning", LIMIT, AlertWord::Look),
            (Some("active"), "critical", "oba_rejected", AlertWord::Look),
            (
                Some("active"),
                "critical",
                "profile_picture_lost",
                AlertWord::Look,
            ),
            (Some("active"), "critical", LIMIT, AlertWord::Stop),
            (None, "critical", "of_tomorrow", AlertWord::Stop),
            (Some("active"), "", "of_tomorrow", AlertWord::Look),
            (Some("none"), "critical", LIMIT, AlertWord::Over),
        ] {
            let alert = AccountAlert {
                severity: severity.into(),
                status: status.map(Into::into),
                kind: kind.into(),
                ..AccountAlert::default()
            };
            assert_eq!(AlertWord::of(&alert), word, "{alert:?}");
        }
    }
}
