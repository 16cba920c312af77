//! `duet.toml`: the gateway's own settings, all of them optional.
//!
//! [`SETTINGS`] is the one table of every setting: `duet check` and `--help` come from it, a test holds
//! docs/settings.md to it, and [`Setting::read`] judges a value wherever it comes from. [`parse`] reads the file into
//! [`FileSettings`]; flag before environment before file before default is decided by the gateway.
//! Deliberately absent: secrets. They come from the environment or from files of their own.

mod file;
mod kind;
mod table;
#[cfg(test)]
mod tests;

pub use file::{FileSettings, parse};
pub use kind::{Kind, Refusal, SettingValue};
pub use table::{SETTINGS, Setting, setting};
