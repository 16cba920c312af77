use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use duet_rules::duet_toml::{SettingValue, setting};

use super::{AlarmSettings, Problem, Sources};
use crate::telemetry::LogFormat;

/// All settings but the secrets, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub data: PathBuf,
    pub plugins: PathBuf,
    /// With Meta's version, without a slash at its end.
    pub graph_url: String,
    pub log: LogFormat,
    pub log_level: String,
    /// Without a slash at its end; empty when it is not set.
    pub otlp_url: String,
    pub person_hours: u64,
    pub unknown_hold_seconds: u64,
    pub body_bytes_max: u64,
    pub receipt_queue_max: u64,
    pub receipts_days: u64,
    /// 0 keeps them.
    pub events_days: u64,
    /// 0 keeps them.
    pub media_days: u64,
    pub media_file_bytes_max: u64,
    pub media_total_bytes_max: u64,
    pub media_fetches_max: u64,
    pub pair_burst: u64,
    pub pair_seconds: u64,
    pub number_per_second: u64,
    pub reply_reserve_percent: u64,
    /// 0 waits for ever.
    pub held_hours: u64,
    pub opt_out_words: Vec<String>,
    pub opt_in_words: Vec<String>,
    /// Empty when it is not set.
    pub signup_app_id: String,
    /// Empty when it is not set.
    pub signup_config_id: String,
    /// A JSON object.
    pub signup_extras: String,
    /// Without a slash at its end; empty when it is not set.
    pub signup_url: String,
    pub alarms: AlarmSettings,
}

impl Settings {
    /// Flag, else variable, else file, else default. All problems at once.
    pub fn resolve(sources: &Sources<'_>) -> Result<Settings, Vec<Problem>> {
        let file = &sources.file;
        let mut read = Reading {
            sources,
            problems: Vec::new(),
        };
        let settings = Settings {
            listen: read.address("listen", file.listen),
            admin_listen: read.address("admin_listen", file.admin_listen),
            data: read.path("data", &file.data),
            plugins: read.path("plugins", &file.plugins),
            graph_url: read.text("graph_url", &file.graph_url),
            log: match read.text("log", &file.log).as_str() {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
            log_level: read.text("log_level", &file.log_level),
            otlp_url: read.text("otlp_url", &file.otlp_url),
            person_hours: read.number("person_hours", file.person_hours),
            unknown_hold_seconds: read.number("unknown_hold_seconds", file.unknown_hold_seconds),
            body_bytes_max: read.number("body_bytes_max", file.body_bytes_max),
            receipt_queue_max: read.number("receipt_queue_max", file.receipt_queue_max),
            receipts_days: read.number("retention.receipts_days", file.receipts_days),
            events_days: read.number("retention.events_days", file.events_days),
            media_days: read.number("retention.media_days", file.media_days),
            media_file_bytes_max: read.number("media.file_bytes_max", file.media_file_bytes_max),
            media_total_bytes_max: read.number("media.total_bytes_max", file.media_total_bytes_max),
            media_fetches_max: read.number("media.fetches_max", file.media_fetches_max),
            pair_burst: read.number("sending.pair_burst", file.pair_burst),
            pair_seconds: read.number("sending.pair_seconds", file.pair_seconds),
            number_per_second: read.number("sending.number_per_second", file.number_per_second),
            reply_reserve_percent: read
                .number("sending.reply_reserve_percent", file.reply_reserve_percent),
            held_hours: read.number("sending.held_hours", file.held_hours),
            opt_out_words: read.words("sending.opt_out_words", &file.opt_out_words),
            opt_in_words: read.words("sending.opt_in_words", &file.opt_in_words),
            signup_app_id: read.text("signup.app_id", &file.signup_app_id),
            signup_config_id: read.text("signup.config_id", &file.signup_config_id),
            signup_extras: read.text("signup.extras", &file.signup_extras),
            signup_url: read.text("signup.url", &file.signup_url),
            alarms: AlarmSettings::resolve(&mut read),
        };
        if read.problems.is_empty() {
            Ok(settings)
        } else {
            Err(read.problems)
        }
    }
}

/// Reads one setting after the other. What cannot be read leaves a problem and a stand-in that nobody sees.
pub(super) struct Reading<'s, 'a> {
    sources: &'s Sources<'a>,
    problems: Vec<Problem>,
}

impl Reading<'_, '_> {
    /// A value of `[alarms]`.
    pub(super) fn of_alarms(&mut self, key: &'static str) -> Option<SettingValue> {
        self.value(key, self.sources.file.alarms.get(key).cloned())
    }

