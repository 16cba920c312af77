//! The gateway's own settings. Each comes from its flag, else its environment variable, else duet.toml, else
//! its default; the table of them stands in [`duet_rules::duet_toml`]. Secrets come from the environment or
//! a file, never from a flag. All problems are told at once, each with its place and remedy. Deliberately
//! absent: a setting that turns signatures off.

mod admin_token;
mod alarms;
mod flags;
mod kept;
mod master_key;
mod secret;
mod secrets;
mod settings;
mod sources;

use duet_rules::toml_file;

pub use admin_token::admin_token;
pub use alarms::{AlarmMail, AlarmSecrets, AlarmSettings, AlarmWebhook, MailSecurity};
pub use flags::Flags;
pub use master_key::vault;
pub use secret::Secret;
pub use secrets::{Secrets, secret_text, secrets_problems};
pub use settings::Settings;
pub use sources::{Environment, Sources, environment};

/// One setting that cannot be used, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}; {remedy}")]
pub struct Problem {
    /// The flag, the variable, or the file and its line.
    pub place: String,
    pub message: String,
    pub remedy: String,
}

impl From<toml_file::Problem> for Problem {
    fn from(problem: toml_file::Problem) -> Problem {
        let toml_file::Problem {
            file,
            line,
            message,
            remedy,
            ..
        } = problem;
        Problem {
            place: format!("{file}:{line}"),
            message,
            remedy,
        }
    }
}
