use std::collections::BTreeSet;

use toml::de::DeTable;

use super::{FILE_BYTES_MAX, PROBLEMS_MAX, Problem};

/// Collects the problems of one file and knows where its lines begin.
pub(crate) struct Findings<'t> {
    file: &'t str,
    text: &'t str,
    line_starts: Vec<usize>,
    problems: Vec<Problem>,
    count: usize,
}

impl<'t> Findings<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        let after_newlines = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        // What follows the last newline is a line only when something stands there.
        let line_starts = std::iter::once(0)
            .chain(after_newlines.filter(|at| *at < text.len()))
            .collect();
        Self {
            file,
            text,
            line_starts,
            problems: Vec::new(),
            count: 0,
        }
    }

    pub(crate) fn file(&self) -> &'t str {
        self.file
    }

    /// The line, counted from 1, of a byte offset; an offset behind the end belongs to the last line.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.line_starts
            .partition_point(|start| *start <= offset)
            .max(1)
    }

    pub(crate) fn add(
        &mut self,
        offset: usize,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.count += 1;
        if self.is_full() {
            return;
        }
        let line = self.line(offset);
        let start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let column = self.text.get(start..).map_or(0, |rest| {
            let before = offset.saturating_sub(start);
            rest.char_indices()
                .take_while(|(at, char)| *at < before && *char != '\n')
                .count()
        });
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line,
            column: column + 1,
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    /// How many problems were found so far, those that are not told included.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Whether further problems are only counted, so that nobody need word them.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= PROBLEMS_MAX
    }

    /// All problems in the order of their lines.
    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        let untold = self.count - self.problems.len();
        self.problems
            .sort_by_key(|problem| (problem.line, problem.column));
        if untold > 0 {
            self.problems.push(Problem {
                file: self.file.to_owned(),
                line: self.line_starts.len(),
                column: 1,
                message: format!("{untold} more problems are not shown"),
                remedy: "correct the first ones and check again".to_owned(),
            });
        }
        self.problems
    }
}

/// Reads a whole file and hands its root table to `read`; returns what `read` made of it.
///
/// With a syntax error `read` is not called, since half a tree would only give problems that vanish
/// together with the error.
pub(crate) fn document<T: Default>(
    file: &str,
    bytes: &[u8],
    read: impl FnOnce(&DeTable<'_>, &mut Findings<'_>) -> T,
) -> super::Outcome<T> {
    let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let mut findings = Findings::new(file, valid);
    let value = if bytes.len() > FILE_BYTES_MAX {
        findings.add(
            0,
            format!("the file has {} bytes", bytes.len()),
            format!("keep it below {FILE_BYTES_MAX} bytes"),
        );
        T::default()
    } else if valid.len() < bytes.len() {
        findings.add(
            valid.len(),
            "the text is not UTF-8",
            "save the file as UTF-8",
        );
        T::default()
    } else {
        parse(valid, &mut findings, read)
    };
    super::Outcome {
        value,
        problems: findings.into_problems(),
    }
}

fn parse<T: Default>(
    text: &str,
    findings: &mut Findings<'_>,
    read: impl FnOnce(&DeTable<'_>, &mut Findings<'_>) -> T,
) -> T {
    let (tree, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return read(tree.get_ref(), findings);
    }
    // One slip often makes the parser stumble again on the same line.
    let mut lines_told = BTreeSet::new();
    for error in errors {
        let offset = error.span().map_or(0, |span| span.start);
        if lines_told.insert(findings.line(offset)) {
            let message = error.message().trim_end_matches(", expected nothing");
            findings.add(
                offset,
                format!("not TOML: {message}"),
                syntax_remedy(message),
            );
        }
    }
    T::default()
}

fn syntax_remedy(message: &str) -> &'static str {
    if message.contains("duplicate key") {
        "keep one of the two"
    } else if message.contains("recurs") {
        "nest the tables less deeply"
    } else if message.contains("quoted") {
        "put the text in quotes"
    } else {
        "correct this line or the one before it"
    }
}

/// A stranger's text in a message: quoted, escaped, and short.
pub(crate) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut short: String = text.chars().take(CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// The known word that somebody probably meant, when one is near enough to be no guess.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    const WORD_BYTES_MAX: usize = 64;
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    // In a short word two letters are most of it: `foo` does not mean `from`.
    let distance_max = |candidate: &str| {
        if candidate.len() <= 4 {
            1
        } else {
            candidate.len().div_ceil(3)
        }
    };
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= distance_max(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