    /// What cannot be used together.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str, remedy: &str) {
        self.problems.push(Problem {
            place: setting(key).map_or(key.into(), |setting| self.sources.place(setting)),
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    fn value(&mut self, key: &str, written: Option<SettingValue>) -> Option<SettingValue> {
        self.sources.value(key, written, &mut self.problems)
    }

    fn address(&mut self, key: &str, written: Option<SocketAddr>) -> SocketAddr {
        match self.value(key, written.map(SettingValue::Address)) {
            Some(SettingValue::Address(address)) => address,
            _ => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }

    fn path(&mut self, key: &str, written: &Option<PathBuf>) -> PathBuf {
        match self.value(key, written.clone().map(SettingValue::Path)) {
            Some(SettingValue::Path(path)) => path,
            _ => PathBuf::new(),
        }
    }

    fn text(&mut self, key: &str, written: &Option<String>) -> String {
        match self.value(key, written.clone().map(SettingValue::Text)) {
            Some(SettingValue::Text(text)) => text,
            _ => String::new(),
        }
    }

    fn words(&mut self, key: &str, written: &Option<Vec<String>>) -> Vec<String> {
        match self.value(key, written.clone().map(SettingValue::Words)) {
            Some(SettingValue::Words(words)) => words,
            _ => Vec::new(),
        }
    }

    fn number(&mut self, key: &str, written: Option<u64>) -> u64 {
        match self.value(key, written.map(SettingValue::Number)) {
            Some(SettingValue::Number(number)) => number,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use duet_rules::duet_toml::FileSettings;

    use super::*;
    use crate::config::{Environment, Flags};

    fn variable<'a>(name: &'a str, value: &'a str) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |asked| (asked == name).then(|| value.into())
    }

    #[test]
    fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
        let flag = Flags::of("person_hours", "1");
        let written = FileSettings {
            person_hours: Some(3),
            ..FileSettings::default()
        };
        let (two, empty) = (
            variable("DUET_PERSON_HOURS", "2"),
            variable("DUET_PERSON_HOURS", ""),
        );
        let hours = |flags: &Flags, environment: Environment<'_>, file: &FileSettings| {
            let sources = Sources {
                flags,
                environment,
                file: file.clone(),
            };
            Settings::resolve(&sources).unwrap().person_hours
        };
        assert_eq!(hours(&flag, &two, &written), 1);
        assert_eq!(hours(&Flags::default(), &two, &written), 2);
        assert_eq!(hours(&Flags::default(), &empty, &written), 3);
        assert_eq!(
            hours(&Flags::default(), &empty, &FileSettings::default()),
            12
        );
    }

    #[test]
    fn every_bad_value_is_told_with_its_place() {
        let flags = Flags::of("listen", "7800");
        let environment = variable("DUET_GRAPH_URL", "ftp://graph");
        let sources = Sources {
            flags: &flags,
            environment: &environment,
            file: FileSettings::default(),
        };
        let problems = Settings::resolve(&sources).unwrap_err();
        let places: Vec<_> = problems
            .iter()
            .map(|problem| problem.place.as_str())
            .collect();
        assert_eq!(places, ["--listen", "DUET_GRAPH_URL"]);
    }

    #[test]
    fn a_settings_file_is_read_from_its_folder_and_its_problems_have_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("duet.toml");
        std::fs::write(&path, "data = \"kept\"\nperson_hours = \"long\"\n").unwrap();
        let mut flags = Flags::default();
        flags.config = Some(path.clone());
        let (sources, problems) = Sources::read(&flags, &|_| None);
        let settings = Settings::resolve(&sources).unwrap();
        assert_eq!(settings.data, folder.path().join("kept"));
        let places: Vec<_> = problems
            .iter()
            .map(|problem| problem.place.clone())
            .collect();
        assert_eq!(places, [format!("{}:2", path.display())]);
    }
}
