use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use duet_rules::duet_toml::{self, FileSettings, Setting, SettingValue, setting};
use duet_rules::toml_file::FILE_BYTES_MAX;

use super::{Flags, Problem};
use crate::file::read_at_most;

/// A variable of the environment: its value, or none.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The process's own environment.
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Everything that may hold a setting.
pub struct Sources<'a> {
    pub(super) flags: &'a Flags,
    pub(super) environment: Environment<'a>,
    pub(super) file: FileSettings,
}

impl<'a> Sources<'a> {
    /// Reads the settings file, which need not exist unless it is named. A file with problems counts as far as
    /// it could be read.
    pub fn read(flags: &'a Flags, environment: Environment<'a>) -> (Sources<'a>, Vec<Problem>) {
        let named = flags
            .config
            .clone()
            .or_else(|| set(environment, "DUET_CONFIG").map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from("duet.toml"));
        let (file, problems) = match read_at_most(&path, FILE_BYTES_MAX + 1) {
            Ok(text) => {
                let outcome = duet_toml::parse(&path.display().to_string(), text);
                let folder = path.parent().unwrap_or(Path::new(""));
                (
                    outcome.value.under(folder),
                    outcome.problems.into_iter().map(Problem::from).collect(),
                )
            }
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {
                (FileSettings::default(), Vec::new())
            }
            Err(error) => {
                let problem = Problem {
                    place: path.display().to_string(),
                    message: format!("cannot be read: {error}"),
                    remedy: "name a readable file with --config or DUET_CONFIG, or none".into(),
                };
                (FileSettings::default(), vec![problem])
            }
        };
        (
            Sources {
                flags,
                environment,
                file,
            },
            problems,
        )
    }

    /// The checked value of `key`: flag, else variable, else `written`, else default.
    pub(super) fn value(
        &self,
        key: &str,
        written: Option<SettingValue>,
        problems: &mut Vec<Problem>,
    ) -> Option<SettingValue> {
        let setting = setting(key)?;
        if let Some(text) = self.flags.get(key) {
            return checked(setting, setting.flag().unwrap_or_default(), text, problems);
        }
        if let Some(value) = set(self.environment, setting.env) {
            let Some(text) = value.to_str() else {
                problems.push(not_text(setting.env));
                return None;
            };
            return checked(setting, setting.env.into(), text, problems);
        }
        written.or_else(|| setting.default_value())
    }
}

impl Sources<'_> {
    /// Where the value of `key` comes from: a flag, a variable, or the file and its line.
    pub(super) fn place(&self, setting: &Setting) -> String {
        if self.flags.get(setting.key).is_some() {
            return setting.flag().unwrap_or_default();
        }
        let written = self.file.places.get(setting.key);
        match set(self.environment, setting.env) {
            None => written.cloned().unwrap_or_else(|| setting.env.into()),
            Some(_) => setting.env.into(),
        }
    }
}

fn checked(
    setting: &Setting,
    place: String,
    text: &str,
    problems: &mut Vec<Problem>,
) -> Option<SettingValue> {
    match setting.read(text) {
        Ok(value) => Some(value),
        Err(refusal) => {
            problems.push(Problem {
                place,
                message: refusal.message,
                remedy: refusal.remedy,
            });
            None
        }
    }
}

/// A variable's value; an empty one counts as unset.
pub(super) fn set(environment: Environment<'_>, name: &str) -> Option<OsString> {
    environment(name).filter(|value| !value.is_empty())
}

pub(super) fn not_text(place: &str) -> Problem {
    Problem {
        place: place.into(),
        message: "is not UTF-8 text".into(),
        remedy: "write it again".into(),
    }
}
