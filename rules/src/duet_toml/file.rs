use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;
use toml::de::{DeArray, DeTable, DeValue};

use super::kind::{Kind, SettingValue};
use super::table::{SETTINGS, Setting};
use crate::toml_file::{Field, Findings, Outcome, Section, document, type_words};

/// What a `duet.toml` says; `None` where it is silent. The names are those of [`SETTINGS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileSettings {
    pub listen: Option<SocketAddr>,
    pub admin_listen: Option<SocketAddr>,
    pub data: Option<PathBuf>,
    pub plugins: Option<PathBuf>,
    pub graph_url: Option<String>,
    pub app_secret_file: Option<PathBuf>,
    pub verify_token_file: Option<PathBuf>,
    pub admin_token_file: Option<PathBuf>,
    pub access_token_file: Option<PathBuf>,
    pub master_key_file: Option<PathBuf>,
    /// `text` or `json`
    pub log: Option<String>,
    /// `error`, `warn`, `info`, `debug` or `trace`
    pub log_level: Option<String>,
    pub otlp_url: Option<String>,
    pub person_hours: Option<u64>,
    pub unknown_hold_seconds: Option<u64>,
    pub body_bytes_max: Option<u64>,
    pub receipt_queue_max: Option<u64>,
    pub receipts_days: Option<u64>,
    /// 0 keeps them.
    pub events_days: Option<u64>,
    /// 0 keeps them.
    pub media_days: Option<u64>,
    pub media_file_bytes_max: Option<u64>,
    pub media_total_bytes_max: Option<u64>,
    pub media_fetches_max: Option<u64>,
    pub pair_burst: Option<u64>,
    pub pair_seconds: Option<u64>,
    pub number_per_second: Option<u64>,
    pub reply_reserve_percent: Option<u64>,
    /// 0 waits for ever.
    pub held_hours: Option<u64>,
    pub opt_out_words: Option<Vec<String>>,
    pub opt_in_words: Option<Vec<String>>,
    pub signup_app_id: Option<String>,
    pub signup_config_id: Option<String>,
    /// A JSON object.
    pub signup_extras: Option<String>,
    pub signup_url: Option<String>,
    /// The keys of `[alarms]`.
    #[serde(flatten)]
    pub alarms: BTreeMap<&'static str, SettingValue>,
    /// Where each of them stands, as `duet.toml:3`.
    #[serde(skip)]
    pub places: BTreeMap<&'static str, String>,
}

impl FileSettings {
    /// The same with relative paths taken from the folder of the file.
    pub fn under(mut self, folder: &Path) -> Self {
        let paths = [
            &mut self.data,
            &mut self.plugins,
            &mut self.app_secret_file,
            &mut self.verify_token_file,
            &mut self.admin_token_file,
            &mut self.access_token_file,
            &mut self.master_key_file,
        ];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&*path);
        }
        for value in self.alarms.values_mut() {
            if let SettingValue::Path(path) = value {
                *path = folder.join(&*path);
            }
        }
        self
    }

    /// Puts a checked value into its field.
    fn set(&mut self, key: &'static str, value: SettingValue) {
        if key.starts_with("alarms.") {
            self.alarms.insert(key, value);
            return;
        }
        match value {
            SettingValue::Address(address) => match key {
                "listen" => self.listen = Some(address),
                "admin_listen" => self.admin_listen = Some(address),
                _ => {}
            },
            SettingValue::Path(path) => match key {
                "data" => self.data = Some(path),
                "plugins" => self.plugins = Some(path),
                "app_secret_file" => self.app_secret_file = Some(path),
                "verify_token_file" => self.verify_token_file = Some(path),
                "admin_token_file" => self.admin_token_file = Some(path),
                "access_token_file" => self.access_token_file = Some(path),
                "master_key_file" => self.master_key_file = Some(path),
                _ => {}
            },
            SettingValue::Text(text) => match key {
                "graph_url" => self.graph_url = Some(text),
                "log" => self.log = Some(text),
                "log_level" => self.log_level = Some(text),
                "otlp_url" => self.otlp_url = Some(text),
                "signup.app_id" => self.signup_app_id = Some(text),
                "signup.config_id" => self.signup_config_id = Some(text),
                "signup.extras" => self.signup_extras = Some(text),
                "signup.url" => self.signup_url = Some(text),
                _ => {}
            },
            SettingValue::Words(words) => match key {
                "sending.opt_out_words" => self.opt_out_words = Some(words),
                "sending.opt_in_words" => self.opt_in_words = Some(words),
                _ => {}
            },
            SettingValue::Number(number) => match key {
                "person_hours" => self.person_hours = Some(number),
                "unknown_hold_seconds" => self.unknown_hold_seconds = Some(number),
                "body_bytes_max" => self.body_bytes_max = Some(number),
                "receipt_queue_max" => self.receipt_queue_max = Some(number),
                "retention.receipts_days" => self.receipts_days = Some(number),
                "retention.events_days" => self.events_days = Some(number),
                "retention.media_days" => self.media_days = Some(number),
                "media.file_bytes_max" => self.media_file_bytes_max = Some(number),
                "media.total_bytes_max" => self.media_total_bytes_max = Some(number),
                "media.fetches_max" => self.media_fetches_max = Some(number),
                "sending.pair_burst" => self.pair_burst = Some(number),
                "sending.pair_seconds" => self.pair_seconds = Some(number),
                "sending.number_per_second" => self.number_per_second = Some(number),
                "sending.reply_reserve_percent" => self.reply_reserve_percent = Some(number),
                "sending.held_hours" => self.held_hours = Some(number),
                _ => {}
            },
        }
    }
}

