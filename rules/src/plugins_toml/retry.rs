use crate::toml_file::{Findings, Section};

/// How often and when an event that failed is tried again; after the last attempt it is a dead letter. From `[plugins.<name>.retry]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts altogether, the first included; 1 means never again.
    pub attempts: u64,
    /// The wait before the second attempt; it doubles from there.
    pub first_seconds: u64,
    /// The longest wait.
    pub max_seconds: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_seconds: 1,
            max_seconds: 600,
        }
    }
}

pub(super) fn read(mut section: Section<'_>, findings: &mut Findings<'_>) -> Retry {
    let default = Retry::default();
    let before = findings.count();
    let retry = Retry {
        attempts: section
            .integer("attempts", 1..=100, findings)
            .unwrap_or(default.attempts),
        first_seconds: section
            .integer("first_seconds", 1..=3600, findings)
            .unwrap_or(default.first_seconds),
        max_seconds: section
            .integer("max_seconds", 1..=86_400, findings)
            .unwrap_or(default.max_seconds),
    };
    if findings.count() == before && retry.first_seconds > retry.max_seconds {
        let message = format!(
            "first_seconds {} is above max_seconds {} in [{}]",
            retry.first_seconds,
            retry.max_seconds,
            section.path()
        );
        findings.add(
            section.offset(),
            message,
            "raise max_seconds or lower first_seconds",
        );
    }
    section.finish(findings);
    retry
}
