//! Known vulnerabilities: cargo-deny reads the RustSec list, from the network or from a copy on this disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::tools::Tool;
use crate::command;
use crate::house::House;

/// Names a folder with a checkout of the RustSec advisory database, with or without its `.git`.
const COPY: &str = "DUET_ADVISORY_DB";
/// A copy that stands beside the project is taken without being named.
const COPY_BESIDE: &str = "../shared/advisory-db";

/// Where the list is published; cargo-deny asks there unless it is told otherwise.
const PUBLISHED: &str = "https://github.com/RustSec/advisory-db";

/// Without a list there is nothing to check against; that is said and not counted as a failure.
pub(super) fn check(house: &House, tool: &Tool) -> Result<()> {
    let copy = std::env::var_os(COPY).map_or_else(|| house.root.join(COPY_BESIDE), PathBuf::from);
    let folder = house.keep().join("advisories");
    let copied = copy.is_dir();
    if copied {
        make_repository(&copy, &folder)?;
    }
    let config = configure(house, &folder)?;
    let deny = |options: &[&str], words: &[&str]| {
        let mut deny = tool.command(&house.root, "deny");
        deny.args(options)
            .args(["--workspace", "--all-features", "--config"])
            .arg(&config)
            .args(words);
        if copied {
            // Git goes to the copy for what is asked of the published list.
            let address = format!("url.file://{}.insteadOf", folder.join("list").display());
            deny.env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", address)
                .env("GIT_CONFIG_VALUE_0", PUBLISHED);
        }
        deny
    };
    if let Err(error) = command::run(
        "get the list of known vulnerabilities",
        deny(&[], &["fetch", "db"]),
    ) {
        println!("SKIPPED: known vulnerabilities were not checked: {error:#}");
        println!("SKIPPED: name a checkout of {PUBLISHED} in {COPY} to check without a network");
        return Ok(());
    }
    let words = ["check", "--hide-inclusion-graph", "advisories"];
    command::run("check known vulnerabilities", deny(&["--offline"], &words))
}

/// `deny.toml` with a place for the list below the target folder.
fn configure(house: &House, folder: &Path) -> Result<PathBuf> {
    let rules = fs::read_to_string(house.root.join("deny.toml"))?;
    let place = format!("[advisories]\ndb-path = {:?}", folder.join("fetched"));
    let config = folder.join("deny.toml");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&config, rules.replacen("[advisories]", &place, 1)))
        .with_context(|| format!("cannot write {}", config.display()))?;
    Ok(config)
}

/// cargo-deny takes its list from a git repository only, so the copy becomes one.
fn make_repository(copy: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let list = folder.join("list");
    fs::create_dir_all(&list)?;
    let mut cp = Command::new("cp");
    cp.arg("-R").arg(copy.join("crates")).arg(&list);
    command::run("copy the list of known vulnerabilities", cp)?;
    for words in [
        &["init", "--quiet", "--initial-branch", "main"][..],
        &["add", "--all", "--force"],
        &[
            "-c",
            "user.name=duet",
            "-c",
            "user.email=duet@localhost",
            "commit",
            "--quiet",
            "--message",
            "copy",
        ],
    ] {
        let mut git = Command::new("git");
        git.current_dir(&list).args(words);
        command::output(git)?;
    }
    Ok(())
}
