//! The manifest that a component carries: who it is, which events it wants, which settings it takes and
//! why it needs each permission.
//!
//! It is JSON in the custom section [`SECTION`], so that it can be read without running the plugin and
//! cannot be separated from its code. [`Manifest::parse`] trusts nothing in it; the SDKs write it with
//! [`Manifest::to_json`]. Deliberately absent: checking an instance's settings against the schema.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract;
use crate::hooks::Hook;
use crate::outbound::Allow;
use crate::plugins_toml::{GRANTED, Pattern, SCHEDULES_MAX, granted_interface, name_is_valid};
use crate::schedule::{self, Schedule};
use crate::toml_file::{Problem, nearest, quoted};

/// The name of the component's custom section.
pub const SECTION: &str = "duet:manifest";

/// The largest manifest that is read.
pub const MANIFEST_BYTES_MAX: usize = 256 * 1024;

const EVENTS_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 1000;
const HOSTS_MAX: usize = 20;
const SECRETS_MAX: usize = 20;
const HOOKS_MAX: usize = 20;

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `[a-z0-9][a-z0-9-]{0,62}`
    pub name: String,
    /// Semantic version of the plugin.
    pub version: String,
    /// Version of `duet:plugin` that it was built for.
    pub contract: String,
    #[serde(default)]
    pub description: String,
    /// The events it wants; `plugins.toml` may narrow them.
    pub events: Vec<Pattern>,
    /// By which schema it keeps its store: a version that reads or writes it otherwise has another number. 1 if it says
    /// nothing.
    #[serde(default = "first_schema", skip_serializing_if = "is_first_schema")]
    pub store_schema: u32,
    /// JSON Schema of the instance's settings.
    #[serde(default = "any_object")]
    pub settings: Value,
    /// Name of an interface that needs a grant to why the plugin needs it.
    #[serde(default)]
    pub permissions: BTreeMap<String, Permission>,
    /// Schedules that its author proposes, as `plugins.toml` writes them: `{"tidy": "15m"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub every: BTreeMap<String, String>,
    /// What its outside system may call, each under a path of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
}

/// One permission, in words that an admin understands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    pub reason: String,
    /// For `http`: where the plugin calls, as in `allow`, as far as its author knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// For `http`: the names of the secrets that it uses, and what each is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

const FIRST_SCHEMA: u32 = 1;

