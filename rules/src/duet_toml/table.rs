use super::kind::Kind;

/// One setting of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// In `duet.toml`; a dot means a table: `retention.events_days`.
    pub key: &'static str,
    /// The environment variable.
    pub env: &'static str,
    pub kind: Kind,
    /// As it would be written in the environment; `None` when there is none.
    pub default: Option<&'static str>,
    pub doc: &'static str,
}

impl Setting {
    /// The command-line flag, `--admin-listen`. A secret has none: flags are seen by every user of the machine.
    pub fn flag(&self) -> Option<String> {
        (self.kind != Kind::Secret).then(|| format!("--{}", self.key.replace(['_', '.'], "-")))
    }

    /// Whether it may stand in `duet.toml`.
    pub fn in_file(&self) -> bool {
        self.kind != Kind::Secret
    }
}

/// The setting of a key such as `person_hours`.
pub fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Every setting, in the order of the documents.
pub const SETTINGS: [Setting; 55] = [
    Setting {
        key: "listen",
        env: "DUET_LISTEN",
        kind: Kind::Address,
        default: Some("127.0.0.1:7800"),
        doc: "Public listener: Meta's webhook and /healthz",
    },
    Setting {
        key: "admin_listen",
        env: "DUET_ADMIN_LISTEN",
        kind: Kind::Address,
        default: Some("127.0.0.1:7801"),
        doc: "Listener of the admin API and /metrics",
    },
    Setting {
        key: "data",
        env: "DUET_DATA",
        kind: Kind::Path,
        default: Some("duet-data"),
        doc: "Folder of the database, the receipt log and the files of messages",
    },
    Setting {
        key: "plugins",
        env: "DUET_PLUGINS",
        kind: Kind::Path,
        default: Some("plugins.toml"),
        doc: "The file that says which plugins run",
    },
    Setting {
        key: "graph_url",
        env: "DUET_GRAPH_URL",
        kind: Kind::Url,
        default: Some("https://graph.facebook.com/v23.0"),
        doc: "Meta's Graph API with its version",
    },
    Setting {
        key: "app_secret",
        env: "DUET_APP_SECRET",
        kind: Kind::Secret,
        default: None,
        doc: "Secret of the Meta app; several with commas while one is rotated out",
    },
    Setting {
        key: "app_secret_file",
        env: "DUET_APP_SECRET_FILE",
        kind: Kind::Path,
        default: None,
        doc: "File with the app secret, one on a line",
    },
    Setting {
        key: "verify_token",
        env: "DUET_VERIFY_TOKEN",
        kind: Kind::Secret,
        default: None,
        doc: "Token with which Meta verifies the webhook's address",
    },
    Setting {
        key: "verify_token_file",
        env: "DUET_VERIFY_TOKEN_FILE",
        kind: Kind::Path,
        default: None,
        doc: "File with the verify token",
    },
    Setting {
        key: "admin_token",
        env: "DUET_ADMIN_TOKEN",
        kind: Kind::Secret,
        default: None,
        doc: "Bearer token of the admin API",
    },
    Setting {
        key: "admin_token_file",
        env: "DUET_ADMIN_TOKEN_FILE",
        kind: Kind::Path,
        default: None,
        doc: "File with the admin token",
    },
    Setting {
        key: "access_token",
        env: "DUET_ACCESS_TOKEN",
        kind: Kind::Secret,
        default: None,
        doc: "Access token for the Graph API",
    },
    Setting {
        key: "access_token_file",
        env: "DUET_ACCESS_TOKEN_FILE",
        kind: Kind::Path,
        default: None,
        doc: "File with the access token",
    },
    Setting {
        key: "master_key",
        env: "DUET_MASTER_KEY",
        kind: Kind::Secret,
        default: None,
        doc: "Key that seals the secrets of businesses: 32 bytes in base64 or hex; several with commas, the first seals",
    },
    Setting {
        key: "master_key_file",
        env: "DUET_MASTER_KEY_FILE",
        kind: Kind::Path,
        default: None,
        doc: "File with the master key, one on a line",
    },
    Setting {
        key: "log",
        env: "DUET_LOG",
        kind: Kind::OneOf(&["text", "json"]),
        default: Some("text"),
        doc: "Shape of the log lines",
    },
    Setting {
        key: "log_level",
        env: "DUET_LOG_LEVEL",
        kind: Kind::OneOf(&["error", "warn", "info", "debug", "trace"]),
        default: Some("info"),
        doc: "The least important lines that are logged",
    },
    Setting {
        key: "otlp_url",
        env: "DUET_OTLP_URL",
        kind: Kind::Url,
        default: None,
        doc: "OpenTelemetry collector that takes spans by OTLP over HTTP, such as http://127.0.0.1:4318",
    },
    Setting {
        key: "person_hours",
        env: "DUET_PERSON_HOURS",
        kind: Kind::Integer { min: 1, max: 8760 },
        default: Some("12"),
        doc: "How long a person keeps a conversation after an answer from the phone",
    },
    Setting {
        key: "unknown_hold_seconds",
        env: "DUET_UNKNOWN_HOLD_SECONDS",
        kind: Kind::Integer { min: 0, max: 3600 },
        default: Some("60"),
        doc: "How long a send without an answer holds its conversation before it is a dead letter",
    },
    Setting {
        key: "body_bytes_max",
        env: "DUET_BODY_BYTES_MAX",
        kind: Kind::Bytes {
            min: 1 << 10,
            max: 64 << 20,
        },
        default: Some("3328KiB"),
        doc: "Largest webhook body that is taken; Meta sends up to 3 MiB",
    },
    Setting {
        key: "receipt_queue_max",
        env: "DUET_RECEIPT_QUEUE_MAX",
        kind: Kind::Integer {
            min: 1,
            max: 1_000_000,
        },
        default: Some("4096"),
        doc: "Webhooks that may wait for the disk; further ones are answered 503",
    },
    Setting {
        key: "media.file_bytes_max",
        env: "DUET_MEDIA_FILE_BYTES_MAX",
        kind: Kind::Bytes {
            min: 1 << 10,
            max: 1 << 30,
        },
        default: Some("100MiB"),
        doc: "Largest file of a message that is fetched, or handed over to be sent; Meta takes documents up to 100 MB",
    },
    Setting {
        key: "media.total_bytes_max",
        env: "DUET_MEDIA_TOTAL_BYTES_MAX",
        kind: Kind::Bytes {
            min: 1 << 10,
            max: 1 << 50,
        },
        default: Some("10GiB"),
        doc: "What all files of messages may take on disk; when that is full, fetching pauses and none is taken to be sent",
    },
    Setting {
        key: "media.fetches_max",
        env: "DUET_MEDIA_FETCHES_MAX",
        kind: Kind::Integer { min: 1, max: 64 },
        default: Some("4"),
        doc: "Files of messages that are fetched at once",
    },
    Setting {
        key: "retention.receipts_days",
        env: "DUET_RETENTION_RECEIPTS_DAYS",
        kind: Kind::Integer {
            min: 1,
            max: 36_500,
        },
        default: Some("30"),
        doc: "How long webhook bodies are kept",
    },
    Setting {
        key: "retention.events_days",
        env: "DUET_RETENTION_EVENTS_DAYS",
        kind: Kind::Integer {
            min: 0,
            max: 36_500,
        },
        default: Some("0"),
        doc: "How long events are kept; 0 keeps them",
    },
    Setting {
        key: "retention.media_days",
        env: "DUET_RETENTION_MEDIA_DAYS",
        kind: Kind::Integer {
            min: 0,
            max: 36_500,
        },
        default: Some("0"),
        doc: "How long files of messages are kept, and those that were handed over and are not sent; 0 keeps them",
    },
    Setting {
        key: "sending.pair_burst",
        env: "DUET_SENDING_PAIR_BURST",
        kind: Kind::Integer {
            min: 1,
            max: 100_000,
        },
        default: Some("45"),
        doc: "Messages to one customer at once; then one in sending.pair_seconds",
    },
    Setting {
        key: "sending.pair_seconds",
        env: "DUET_SENDING_PAIR_SECONDS",
        kind: Kind::Integer { min: 1, max: 3600 },
        default: Some("6"),
        doc: "Seconds between two messages to one customer once the burst is used up",
    },
    Setting {
        key: "sending.number_per_second",
        env: "DUET_SENDING_NUMBER_PER_SECOND",
        kind: Kind::Integer {
            min: 1,
            max: 100_000,
        },
        default: Some("20"),
        doc: "Messages a second through one number, in and out and from the app together",
    },
    Setting {
        key: "sending.reply_reserve_percent",
        env: "DUET_SENDING_REPLY_RESERVE_PERCENT",
        kind: Kind::Integer { min: 0, max: 90 },
        default: Some("25"),
        doc: "Share of a number's rate that automations' templates leave to replies",
    },
    Setting {
        key: "sending.held_hours",
        env: "DUET_SENDING_HELD_HOURS",
        kind: Kind::Integer { min: 0, max: 8760 },
        default: Some("24"),
        doc: "How long a send may wait for its number or a rate before it is given up; 0 waits for ever",
    },
    Setting {
        key: "sending.opt_out_words",
        env: "DUET_SENDING_OPT_OUT_WORDS",
        kind: Kind::Words { items_max: 50 },
        default: None,
        doc: "What a customer writes to get no more marketing messages",
    },
    Setting {
        key: "sending.opt_in_words",
        env: "DUET_SENDING_OPT_IN_WORDS",
        kind: Kind::Words { items_max: 50 },
        default: None,
        doc: "What a customer writes to get marketing messages again",
    },
    Setting {
        key: "signup.app_id",
        env: "DUET_SIGNUP_APP_ID",
        kind: Kind::Id,
        default: None,
        doc: "Id of the Meta app; with it and the app secret Meta tells what a token may do and which webhook fields come",
    },
    Setting {
        key: "signup.config_id",
        env: "DUET_SIGNUP_CONFIG_ID",
        kind: Kind::Id,
        default: None,
        doc: "Id of the app's configuration of Facebook Login for Business, for the page of the signup",
    },
    Setting {
        key: "signup.extras",
        env: "DUET_SIGNUP_EXTRAS",
        kind: Kind::Object,
        default: Some(
            r#"{"featureType":"whatsapp_business_app_onboarding","sessionInfoVersion":"3"}"#,
        ),
        doc: "What the signup is told beside it, as JSON; Meta's word for it changes with its versions",
    },
    Setting {
        key: "signup.url",
        env: "DUET_SIGNUP_URL",
        kind: Kind::Page,
        default: None,
        doc: "Where owners reach the page of the signup: the https address that passes /signup on to the admin listener",
    },
    Setting {
        key: "alarms.repeat_seconds",
        env: "DUET_ALARMS_REPEAT_SECONDS",
        kind: Kind::Integer {
            min: 1,
            max: 604_800,
        },
        default: Some("3600"),
        doc: "After so long an alarm that nobody has acknowledged is told again, more urgently",
    },
    Setting {
        key: "alarms.webhook_url",
        env: "DUET_ALARMS_WEBHOOK_URL",
        kind: Kind::Url,
        default: None,
        doc: "Where alarms are posted, signed as Standard Webhooks",
    },
    Setting {
        key: "alarms.webhook_private",
        env: "DUET_ALARMS_WEBHOOK_PRIVATE",
        kind: Kind::OneOf(&["no", "yes"]),
        default: Some("no"),
        doc: "Whether that may be an address of the network around the gateway",
    },
    Setting {
        key: "alarms.webhook_secret_file",
        env: "DUET_ALARMS_WEBHOOK_SECRET_FILE",
        kind: Kind::Path,
        default: None,
        doc: "File with the secret that signs them",
    },
    Setting {
        key: "alarms.smtp_server",
        env: "DUET_ALARMS_SMTP_SERVER",
        kind: Kind::Server,
        default: None,
        doc: "Mail server that takes alarms",
    },
    Setting {
        key: "alarms.smtp_security",
        env: "DUET_ALARMS_SMTP_SECURITY",
        kind: Kind::OneOf(&["starttls", "tls", "none"]),
        default: Some("starttls"),
        doc: "How the way to it is secured; none only on this machine",
    },
    Setting {
        key: "alarms.smtp_user",
        env: "DUET_ALARMS_SMTP_USER",
        kind: Kind::Line,
        default: None,
        doc: "Name by which the mail server knows the gateway",
    },
    Setting {
        key: "alarms.smtp_password_file",
        env: "DUET_ALARMS_SMTP_PASSWORD_FILE",
        kind: Kind::Path,
        default: None,
        doc: "File with the password for it",
    },
    Setting {
        key: "alarms.mail_from",
        env: "DUET_ALARMS_MAIL_FROM",
        kind: Kind::Mails { items_max: 1 },
        default: None,
        doc: "Who the mails are from",
    },
    Setting {
        key: "alarms.mail_to",
        env: "DUET_ALARMS_MAIL_TO",
        kind: Kind::Mails { items_max: 10 },
        default: None,
        doc: "Whom they go to",
    },
    Setting {
        key: "alarms.template_number",
        env: "DUET_ALARMS_TEMPLATE_NUMBER",
        kind: Kind::Line,
        default: None,
        doc: "Number that tells alarms to a phone, by its phone_number_id",
    },
    Setting {
        key: "alarms.template_to",
        env: "DUET_ALARMS_TEMPLATE_TO",
        kind: Kind::Line,
        default: None,
        doc: "The owner's phone with its country code",
    },
    Setting {
        key: "alarms.template_name",
        env: "DUET_ALARMS_TEMPLATE_NAME",
        kind: Kind::Line,
        default: None,
        doc: "Approved template whose body has one parameter",
    },
    Setting {
        key: "alarms.template_language",
        env: "DUET_ALARMS_TEMPLATE_LANGUAGE",
        kind: Kind::Line,
        default: Some("en"),
        doc: "Its language",
    },
    Setting {
        key: "alarms.webhook_secret",
        env: "DUET_ALARMS_WEBHOOK_SECRET",
        kind: Kind::Secret,
        default: None,
        doc: "Secret that signs alarms",
    },
    Setting {
        key: "alarms.smtp_password",
        env: "DUET_ALARMS_SMTP_PASSWORD",
        kind: Kind::Secret,
        default: None,
        doc: "Password for the mail server",
    },
];
