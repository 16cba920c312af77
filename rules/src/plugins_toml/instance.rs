use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::canary::{self, Canary};
use super::every;
use super::grants::{self, Grants, Read};
use super::http::{SecretGrant, SecretSource};
use super::limits::{self, Limits};
use super::log::{self, LogRate};
use super::pattern::Pattern;
use super::quarantine;
use super::retry::{self, Retry};
use super::settings::{self, SettingsLines};
use crate::quarantine::Terms;
use crate::schedule::Schedule;
use crate::toml_file::{Field, Findings, Problem, Section, quoted, type_words};

/// Lanes of one instance that run at once when the file says nothing.
pub const PARALLEL_DEFAULT: u64 = 32;
/// Runs of one instance that are kept when the file says nothing.
pub const RUNS_KEPT_DEFAULT: u64 = 20;
/// So many of its runs one instance may have kept.
const RUNS_KEPT_MAX: u64 = 100;

/// A plugin with its name, settings and grants: one `[plugins.<name>]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// `[a-z0-9][a-z0-9-]{0,62}`; the instance's identity everywhere.
    pub name: String,
    /// The name of the file, for problems that are found later.
    pub file: String,
    /// The line of the table's header.
    pub line: usize,
    /// As written: relative to the folder of `plugins.toml`.
    pub component: PathBuf,
    pub enabled: bool,
    /// Whose events it sees; `""` is the gateway's own business.
    pub business: String,
    pub business_line: usize,
    /// Narrows what the manifest wants; `None` is all of it.
    pub events: Option<Vec<Pattern>>,
    pub events_line: usize,
    /// Only events of these phone_number_ids; `None` is all numbers.
    pub numbers: Option<Vec<String>>,
    pub from: StartFrom,
    /// Lanes that may run at once, 1 to 256.
    pub parallel: u64,
    /// When it is called beside events that come.
    pub every: Vec<Schedule>,
    /// So many of its last runs are kept, to run another version over them.
    pub runs_kept: u64,
    /// When a changed version takes over.
    pub promote: Promote,
    pub promote_line: usize,
    /// Another version for a share of the conversations.
    pub canary: Option<Canary>,
    pub retry: Retry,
    pub quarantine: Terms,
    pub log: LogRate,
    pub limits: Limits,
    /// Always a JSON object.
    pub settings: serde_json::Value,
    pub settings_lines: SettingsLines,
    pub grants: Grants,
    /// Name of a granted interface to the line of its table.
    pub grant_lines: BTreeMap<&'static str, usize>,
    /// Name of a secret in the grant `http` to the line of its table.
    pub secret_lines: BTreeMap<String, usize>,
    /// Path of a hook to the line of its table.
    pub hook_lines: BTreeMap<String, usize>,
}

impl Instance {
    /// The files that it is made of, as written.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let http = self.grants.http.iter();
        let secrets = http.flat_map(|http| http.secrets.values());
        let hooks = self.grants.hooks.values();
        let sources = secrets
            .flat_map(SecretGrant::sources)
            .chain(hooks.filter_map(|hook| hook.secret.as_ref()));
        let files = sources.filter_map(|source| match source {
            SecretSource::File(path) => Some(path.as_path()),
            SecretSource::Env(_) => None,
        });
        let canary = self.canary.iter().map(|canary| canary.component.as_path());
        let components = std::iter::once(self.component.as_path()).chain(canary);
        components.chain(files)
    }

    /// A problem with what a JSON pointer names in the settings, with its line.
    pub fn settings_problem(&self, pointer: &str, message: &str, remedy: &str) -> Problem {
        self.problem(
            self.settings_lines.line(pointer),
            message.to_owned(),
            remedy.to_owned(),
        )
    }

    /// A problem with a secret of the grant `http`, with its line.
    pub fn secret_problem(&self, name: &str, message: String, remedy: String) -> Problem {
        let line = self.secret_lines.get(name).copied();
        self.problem(line.unwrap_or(self.line), message, remedy)
    }

    /// A problem with a hook, with its line.
    pub fn hook_problem(&self, path: &str, message: String, remedy: String) -> Problem {
        let line = self.hook_lines.get(path).copied();
        self.problem(line.unwrap_or(self.line), message, remedy)
    }

    /// A problem with the business that it is to work for, with its line.
    pub fn business_problem(&self, message: String, remedy: String) -> Problem {
        self.problem(self.business_line, message, remedy)
    }

    /// A problem with a version that is to take over, with the line that says when it may.
    pub fn promote_problem(&self, message: String, remedy: String) -> Problem {
        self.problem(self.promote_line, message, remedy)
    }

    /// A problem with the line of its table.
    pub fn table_problem(&self, message: String, remedy: String) -> Problem {
        self.problem(self.line, message, remedy)
    }

    pub(super) fn problem(&self, line: usize, message: String, remedy: String) -> Problem {
        Problem {
            file: self.file.clone(),
            line,
            column: 1,
            message,
            remedy,
        }
    }
}

