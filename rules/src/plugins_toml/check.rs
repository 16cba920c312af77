use std::collections::{BTreeMap, BTreeSet};

use super::Instance;
use super::draft::{hook_variable, one_line, variable};
use super::interface::{FREE, GRANTED, WASI, granted_interface};
use crate::contract;
use crate::manifest::Manifest;
use crate::outbound::Allow;
use crate::toml_file::{Problem, quoted};

/// Compares an instance with its component: the manifest and the names of all imports, such as
/// `duet:plugin/store@0.1.0`. Nothing is loaded while there is a problem. Beside a canary a grant may be unused, since the
/// other version may need it.
pub fn check(instance: &Instance, manifest: &Manifest, imports: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let refusal = contract::refusal(&manifest.contract, imports);
    let is_of_another_contract = refusal.is_some();
    if let Some((message, remedy)) = refusal {
        let message = format!("plugin {:?} {message}", instance.name);
        problems.push(instance.problem(instance.line, message, remedy));
    }
    let mut imported = BTreeSet::new();
    for import in imports {
        match interface_of(import) {
            Some(interface) => {
                if imported.insert(interface)
                    && !FREE.contains(&interface)
                    && !instance.grants.has(interface)
                {
                    problems.push(missing_grant(instance, interface));
                }
            }
            None if is_inert_wasi(import) => {}
            // That contract may have it.
            None if is_of_another_contract && import.starts_with("duet:plugin/") => {}
            None => problems.push(no_such_interface(instance, import)),
        }
    }
    for (interface, line) in &instance.grant_lines {
        if !imported.contains(interface) && instance.canary.is_none() {
            let message = format!(
                "unused grant: plugin {:?} does not import duet:plugin/{interface}",
                instance.name
            );
            problems.push(instance.problem(
                *line,
                message,
                format!("remove [plugins.{}.{interface}]", instance.name),
            ));
        }
    }
    problems.extend(secret_problems(instance, manifest));
    problems.extend(hook_problems(instance, manifest));
    problems.extend(unwanted_events(instance, manifest));
    problems.sort_by_key(|problem| problem.line);
    problems
}

/// `store` of `duet:plugin/store@…`, if Duet has such an interface.
fn interface_of(import: &str) -> Option<&str> {
    let interface = unversioned(import).strip_prefix("duet:plugin/")?;
    (FREE.contains(&interface) || granted_interface(interface).is_some()).then_some(interface)
}

fn unversioned(import: &str) -> &str {
    import.split_once('@').map_or(import, |(name, _)| name)
}

fn version_of(import: &str) -> Option<&str> {
    import.split_once('@').map(|(_, version)| version)
}

fn is_inert_wasi(import: &str) -> bool {
    let package = unversioned(import)
        .strip_prefix("wasi:")
        .and_then(|rest| rest.split_once('/'))
        .map(|(package, _)| package);
    let version_fits = version_of(import).is_some_and(|version| version.starts_with("0.2."));
    version_fits && package.is_some_and(|package| WASI.contains(&package))
}

fn missing_grant(instance: &Instance, interface: &str) -> Problem {
    let name = &instance.name;
    let message = format!(
        "plugin {name:?} imports duet:plugin/{interface} but has no [plugins.{name}.{interface}] grant"
    );
    let grant = granted_interface(interface)
        .map_or("", |interface| interface.grant)
        .replace("<name>", name);
    instance.problem(instance.line, message, format!("add: {grant}"))
}

/// A plugin names its secrets in its code, so what the manifest says and what is granted are the same names.
fn secret_problems(instance: &Instance, manifest: &Manifest) -> Vec<Problem> {
    let Some(http) = &instance.grants.http else {
        return Vec::new();
    };
    let name = &instance.name;
    let wanted: BTreeMap<_, _> = manifest.secrets().collect();
    let missing = wanted
        .iter()
        .filter(|(secret, _)| !http.secrets.contains_key(**secret));
    let missing = missing.map(|(secret, what)| {
        let line = instance.grant_lines.get("http").copied();
        let message = format!(
            "plugin {name:?} uses the secret {secret:?} ({}) but has no [plugins.{name}.http.secrets.{secret}]",
            one_line(what)
        );
        let remedy = format!("add: {}", secret_lines(name, secret, &http.allow));
        instance.problem(line.unwrap_or(instance.line), message, remedy)
    });
    let unused = http
        .secrets
        .keys()
        .filter(|secret| instance.canary.is_none() && !wanted.contains_key(secret.as_str()));
    let unused = unused.map(|secret| {
        let message = format!("unused secret: plugin {name:?} does not use the secret {secret:?}");
        let remedy = format!("remove [plugins.{name}.http.secrets.{secret}]");
        instance.secret_problem(secret, message, remedy)
    });
    missing.chain(unused).collect()
}

