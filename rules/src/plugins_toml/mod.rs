//! `plugins.toml`: which plugins run, in which order, with which settings, limits and grants.
//!
//! [`parse`] checks everything that the file alone can tell; [`check`] compares one instance with the
//! manifest and the imports of its component. Both report every problem at once, with line and remedy.
//! The order of the `[plugins.<name>]` tables is the order of the automations. Deliberately absent:
//! reading files, and checking settings against a JSON Schema; for the latter an [`Instance`] gives the
//! line of any JSON pointer into its settings.

mod canary;
mod check;
mod draft;
mod every;
mod grants;
mod hooks;
mod http;
mod instance;
mod interface;
mod limits;
mod log;
mod oauth;
mod pattern;
mod quarantine;
mod retry;
mod settings;
mod switch;
#[cfg(test)]
mod tests;
mod waits;

use toml::de::DeTable;

pub use canary::{Canary, PERCENT_DEFAULT};
pub use check::check;
pub use draft::{GivenSetting, Wish, draft, needed, one_line};
pub(crate) use every::SCHEDULES_MAX;
pub use grants::{
    AnnotationsGrant, CasesGrant, ContactsGrant, ConversationsGrant, Grants, MediaGrant,
    MessagesGrant, StoreGrant, TimersGrant,
};
pub use hooks::{HOOK_BYTES_DEFAULT, HOOK_RATE_DEFAULT, HOOK_SECONDS_DEFAULT, HookGrant};
pub use http::{HttpGrant, SecretGrant, SecretSource, SecretValue};
pub use instance::{
    Instance, PARALLEL_DEFAULT, Promote, RUNS_KEPT_DEFAULT, StartFrom, name_is_valid,
};
pub use interface::{GRANTED, Interface, granted_interface};
pub use limits::Limits;
pub use log::LogRate;
pub use oauth::OAuthGrant;
pub use pattern::{Pattern, PatternError};
pub use retry::Retry;
pub use settings::SettingsLines;
pub use switch::{has_plugin, switched};

use crate::toml_file::{Findings, Outcome, Section, document, quoted};

/// So many `[plugins.<name>]` tables one file may have.
pub const PLUGINS_MAX: usize = 1000;

/// Whoever sends by the admin API stands under this name in the outbox, so no plugin may have it.
pub const API: &str = "api";

/// A checked `plugins.toml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginsToml {
    /// In the order of the file.
    pub plugins: Vec<Instance>,
}

/// Reads the text of a `plugins.toml`; `file` is its name in the problems.
///
/// The value holds the instances without a problem; to apply a file, refuse it as a whole when there is
/// one ([`Outcome::into_result`]), or a slip of the pen would stop a working plugin.
pub fn parse(file: &str, text: impl AsRef<[u8]>) -> Outcome<PluginsToml> {
    document(file, text.as_ref(), read)
}

fn read(root: &DeTable<'_>, findings: &mut Findings<'_>) -> PluginsToml {
    let mut root = Section::root(root);
    let plugins = match root.field("plugins") {
        None => Vec::new(),
        Some(field) if !field.value.get_ref().is_table() => {
            field.wrong_type(
                findings,
                "write one table for each plugin: [plugins.<name>]",
            );
            Vec::new()
        }
        Some(field) => field
            .table(findings)
            .map(|section| read_plugins(&section, findings))
            .unwrap_or_default(),
    };
    root.finish(findings);
    PluginsToml { plugins }
}

fn read_plugins(section: &Section<'_>, findings: &mut Findings<'_>) -> Vec<Instance> {
    let fields = section.fields();
    if let Some(surplus) = fields.get(PLUGINS_MAX) {
        let message = format!("the file has {} plugins", fields.len());
        findings.add(surplus.offset, message, format!("keep it to {PLUGINS_MAX}"));
    }
    let mut instances = Vec::new();
    for field in fields.iter().take(PLUGINS_MAX) {
        let before = findings.count();
        if !name_is_valid(field.key) {
            let message = format!("{} is no name for a plugin", quoted(field.key));
            findings.add(
                field.offset,
                message,
                "use 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit",
            );
        }
        if field.key == API {
            let message = format!("{} is no name for a plugin", quoted(field.key));
            findings.add(
                field.offset,
                message,
                "choose another one, this one stands for sends of the admin API",
            );
        }
        let Some(section) = field.table(findings) else {
            continue;
        };
        let instance = instance::read(field.key, section, findings);
        if findings.count() == before {
            instances.extend(instance);
        }
    }
    instances
}
