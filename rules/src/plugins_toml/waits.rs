use crate::toml_file::{Findings, Section};

/// The first and the longest of waits that double, which are the last keys of their table.
pub(super) fn read_waits(
    mut section: Section<'_>,
    default: (u64, u64),
    findings: &mut Findings<'_>,
) -> (u64, u64) {
    let before = findings.count();
    let first = section
        .integer("first_seconds", 1..=3600, findings)
        .unwrap_or(default.0);
    let max = section
        .integer("max_seconds", 1..=86_400, findings)
        .unwrap_or(default.1);
    if findings.count() == before && first > max {
        let message = format!(
            "first_seconds {first} is above max_seconds {max} in [{}]",
            section.path()
        );
        findings.add(
            section.offset(),
            message,
            "raise max_seconds or lower first_seconds",
        );
    }
    section.finish(findings);
    (first, max)
}