/// Where an instance begins that has no cursor yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// With the first event after it was switched on.
    Now,
    /// With the oldest event that is kept.
    Beginning,
    /// With the event of this `seq`, or the next one there is.
    Seq(u64),
}

/// When a changed version takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Promote {
    /// As soon as it is loaded.
    #[default]
    AtOnce,
    /// Once it was run over the kept runs and has faulted on none.
    Shadow,
}

/// Whether a text can name an instance: `[a-z0-9][a-z0-9-]{0,62}`.
pub fn name_is_valid(name: &str) -> bool {
    const BYTES_MAX: usize = 63;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty()
        && !name.starts_with('-')
        && name.len() <= BYTES_MAX
        && name.bytes().all(allowed)
}

/// Reads one table; `None` when what must be there is missing, which is then among the findings.
pub(super) fn read(
    name: &str,
    mut section: Section<'_>,
    findings: &mut Findings<'_>,
) -> Option<Instance> {
    let line = findings.line(section.offset());
    let component = read_component(&mut section, findings);
    let enabled = section.boolean("enabled", findings).unwrap_or(true);
    let business = section.field("business");
    let business_line = business
        .as_ref()
        .map_or(line, |field| findings.line(field.offset));
    let business = business
        .and_then(|field| read_business(&field, findings))
        .unwrap_or_default();
    let events = section.field("events");
    let events_line = events
        .as_ref()
        .map_or(line, |field| findings.line(field.offset));
    let events = events.and_then(|field| read_events(&field, findings));
    let numbers = section
        .field("numbers")
        .and_then(|field| read_numbers(&field, findings));
    let from = section
        .field("from")
        .and_then(|field| read_from(&field, findings))
        .unwrap_or(StartFrom::Now);
    let parallel = section
        .integer("parallel", 1..=256, findings)
        .unwrap_or(PARALLEL_DEFAULT);
    let every = section
        .table("every", findings)
        .map(|section| every::read(&section, findings))
        .unwrap_or_default();
    let runs_kept = section
        .integer("runs_kept", 0..=RUNS_KEPT_MAX, findings)
        .unwrap_or(RUNS_KEPT_DEFAULT);
    let promote = section.field("promote");
    let promote_line = promote
        .as_ref()
        .map_or(line, |field| findings.line(field.offset));
    let promote = promote
        .and_then(|field| read_promote(&field, runs_kept, findings))
        .unwrap_or_default();
    let canary = section
        .table("canary", findings)
        .and_then(|section| canary::read(section, findings));
    let retry = section
        .table("retry", findings)
        .map(|section| retry::read(section, findings))
        .unwrap_or_default();
    let quarantine = section
        .table("quarantine", findings)
        .map(|section| quarantine::read(section, findings))
        .unwrap_or_default();
    let log = section
        .table("log", findings)
        .map(|section| log::read(section, findings))
        .unwrap_or_default();
    let limits = section
        .table("limits", findings)
        .map(|section| limits::read(section, findings))
        .unwrap_or_default();
    let (settings, settings_lines) = match section.table("settings", findings) {
        Some(section) => settings::read(&section, findings),
        None => (serde_json::json!({}), SettingsLines::at(line)),
    };
    let Read {
        grants,
        lines: grant_lines,
        secret_lines,
        hook_lines,
    } = grants::read(&mut section, findings);
    section.finish(findings);
    Some(Instance {
        name: name.to_owned(),
        file: findings.file().to_owned(),
        line,
        component: component?,
        enabled,
        business,
        business_line,
        events,
        events_line,
        numbers,
        from,
        parallel,
        every,
        runs_kept,
        promote,
        promote_line,
        canary,
        retry,
        quarantine,
        log,
        limits,
        settings,
        settings_lines,
        grants,
        grant_lines,
        secret_lines,
        hook_lines,
    })
}

