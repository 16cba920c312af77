//! Reads the output of a `cargo test` run while it passes through: how many tests there were, what they measured.

use std::io::{BufRead, BufReader, Read};

/// Tests by how they ended, over all of a run's programs, and their lines that begin with `measured:`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) measured: Vec<String>,
}

impl Count {
    /// Prints every line and reads those that begin with `test result:`.
    pub(crate) fn follow(&mut self, output: impl Read) {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            println!("{line}");
            self.read(&line);
        }
    }

    fn read(&mut self, line: &str) {
        if let Some(measured) = line.strip_prefix("measured: ") {
            self.measured.push(measured.to_owned());
        }
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        self.passed += before(result, " passed");
        self.failed += before(result, " failed");
    }
}

/// The number before a word, such as 12 in `ok. 12 passed; 0 failed`.
fn before(text: &str, word: &str) -> u64 {
    let number = text
        .split(word)
        .next()
        .and_then(|text| text.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_all_programs() {
        let mut count = Count::default();
        let output = "running 3 tests\n\
            test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s\n\
            measured: 3 rounds\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s\n";
        output.lines().for_each(|line| count.read(line));
        assert_eq!(
            count,
            Count {
                passed: 13,
                failed: 2,
                measured: vec!["3 rounds".into()]
            }
        );
    }
}
