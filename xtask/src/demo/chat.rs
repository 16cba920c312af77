//! The conversation as people would see it, from the sim's transcript.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use serde_json::Value;

use super::stage::Stage;

const PROMPT: &str = "customer> ";

/// A reader of the transcript that remembers what it has shown.
pub(super) struct Chat {
    after: u64,
}

impl Chat {
    pub(super) fn new() -> Chat {
        Chat { after: 0 }
    }

    /// Shows what is new; waits up to `wait_ms` for something. The answer tells whether there was anything.
    pub(super) fn show(&mut self, stage: &Stage, wait_ms: u64) -> Result<bool> {
        let path = format!("/sim/transcript?after={}&wait_ms={wait_ms}", self.after);
        let page = stage.sim.get(&path)?;
        let lines = page
            .get("transcript")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        lines.iter().for_each(print_line);
        self.after = page
            .get("next")
            .and_then(Value::as_u64)
            .unwrap_or(self.after);
        Ok(!lines.is_empty())
    }
}

/// Where the user writes next.
pub(super) fn prompt() {
    if io::stdout().is_terminal() {
        print!("{PROMPT}");
        let _ = io::stdout().flush();
    }
}

fn print_line(line: &Value) {
    let word = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
    let (colour, name) = match word("who") {
        "customer" => ("36", "customer"),
        "phone" => ("33", "person on the phone"),
        "gateway" => ("32", "plugin"),
        _ => return,
    };
    println!(
        "    {} {}",
        paint(colour, &format!("{name:>20}")),
        word("text")
    );
}

pub(super) fn act(title: &str) {
    println!("\n{}", paint("1", title));
}

pub(super) fn note(text: &str) {
    println!("    {}", paint("2", text));
}

/// Colour where somebody sees it.
fn paint(code: &str, text: &str) -> String {
    let shown = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if shown {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
