//! Lines for the plugin's own log. Never put the text of a message in them.

use crate::bindings::duet::plugin::log::{Level, write};

/// For the author, while the plugin is built.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Worth knowing.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// The admin should look at it some time.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// The admin should look at it now.
pub fn error(message: &str) {
    write(Level::Error, message);
}
