//! The secrets that an instance's calls may carry, read from where `plugins.toml` says.

use std::collections::BTreeMap;
use std::path::Path;

use duet_rules::outbound::SECRET_BYTES_MIN;
use duet_rules::plugins_toml::{Instance, SecretGrant, SecretSource};
use duet_rules::toml_file::Problem;

use crate::config::{Environment, Secret, secret_text};

/// Longer keys exist, and go into no header.
const SECRET_BYTES_MAX: usize = 8 << 10;

/// By their names. What holds them shows none.
pub type Secrets = BTreeMap<String, Secret>;

/// All secrets of an instance; `folder` is where relative paths start.
pub fn read(
    instance: &Instance,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<Secrets, Vec<Problem>> {
    let mut secrets = Secrets::new();
    let mut problems = Vec::new();
    for (name, secret) in each(instance) {
        match read_one(secret, folder, environment) {
            Ok(Some(text)) => {
                secrets.insert(name.clone(), text);
            }
            Ok(None) => {
                let message = format!("{} is not set in the gateway's environment", told(secret));
                let remedy = "set it and start the gateway anew, or name a file with file = \"…\"";
                problems.push(instance.secret_problem(name, message, remedy.into()));
            }
            Err((message, remedy)) => {
                problems.push(instance.secret_problem(name, message, remedy));
            }
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
        .filter_map(|(name, secret)| {
            let (message, remedy) = read_one(secret, folder, environment).err()?;
            Some(instance.secret_problem(name, message, remedy))
        })
        .collect()
}

fn each(instance: &Instance) -> impl Iterator<Item = (&String, &SecretGrant)> {
    let http = instance.grants.http.iter();
    http.flat_map(|http| &http.secrets)
}

/// Nothing when its variable is not set; else message and remedy.
fn read_one(
    secret: &SecretGrant,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<Option<Secret>, (String, String)> {
    let place = told(secret);
    let text = match &secret.source {
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

fn told(secret: &SecretGrant) -> String {
    match &secret.source {
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
            assert_eq!(secrets.get("token").map(Secret::expose), Some(expect));
            assert!(!format!("{secrets:?}").contains(expect));
            assert_eq!(check(&instance, folder.path(), &environment), []);
        }
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
