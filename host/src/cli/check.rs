use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use duet_rules::duet_toml::setting;
use duet_rules::plugins_toml::{self, Instance};
use duet_rules::toml_file::{self, FILE_BYTES_MAX};

use super::Ended;
use crate::config::{Flags, Problem, Settings, Sources, environment, secrets_problems};
use crate::file::read_at_most;
use crate::plugin::{self, Component, secrets};

/// Tells every problem of both files and of the settings in the environment. Secrets need not be given, so that files
/// can be checked where there are none; a file that is named for one has to be there.
pub(super) fn check(flags: &Flags) -> Ended {
    let problems = problems(flags);
    for problem in &problems {
        say!("{problem}");
    }
    match problems.len() {
        0 => {
            if let Some(missing) = missing_plugins(flags) {
                say!("there is no {} here, so no plugins run", missing.display());
            }
            say!("no problems");
            Ended::Done
        }
        _ => Ended::Problems,
    }
}

pub(super) fn problems(flags: &Flags) -> Vec<Problem> {
    let (sources, mut problems) = Sources::read(flags, &environment);
    match Settings::resolve(&sources) {
        Ok(settings) => problems.extend(plugins(&settings.plugins)),
        Err(refused) => problems.extend(refused),
    }
    problems.extend(secrets_problems(&sources));
    problems
}

/// The file of the plugins, when none was named and none is there.
fn missing_plugins(flags: &Flags) -> Option<PathBuf> {
    let (sources, _) = Sources::read(flags, &environment);
    let path = Settings::resolve(&sources).ok()?.plugins;
    (!path.exists()).then_some(path)
}

fn is_default(path: &Path) -> bool {
    let default = setting("plugins").and_then(|setting| setting.default);
    default.is_some_and(|default| path == Path::new(default))
}

fn plugins(path: &Path) -> Vec<Problem> {
    match read_at_most(path, FILE_BYTES_MAX + 1) {
        Ok(text) => of_plugins(path, &text),
        // The gateway runs without plugins then. A file elsewhere has been named, so it has to be there.
        Err(error) if error.kind() == ErrorKind::NotFound && is_default(path) => Vec::new(),
        Err(error) => vec![Problem {
            place: path.display().to_string(),
            message: format!("cannot be read: {error}"),
            remedy: "write one, or name it with --plugins or DUET_PLUGINS".into(),
        }],
    }
}

/// Every problem that a `plugins.toml` with this text has, or would have, at this path.
pub(super) fn of_plugins(path: &Path, text: &[u8]) -> Vec<Problem> {
    let outcome = plugins_toml::parse(&path.display().to_string(), text);
    let folder = path.parent().unwrap_or(Path::new(""));
    let components = outcome
        .value
        .plugins
        .iter()
        .flat_map(|instance| component(instance, folder));
    outcome
        .problems
        .iter()
        .cloned()
        .chain(components)
        .map(Problem::from)
        .collect()
}

/// What is wrong with an instance's components, without compiling them, and with its secrets.
fn component(instance: &Instance, folder: &Path) -> Vec<toml_file::Problem> {
    let live = Component::of(instance, folder);
    let mut problems = match &live {
        Ok(component) => plugin::check(&component.bytes, instance),
        Err(problem) => vec![problem.clone()],
    };
    if let Some((canary, _)) = instance.with_canary() {
        let found = match Component::of(&canary, folder) {
            Ok(component) => {
                let live = live.as_ref().map_or(&[][..], |live| &live.bytes);
                plugin::check_canary(&component.bytes, live, &canary)
            }
            Err(problem) => vec![problem],
        };
        // What is wrong with the tables is wrong for both.
        for problem in found {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems.extend(secrets::check(instance, folder, &environment));
    problems
}