/// Each hook that is declared is granted, with the secret that its calls are proven by.
fn hook_problems(instance: &Instance, manifest: &Manifest) -> Vec<Problem> {
    let name = &instance.name;
    let granted = &instance.grants.hooks;
    let mut problems = Vec::new();
    for hook in &manifest.hooks {
        let path = &hook.path;
        let table = format!("[plugins.{name}.hooks.{path}]");
        let line = match &hook.signature {
            Some(_) => format!("env = {:?}", hook_variable(name, path)),
            None => "unsigned = true (anybody may call it)".to_owned(),
        };
        let (message, remedy) = match (granted.get(path), &hook.signature) {
            (None, _) => (
                format!(
                    "plugin {name:?} is called at /hooks/{name}/{path} ({}) but has no {table}",
                    one_line(&hook.reason)
                ),
                format!("add: {line}"),
            ),
            (Some(grant), Some(signature)) if grant.secret.is_none() => (
                format!(
                    "{table} says unsigned, and its calls come {}",
                    signature.told()
                ),
                format!("name the secret in its place: {line}"),
            ),
            (Some(grant), None) if grant.secret.is_some() => (
                format!("{table} names a secret, and plugin {name:?} declares no signature for it"),
                format!("write in its place: {line}"),
            ),
            _ => continue,
        };
        problems.push(instance.hook_problem(path, message, remedy));
    }
    let declared: BTreeSet<_> = manifest.hooks.iter().map(|hook| &hook.path).collect();
    for path in granted.keys().filter(|path| !declared.contains(path)) {
        let message = format!("unused hook: plugin {name:?} declares no hook {path:?}");
        let remedy = format!("remove [plugins.{name}.hooks.{path}]");
        problems.push(instance.hook_problem(path, message, remedy));
    }
    problems
}

/// What the table of a secret holds, in one line.
fn secret_lines(name: &str, secret: &str, allow: &[Allow]) -> String {
    let host = allow.first().map(|entry| entry.origin().to_string());
    format!(
        "env = {:?}, hosts = [{:?}]",
        variable(name, secret),
        host.unwrap_or_default()
    )
}

fn no_such_interface(instance: &Instance, import: &str) -> Problem {
    let message = format!(
        "plugin {:?} imports {}, which this gateway does not have",
        instance.name,
        quoted(import).trim_matches('"')
    );
    let names = FREE
        .iter()
        .copied()
        .chain(GRANTED.iter().map(|interface| interface.name));
    let known = names
        .map(|name| format!("duet:plugin/{name}"))
        .collect::<Vec<_>>()
        .join(", ");
    instance.problem(
        instance.line,
        message,
        format!("build the plugin without it; there are {known}"),
    )
}

