//! What the plugin of each instance has written lately, and how fast it may write. The lines may quote customers, so
//! they are in memory alone, within bounds, and go when their customer is erased.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use duet_rules::plugins_toml::LogRate;

use super::guest_log::Level;

/// Kept of one instance.
const LINES_MAX: usize = 1000;
const BYTES_MAX: usize = 128 * 1024;
/// Reckoned for a line beside its words.
const LINE_BYTES: usize = 64;

/// A line that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Its place; later lines have higher ones, also after a restart.
    pub seq: i64,
    pub at_ms: i64,
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The id of the event at which it was written.
    pub event: String,
    pub text: String,
    contact: Option<i64>,
}

/// The lines of one instance; it outlives replacements of the plugin.
#[derive(Debug)]
pub struct LogBook(Mutex<State>);

/// The books of all instances, by name.
#[derive(Debug, Default)]
pub(super) struct LogBooks(Mutex<HashMap<String, Arc<LogBook>>>);

#[derive(Debug)]
struct State {
    lines: VecDeque<LogLine>,
    bytes: usize,
    newest: i64,
    bucket: Bucket,
    /// Since the last line that was taken.
    untold: u64,
    dropped: u64,
}

/// Where a line comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) event: &'a str,
    pub(super) contact: Option<i64>,
}

/// What became of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// So many before it were too fast.
    Kept {
        dropped: u64,
    },
    Dropped,
}

impl LogBooks {
    /// The book of an instance, which writes so fast from now on.
    pub(super) fn open(&self, instance: &str, rate: LogRate) -> Arc<LogBook> {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books.entry(instance.to_owned()).or_insert_with(|| {
            // A millisecond of each seq has room for a thousand lines, so those of the last start are lower.
            let newest = crate::now_ms().saturating_mul(1000);
            Arc::new(LogBook::new(rate, newest, Instant::now()))
        });
        book.lock().bucket.set(rate);
        Arc::clone(book)
    }

    pub(super) fn of(&self, instance: &str) -> Option<Arc<LogBook>> {
        let books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        books.get(instance).cloned()
    }

    pub(super) fn close(&self, instance: &str) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        books.remove(instance);
    }

    /// Lines that were written at events of this contact go.
    pub(super) fn forget(&self, contact: i64) {
        let books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for book in books.values() {
            let mut state = book.lock();
            state.lines.retain(|line| line.contact != Some(contact));
            state.bytes = state.lines.iter().map(LogLine::bytes).sum();
        }
    }
}

impl LogBook {
    fn new(rate: LogRate, newest: i64, now: Instant) -> LogBook {
        LogBook(Mutex::new(State {
            lines: VecDeque::new(),
            bytes: 0,
            newest,
            bucket: Bucket::new(rate, now),
            untold: 0,
            dropped: 0,
        }))
    }

    /// At most so many lines with a higher seq, oldest first.
    pub fn after(&self, seq: i64, limit: usize) -> Vec<LogLine> {
        let state = self.lock();
        let first = state.lines.partition_point(|line| line.seq <= seq);
        state
            .lines
            .iter()
            .skip(first)
            .take(limit)
            .cloned()
            .collect()
    }

    /// Lines that were too fast, since the gateway started.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    pub(super) fn take(&self, source: Source<'_>, level: Level, text: &str) -> Taken {
        self.take_at(source, level, text, Instant::now(), crate::now_ms())
    }

    fn take_at(
        &self,
        source: Source<'_>,
        level: Level,
        text: &str,
        now: Instant,
        now_ms: i64,
    ) -> Taken {
        let mut state = self.lock();
        if !state.bucket.takes(now) {
            state.untold += 1;
            state.dropped += 1;
            return Taken::Dropped;
        }
        let dropped = std::mem::take(&mut state.untold);
        let mut keep = |level: Level, text: &str| {
            state.newest += 1;
            let line = LogLine {
                seq: state.newest,
                at_ms: now_ms,
                level: level.as_str(),
                event: source.event.to_owned(),
                text: text.to_owned(),
                contact: source.contact,
            };
            state.keep(line);
        };
        if dropped > 0 {
            keep(Level::Warn, &told(dropped));
        }
        keep(level, text);
        Taken::Kept { dropped }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one line for all that were too fast.
pub(super) fn told(dropped: u64) -> String {
    format!("[{dropped} lines were dropped: log.lines_per_second]")
}

impl State {
    fn keep(&mut self, line: LogLine) {
        self.bytes += line.bytes();
        self.lines.push_back(line);
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
        }
    }
}

