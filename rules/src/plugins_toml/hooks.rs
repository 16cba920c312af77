use std::collections::BTreeMap;

use super::http::{SecretSource, read_source};
use crate::schedule::name_is_valid;
use crate::toml_file::{Field, Findings, Section, quoted};

const HOOKS_MAX: usize = 20;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The longest body of a call when the file says nothing.
pub const HOOK_BYTES_DEFAULT: u64 = MIB;
/// Calls a minute when the file says nothing.
pub const HOOK_RATE_DEFAULT: u64 = 600;
/// How long a caller waits for an answer when the file says nothing.
pub const HOOK_SECONDS_DEFAULT: u64 = 10;

/// A hook that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookGrant {
    /// The secret that proves a call; `None` is anybody's word.
    pub secret: Option<SecretSource>,
    /// The longest body.
    pub body_bytes_max: u64,
    /// Calls that are taken, so many at once.
    pub per_minute: u64,
    /// How long a caller waits for the plugin's answer.
    pub answer_seconds: u64,
}

/// The hooks by their paths, and the lines of their tables.
pub(super) fn read(
    section: &Section<'_>,
    findings: &mut Findings<'_>,
) -> (BTreeMap<String, HookGrant>, BTreeMap<String, usize>) {
    let (mut hooks, mut lines) = (BTreeMap::new(), BTreeMap::new());
    let fields = section.fields();
    if let Some(surplus) = fields.get(HOOKS_MAX) {
        let message = format!("[{}] has {} hooks", section.path(), fields.len());
        findings.add(surplus.offset, message, format!("keep it to {HOOKS_MAX}"));
    }
    for field in fields.iter().take(HOOKS_MAX) {
        if !name_is_valid(field.key) {
            findings.add(
                field.offset,
                format!("{} is no path of a hook", quoted(field.key)),
                "use the one that the plugin declares: 1 to 32 of a-z, 0-9 and _",
            );
        }
        if let Some(hook) = read_one(field, findings) {
            lines.insert(field.key.to_owned(), findings.line(field.offset));
            hooks.insert(field.key.to_owned(), hook);
        }
    }
    (hooks, lines)
}

fn read_one(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<HookGrant> {
    let mut table = field.table(findings)?;
    let before = findings.count();
    let unsigned = table.boolean("unsigned", findings).unwrap_or(false);
    let secret = if unsigned {
        for named in [table.field("env"), table.field("file")]
            .into_iter()
            .flatten()
        {
            let message = format!("{} stands beside unsigned = true", named.name());
            findings.add(named.offset, message, "take one of them out");
        }
        None
    } else {
        read_source(&mut table, "env and file", false, findings)
    };
    let hook = HookGrant {
        secret,
        body_bytes_max: table
            .bytes("body_bytes_max", KIB..=8 * MIB, findings)
            .unwrap_or(HOOK_BYTES_DEFAULT),
        per_minute: table
            .integer("per_minute", 1..=60_000, findings)
            .unwrap_or(HOOK_RATE_DEFAULT),
        answer_seconds: table
            .integer("answer_seconds", 1..=60, findings)
            .unwrap_or(HOOK_SECONDS_DEFAULT),
    };
    table.finish(findings);
    (findings.count() == before).then_some(hook)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::super::tests::instance;
    use super::*;

    const HEAD: &str = "[plugins.crm]\ncomponent = 'c'\n";

    #[test]
    fn hooks_are_read_as_written() {
        let crm = instance(&format!(
            "{HEAD}[plugins.crm.hooks.tickets]\nenv = 'CRM_HOOK'\nbody_bytes_max = '64KiB'\nper_minute = 60\n\
             [plugins.crm.hooks]\nask.file = 'secrets/ask'\nask.answer_seconds = 3\nopen.unsigned = true\n"
        ));
        let lines = [("tickets", 3), ("ask", 8), ("open", 10)];
        assert_eq!(
            crm.hook_lines,
            lines.map(|(path, line)| (path.into(), line)).into()
        );
        let usual = HookGrant {
            secret: None,
            body_bytes_max: HOOK_BYTES_DEFAULT,
            per_minute: HOOK_RATE_DEFAULT,
            answer_seconds: HOOK_SECONDS_DEFAULT,
        };
        let tickets = HookGrant {
            secret: Some(SecretSource::Env("CRM_HOOK".into())),
            body_bytes_max: 64 * KIB,
            per_minute: 60,
            ..usual.clone()
        };
        let ask = HookGrant {
            secret: Some(SecretSource::File("secrets/ask".into())),
            answer_seconds: 3,
            ..usual.clone()
        };
        let hooks = [("tickets", tickets), ("ask", ask), ("open", usual)];
        assert_eq!(
            crm.grants.hooks,
            hooks.map(|(path, hook)| (path.into(), hook)).into()
        );
        let paths: Vec<_> = crm.paths().collect();
        assert_eq!(paths, ["c", "secrets/ask"].map(std::path::Path::new));
    }

    #[test]
    fn a_slip_is_told_with_its_line_and_the_remedy() {
        for (text, expect) in [
            (
                "[plugins.crm.hooks.tickets]",
                r#"plugins.toml:3: [plugins.crm.hooks.tickets] needs exactly one of env and file; name an environment variable with env = "…", or a file with file = "…""#,
            ),
            (
                "[plugins.crm.hooks.tickets]\nunsigned = true\nenv = 'A'",
                "plugins.toml:5: env in [plugins.crm.hooks.tickets] stands beside unsigned = true; take one of them out",
            ),
            (
                "[plugins.crm.hooks.New-Tickets]\nenv = 'A'",
                r#"plugins.toml:3: "New-Tickets" is no path of a hook; use the one that the plugin declares: 1 to 32 of a-z, 0-9 and _"#,
            ),
            (
                "[plugins.crm.hooks.tickets]\nenv = 'DUET_APP_SECRET'",
                r#"plugins.toml:4: env in [plugins.crm.hooks.tickets] is "DUET_APP_SECRET", a variable of Duet's own; no plugin uses Duet's secrets; put this one into a variable of another name"#,
            ),
            (
                "[plugins.crm.hooks.tickets]\nenv = 'A'\nsecret = 'b'",
                r#"plugins.toml:5: unknown key "secret" in [plugins.crm.hooks.tickets]; remove it; known keys: unsigned, env, file, body_bytes_max, per_minute, answer_seconds"#,
            ),
            (
                "[plugins.crm.hooks.tickets]\nenv = 'A'\nper_minute = 0",
                "plugins.toml:5: per_minute in [plugins.crm.hooks.tickets] is 0; give an integer from 1 to 60000",
            ),
        ] {
            let outcome = parse("plugins.toml", format!("{HEAD}{text}\n"));
            let told: Vec<_> = outcome.problems.iter().map(ToString::to_string).collect();
            assert_eq!(told.join("\n"), expect, "of {text}");
        }
    }
}
