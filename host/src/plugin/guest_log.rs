//! A plugin's own log: lines of at most 1 KiB, so many bytes a run, then a mark and silence; over all runs so many lines
//! a second.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::log_book::{LogBook, Source, Taken, told};

/// Where the lines go, for whoever filters.
pub const TARGET: &str = "duet::plugin_log";

const LINE_BYTES_MAX: usize = 1024;

/// Lines of stderr that a fault repeats; Rust's panic has three.
const LAST_WORDS_MAX: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// The word in the API.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// The log of one run, shared by the `log` import, stdout and stderr.
#[derive(Debug)]
pub(super) struct GuestLog {
    instance: String,
    event: String,
    contact: Option<i64>,
    /// The instance's: it keeps the line and says whether it is too fast. None for a run whose lines go nowhere.
    book: Option<Arc<LogBook>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bytes_left: u64,
    silenced: bool,
    last_words: VecDeque<String>,
}

impl GuestLog {
    pub(super) fn new(
        instance: String,
        source: Source<'_>,
        book: Option<Arc<LogBook>>,
        bytes_max: u64,
    ) -> Self {
        let state = State {
            bytes_left: bytes_max,
            silenced: false,
            last_words: VecDeque::new(),
        };
        GuestLog {
            instance,
            event: source.event.to_owned(),
            contact: source.contact,
            book,
            state: Mutex::new(state),
        }
    }

    /// Writes each line of `text`. A guest's control characters could forge lines or colour a terminal, so they go.
    pub(super) fn write(&self, level: Level, text: &str) {
        for line in text.lines() {
            if self.lock().silenced {
                break;
            }
            self.write_line(level, &printable(line));
        }
    }

    pub(super) fn write_stderr_line(&self, line: &str) {
        let line = printable(line);
        self.write_line(Level::Warn, &line);
        let mut state = self.lock();
        if state.last_words.len() == LAST_WORDS_MAX {
            state.last_words.pop_front();
        }
        state.last_words.push_back(line);
    }

    /// The last lines on stderr: there languages put their panics.
    pub(super) fn last_words(&self) -> String {
        let lines = std::mem::take(&mut self.lock().last_words);
        Vec::from(lines).join(" / ")
    }

    fn write_line(&self, level: Level, line: &str) {
        let mut state = self.lock();
        if state.silenced {
            return;
        }
        let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        match state.bytes_left.checked_sub(bytes.saturating_add(1)) {
            Some(left) => {
                state.bytes_left = left;
                drop(state);
                self.emit(level, line);
            }
            None => {
                state.silenced = true;
                drop(state);
                self.emit(
                    Level::Warn,
                    "[the rest of this run's log is cut off: log_bytes_max]",
                );
            }
        }
    }

    fn emit(&self, level: Level, line: &str) {
        let Some(book) = &self.book else {
            return;
        };
        let source = Source {
            event: &self.event,
            contact: self.contact,
        };
        match book.take(source, level, line) {
            Taken::Dropped => return,
            Taken::Kept { dropped: 0 } => {}
            Taken::Kept { dropped } => self.tell(Level::Warn, &told(dropped)),
        }
        self.tell(level, line);
    }

    fn tell(&self, level: Level, line: &str) {
        let (plugin, event) = (self.instance.as_str(), self.event.as_str());
        match level {
            Level::Debug => tracing::debug!(target: TARGET, plugin, event, "{line}"),
            Level::Info => tracing::info!(target: TARGET, plugin, event, "{line}"),
            Level::Warn => tracing::warn!(target: TARGET, plugin, event, "{line}"),
            Level::Error => tracing::error!(target: TARGET, plugin, event, "{line}"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line without control characters, cut to 1 KiB with a mark.
fn printable(line: &str) -> String {
    let mut out = String::with_capacity(line.len().min(LINE_BYTES_MAX));
    for char in line.chars() {
        if out.len() + char.len_utf8() > LINE_BYTES_MAX {
            out.push('…');
            break;
        }
        out.push(if char.is_control() { ' ' } else { char });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_a_character_and_loses_control_characters() {
        assert_eq!(printable("a\u{1b}[31mb\tc"), "a [31mb c");
        let long = printable(&"क".repeat(1000));
        assert_eq!(long.strip_suffix('…').unwrap().len(), 1023);
    }
}