fn first_schema() -> u32 {
    FIRST_SCHEMA
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_first_schema(schema: &u32) -> bool {
    *schema == FIRST_SCHEMA
}

fn any_object() -> Value {
    serde_json::json!({})
}

impl Manifest {
    /// Reads the bytes of the custom section. `component` names the file in the problems; their line
    /// counts within the section.
    pub fn parse(component: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        Self::read(component, bytes).map_err(|problems| {
            let contract = contract_problem(component, bytes);
            contract.map_or(problems, |problem| vec![problem])
        })
    }

    fn read(component: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            let message = format!("the manifest has {} bytes", bytes.len());
            return Err(vec![problem(
                component,
                message,
                format!("keep it below {MANIFEST_BYTES_MAX} bytes"),
            )]);
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| vec![json_problem(component, &error)])?;
        let problems: Vec<_> = manifest
            .refusals()
            .into_iter()
            .map(|(message, remedy)| problem(component, format!("manifest: {message}"), remedy))
            .collect();
        if problems.is_empty() {
            Ok(manifest)
        } else {
            Err(problems)
        }
    }

    /// The bytes of the custom section.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Message and remedy for everything that its types alone do not forbid. The contract version is
    /// judged against the gateway's later, together with the imports.
    fn refusals(&self) -> Vec<(String, String)> {
        let mut refusals = Vec::new();
        let mut refuse =
            |message: String, remedy: &str| refusals.push((message, remedy.to_owned()));
        if !name_is_valid(&self.name) {
            refuse(
                format!("name is {}", quoted(&self.name)),
                "use 1 to 63 of a-z, 0-9 and -",
            );
        }
        for (key, version) in [("version", &self.version), ("contract", &self.contract)] {
            if !version_is_valid(version) {
                refuse(
                    format!("{key} is {}", quoted(version)),
                    "write a semantic version such as 1.2.3",
                );
            }
        }
        if self.description.chars().count() > TEXT_CHARS_MAX {
            refuse(
                "the description is too long".to_owned(),
                "keep it to 1000 characters",
            );
        }
        if self.events.is_empty() || self.events.len() > EVENTS_MAX {
            refuse(
                format!("events has {} items", self.events.len()),
                "name 1 to 100 event patterns",
            );
        }
        for event in &self.events {
            // One that no other resembles may be an event of a later gateway.
            if let Some(meant) = event.meant() {
                refuse(
                    format!("there are no events {}", quoted(event.as_str())),
                    &format!("did you mean {meant}?"),
                );
            }
        }
        if !self.settings.is_object() {
            refuse(
                "settings is no JSON Schema object".to_owned(),
                "write {} when there are none",
            );
        }
        for (name, permission) in &self.permissions {
            if granted_interface(name).is_none() {
                refusals.push(unknown_permission(name));
            }
            let chars = permission.reason.trim().chars().count();
            if chars == 0 || chars > TEXT_CHARS_MAX {
                let message = format!(
                    "permission {} has a reason of {chars} characters",
                    quoted(name)
                );
                refusals.push((
                    message,
                    "say in 1 to 1000 characters why the plugin needs it".to_owned(),
                ));
            }
            refusals.extend(permission.refusals(name));
        }
        refusals.extend(self.schedule_refusals());
        refusals.extend(self.hook_refusals());
        refusals
    }

    fn hook_refusals(&self) -> Vec<(String, String)> {
        let mut refusals = Vec::new();
        if self.hooks.len() > HOOKS_MAX {
            let message = format!("hooks has {} items", self.hooks.len());
            refusals.push((message, format!("declare at most {HOOKS_MAX}")));
        }
        let mut paths = BTreeSet::new();
        for hook in self.hooks.iter().take(HOOKS_MAX) {
            if !paths.insert(&hook.path) {
                let message = format!("two hooks have the path {}", quoted(&hook.path));
                refusals.push((message, "give each a path of its own".to_owned()));
            }
            let chars = hook.reason.trim().chars().count();
            if chars == 0 || chars > TEXT_CHARS_MAX {
                let message = format!(
                    "hook {} has a reason of {chars} characters",
                    quoted(&hook.path)
                );
                let remedy = "say in 1 to 1000 characters who calls there and why";
                refusals.push((message, remedy.to_owned()));
            }
            refusals.extend(hook.refusals());
        }
        refusals
    }

    fn schedule_refusals(&self) -> Vec<(String, String)> {
        let surplus = (self.every.len() > SCHEDULES_MAX).then(|| {
            (
                format!("every has {} schedules", self.every.len()),
                format!("keep it to {SCHEDULES_MAX}"),
            )
        });
        let wrong = self.every.iter().filter_map(|(name, text)| {
            let told = format!("every {} is {}", quoted(name), quoted(text));
            if !schedule::name_is_valid(name) {
                return Some((told, "name it with 1 to 32 of a-z, 0-9 and _".to_owned()));
            }
            Some((told, Schedule::read(name, text).err()?))
        });
        surplus.into_iter().chain(wrong.take(1)).collect()
    }

    /// Names of the secrets that the plugin puts into calls, and what each is.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        let http = self.permissions.get("http");
        let secrets = http.into_iter().flat_map(|http| &http.secrets);
        secrets.map(|(name, what)| (name.as_str(), what.as_str()))
    }
}

