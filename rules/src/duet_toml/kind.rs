use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use super::table::Setting;
use crate::toml_file::{bytes_from_text, bytes_text, quoted};

/// Longest phrase of [`Kind::Words`].
const WORD_CHARS_MAX: usize = 100;
/// Longest text of [`Kind::Line`].
const LINE_CHARS_MAX: usize = 200;
/// Longest text of [`Kind::Object`].
const OBJECT_BYTES_MAX: usize = 2000;

/// What a setting's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IP address and port; port 0 takes a free one.
    Address,
    Path,
    /// `http` or `https`, without query and user.
    Url,
    /// The same with `https`, or with `http` on localhost: elsewhere Meta's script does not work.
    Page,
    OneOf(&'static [&'static str]),
    Integer {
        min: u64,
        max: u64,
    },
    /// An integer, or text with KiB, MiB or GiB.
    Bytes {
        min: u64,
        max: u64,
    },
    /// Words or phrases without commas: a list in the file, with commas elsewhere.
    Words {
        items_max: usize,
    },
    /// One of Meta's ids.
    Id,
    /// Host name or address, and port.
    Server,
    /// Mail addresses: a list in the file, with commas elsewhere.
    Mails {
        items_max: usize,
    },
    /// One line.
    Line,
    /// A JSON object, as text.
    Object,
    /// Only from the environment; read by the gateway and never shown.
    Secret,
}

/// A checked value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SettingValue {
    Address(SocketAddr),
    Path(PathBuf),
    /// A URL without a slash at its end, one of the words, an id, or a JSON object.
    Text(String),
    /// A count, or bytes.
    Number(u64),
    Words(Vec<String>),
}

/// Why a value is not taken. Both parts are for the admin, and hold nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {remedy}")]
pub struct Refusal {
    pub message: String,
    pub remedy: String,
}

impl Kind {
    /// The allowed values in words.
    pub fn values(&self) -> String {
        match self {
            Kind::Address => "an IP address and a port such as 127.0.0.1:7800".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Url => "a URL with http or https".to_owned(),
            Kind::Page => "a URL with https, or with http on localhost".to_owned(),
            Kind::OneOf(words) => words.join(" or "),
            Kind::Integer { min, max } => format!("an integer from {min} to {max}"),
            Kind::Bytes { min, max } => {
                let (min, max) = (bytes_text(*min), bytes_text(*max));
                format!("bytes from {min} to {max}, as an integer or with KiB, MiB or GiB")
            }
            Kind::Words { items_max } => {
                format!(
                    "at most {items_max} phrases without commas, each of at most {WORD_CHARS_MAX} characters"
                )
            }
            Kind::Id => "an id of Meta's, at most 32 digits".to_owned(),
            Kind::Server => "a host and a port such as mail.example.com:587".to_owned(),
            Kind::Mails { items_max } => {
                format!("at most {items_max} mail addresses such as admin@example.com")
            }
            Kind::Line => format!("one line of at most {LINE_CHARS_MAX} characters"),
            Kind::Object => format!("a JSON object of at most {OBJECT_BYTES_MAX} bytes, as text"),
            Kind::Secret => "text".to_owned(),
        }
    }

