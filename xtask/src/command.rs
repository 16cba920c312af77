//! Running other programs: said first, then done, and a failure names the line.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Cargo in `folder`, as if it had been called from a shell there.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    // What `cargo run` tells this program about its own package would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        if of_this_package(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn of_this_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// Says what is done and does it.
pub(crate) fn run(what: &str, mut command: Command) -> Result<()> {
    say(what, &command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", line(&command)))?;
    if !status.success() {
        bail!("{what} failed ({status}): {}", line(&command));
    }
    Ok(())
}

/// Runs in silence; the answer is what the program printed.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", line(&command)))?;
    if !output.status.success() {
        bail!(
            "{} failed: {}",
            line(&command),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn say(what: &str, command: &Command) {
    println!("▸ {what}: {}", line(command));
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