impl Permission {
    /// Message and remedy for hosts and secrets that are none.
    fn refusals(&self, interface: &str) -> Vec<(String, String)> {
        let mut refusals = Vec::new();
        let mut refuse =
            |message: String, remedy: &str| refusals.push((message, remedy.to_owned()));
        if interface != "http" && !(self.hosts.is_empty() && self.secrets.is_empty()) {
            refuse(
                format!("permission {} names hosts or secrets", quoted(interface)),
                "only http has some",
            );
        }
        if self.hosts.len() > HOSTS_MAX || self.secrets.len() > SECRETS_MAX {
            refuse(
                format!(
                    "{} hosts and {} secrets",
                    self.hosts.len(),
                    self.secrets.len()
                ),
                "name at most 20 of each",
            );
        }
        for host in &self.hosts {
            if let Err(reason) = host.parse::<Allow>() {
                refuse(format!("host {}", quoted(host)), reason);
            }
        }
        for (name, what) in &self.secrets {
            let chars = what.trim().chars().count();
            if !name_is_valid(name) || chars == 0 || chars > TEXT_CHARS_MAX {
                refuse(
                    format!("secret {} is told in {chars} characters", quoted(name)),
                    "name it with 1 to 63 of a-z, 0-9 and -, and say in 1 to 1000 characters what it is",
                );
            }
        }
        refusals
    }
}

fn unknown_permission(name: &str) -> (String, String) {
    let names = GRANTED.map(|interface| interface.name);
    let remedy = match nearest(name, names) {
        Some(known) => format!("did you mean {known}?"),
        None => format!("permissions are {}", names.join(", ")),
    };
    (format!("no interface is called {}", quoted(name)), remedy)
}

fn problem(component: &str, message: String, remedy: String) -> Problem {
    Problem {
        file: component.to_owned(),
        line: 1,
        column: 1,
        message,
        remedy,
    }
}

fn json_problem(component: &str, error: &serde_json::Error) -> Problem {
    // The place has fields of its own; serde_json repeats it at the end of its text.
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = text.strip_suffix(&place).unwrap_or(&text);
    let short: String = message
        .chars()
        .filter(|char| !char.is_control())
        .take(300)
        .collect();
    Problem {
        line: error.line().max(1),
        column: error.column().max(1),
        ..problem(
            component,
            format!("manifest: {short}"),
            "correct that line of the plugin's manifest and build it again; docs/manifest.md has its keys"
                .to_owned(),
        )
    }
}

/// A manifest that cannot be read may be one of a newer contract; then its version is all there is to tell.
fn contract_problem(component: &str, bytes: &[u8]) -> Option<Problem> {
    #[derive(Deserialize)]
    struct BuiltFor {
        contract: String,
    }
    if bytes.len() > MANIFEST_BYTES_MAX {
        return None;
    }
    let BuiltFor { contract } = serde_json::from_slice(bytes).ok()?;
    if !version_is_valid(&contract) {
        return None;
    }
    let (message, remedy) = contract::refusal(&contract, &[])?;
    Some(problem(component, format!("the plugin {message}"), remedy))
}

