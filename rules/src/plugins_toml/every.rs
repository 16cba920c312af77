use crate::schedule::{Schedule, name_is_valid};
use crate::toml_file::{Findings, Section, quoted};

/// So many schedules one instance may have.
pub(crate) const SCHEDULES_MAX: usize = 20;

/// Reads `[plugins.<name>.every]`, in the order of the file.
pub(super) fn read(section: &Section<'_>, findings: &mut Findings<'_>) -> Vec<Schedule> {
    let fields = section.fields();
    if let Some(surplus) = fields.get(SCHEDULES_MAX) {
        let message = format!("[{}] has {} schedules", section.path(), fields.len());
        findings.add(
            surplus.offset,
            message,
            format!("keep it to {SCHEDULES_MAX}"),
        );
    }
    let mut schedules = Vec::new();
    for field in fields.iter().take(SCHEDULES_MAX) {
        if !name_is_valid(field.key) {
            findings.add(
                field.offset,
                format!("{} is no name for a schedule", quoted(field.key)),
                "use 1 to 32 of a-z, 0-9 and _",
            );
            continue;
        }
        let Some(text) = field.string(findings) else {
            continue;
        };
        match Schedule::read(field.key, text) {
            Ok(schedule) => schedules.push(schedule),
            Err(remedy) => {
                let message = format!("{} is {}", field.name(), quoted(text));
                findings.add(field.offset, message, remedy);
            }
        }
    }
    schedules
}
