use std::path::{Path, PathBuf};

use duet_rules::duet_toml::{SettingValue, setting};

use super::sources::{not_text, set};
use super::{AlarmSecrets, Problem, Secret, Sources};
use crate::file::read_at_most;
use crate::seal::MasterKey;

/// A file with a secret is short; a longer one is a mistake.
const FILE_BYTES_MAX: usize = 64 << 10;

/// The gateway's secrets. Each comes from its variable, or from the file that `…_file` names.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Meta's app secrets, any of which may have signed a webhook. Never empty.
    pub app: Vec<Secret>,
    pub verify_token: Secret,
    /// Absent: the gateway makes one itself.
    pub admin_token: Option<Secret>,
    /// Absent: nothing of the gateway's own business can be sent.
    pub access_token: Option<Secret>,
    pub alarms: AlarmSecrets,
    /// The keys that seal the secrets of businesses, the first one new secrets. None: the gateway makes one itself.
    pub master_keys: Vec<Secret>,
}

impl Secrets {
    /// What `duet serve` needs. Without an app secret or a verify token it must not start.
    pub fn resolve(sources: &Sources<'_>) -> Result<Secrets, Vec<Problem>> {
        let file = &sources.file;
        let mut problems = Vec::new();
        let app = read(sources, "app_secret", &file.app_secret_file, &mut problems);
        let verify_token = read(
            sources,
            "verify_token",
            &file.verify_token_file,
            &mut problems,
        );
        let admin_token = read(
            sources,
            "admin_token",
            &file.admin_token_file,
            &mut problems,
        );
        let access_token = read(
            sources,
            "access_token",
            &file.access_token_file,
            &mut problems,
        );

        let alarms = AlarmSecrets::resolve(sources, &mut problems);
        let master_keys = master_keys(sources, &mut problems);

        let app = app.as_deref().map(split).unwrap_or_default();
        let unreadable = !problems.is_empty();
        if app.is_empty() && !unreadable {
            problems.push(missing(
                "DUET_APP_SECRET",
                "no webhook can be told from a forged one",
                "set it to the App secret of the Meta app (App settings, Basic), with commas between several \
                 while one is being replaced",
            ));
        }
        if verify_token.is_none() && !unreadable {
            problems.push(missing(
                "DUET_VERIFY_TOKEN",
                "Meta cannot verify the webhook's address",
                "set it to a text of your own, and enter the same in the Meta app under WhatsApp, Configuration",
            ));
        }
        match verify_token {
            Some(verify_token) if problems.is_empty() => Ok(Secrets {
                app,
                verify_token: Secret::new(verify_token),
                admin_token: admin_token.map(Secret::new),
                access_token: access_token.map(Secret::new),
                alarms,
                master_keys,
            }),
            _ => Err(problems),
        }
    }

    /// The admin token alone, for commands that talk to a running gateway.
    pub fn admin_token(sources: &Sources<'_>) -> Result<Option<Secret>, Vec<Problem>> {
        let mut problems = Vec::new();
        let token = read(
            sources,
            "admin_token",
            &sources.file.admin_token_file,
            &mut problems,
        );
        if problems.is_empty() {
            Ok(token.map(Secret::new))
        } else {
            Err(problems)
        }
    }
}

/// The texts are checked here, so that a slip is told before anything was sealed.
fn master_keys(sources: &Sources<'_>, problems: &mut Vec<Problem>) -> Vec<Secret> {
    let text = read(
        sources,
        "master_key",
        &sources.file.master_key_file,
        problems,
    );
    let keys = text.as_deref().map(split).unwrap_or_default();
    if keys
        .iter()
        .any(|key| MasterKey::read(key.expose()).is_none())
    {
        problems.push(Problem {
            place: "DUET_MASTER_KEY".into(),
            message: "is no list of keys, each of 32 bytes in base64 or hex".into(),
            remedy: "make one with: openssl rand -base64 32".into(),
        });
    }
    keys
}

/// What is wrong with the secrets that are given, for a check of the files; none need be given.
pub fn secrets_problems(sources: &Sources<'_>) -> Vec<Problem> {
    let file = &sources.file;
    let mut problems = Vec::new();
    for (name, written) in [
        ("app_secret", &file.app_secret_file),
        ("verify_token", &file.verify_token_file),
        ("admin_token", &file.admin_token_file),
        ("access_token", &file.access_token_file),
    ] {
        read(sources, name, written, &mut problems);
    }
    AlarmSecrets::resolve(sources, &mut problems);
    master_keys(sources, &mut problems);
    problems
}

fn missing(name: &str, consequence: &str, remedy: &str) -> Problem {
    Problem {
        place: name.into(),
        message: format!("is missing, so {consequence}"),
        remedy: format!("{remedy}; or name a file that holds it in {name}_FILE"),
    }
}

