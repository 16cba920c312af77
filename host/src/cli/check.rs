use std::path::Path;

use duet_rules::plugins_toml::{self, Instance};
use duet_rules::toml_file;

use super::Ended;
use crate::config::{Flags, Problem, Settings, Sources, environment};

/// Tells every problem of both files and of the environment.
pub(super) fn check(flags: &Flags) -> Ended {
    let (sources, mut problems) = Sources::read(flags, &environment);
    match Settings::resolve(&sources) {
        Ok(settings) => problems.extend(plugins(&settings.plugins)),
        Err(refused) => problems.extend(refused),
    }
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => {
            println!("no problems");
            Ended::Done
        }
        _ => Ended::Problems,
    }
}

fn plugins(path: &Path) -> Vec<Problem> {
    match std::fs::read(path) {
        Ok(text) => {
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
        Err(error) => vec![Problem {
            place: path.display().to_string(),
            message: format!("cannot be read: {error}"),
            remedy: "write one, or name it with --plugins or DUET_PLUGINS".into(),
        }],
    }
}

/// What is wrong with an instance's component, without compiling it.
fn component(instance: &Instance, folder: &Path) -> Vec<toml_file::Problem> {
    let path = folder.join(&instance.component);
    match std::fs::read(&path) {
        Ok(bytes) => crate::plugin::check(&bytes, instance),
        Err(error) => vec![toml_file::Problem {
            file: instance.file.clone(),
            line: instance.line,
            column: 1,
            message: format!("plugin {:?}: cannot read {}: {error}", instance.name, path.display()),
            remedy: "build it (`cargo xtask guests` builds those that come with Duet) or correct `component`".into(),
        }],
    }
}
