//! The secrets of an instance, which its calls carry or which prove the calls of its hooks, read from where `plugins.toml`
//! says.

use std::collections::BTreeMap;
use std::path::Path;

use duet_rules::outbound::SECRET_BYTES_MIN;
use duet_rules::plugins_toml::{Instance, SecretSource};
use duet_rules::toml_file::Problem;

use crate::config::{Environment, Secret, secret_text};

/// Longer keys exist, and go into no header.
const SECRET_BYTES_MAX: usize = 8 << 10;

/// What holds them shows none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Secrets {
    /// Of the grant `http`, by their names.
    pub http: BTreeMap<String, Secret>,
    /// Of hooks, by their paths.
    pub hooks: BTreeMap<String, Secret>,
}

/// All secrets of an instance; `folder` is where relative paths start.
pub fn read(
    instance: &Instance,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<Secrets, Vec<Problem>> {
    let mut secrets = Secrets::default();
    let mut problems = Vec::new();
    for (of, source) in each(instance) {
        match read_one(source, folder, environment) {
            Ok(Some(text)) => secrets.keep(of, text),
            Ok(None) => {
                let message = format!("{} is not set in the gateway's environment", told(source));
                let remedy = "set it and start the gateway anew, or name a file with file = \"…\"";
                problems.push(of.problem(instance, message, remedy.into()));
            }
            Err((message, remedy)) => problems.push(of.problem(instance, message, remedy)),
        }
    }
    if problems.is_empty() {
        Ok(secrets)
    } else {
        Err(problems)
    }
}

/// What is wrong with those that are there and with files that are not: where a file is checked, variables need not
/// be set.
pub fn check(instance: &Instance, folder: &Path, environment: Environment<'_>) -> Vec<Problem> {
    each(instance)
        .filter_map(|(of, source)| {
            let (message, remedy) = read_one(source, folder, environment).err()?;
            Some(of.problem(instance, message, remedy))
        })
        .collect()
}

/// What a secret is for, by its name or path.
#[derive(Clone, Copy)]
enum Of<'i> {
    Http(&'i str),
    Hook(&'i str),
}

impl Of<'_> {
    fn problem(self, instance: &Instance, message: String, remedy: String) -> Problem {
        match self {
            Of::Http(name) => instance.secret_problem(name, message, remedy),
            Of::Hook(path) => instance.hook_problem(path, message, remedy),
        }
    }
}

impl Secrets {
    fn keep(&mut self, of: Of<'_>, text: Secret) {
        match of {
            Of::Http(name) => self.http.insert(name.to_owned(), text),
            Of::Hook(path) => self.hooks.insert(path.to_owned(), text),
        };
    }
}

fn each(instance: &Instance) -> impl Iterator<Item = (Of<'_>, &SecretSource)> {
    let grants = &instance.grants;
    let http = grants.http.iter().flat_map(|http| &http.secrets);
    let http = http.map(|(name, secret)| (Of::Http(name), &secret.source));
    let hooks = grants.hooks.iter();
    http.chain(hooks.filter_map(|(path, hook)| Some((Of::Hook(path), hook.secret.as_ref()?))))
}

/// Nothing when its variable is not set; else message and remedy.
fn read_one(
    source: &SecretSource,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<Option<Secret>, (String, String)> {
    let place = told(source);
    let text = match source {
        SecretSource::Env(name) => match environment(name) {
            None => return Ok(None),
            Some(value) => value.into_string().map_err(|_| {
                (
                    format!("{place} holds no UTF-8 text"),
                    "set it to text".to_owned(),
                )
            })?,
        },
        SecretSource::File(path) => secret_text(&folder.join(path)).map_err(|reason| {
            (
                format!("cannot read {place}: {reason}"),
                "name a readable file that holds nothing but the secret".to_owned(),
            )
        })?,
    };
    let text = text.trim();
    if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len()) {
        return Err((
            format!("{place} holds a secret of {} bytes", text.len()),
            format!(
                "give one of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}: a shorter one cannot be masked in answers"
            ),
        ));
    }
    Ok(Some(Secret::new(text)))
}

fn told(source: &SecretSource) -> String {
    match source {
        SecretSource::Env(name) => name.clone(),
        SecretSource::File(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use duet_rules::plugins_toml::parse;

    use super::*;

    fn instance(secrets: &str) -> Instance {
        let text = format!(
            "[plugins.crm]\ncomponent = 'c'\n[plugins.crm.http]\nallow = ['https://a.example.com']\n{secrets}"
        );
        let file = parse("plugins.toml", text).into_result();
        file.unwrap().plugins.remove(0)
    }

    fn secret(source: &str) -> String {
        format!("[plugins.crm.http.secrets.token]\n{source}\nhosts = ['https://a.example.com']\n")
    }

    #[test]
    fn secrets_come_from_variables_and_files_and_never_show() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "from the file\n").unwrap();
        let environment = |name: &str| (name == "TOKEN").then(|| "from the variable".into());
        for (source, expect) in [
            ("file = 'token'", "from the file"),
            ("env = 'TOKEN'", "from the variable"),
        ] {
            let instance = instance(&secret(source));
            let secrets = read(&instance, folder.path(), &environment).unwrap();
            assert_eq!(secrets.http.get("token").map(Secret::expose), Some(expect));
            assert!(!format!("{secrets:?}").contains(expect));
            assert_eq!(check(&instance, folder.path(), &environment), []);
        }
    }

    #[test]
    fn what_proves_the_calls_of_a_hook_stands_under_its_path() {
        let environment = |name: &str| (name == "HOOK").then(|| "from the variable".into());
        let granted = instance(&format!(
            "{}[plugins.crm.hooks]\nchat.env = 'HOOK'\nopen.unsigned = true\n",
            secret("env = 'HOOK'")
        ));
        let secrets = read(&granted, Path::new(""), &environment).unwrap();
        let hooks: Vec<_> = secrets.hooks.iter().collect();
        assert_eq!(hooks.len(), 1);
        assert_eq!(secrets.hooks.get("chat"), secrets.http.get("token"));
        let unset = instance("[plugins.crm.hooks.chat]\nenv = 'NONE'\n");
        let problems = read(&unset, Path::new(""), &environment).unwrap_err();
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<String>(),
            "plugins.toml:5: NONE is not set in the gateway's environment; set it and start the gateway anew, or name a file with file = \"…\""
        );
    }

    #[test]
    fn a_secret_that_is_not_there_is_told_with_its_line_and_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("short"), "1234567\n").unwrap();
        let read = |source: &str| {
            let problems = read(&instance(&secret(source)), folder.path(), &|_| None);
            problems
                .unwrap_err()
                .iter()
                .map(ToString::to_string)
                .collect::<String>()
        };
        assert_eq!(
            read("env = 'TOKEN'"),
            "plugins.toml:5: TOKEN is not set in the gateway's environment; set it and start the gateway anew, or name a file with file = \"…\""
        );
        assert!(read("file = 'none'").starts_with("plugins.toml:5: cannot read none: "));
        let short = read("file = 'short'");
        assert!(
            short.contains("of 7 bytes") && !short.contains("1234567"),
            "{short}"
        );
        let unset = instance(&secret("env = 'TOKEN'"));
        assert_eq!(
            check(&unset, folder.path(), &|_| None),
            [],
            "it may be set elsewhere"
        );
    }
}
