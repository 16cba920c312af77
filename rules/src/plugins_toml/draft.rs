use std::fmt::Write;
use std::str::FromStr;

use serde_json::Value;

use super::interface::{EXAMPLE, GRANTED, Interface};
use crate::manifest::Manifest;
use crate::outbound::Allow;

/// What a plugin says is shown in one line of this many characters.
const LINE_CHARS_MAX: usize = 200;

/// The interfaces that need a grant among a component's imports, such as `duet:plugin/store@0.1.0`.
#[must_use]
pub fn needed(imports: &[String]) -> Vec<&'static Interface> {
    let imported = |interface: &&Interface| {
        imports.iter().any(|import| {
            let name = import.strip_prefix("duet:plugin/").unwrap_or_default();
            name.split('@').next() == Some(interface.name)
        })
    };
    GRANTED.iter().filter(imported).collect()
}

/// What an admin says of a plugin that is to be switched on.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The instance's name.
    pub name: &'a str,
    /// The file's path, from the folder of `plugins.toml`.
    pub component: &'a str,
    /// Whose plugin it is; the gateway's own if there is none.
    pub business: Option<&'a str>,
    pub settings: &'a [GivenSetting],
}

/// A setting that an admin gives as `key=value`, the value as in TOML; what is no TOML is text.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenSetting {
    key: String,
    value: toml::Value,
}

impl FromStr for GivenSetting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or("write key=value")?;
        let read = format!("value = {value}").parse::<toml::Table>().ok();
        let read = read.filter(|table| table.len() == 1);
        let read = read.and_then(|mut table| table.remove("value"));
        Ok(GivenSetting {
            key: key.trim().to_owned(),
            value: read.unwrap_or_else(|| toml::Value::from(value)),
        })
    }
}

/// The tables that switch a plugin on, for an admin to begin with: as little as it runs with, each grant under the
/// plugin's own reason, its settings as comments but for those that are given.
///
/// Nothing that the plugin says can leave its comment.
#[must_use]
pub fn draft(manifest: &Manifest, imports: &[String], wish: &Wish<'_>) -> String {
    let name = wish.name;
    let mut text = format!(
        "[plugins.{name}]\ncomponent = {}\n",
        Value::from(wish.component)
    );
    if let Some(business) = wish.business {
        let _ = writeln!(text, "business = {}", Value::from(business));
    }
    if !manifest.every.is_empty() {
        let of = |(name, text): (&String, &String)| format!("{name} = {}", Value::from(&**text));
        let every: Vec<_> = manifest.every.iter().map(of).collect();
        let _ = writeln!(text, "every = {{ {} }}", every.join(", "));
    }
    let settings = settings(&manifest.settings, wish.settings);
    if !settings.is_empty() {
        let _ = write!(text, "\n[plugins.{name}.settings]\n{settings}");
    }
    for interface in needed(imports) {
        let permission = manifest.permissions.get(interface.name);
        let reason = permission.map_or("it gives no reason", |permission| &permission.reason);
        let _ = write!(
            text,
            "\n# {}\n[plugins.{name}.{}]\n",
            one_line(reason),
            interface.name
        );
        match permission.filter(|permission| !permission.hosts.is_empty()) {
            Some(permission) => {
                let hosts = permission
                    .hosts
                    .iter()
                    .filter_map(|host| host.parse::<Allow>().ok());
                let hosts: Vec<_> = hosts.map(|host| host.to_string()).collect();
                let _ = writeln!(text, "allow = {hosts:?}");
            }
            None => text.push_str(interface.draft),
        }
        if interface.name == "http" {
            text.push_str(&secrets(manifest, name));
        }
    }
    for hook in &manifest.hooks {
        let (path, reason) = (&hook.path, one_line(&hook.reason));
        let proof = match &hook.signature {
            Some(_) => format!("env = {:?} # or file = \"…\"", hook_variable(name, path)),
            None => "unsigned = true # anybody may call it".to_owned(),
        };
        let _ = write!(
            text,
            "\n# {reason}\n[plugins.{name}.hooks.{path}]\n{proof}\n"
        );
    }
    text
}

/// A table for each secret that the plugin uses; it goes wherever the plugin says that it calls.
fn secrets(manifest: &Manifest, name: &str) -> String {
    let http = manifest.permissions.get("http");
    let hosts = http.map_or(&[][..], |http| http.hosts.as_slice());
    let hosts = hosts.iter().filter_map(|host| host.parse::<Allow>().ok());
    let mut hosts: Vec<_> = hosts.map(|host| host.origin().to_string()).collect();
    hosts.sort();
    hosts.dedup();
    if hosts.is_empty() {
        hosts.push(EXAMPLE.to_owned());
    }
    let mut tables = String::new();
    for (secret, what) in manifest.secrets() {
        let _ = write!(
            tables,
            "\n# {}\n[plugins.{name}.http.secrets.{secret}]\nenv = {:?} # or file = \"…\"\nhosts = {hosts:?}\n",
            one_line(what),
            variable(name, secret)
        );
    }
    tables
}