fn unwanted_events(instance: &Instance, manifest: &Manifest) -> Vec<Problem> {
    let narrowed = instance.events.iter().flatten();
    let unwanted =
        narrowed.filter(|pattern| !manifest.events.iter().any(|wanted| wanted.covers(pattern)));
    let wanted = manifest
        .events
        .iter()
        .map(|pattern| format!("{:?}", pattern.as_str()))
        .collect::<Vec<_>>()
        .join(", ");
    unwanted
        .map(|pattern| {
            let message = format!(
                "plugin {:?} does not want {:?} events",
                instance.name,
                pattern.as_str()
            );
            instance.problem(
                instance.events_line,
                message,
                format!("choose among what its manifest wants: {wanted}"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::instance;
    use super::*;
    use crate::contract::CONTRACT;

    fn manifest(events: &[&str], contract: &str) -> Manifest {
        let text =
            json!({"name": "crm", "version": "1.0.0", "contract": contract, "events": events});
        Manifest::parse("crm.wasm", text.to_string().as_bytes()).expect("a sound manifest")
    }

    #[test]
    fn a_component_is_compared_with_its_instance() {
        let head = "\n\n\n\n\n\n\n\n\n\n\n[plugins.crm]\ncomponent = 'crm.wasm'\n";
        let cases: [(&str, &[&str], &str); 9] = [
            ("", &["types", "log", "wasi:io/streams@0.2.6"], ""),
            (
                "",
                &["store"],
                r#"plugins.toml:12: plugin "crm" imports duet:plugin/store but has no [plugins.crm.store] grant; add: bytes_max = "10MiB""#,
            ),
            (
                "",
                &["contacts", "messages"],
                r#"plugins.toml:12: plugin "crm" imports duet:plugin/contacts but has no [plugins.crm.contacts] grant; add: [plugins.crm.contacts]
            plugins.toml:12: plugin "crm" imports duet:plugin/messages but has no [plugins.crm.messages] grant; add: speak = ["automation"]"#,
            ),
            (
                "",
                &["conversations"],
                r#"plugins.toml:12: plugin "crm" imports duet:plugin/conversations but has no [plugins.crm.conversations] grant; add: handling = true (it may hand conversations over and give them back), or handling = false (it only reads them)"#,
            ),
            ("[plugins.crm.store]", &["store"], ""),
            (
                "",
                &["http"],
                r#"plugins.toml:12: plugin "crm" imports duet:plugin/http but has no [plugins.crm.http] grant; add: allow = ["https://api.example.com"] (where it may call)"#,
            ),
            (
                "[plugins.crm.store]",
                &[],
                r#"plugins.toml:14: unused grant: plugin "crm" does not import duet:plugin/store; remove [plugins.crm.store]"#,
            ),
            (
                "",
                &["wasi:http/outgoing-handler@0.2.6"],
                r#"plugins.toml:12: plugin "crm" imports wasi:http/outgoing-handler@0.2.6, which this gateway does not have; build the plugin without it; there are duet:plugin/types, duet:plugin/log, duet:plugin/settings, duet:plugin/clock, duet:plugin/messages, duet:plugin/store, duet:plugin/http, duet:plugin/conversations, duet:plugin/contacts, duet:plugin/timers, duet:plugin/media, duet:plugin/cases, duet:plugin/annotations"#,
            ),
            (
                "events = ['message.text', 'echo.*']",
                &[],
                r#"plugins.toml:14: plugin "crm" does not want "echo.*" events; choose among what its manifest wants: "message.*", "status.read""#,
            ),
        ];
        for (tail, imports, expect) in cases {
            let instance = instance(&format!("{head}{tail}\n"));
            let imports: Vec<_> = imports
                .iter()
                .map(|import| match import.contains(':') {
                    true => (*import).to_owned(),
                    false => format!("duet:plugin/{import}@{CONTRACT}"),
                })
                .collect();
            let manifest = manifest(&["message.*", "status.read"], CONTRACT);
            let problems = check(&instance, &manifest, &imports);
            let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
            let expect: Vec<_> = expect.lines().map(str::trim).collect();
            assert_eq!(told, expect, "of {tail} with {imports:?}");
        }
    }

    #[test]
    fn beside_a_canary_a_grant_may_be_for_the_other_version() {
        let text = "[plugins.crm]\ncomponent = 'crm.wasm'\n[plugins.crm.store]\n[plugins.crm.canary]\ncomponent = 'next.wasm'\n";
        let manifest = manifest(&["*"], CONTRACT);
        assert_eq!(check(&instance(text), &manifest, &[]), vec![]);
        let (canary, _) = instance(text).with_canary().unwrap();
        let http = [format!("duet:plugin/http@{CONTRACT}")];
        let told = check(&canary, &manifest, &http);
        let told: Vec<_> = told.iter().map(|problem| problem.line).collect();
        assert_eq!(told, [4], "what it needs is told with its own line");
    }

    /// What else it has may be right there.
    #[test]
    fn of_a_newer_contract_the_version_is_told_and_no_new_interface() {
        let instance = instance("[plugins.crm]\ncomponent = 'crm.wasm'\n");
        let imports = ["log", "agents"].map(|name| format!("duet:plugin/{name}@9.0.0"));
        let problems = check(&instance, &manifest(&["*"], "9.0.0"), &imports);
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [format!(
                r#"plugins.toml:1: plugin "crm" is built for contract 9.0.0, this gateway speaks {CONTRACT}; update Duet, or build the plugin against duet:plugin@{CONTRACT}"#
            )]
        );
    }

    #[test]
    fn secrets_are_those_that_the_plugin_names() {
        let text = json!({"name": "crm", "version": "1.0.0", "contract": CONTRACT, "events": ["*"],
            "permissions": {"http": {"reason": "to ask", "secrets": {"token": "The API key."}}}});
        let manifest = Manifest::parse("crm.wasm", text.to_string().as_bytes()).unwrap();
        let told = |secrets: &str| {
            let instance = instance(&format!(
                "[plugins.crm]\ncomponent = 'crm.wasm'\n[plugins.crm.http]\nallow = ['GET https://a.example.com']\n{secrets}"
            ));
            let imports = [format!("duet:plugin/http@{CONTRACT}")];
            let problems = check(&instance, &manifest, &imports);
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let secret = |name: &str| {
            format!(
                "[plugins.crm.http.secrets.{name}]\nenv = 'A'\nhosts = ['https://a.example.com']\n"
            )
        };
        assert_eq!(told(&secret("token")), [""; 0]);
        assert_eq!(
            told(&secret("tokn")),
            [
                r#"plugins.toml:3: plugin "crm" uses the secret "token" (The API key.) but has no [plugins.crm.http.secrets.token]; add: env = "PLUGIN_CRM_TOKEN", hosts = ["https://a.example.com"]"#,
                r#"plugins.toml:5: unused secret: plugin "crm" does not use the secret "tokn"; remove [plugins.crm.http.secrets.tokn]"#,
            ]
        );
    }

    #[test]
    fn hooks_are_granted_with_what_proves_their_calls() {
        let text = json!({"name": "crm", "version": "1.0.0", "contract": CONTRACT, "events": ["*"], "hooks": [
            {"path": "tickets", "mode": "event", "reason": "Tickets that change.", "signature": {"scheme": "standard-webhooks"}},
            {"path": "open", "mode": "event", "reason": "A door bell."}]});
        let manifest = Manifest::parse("crm.wasm", text.to_string().as_bytes()).unwrap();
        let told = |hooks: &str| {
            let text = format!("[plugins.crm]\ncomponent = 'crm.wasm'\n{hooks}");
            let problems = check(&instance(&text), &manifest, &[]);
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let good = "[plugins.crm.hooks]\ntickets.env = 'A'\nopen.unsigned = true\n";
        assert_eq!(told(good), [""; 0]);
        assert_eq!(
            told(""),
            [
                r#"plugins.toml:1: plugin "crm" is called at /hooks/crm/tickets (Tickets that change.) but has no [plugins.crm.hooks.tickets]; add: env = "PLUGIN_CRM_HOOK_TICKETS""#,
                r#"plugins.toml:1: plugin "crm" is called at /hooks/crm/open (A door bell.) but has no [plugins.crm.hooks.open]; add: unsigned = true (anybody may call it)"#,
            ]
        );
        assert_eq!(
            told("[plugins.crm.hooks]\ntickets.unsigned = true\nopen.env = 'A'\nother.env = 'A'\n"),
            [
                r#"plugins.toml:4: [plugins.crm.hooks.tickets] says unsigned, and its calls come signed as Standard Webhooks; name the secret in its place: env = "PLUGIN_CRM_HOOK_TICKETS""#,
                r#"plugins.toml:5: [plugins.crm.hooks.open] names a secret, and plugin "crm" declares no signature for it; write in its place: unsigned = true (anybody may call it)"#,
                r#"plugins.toml:6: unused hook: plugin "crm" declares no hook "other"; remove [plugins.crm.hooks.other]"#,
            ]
        );
    }
}