/// Several secrets stand with commas or line ends between them.
fn split(text: &str) -> Vec<Secret> {
    text.split([',', '\n'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(Secret::new)
        .collect()
}

/// The secret `name`: from the file that a flag names, else its variable or the file that the variable's
/// `_FILE` twin names, else the file that duet.toml names.
pub(super) fn read(
    sources: &Sources<'_>,
    name: &str,
    written: &Option<PathBuf>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let key = format!("{name}_file");
    let variable = format!("DUET_{}", name.replace('.', "_").to_uppercase());
    let twin = format!("{variable}_FILE");
    if sources.flags.get(&key).is_none()
        && let Some(value) = set(sources.environment, &variable)
    {
        if set(sources.environment, &twin).is_some() {
            let message = format!("is set, and {twin} too");
            problems.push(Problem {
                place: variable,
                message,
                remedy: "keep one of them".into(),
            });
            return None;
        }
        return match value.into_string() {
            Ok(text) => trimmed(&text),
            Err(_) => {
                problems.push(not_text(&variable));
                None
            }
        };
    }
    let path = match sources.value(&key, written.clone().map(SettingValue::Path), problems)? {
        SettingValue::Path(path) => path,
        _ => return None,
    };
    match secret_text(&path) {
        Ok(text) => trimmed(&text),
        Err(reason) => {
            problems.push(Problem {
                place: setting(&key).map_or(twin, |setting| sources.place(setting)),
                message: format!("cannot read {}: {reason}", path.display()),
                remedy: "name a readable file that holds nothing but the secret".into(),
            });
            None
        }
    }
}

fn trimmed(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The text of a file that holds a secret and nothing else, or why it cannot be read.
pub fn secret_text(path: &Path) -> Result<String, String> {
    // Its length says nothing of a device or a pipe.
    let bytes = read_at_most(path, FILE_BYTES_MAX + 1).map_err(|error| error.to_string())?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it holds no UTF-8 text".to_owned())
}

#[cfg(test)]
mod tests {
    use duet_rules::duet_toml::FileSettings;

    use super::*;
    use crate::config::Flags;

    fn resolve(pairs: &[(&str, &str)], file: FileSettings) -> Result<Secrets, Vec<Problem>> {
        let environment = |asked: &str| {
            pairs
                .iter()
                .find(|(name, _)| *name == asked)
                .map(|(_, value)| value.into())
        };
        let flags = Flags::default();
        Secrets::resolve(&Sources {
            flags: &flags,
            environment: &environment,
            file,
        })
    }

    fn places(problems: &[Problem]) -> Vec<&str> {
        problems
            .iter()
            .map(|problem| problem.place.as_str())
            .collect()
    }

    #[test]
    fn without_app_secret_and_verify_token_both_are_asked_for() {
        let problems = resolve(&[("DUET_APP_SECRET", " , ")], FileSettings::default()).unwrap_err();
        assert_eq!(places(&problems), ["DUET_APP_SECRET", "DUET_VERIFY_TOKEN"]);
    }

    #[test]
    fn secrets_come_from_variables_and_files_and_never_show() {
        let folder = tempfile::tempdir().unwrap();
        let (verify, admin) = (folder.path().join("verify"), folder.path().join("admin"));
        std::fs::write(&verify, "hunter2\n").unwrap();
        std::fs::write(&admin, "swordfish\n").unwrap();
        let pairs = [
            ("DUET_APP_SECRET", "older, newer"),
            ("DUET_VERIFY_TOKEN_FILE", verify.to_str().unwrap()),
        ];
        let file = FileSettings {
            admin_token_file: Some(admin),
            ..FileSettings::default()
        };
        let secrets = resolve(&pairs, file).unwrap();
        let app: Vec<_> = secrets.app.iter().map(Secret::expose).collect();
        assert_eq!(
            (app, secrets.verify_token.expose()),
            (vec!["older", "newer"], "hunter2")
        );
        assert_eq!(secrets.admin_token, Some(Secret::new("swordfish")));
        let shown = format!("{secrets:?} {}", secrets.verify_token);
        let told = ["older", "newer", "hunter2", "swordfish"]
            .iter()
            .any(|secret| shown.contains(secret));
        assert!(!told, "{shown}");
    }

    #[test]
    fn a_file_that_never_ends_is_not_read_to_its_end() {
        let pairs = [
            ("DUET_APP_SECRET", "one"),
            ("DUET_VERIFY_TOKEN_FILE", "/dev/zero"),
        ];
        let problems = resolve(&pairs, FileSettings::default()).unwrap_err();
        assert_eq!(places(&problems), ["DUET_VERIFY_TOKEN_FILE"]);
    }

    #[test]
    fn a_variable_beside_its_file_is_refused() {
        let pairs = [
            ("DUET_APP_SECRET", "one"),
            ("DUET_APP_SECRET_FILE", "/nowhere"),
            ("DUET_VERIFY_TOKEN", "v"),
        ];
        let problems = resolve(&pairs, FileSettings::default()).unwrap_err();
        assert_eq!(places(&problems), ["DUET_APP_SECRET"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_where_it_was_named_and_no_file_is_fine() {
        let environment = |asked: &str| (asked == "DUET_VERIFY_TOKEN_FILE").then(|| "/no/v".into());
        let flags = Flags::of("admin_token_file", "/no/t");
        let mut file = FileSettings {
            app_secret_file: Some("/no/a".into()),
            ..FileSettings::default()
        };
        file.places
            .insert("app_secret_file", "duet.toml:1".to_owned());
        let problems = secrets_problems(&Sources {
            flags: &flags,
            environment: &environment,
            file,
        });
        let expect = [
            "duet.toml:1",
            "DUET_VERIFY_TOKEN_FILE",
            "--admin-token-file",
        ];
        assert_eq!(places(&problems), expect);
        let nothing = Sources {
            flags: &Flags::default(),
            environment: &|_| None,
            file: FileSettings::default(),
        };
        assert_eq!(secrets_problems(&nothing), []);
    }
}