/// An environment variable for a plugin's secret; no other plugin's secret has the same.
pub(super) fn variable(name: &str, secret: &str) -> String {
    // Neither has a _, so an odd number of them stands between the two alone.
    let (name, secret) = (name.replace('-', "__"), secret.replace('-', "__"));
    format!("PLUGIN_{name}_{secret}").to_uppercase()
}

/// An environment variable for what proves the calls of a hook.
pub(super) fn hook_variable(name: &str, path: &str) -> String {
    variable(name, &format!("hook_{path}"))
}

/// A line for each setting that the schema names and nobody has given, and for each that is given.
fn settings(schema: &Value, given: &[GivenSetting]) -> String {
    let required = schema["required"].as_array();
    let is_required = |key: &str| {
        required
            .into_iter()
            .flatten()
            .any(|name| name.as_str() == Some(key))
    };
    let properties = schema["properties"].as_object();
    let mut lines = String::new();
    let is_given = |key: &str| given.iter().any(|setting| setting.key == key);
    let open = properties.into_iter().flatten();
    for (key, property) in open.filter(|(key, _)| !is_given(key)) {
        let kind = property["type"].as_str().unwrap_or("any");
        let needed = if is_required(key) { ", needed" } else { "" };
        let words = property["description"].as_str().unwrap_or_default();
        let line = format!("{key} ({kind}{needed}): {words}");
        let _ = writeln!(lines, "# {}", one_line(line.trim_end_matches([':', ' '])));
    }
    for GivenSetting { key, value } in given {
        let _ = writeln!(lines, "{} = {value}", Value::from(key.as_str()));
    }
    lines
}