pub(super) fn read_component(
    section: &mut Section<'_>,
    findings: &mut Findings<'_>,
) -> Option<PathBuf> {
    const BYTES_MAX: usize = 4096;
    let Some(field) = section.field("component") else {
        let message = format!("[{}] has no component", section.path());
        findings.add(
            section.offset(),
            message,
            "add: component = \"<path of the .wasm file>\"",
        );
        return None;
    };
    let path = field.string(findings)?;
    if path.is_empty()
        || path.len() > BYTES_MAX
        || path.contains(char::is_control)
        || path.contains("://")
    {
        let message = format!("{} is {}", field.name(), quoted(path));
        findings.add(
            field.offset,
            message,
            "give the path of a file, relative to the folder of this file",
        );
        return None;
    }
    Some(PathBuf::from(path))
}

fn read_business(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let id = field.string(findings)?;
    if !name_is_valid(id) {
        findings.add(
            field.offset,
            format!("{} is {}", field.name(), quoted(id)),
            "give the id of a business, 1 to 63 of a-z, 0-9 and -; for the gateway's own take the line out",
        );
        return None;
    }
    Some(id.to_owned())
}

fn read_events(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Vec<Pattern>> {
    const PATTERNS_MAX: usize = 100;
    let mut patterns = Vec::new();
    for (text, offset) in field.strings(PATTERNS_MAX, findings)? {
        match text.parse::<Pattern>() {
            Ok(pattern) => {
                if let Some(word) = pattern.unknown_family() {
                    let remedy = match pattern.meant() {
                        Some(meant) => format!("did you mean {meant}?"),
                        None => format!("kinds begin with {}", super::pattern::FAMILIES.join(", ")),
                    };
                    findings.add(
                        offset,
                        format!("no event kind begins with {}", quoted(word)),
                        remedy,
                    );
                }
                patterns.push(pattern);
            }
            Err(_) => {
                let message = format!("{} in {} is no pattern", quoted(text), field.name());
                findings.add(
                    offset,
                    message,
                    "write a kind such as message.text, a family such as message.*, or *",
                );
            }
        }
    }
    Some(patterns)
}

fn read_numbers(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Vec<String>> {
    const NUMBERS_MAX: usize = 1000;
    const DIGITS_MAX: usize = 32;
    let texts = field.strings(NUMBERS_MAX, findings)?;
    for (text, offset) in &texts {
        if text.is_empty()
            || text.len() > DIGITS_MAX
            || !text.bytes().all(|byte| byte.is_ascii_digit())
        {
            let message = format!("{} in {} is no phone_number_id", quoted(text), field.name());
            findings.add(
                *offset,
                message,
                "give Meta's id of the number, digits only; it is not the phone number itself",
            );
        }
    }
    Some(texts.into_iter().map(|(text, _)| text.to_owned()).collect())
}

fn read_from(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<StartFrom> {
    const REMEDY: &str = "write \"now\", \"beginning\" or the seq of an event";
    let value = field.value.get_ref();
    if value.is_integer() {
        return field
            .integer(0..=i64::MAX.unsigned_abs(), findings)
            .map(StartFrom::Seq);
    }
    match value.as_str() {
        Some("now") => Some(StartFrom::Now),
        Some("beginning") => Some(StartFrom::Beginning),
        Some(text) => {
            findings.add(
                field.offset,
                format!("{} is {}", field.name(), quoted(text)),
                REMEDY,
            );
            None
        }
        None => {
            findings.add(
                field.offset,
                format!("{} is {}", field.name(), type_words(value)),
                REMEDY,
            );
            None
        }
    }
}

fn read_promote(field: &Field<'_>, runs_kept: u64, findings: &mut Findings<'_>) -> Option<Promote> {
    match field.string(findings)? {
        "at-once" => Some(Promote::AtOnce),
        "shadow" if runs_kept == 0 => {
            let message = format!("{} is \"shadow\", and no runs are kept", field.name());
            let remedy = "take runs_kept = 0 out: a new version is run over the kept runs";
            findings.add(field.offset, message, remedy);
            None
        }
        "shadow" => Some(Promote::Shadow),
        text => {
            let message = format!("{} is {}", field.name(), quoted(text));
            findings.add(field.offset, message, "write \"at-once\" or \"shadow\"");
            None
        }
    }
}
