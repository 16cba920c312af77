use super::waits::read_waits;
use crate::quarantine::{RECENT, Terms};
use crate::toml_file::{Findings, Section};

/// Reads `[plugins.<name>.quarantine]`.
pub(super) fn read(mut section: Section<'_>, findings: &mut Findings<'_>) -> Terms {
    let default = Terms::default();
    let events = section
        .integer("events", 2..=RECENT, findings)
        .unwrap_or(default.events);
    let (first_seconds, max_seconds) = read_waits(
        section,
        (default.first_seconds, default.max_seconds),
        findings,
    );
    Terms {
        events,
        first_seconds,
        max_seconds,
    }
}