/// A stranger's words in a line that a terminal and a TOML comment take as they are.
#[must_use]
pub fn one_line(text: &str) -> String {
    let visible = text.chars().map(|char| match char {
        char if char.is_control() || char.is_whitespace() => ' ',
        // What turns the direction of reading.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
        char => char,
    });
    let visible: String = visible.take(LINE_CHARS_MAX).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::contract::CONTRACT;
    use crate::manifest::Permission;
    use crate::plugins_toml::{check, parse};

    fn manifest(settings: Value, reason: &str) -> Manifest {
        let reason = Permission {
            reason: reason.to_owned(),
            ..Permission::default()
        };
        let http = Permission {
            secrets: BTreeMap::from([("token".to_owned(), reason.reason.clone())]),
            ..reason.clone()
        };
        Manifest {
            name: "crm".into(),
            version: "1.0.0".into(),
            contract: CONTRACT.into(),
            description: String::new(),
            events: vec!["message.*".parse().unwrap()],
            store_schema: 1,
            settings,
            permissions: BTreeMap::from([
                ("messages".to_owned(), reason),
                ("http".to_owned(), http),
            ]),
            every: BTreeMap::new(),
            hooks: Vec::new(),
        }
    }

    fn imports(names: &[&str]) -> Vec<String> {
        let import = |name: &&str| format!("duet:plugin/{name}@{CONTRACT}");
        names.iter().map(import).collect()
    }

    #[test]
    fn no_two_plugins_are_given_the_same_variable() {
        let names = ["a", "a-b", "a-", "a--b", "b", "b-", "hook"];
        let mut all = Vec::new();
        for name in names {
            all.extend(names.map(|secret| variable(name, secret)));
            all.extend(["b", "a_b"].map(|path| hook_variable(name, path)));
        }
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn each_grant_stands_under_its_reason_and_needed_settings_are_named() {
        let settings = json!({"required": ["url"], "properties": {
            "url": {"type": "string", "description": "Where the CRM answers."}, "deep": {}}});
        let manifest = manifest(settings, "Answers\ncustomers.");
        let imports = imports(&["log", "messages", "contacts"]);
        let mut wish = Wish {
            name: "crm",
            component: "plugins/crm.wasm",
            business: None,
            settings: &[],
        };
        let told = draft(&manifest, &imports, &wish);
        let wanted = "[plugins.crm]\ncomponent = \"plugins/crm.wasm\"\n\n[plugins.crm.settings]\n# deep (any)\n# url (string, needed): Where the CRM answers.\n\n# Answers customers.\n[plugins.crm.messages]\nspeak = [\"automation\"] # \"person\" as well: what it says then takes the conversation over\n\n# it gives no reason\n[plugins.crm.contacts]\n";
        assert_eq!(told, wanted);

        let given = [
            "url=a\"b",
            "answers=[{ words = [\"hi\"] }]",
            "n = 3",
            "two=1\nb = 2",
        ];
        let given: Vec<GivenSetting> = given.iter().map(|text| text.parse().unwrap()).collect();
        (wish.name, wish.business) = ("two", Some("shop"));
        wish.settings = &given;
        let told = draft(&manifest, &imports, &wish);
        let begins = "[plugins.two]\ncomponent = \"plugins/crm.wasm\"\nbusiness = \"shop\"\n\n[plugins.two.settings]\n# deep (any)\n\"url\" = ";
        assert!(told.starts_with(begins), "{told}");
        let read = parse("plugins.toml", &told);
        let wanted =
            json!({"url": "a\"b", "answers": [{"words": ["hi"]}], "n": 3, "two": "1\nb = 2"});
        assert_eq!(read.value.plugins[0].settings, wanted, "{told}");
        assert!("n".parse::<GivenSetting>().is_err());
    }

    #[test]
    fn a_plugin_that_calls_gets_its_hosts_and_secrets() {
        let mut manifest = manifest(json!({}), "Asks the CRM.");
        if let Some(http) = manifest.permissions.get_mut("http") {
            http.hosts = vec![
                "GET https://a.example.com".into(),
                "https://a.example.com".into(),
            ];
        }
        let wish = Wish {
            name: "crm",
            component: "crm.wasm",
            business: None,
            settings: &[],
        };
        let told = draft(&manifest, &imports(&["http"]), &wish);
        let wanted = "[plugins.crm]\ncomponent = \"crm.wasm\"\n\n# Asks the CRM.\n[plugins.crm.http]\nallow = [\"GET https://a.example.com\", \"https://a.example.com\"]\n\n# Asks the CRM.\n[plugins.crm.http.secrets.token]\nenv = \"PLUGIN_CRM_TOKEN\" # or file = \"…\"\nhosts = [\"https://a.example.com\"]\n";
        assert_eq!(told, wanted);
        assert!(parse("plugins.toml", told).into_result().is_ok());
    }

    #[test]
    fn the_schedules_that_a_plugin_proposes_are_there_to_be_changed() {
        let mut manifest = manifest(json!({}), "");
        manifest.every = [("tidy", "15m"), ("report", "daily 03:00 Europe/Berlin")]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into();
        let wish = Wish {
            name: "crm",
            component: "crm.wasm",
            business: None,
            settings: &[],
        };
        let told = draft(&manifest, &[], &wish);
        let wanted = "[plugins.crm]\ncomponent = \"crm.wasm\"\nevery = { report = \"daily 03:00 Europe/Berlin\", tidy = \"15m\" }\n";
        assert_eq!(told, wanted);
        let read = parse("plugins.toml", &told).into_result().unwrap();
        assert_eq!(read.plugins[0].every.len(), 2);
    }

    #[test]
    fn each_hook_gets_the_lines_that_let_it_be_called() {
        let hooks = json!([
            {"path": "tickets", "mode": "event", "reason": "Tickets\nthat change.", "signature": {"scheme": "token", "header": "x"}},
            {"path": "open", "mode": "event", "reason": "A door bell."}]);
        let manifest = Manifest {
            hooks: serde_json::from_value(hooks).unwrap(),
            ..manifest(json!({}), "x")
        };
        let wish = Wish {
            name: "crm",
            component: "crm.wasm",
            business: None,
            settings: &[],
        };
        let told = draft(&manifest, &[], &wish);
        let wanted = "[plugins.crm]\ncomponent = \"crm.wasm\"\n\n# Tickets that change.\n[plugins.crm.hooks.tickets]\nenv = \"PLUGIN_CRM_HOOK_TICKETS\" # or file = \"…\"\n\n# A door bell.\n[plugins.crm.hooks.open]\nunsigned = true # anybody may call it\n";
        assert_eq!(told, wanted);
        let file = parse("plugins.toml", told).into_result().unwrap();
        assert_eq!(check(&file.plugins[0], &manifest, &[]), vec![]);
    }

    proptest! {
        #[test]
        fn whatever_a_plugin_says_the_file_grants_what_it_needs_and_no_more(
            reason in ".{0,40}",
            key in ".{0,20}",
            path in "[a-z\"\\\\/ é]{1,20}",
            names in prop::sample::subsequence(vec!["log", "messages", "store", "http", "conversations", "contacts", "timers", "media", "cases", "annotations"], 0..=10),
        ) {
            let settings = json!({"properties": {key: {"type": reason, "description": reason}}});
            let manifest = manifest(settings, &reason);
            let imports = imports(&names);
            let wish = Wish { name: "crm", component: &path, business: None, settings: &[] };
            let outcome = parse("plugins.toml", draft(&manifest, &imports, &wish));
            prop_assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
            let [instance] = outcome.value.plugins.as_slice() else { panic!("one plugin") };
            prop_assert_eq!(&instance.component, std::path::Path::new(&path));
            prop_assert_eq!(&instance.settings, &json!({}));
            prop_assert_eq!(check(instance, &manifest, &imports), vec![]);
        }
    }
}
