//! What `--full` leaves for committing: one file for each day and part.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;
use crate::house::House;

/// Writes `tests/results/<date>-<part>.txt`: the machine, the commit, then `text`.
pub(super) fn write(house: &House, part: &str, text: &str) -> Result<()> {
    let date = command::output(with("date", &["+%F"]))?;
    let mut git = with("git", &["rev-parse", "--short", "HEAD"]);
    git.current_dir(&house.root);
    let commit = command::output(git).unwrap_or_default();
    let system = command::output(with("uname", &["-srm"])).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let folder = house.root.join("tests/results");
    let file = folder.join(format!("{}-{part}.txt", date.trim()));
    let head = format!(
        "commit {}, {} cores, {}\n\n",
        commit.trim(),
        cores,
        system.trim()
    );
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, head + text))
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!("▸ results are in {}", file.display());
    Ok(())
}

fn with(program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words);
    command
}