impl LogLine {
    fn bytes(&self) -> usize {
        self.text.len() + self.event.len() + LINE_BYTES
    }
}

/// What may be written now, as time: each line takes its share of a second.
#[derive(Debug)]
struct Bucket {
    rate: LogRate,
    credit: Duration,
    filled: Instant,
    /// It ran dry: nothing passes until there is a second's worth, so that one line tells of many.
    dry: bool,
}

impl Bucket {
    fn new(rate: LogRate, now: Instant) -> Bucket {
        let mut bucket = Bucket {
            rate,
            credit: Duration::ZERO,
            filled: now,
            dry: false,
        };
        bucket.credit = bucket.most();
        bucket
    }

    fn set(&mut self, rate: LogRate) {
        self.rate = rate;
        self.credit = self.credit.min(self.most());
    }

    fn takes(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled);
        self.filled = now;
        self.credit = self.credit.saturating_add(passed).min(self.most());
        let again = Duration::from_secs(1).min(self.most());
        if self.dry && self.credit < again {
            return false;
        }
        match self.credit.checked_sub(self.line()) {
            Some(left) => {
                (self.credit, self.dry) = (left, false);
                true
            }
            None => {
                self.dry = true;
                false
            }
        }
    }

    fn line(&self) -> Duration {
        Duration::from_nanos(1_000_000_000 / self.rate.lines_per_second.max(1))
    }

    fn most(&self) -> Duration {
        let lines = u32::try_from(self.rate.lines_burst.max(1)).unwrap_or(u32::MAX);
        self.line().saturating_mul(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: LogRate = LogRate {
        lines_per_second: 2,
        lines_burst: 4,
    };

    fn write(book: &LogBook, now: Instant, contact: i64, text: &str) -> Taken {
        let source = Source {
            event: "e",
            contact: Some(contact),
        };
        book.take_at(source, Level::Info, text, now, 1)
    }

    fn texts(book: &LogBook) -> Vec<String> {
        let lines = book.after(0, usize::MAX).into_iter();
        lines.map(|line| line.text).collect()
    }

    #[test]
    fn what_is_too_fast_is_dropped_and_told_in_one_line() {
        let start = Instant::now();
        let book = LogBook::new(RATE, 0, start);
        let at = |ms| start + Duration::from_millis(ms);
        let taken: Vec<bool> = [0, 0, 0, 0, 0, 600, 900, 1000, 1001, 1002]
            .map(|ms| write(&book, at(ms), 1, &ms.to_string()) != Taken::Dropped)
            .into();
        let (yes, no) = (true, false);
        assert_eq!(taken, [yes, yes, yes, yes, no, no, no, yes, yes, no]);
        let told = "[3 lines were dropped: log.lines_per_second]";
        assert_eq!(texts(&book), ["0", "0", "0", "0", told, "1000", "1001"]);
        assert_eq!(book.dropped(), 4);
        let seqs: Vec<i64> = book.after(2, 3).iter().map(|line| line.seq).collect();
        assert_eq!(seqs, [3, 4, 5]);
    }

    #[test]
    fn only_the_last_lines_are_kept_and_a_contacts_lines_can_be_forgotten() {
        let start = Instant::now();
        let books = LogBooks::default();
        let rate = LogRate {
            lines_per_second: 10_000,
            lines_burst: 100_000,
        };
        let book = books.open("crm", rate);
        for number in 0..1500 {
            write(&book, start, number % 3, &number.to_string());
        }
        let kept = texts(&book);
        assert_eq!(
            (kept.len(), kept.first()),
            (LINES_MAX, Some(&"500".to_owned()))
        );
        books.forget(0);
        assert!(
            texts(&book)
                .iter()
                .all(|text| text.parse::<i64>().unwrap() % 3 != 0)
        );

        let long = "x".repeat(1024);
        for _ in 0..1500 {
            write(&book, start, 1, &long);
        }
        let lines = book.after(0, usize::MAX);
        let bytes: usize = lines.iter().map(LogLine::bytes).sum();
        assert!(bytes <= BYTES_MAX && lines.len() < LINES_MAX && !lines.is_empty());
        assert_eq!(books.open("crm", RATE).after(0, usize::MAX), lines);
        books.close("crm");
        assert!(books.of("crm").is_none());
    }
}