fn version_is_valid(version: &str) -> bool {
    const BYTES_MAX: usize = 64;
    version.len() <= BYTES_MAX && Version::parse(version).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn sound() -> Value {
        json!({
            "name": "faq", "version": "1.0.0", "contract": contract::CONTRACT, "description": "Answers questions",
            "events": ["message.*"], "settings": {"type": "object"},
            "permissions": {"messages": {"reason": "to answer"}},
        })
    }

    /// Sets one member of a sound manifest and compares all problems.
    fn check_problems(key: &str, value: Value, expect: &[&str]) {
        let mut manifest = sound();
        manifest
            .as_object_mut()
            .unwrap()
            .insert(key.to_owned(), value);
        let problems = Manifest::parse("faq.wasm", manifest.to_string().as_bytes())
            .err()
            .unwrap_or_default();
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(told, expect, "{key}");
    }

    /// The page's example is one, and shows every key that its tables explain and a manifest has.
    #[test]
    fn the_page_about_manifests_is_true() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/manifest.md");
        let page = std::fs::read_to_string(page).unwrap();
        let example = page.split("```json").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        let manifest = Manifest::parse("crm.wasm", example.as_bytes()).unwrap();
        let shown: Value = serde_json::from_str(example).unwrap();
        let mut written: Value = serde_json::from_slice(&manifest.to_json().unwrap()).unwrap();
        // What is the default is not written.
        written["store_schema"] = 1.into();
        assert_eq!(shown, written);
        let hook = shown["hooks"][0].as_object().unwrap();
        for key in shown.as_object().unwrap().keys().chain(hook.keys()) {
            assert!(page.contains(&format!("\n| `{key}` |")), "{key}");
        }
        for permission in ["hosts", "secrets"] {
            let row = format!("\n| `permissions.http.{permission}` |");
            assert!(page.contains(&row), "{permission}");
        }
    }

    #[test]
    fn what_the_sdk_writes_is_read_back() {
        let manifest = Manifest::parse("faq.wasm", sound().to_string().as_bytes()).unwrap();
        let again = Manifest::parse("faq.wasm", &manifest.to_json().unwrap()).unwrap();
        assert_eq!(manifest, again);
        assert!(again.events.first().unwrap().matches("message.text"));
    }

    #[test]
    fn a_slip_is_told_with_the_remedy() {
        check_problems("name", json!("faq"), &[]);
        check_problems("store_schema", json!(7), &[]);
        check_problems(
            "store_schema",
            json!(-1),
            &[
                "faq.wasm:1: manifest: invalid value: integer `-1`, expected u32; correct that line of the plugin's manifest and build it again; docs/manifest.md has its keys",
            ],
        );
        check_problems(
            "name",
            json!("My Faq"),
            &["faq.wasm:1: manifest: name is \"My Faq\"; use 1 to 63 of a-z, 0-9 and -"],
        );
        check_problems(
            "version",
            json!("1.0"),
            &["faq.wasm:1: manifest: version is \"1.0\"; write a semantic version such as 1.2.3"],
        );
        check_problems(
            "events",
            json!([]),
            &["faq.wasm:1: manifest: events has 0 items; name 1 to 100 event patterns"],
        );
        check_problems("every", json!({"tidy": "15m"}), &[]);
        check_problems(
            "every",
            json!({"Tidy": "15m"}),
            &[
                "faq.wasm:1: manifest: every \"Tidy\" is \"15m\"; name it with 1 to 32 of a-z, 0-9 and _",
            ],
        );
        let many: BTreeMap<_, _> = (0..21).map(|n| (format!("n{n}"), "15m")).collect();
        check_problems(
            "every",
            json!(many),
            &["faq.wasm:1: manifest: every has 21 schedules; keep it to 20"],
        );
        check_problems(
            "settings",
            json!(true),
            &[
                "faq.wasm:1: manifest: settings is no JSON Schema object; write {} when there are none",
            ],
        );
        check_problems(
            "permissions",
            json!({"mesages": {"reason": " "}}),
            &[
                "faq.wasm:1: manifest: no interface is called \"mesages\"; did you mean messages?",
                "faq.wasm:1: manifest: permission \"mesages\" has a reason of 0 characters; say in 1 to 1000 characters why the plugin needs it",
            ],
        );
        check_problems(
            "event",
            json!([]),
            &[
                "faq.wasm:1: manifest: unknown field `event`, expected one of `name`, `version`, `contract`, `description`, `events`, `store_schema`, `settings`, `permissions`, `every`, `hooks`; correct that line of the plugin's manifest and build it again; docs/manifest.md has its keys",
            ],
        );
        check_problems(
            "events",
            json!(["Message"]),
            &[
                "faq.wasm:1: manifest: \"Message\" is no pattern of event kinds; write a kind such as message.text, a family such as message.*, or *; correct that line of the plugin's manifest and build it again; docs/manifest.md has its keys",
            ],
        );
    }

    /// What it says may be new to this gateway, too.
    #[test]
    fn of_a_newer_contract_only_the_version_is_told() {
        let told = |key: &str, value: Value, contract: &str| {
            let mut manifest = sound();
            manifest["contract"] = json!(contract);
            manifest[key] = value;
            let problems = Manifest::parse("faq.wasm", manifest.to_string().as_bytes());
            let problems = problems.err().unwrap_or_default().into_iter();
            problems
                .map(|problem| problem.to_string())
                .collect::<Vec<_>>()
        };
        let ours = contract::CONTRACT;
        let newer = [format!(
            "faq.wasm:1: the plugin is built for contract 9.0.0, this gateway speaks {ours}; update Duet, or build the plugin against duet:plugin@{ours}"
        )];
        let wires = || json!({"wires": {"reason": "to pull"}});
        assert_eq!(told("agents", json!([]), "9.0.0"), newer);
        assert_eq!(told("permissions", wires(), "9.0.0"), newer);
        assert_eq!(told("description", json!(""), "9.0.0"), [""; 0]);
        assert_eq!(
            told("permissions", wires(), ours),
            [
                "faq.wasm:1: manifest: no interface is called \"wires\"; permissions are messages, store, http, conversations, contacts, timers, media, cases, annotations"
            ]
        );
        assert_eq!(told("name", json!("A"), "9").len(), 2);
    }

    #[test]
    fn hooks_are_declared_one_for_each_path() {
        let hook = |path: &str| json!({"path": path, "mode": "event", "reason": "The CRM tells.", "key": "body"});
        check_problems("hooks", json!([hook("a"), hook("b")]), &[]);
        check_problems(
            "hooks",
            json!([hook("a"), hook("a"), {"path": "A", "mode": "answer", "reason": ""}]),
            &[
                "faq.wasm:1: manifest: two hooks have the path \"a\"; give each a path of its own",
                "faq.wasm:1: manifest: hook \"A\" has a reason of 0 characters; say in 1 to 1000 characters who calls there and why",
                "faq.wasm:1: manifest: a hook has the path \"A\"; use 1 to 32 of a-z, 0-9 and _",
            ],
        );
        let many: Vec<_> = (0..21).map(|number| hook(&format!("h{number}"))).collect();
        check_problems(
            "hooks",
            many.into(),
            &["faq.wasm:1: manifest: hooks has 21 items; declare at most 20"],
        );
    }

    #[test]
    fn hosts_and_secrets_are_told_for_http_alone() {
        let http = |hosts: Value, secrets: Value| json!({"http": {"reason": "to ask", "hosts": hosts, "secrets": secrets}});
        check_problems(
            "permissions",
            http(
                json!(["GET https://*.example.com"]),
                json!({"token": "The key."}),
            ),
            &[],
        );
        check_problems(
            "permissions",
            http(json!(["example.com"]), json!({"Token": ""})),
            &[
                "faq.wasm:1: manifest: host \"example.com\"; write scheme, host and port alone, such as https://api.example.com or https://*.example.com",
                "faq.wasm:1: manifest: secret \"Token\" is told in 0 characters; name it with 1 to 63 of a-z, 0-9 and -, and say in 1 to 1000 characters what it is",
            ],
        );
        check_problems(
            "permissions",
            json!({"messages": {"reason": "to answer", "hosts": ["https://a.example.com"]}}),
            &[
                "faq.wasm:1: manifest: permission \"messages\" names hosts or secrets; only http has some",
            ],
        );
        let many = vec!["https://a.example.com"; HOSTS_MAX + 1];
        check_problems(
            "permissions",
            http(json!(many), json!({})),
            &["faq.wasm:1: manifest: 21 hosts and 0 secrets; name at most 20 of each"],
        );
    }

    #[test]
    fn a_huge_manifest_is_not_parsed() {
        let problems =
            Manifest::parse("faq.wasm", &vec![b' '; MANIFEST_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(
            problems.first().unwrap().to_string(),
            "faq.wasm:1: the manifest has 262145 bytes; keep it below 262144 bytes"
        );
    }

    proptest! {
    #[test]
    fn any_manifest_is_read_or_refused(bytes in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        any::<String>().prop_map(|name| json!({"name": name, "version": name, "contract": name, "events": [name]}).to_string().into_bytes()),
    ]) {
        if let Err(problems) = Manifest::parse("x.wasm", &bytes) {
            prop_assert!(!problems.is_empty());
        }
    }
    }
}
