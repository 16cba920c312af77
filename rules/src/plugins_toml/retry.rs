use super::waits::read_waits;
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
    let attempts = section
        .integer("attempts", 1..=100, findings)
        .unwrap_or(default.attempts);
    let (first_seconds, max_seconds) = read_waits(
        section,
        (default.first_seconds, default.max_seconds),
        findings,
    );
    Retry {
        attempts,
        first_seconds,
        max_seconds,
    }
}
