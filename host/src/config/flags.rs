use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};
use duet_rules::duet_toml::{Kind, SETTINGS, Setting};

/// What the command line says: a setting's key and the text behind its flag. The flags are made from the one
/// table of all settings, so none can be forgotten.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    values: BTreeMap<&'static str, String>,
    /// The settings file, if it is named.
    pub config: Option<PathBuf>,
}

static LONG_NAMES: LazyLock<Vec<(&'static Setting, String)>> = LazyLock::new(|| {
    let named = |setting: &'static Setting| Some((setting, setting.flag()?));
    SETTINGS.iter().filter_map(named).collect()
});

impl Flags {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    #[cfg(test)]
    pub(super) fn of(key: &'static str, value: &str) -> Flags {
        Flags {
            values: [(key, value.to_owned())].into(),
            config: None,
        }
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Settings file [env: DUET_CONFIG] [default: duet.toml if it exists]");
        let settings = LONG_NAMES.iter().map(|(setting, flag)| {
            let default = setting.default.map(|value| format!(" [default: {value}]"));
            Arg::new(setting.key)
                .long(flag.trim_start_matches('-'))
                .value_name(value_name(setting.kind))
                .help(format!(
                    "{} [env: {}]{}",
                    doc(setting),
                    setting.env,
                    default.unwrap_or_default()
                ))
        });
        command.arg(config).args(settings)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Address => "ADDRESS",
        Kind::Path => "PATH",
        Kind::Url | Kind::Page => "URL",
        Kind::Integer { .. } => "NUMBER",
        Kind::Bytes { .. } => "BYTES",
        Kind::Words { .. } => "WORDS",
        Kind::Id => "ID",
        Kind::Server => "HOST:PORT",
        Kind::Mails { .. } => "ADDRESSES",
        Kind::Line => "TEXT",
        Kind::Object => "JSON",
        Kind::OneOf(_) | Kind::Secret => "WORD",
    }
}

/// What a setting is, and its words where it takes one of a few.
fn doc(setting: &Setting) -> String {
    match setting.kind {
        Kind::OneOf(words) => format!("{}: {}", setting.doc, words.join(", ")),
        _ => setting.doc.to_owned(),
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Flags, clap::Error> {
        let mut flags = Flags::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (setting, _) in LONG_NAMES.iter() {
            if let Some(value) = matches.get_one::<String>(setting.key) {
                self.values.insert(setting.key, value.clone());
            }
        }
        self.config = matches.get_one::<PathBuf>("config").cloned();
        Ok(())
    }
}