    fn read(&self, text: &str) -> Option<SettingValue> {
        let within = |min: u64, max: u64, value: &u64| (min..=max).contains(value);
        match *self {
            Kind::Address => text.parse().ok().map(SettingValue::Address),
            Kind::Path => path_is_valid(text).then(|| SettingValue::Path(text.into())),
            Kind::Url => url_is_valid(text)
                .then(|| SettingValue::Text(text.trim_end_matches('/').to_owned())),
            Kind::Page => page_is_valid(text)
                .then(|| SettingValue::Text(text.trim_end_matches('/').to_owned())),
            Kind::OneOf(words) => words
                .contains(&text)
                .then(|| SettingValue::Text(text.to_owned())),
            Kind::Integer { min, max } => text
                .parse()
                .ok()
                .filter(|value| within(min, max, value))
                .map(SettingValue::Number),
            Kind::Bytes { min, max } => bytes_from_text(text)
                .filter(|value| within(min, max, value))
                .map(SettingValue::Number),
            Kind::Words { items_max } => words(text)
                .filter(|words| words.len() <= items_max)
                .map(SettingValue::Words),
            Kind::Id => id_is_valid(text).then(|| SettingValue::Text(text.to_owned())),
            Kind::Server => server_is_valid(text).then(|| SettingValue::Text(text.to_owned())),
            Kind::Mails { items_max } => words(text)
                .filter(|mails| (1..=items_max).contains(&mails.len()))
                .filter(|mails| mails.iter().all(|mail| mail_is_valid(mail)))
                .map(SettingValue::Words),
            Kind::Line => line_is_valid(text).then(|| SettingValue::Text(text.to_owned())),
            Kind::Object => object_is_valid(text).then(|| SettingValue::Text(text.to_owned())),
            Kind::Secret => (!text.is_empty()).then(|| SettingValue::Text(text.to_owned())),
        }
    }
}

impl Setting {
    /// Checks a value as it stands in the environment or behind a flag.
    pub fn read(&self, text: &str) -> Result<SettingValue, Refusal> {
        self.kind.read(text).ok_or_else(|| Refusal {
            message: match self.kind {
                Kind::Secret => format!("{} is empty", self.env),
                // What stands before an @ may be a password.
                Kind::Url | Kind::Page if text.contains('@') => {
                    format!("{} has a user name or a password in it", self.key)
                }
                _ => format!("{} is {}", self.key, quoted(text)),
            },
            remedy: format!("give {}", self.kind.values()),
        })
    }

    /// The default as a checked value.
    pub fn default_value(&self) -> Option<SettingValue> {
        self.kind.read(self.default?)
    }
}

/// The phrases between commas; none when one is too long.
fn words(text: &str) -> Option<Vec<String>> {
    let words = text.split(',').map(str::trim);
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let fits = |word: &&str| word.chars().count() <= WORD_CHARS_MAX;
    words
        .iter()
        .all(fits)
        .then(|| words.into_iter().map(str::to_owned).collect())
}

fn id_is_valid(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn server_is_valid(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let in_host = |char: char| char.is_ascii_alphanumeric() || "-._[]:".contains(char);
    let port_is_valid = port.parse::<u16>().is_ok_and(|port| port > 0);
    (1..=253).contains(&host.len()) && host.chars().all(in_host) && port_is_valid
}

/// Whether a mail server would look at it; it knows better.
fn mail_is_valid(text: &str) -> bool {
    let odd = |char: char| char.is_whitespace() || char.is_control() || "<>,;\"".contains(char);
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()) && !text.contains(odd)
}

fn line_is_valid(text: &str) -> bool {
    (1..=LINE_CHARS_MAX).contains(&text.chars().count()) && !text.contains(char::is_control)
}

fn object_is_valid(text: &str) -> bool {
    let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
    text.len() <= OBJECT_BYTES_MAX && object.is_ok()
}

fn path_is_valid(text: &str) -> bool {
    const BYTES_MAX: usize = 4096;
    !text.is_empty() && text.len() <= BYTES_MAX && !text.contains(char::is_control)
}

fn page_is_valid(text: &str) -> bool {
    let host = text.strip_prefix("http://").unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default();
    url_is_valid(text) && (text.starts_with("https://") || host == "localhost")
}

fn url_is_valid(text: &str) -> bool {
    const BYTES_MAX: usize = 2048;
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let host = rest
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default();
    let forbidden =
        |char: char| char.is_whitespace() || char.is_control() || matches!(char, '?' | '#' | '@');
    !host.is_empty()
        && !host.starts_with(':')
        && text.len() <= BYTES_MAX
        && !text.contains(forbidden)
}