/// Reads the text of a `duet.toml`; `file` is its name in the problems.
pub fn parse(file: &str, text: impl AsRef<[u8]>) -> Outcome<FileSettings> {
    document(file, text.as_ref(), read)
}

/// The tables, and what is given in each, for a remedy.
const TABLES: [(&str, &str); 5] = [
    ("retention", "days"),
    ("media", "number"),
    ("sending", "number"),
    ("signup", "text"),
    ("alarms", "value"),
];

fn read(root: &DeTable<'_>, findings: &mut Findings<'_>) -> FileSettings {
    let mut settings = FileSettings::default();
    let mut root = Section::root(root);
    for setting in SETTINGS
        .iter()
        .filter(|setting| setting.in_file() && !setting.key.contains('.'))
    {
        if let Some(field) = root.field(setting.key) {
            read_field(setting, &field, &mut settings, findings);
        }
    }
    for (table, unit) in TABLES {
        read_table(table, unit, &mut root, &mut settings, findings);
    }
    refuse_secrets(&mut root, findings);
    root.finish(findings);
    settings
}

fn read_table(
    table: &'static str,
    unit: &str,
    root: &mut Section<'_>,
    settings: &mut FileSettings,
    findings: &mut Findings<'_>,
) {
    let keys = || {
        let inside = |setting: &'static Setting| setting.key.strip_prefix(table)?.strip_prefix('.');
        SETTINGS
            .iter()
            .filter_map(move |setting| Some((setting, inside(setting)?)))
    };
    if let Some(mut section) = root.table(table, findings) {
        for (setting, key) in keys() {
            if !setting.in_file() {
                refuse_secret(setting, section.forbidden(key), findings);
            } else if let Some(field) = section.field(key) {
                read_field(setting, &field, settings, findings);
            }
        }
        section.finish(findings);
    }
    for (setting, key) in keys().filter(|(setting, _)| setting.in_file()) {
        root.suggest(setting.key);
        if let Some(field) = root.forbidden(key) {
            let message = format!("{key} stands outside of [{table}]");
            let remedy = format!("write {} = <{unit}>", setting.key);
            findings.add(field.offset, message, remedy);
        }
    }
}

fn read_field(
    setting: &Setting,
    field: &Field<'_>,
    settings: &mut FileSettings,
    findings: &mut Findings<'_>,
) {
    let takes_integer = matches!(
        setting.kind,
        Kind::Integer { .. } | Kind::Bytes { .. } | Kind::Id
    );
    let takes_string = !matches!(setting.kind, Kind::Integer { .. });
    let text = match field.value.get_ref() {
        DeValue::String(text) if takes_string => text.to_string(),
        DeValue::Integer(integer) if takes_integer => {
            match u64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) => number.to_string(),
                Err(_) => integer.to_string(),
            }
        }
        DeValue::Array(array) if list(setting, array).is_some() => {
            list(setting, array).unwrap_or_default()
        }
        other => {
            let message = format!("{} is {}", field.name(), type_words(other));
            return findings.add(
                field.offset,
                message,
                format!("give {}", setting.kind.values()),
            );
        }
    };
    match setting.read(&text) {
        Ok(value) => {
            let place = format!("{}:{}", findings.file(), findings.line(field.offset));
            settings.places.insert(setting.key, place);
            settings.set(setting.key, value);
        }
        Err(refusal) => findings.add(field.offset, refusal.message, refusal.remedy),
    }
}

/// A list of phrases as it would be written in the environment; none if the setting takes no list, or not this one.
fn list(setting: &Setting, array: &DeArray<'_>) -> Option<String> {
    if !matches!(setting.kind, Kind::Words { .. } | Kind::Mails { .. }) {
        return None;
    }
    let words = array.iter().map(|item| item.get_ref().as_str());
    let words: Option<Vec<&str>> = words
        .map(|word| word.filter(|word| !word.contains(',')))
        .collect();
    Some(words?.join(","))
}

/// A secret in this file would end up in backups and version control. Its value is not repeated.
fn refuse_secrets(root: &mut Section<'_>, findings: &mut Findings<'_>) {
    for secret in SETTINGS.iter().filter(|setting| !setting.in_file()) {
        refuse_secret(secret, root.forbidden(secret.key), findings);
    }
}

fn refuse_secret(secret: &Setting, field: Option<Field<'_>>, findings: &mut Findings<'_>) {
    let Some(field) = field else {
        return;
    };
    let message = format!("{} is a secret and must not stand in this file", secret.key);
    let remedy = format!(
        "write {}_file = \"<path>\" or set {}",
        secret.key, secret.env
    );
    findings.add(field.offset, message, remedy);
}
