use std::fmt;

/// One thing in a file that somebody must correct.
///
/// `line` and `column` count from 1 and lie within the file; `column` counts characters. `Display` gives
/// `plugins.toml:12: <message>; <remedy>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub file: String,
    pub line: usize,
    pub column: usize,
    /// What is wrong, naming the key or the plugin.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

/// One line, whatever a name in the file holds: a control character is spelled out and never reaches a terminal.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            file,
            line,
            message,
            remedy,
            ..
        } = self;
        for char in format!("{file}:{line}: {message}; {remedy}").chars() {
            if char.is_control() {
                write!(f, "{}", char.escape_default())?;
            } else {
                write!(f, "{char}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// What a file says as far as it could be read, and what is wrong with it, in the order of its lines.
///
/// The value holds only parts without a problem, so that later checks can speak of them in the same
/// report. Whoever wants to act on the file takes [`Outcome::into_result`], which gives it whole or not.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    pub value: T,
    pub problems: Vec<Problem>,
}

impl<T> Outcome<T> {
    pub fn into_result(self) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() {
            Ok(self.value)
        } else {
            Err(self.problems)
        }
    }
}
