//! The secrets of an instance, which its calls carry or which prove the calls of its hooks, read from where `plugins.toml`
//! says.

use std::collections::BTreeMap;
use std::path::Path;

use duet_rules::outbound::SECRET_BYTES_MIN;
use duet_rules::plugins_toml::{Instance, SecretGrant, SecretSource, SecretValue};
use duet_rules::toml_file::Problem;

use crate::config::{Environment, Secret, secret_text};
use crate::outbound::Credential;

/// Longer keys exist, and go into no header.
const SECRET_BYTES_MAX: usize = 8 << 10;

/// What holds them shows none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Secrets {
    /// Of the grant `http`, by their names.
    pub http: BTreeMap<String, Credential>,
    /// Of hooks, by their paths.
    pub hooks: BTreeMap<String, Secret>,
}

/// Why there is no secret.
enum Lack {
    /// The variable of this name is not set.
    Unset(String),
    Wrong {
        message: String,
        remedy: String,
    },
}

/// What a secret is for, by its name or path.
#[derive(Clone, Copy)]
enum Of<'i> {
    Http(&'i str),
    Hook(&'i str),
}

impl Of<'_> {
    fn problem(self, instance: &Instance, lack: Lack) -> Problem {
        let (message, remedy) = match lack {
            Lack::Unset(variable) => (
                format!("{variable} is not set in the gateway's environment"),
                "set it and start the gateway anew, or name a file with file = \"…\"".to_owned(),
            ),
            Lack::Wrong { message, remedy } => (message, remedy),
        };
        match self {
            Of::Http(name) => instance.secret_problem(name, message, remedy),
            Of::Hook(path) => instance.hook_problem(path, message, remedy),
        }
    }
}

/// All secrets of an instance; `folder` is where relative paths start.
pub fn read(
    instance: &Instance,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<Secrets, Vec<Problem>> {
    let mut secrets = Secrets::default();
    let mut problems = Vec::new();
    for (name, secret) in of_calls(instance) {
        match read_credential(secret, folder, environment) {
            Ok(credential) => {
                secrets.http.insert(name.clone(), credential);
            }
            Err(lack) => problems.push(Of::Http(name).problem(instance, lack)),
        }
    }
    for (path, source) in of_hooks(instance) {
        match read_source(source, folder, environment) {
            Ok(secret) => {
                secrets.hooks.insert(path.clone(), secret);
            }
            Err(lack) => problems.push(Of::Hook(path).problem(instance, lack)),
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
    let calls = of_calls(instance).flat_map(|(name, secret)| {
        let of = |source| (Of::Http(name), source);
        secret.sources().map(of)
    });
    let hooks = of_hooks(instance).map(|(path, source)| (Of::Hook(path), source));
    calls
        .chain(hooks)
        .filter_map(
            |(of, source)| match read_source(source, folder, environment) {
                Err(lack @ Lack::Wrong { .. }) => Some(of.problem(instance, lack)),
                Err(Lack::Unset(_)) | Ok(_) => None,
            },
        )
        .collect()
}

fn of_calls(instance: &Instance) -> impl Iterator<Item = (&String, &SecretGrant)> {
    let http = instance.grants.http.iter();
    http.flat_map(|http| &http.secrets)
}

fn of_hooks(instance: &Instance) -> impl Iterator<Item = (&String, &SecretSource)> {
    let hooks = instance.grants.hooks.iter();
    hooks.filter_map(|(path, hook)| Some((path, hook.secret.as_ref()?)))
}

fn read_credential(
    secret: &SecretGrant,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<Credential, Lack> {
    let read = |source| read_source(source, folder, environment);
    Ok(match &secret.value {
        SecretValue::Kept(source) => Credential::Kept(read(source)?),
        SecretValue::OAuth(oauth) => Credential::OAuth {
            client_secret: read(&oauth.client_secret)?,
            refresh_token: oauth.refresh_token.as_ref().map(read).transpose()?,
        },
    })
}

fn read_source(
    source: &SecretSource,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<Secret, Lack> {
    let text = match source {
        SecretSource::Env(name) => match environment(name) {
            None => return Err(Lack::Unset(name.clone())),
            Some(value) => value.into_string().map_err(|_| Lack::Wrong {
                message: format!("{source} holds no UTF-8 text"),
                remedy: "set it to text".to_owned(),
            })?,
        },
        SecretSource::File(path) => {
            secret_text(&folder.join(path)).map_err(|reason| Lack::Wrong {
                message: format!("cannot read {source}: {reason}"),
                remedy: "name a readable file that holds nothing but the secret".to_owned(),
            })?
        }
    };
    let text = text.trim();
    if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len()) {
        return Err(Lack::Wrong {
            message: format!("{source} holds a secret of {} bytes", text.len()),
            remedy: format!(
                "give one of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}: a shorter one cannot be masked in answers"
            ),
        });
    }
    Ok(Secret::new(text))
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
            let kept = Credential::Kept(Secret::new(expect));
            assert_eq!(secrets.http.get("token"), Some(&kept));
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
        let kept = Credential::Kept(Secret::new("from the variable"));
        assert_eq!(secrets.http.get("token"), Some(&kept));
        let proves = secrets.hooks.get("chat").map(Secret::expose);
        assert_eq!(proves, Some("from the variable"));
        let unset = instance("[plugins.crm.hooks.chat]\nenv = 'NONE'\n");
        let problems = read(&unset, Path::new(""), &environment).unwrap_err();
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<String>(),
            "plugins.toml:5: NONE is not set in the gateway's environment; set it and start the gateway anew, or name a file with file = \"…\""
        );
    }

    #[test]
    fn what_a_token_is_got_with_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("refresh"), "refresh-1\n").unwrap();
        let oauth = "[plugins.crm.http.secrets.token]\nhosts = ['https://a.example.com']\n\
                     [plugins.crm.http.secrets.token.oauth]\ntoken_url = 'https://a.example.com/t'\n\
                     client_id = 'i'\nclient_secret = { env = 'CLIENT' }\nrefresh_token = { file = 'refresh' }\n";
        let instance = instance(oauth);
        let set = |name: &str| (name == "CLIENT").then(|| "client-secret".into());
        let expect = Credential::OAuth {
            client_secret: Secret::new("client-secret"),
            refresh_token: Some(Secret::new("refresh-1")),
        };
        let secrets = read(&instance, folder.path(), &set).unwrap();
        assert_eq!(secrets.http.get("token"), Some(&expect));
        let unset = read(&instance, folder.path(), &|_| None).unwrap_err();
        assert!(
            unset
                .iter()
                .any(|problem| problem.message.starts_with("CLIENT is not set"))
        );
        std::fs::remove_file(folder.path().join("refresh")).unwrap();
        let [gone] = &check(&instance, folder.path(), &|_| None)[..] else {
            panic!("one problem");
        };
        assert!(gone.message.starts_with("cannot read refresh: "), "{gone}");
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
