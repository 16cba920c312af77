use crate::toml_file::{Findings, Section};

/// How fast an instance may write to its log, over all of its runs. From `[plugins.<name>.log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRate {
    pub lines_per_second: u64,
    /// Lines at once after a silence.
    pub lines_burst: u64,
}

impl Default for LogRate {
    fn default() -> Self {
        Self {
            lines_per_second: 100,
            lines_burst: 1000,
        }
    }
}

pub(super) fn read(mut section: Section<'_>, findings: &mut Findings<'_>) -> LogRate {
    let default = LogRate::default();
    let rate = LogRate {
        lines_per_second: section
            .integer("lines_per_second", 1..=10_000, findings)
            .unwrap_or(default.lines_per_second),
        lines_burst: section
            .integer("lines_burst", 1..=100_000, findings)
            .unwrap_or(default.lines_burst),
    };
    section.finish(findings);
    rate
}
