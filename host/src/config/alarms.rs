//! `[alarms]`: by which ways alarms leave.

use std::net::IpAddr;

use duet_rules::duet_toml::SettingValue;

use super::secrets::read;
use super::settings::Reading;
use super::{Problem, Secret, Sources};
use crate::store::notices::OwnersTemplate;

/// The ways that are set up.
#[derive(Debug, Clone)]
pub struct AlarmSettings {
    /// After so long somebody is told again.
    pub repeat_ms: i64,
    pub webhook: Option<AlarmWebhook>,
    pub mail: Option<AlarmMail>,
    pub template: Option<OwnersTemplate>,
}

#[derive(Debug, Clone)]
pub struct AlarmWebhook {
    pub url: String,
    /// It may be at a private address.
    pub private: bool,
}

#[derive(Debug, Clone)]
pub struct AlarmMail {
    pub host: String,
    pub port: u16,
    pub security: MailSecurity,
    pub user: Option<String>,
    pub from: String,
    pub to: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    StartTls,
    Tls,
    /// Only to this machine.
    None,
}

/// What no file of settings holds.
#[derive(Debug, Clone, Default)]
pub struct AlarmSecrets {
    pub webhook: Option<Secret>,
    pub smtp: Option<Secret>,
}

impl AlarmSettings {
    pub(super) fn resolve(read: &mut Reading<'_, '_>) -> AlarmSettings {
        AlarmSettings {
            repeat_ms: seconds_ms(read),
            webhook: webhook(read),
            mail: mail(read),
            template: template(read),
        }
    }
}

impl AlarmSecrets {
    pub(super) fn resolve(sources: &Sources<'_>, problems: &mut Vec<Problem>) -> AlarmSecrets {
        let mut secret = |name: &str| {
            let written = match sources.file.alarms.get(format!("{name}_file").as_str()) {
                Some(SettingValue::Path(path)) => Some(path.clone()),
                _ => None,
            };
            read(sources, name, &written, problems).map(Secret::new)
        };
        AlarmSecrets {
            webhook: secret("alarms.webhook_secret"),
            smtp: secret("alarms.smtp_password"),
        }
    }
}

fn seconds_ms(read: &mut Reading<'_, '_>) -> i64 {
    match read.of_alarms("alarms.repeat_seconds") {
        Some(SettingValue::Number(seconds)) => {
            i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)
        }
        _ => i64::MAX,
    }
}

fn webhook(read: &mut Reading<'_, '_>) -> Option<AlarmWebhook> {
    let private = text(read, "alarms.webhook_private").is_some_and(|word| word == "yes");
    let url = text(read, "alarms.webhook_url")?;
    Some(AlarmWebhook { url, private })
}

fn mail(read: &mut Reading<'_, '_>) -> Option<AlarmMail> {
    let security = match text(read, "alarms.smtp_security").as_deref() {
        Some("tls") => MailSecurity::Tls,
        Some("none") => MailSecurity::None,
        _ => MailSecurity::StartTls,
    };
    let user = text(read, "alarms.smtp_user");
    let (from, to) = (list(read, "alarms.mail_from"), list(read, "alarms.mail_to"));
    let server = text(read, "alarms.smtp_server");
    let (Some(server), Some(from), false) = (&server, from.first().cloned(), to.is_empty()) else {
        if server.is_some() || !from.is_empty() || !to.is_empty() {
            let message = "mails need all of smtp_server, mail_from and mail_to";
            read.refuse("alarms.smtp_server", message, "give all three, or none");
        }
        return None;
    };
    let (host, port) = server.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    let loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
    if security == MailSecurity::None && !loopback {
        let message = "mails would leave this machine without TLS";
        let remedy = "give starttls or tls; none is for a server on this machine";
        read.refuse("alarms.smtp_security", message, remedy);
    }
    Some(AlarmMail {
        host: host.to_owned(),
        port: port.parse().ok()?,
        security,
        user,
        from,
        to,
    })
}

fn template(read: &mut Reading<'_, '_>) -> Option<OwnersTemplate> {
    let language = text(read, "alarms.template_language").unwrap_or_default();
    let number = text(read, "alarms.template_number");
    let to = text(read, "alarms.template_to");
    let name = text(read, "alarms.template_name");
    if number.is_none() && to.is_none() && name.is_none() {
        return None;
    }
    let (Some(number), Some(to), Some(name)) = (number, to, name) else {
        let message = "a template needs all of template_number, template_to and template_name";
        read.refuse("alarms.template_number", message, "give all three, or none");
        return None;
    };
    let digits: String = to.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < 7 {
        let message = "the owner's phone has fewer than 7 digits";
        read.refuse(
            "alarms.template_to",
            message,
            "give it with its country code",
        );
    }
    Some(OwnersTemplate {
        number,
        to: digits,
        name,
        language,
    })
}

fn text(read: &mut Reading<'_, '_>, key: &'static str) -> Option<String> {
    match read.of_alarms(key) {
        Some(SettingValue::Text(text)) => Some(text),
        _ => None,
    }
}

fn list(read: &mut Reading<'_, '_>, key: &'static str) -> Vec<String> {
    match read.of_alarms(key) {
        Some(SettingValue::Words(words)) => words,
        _ => Vec::new(),
    }
}
