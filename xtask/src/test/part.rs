//! What each part runs.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Count, Options, Part, advisories, fuzz, results, tools};
use crate::house::House;
use crate::{bench, command, guests};

/// One feature set for tests, lints and the binary under test, so that nothing is compiled twice.
const FEATURES: [&str; 2] = ["--features", "duet/failpoints"];

pub(super) fn run(part: Part, house: &House, options: &Options, count: &mut Count) -> Result<()> {
    match part {
        Part::Fmt => fmt(house),
        Part::Guests => guests::build(house),
        Part::Tests => tests(house, options, count),
        Part::Clippy => clippy(house),
        Part::Doc => doc(house),
        Part::Deny => deny(house),
        Part::Fuzz => fuzz::run(house, options),
        Part::Bench => results::write(
            house,
            "bench",
            &bench::measure(house, &bench::Options::full())?,
        ),
    }
}

fn fmt(house: &House) -> Result<()> {
    let mut cargo = house.cargo();
    cargo.args(["fmt", "--all", "--check"]);
    command::run("check the formatting", cargo)
}

/// With the places where a test may cut the power.
fn native(house: &House, words: &[&str]) -> Command {
    let mut cargo = house.native(words);
    cargo.args(FEATURES);
    cargo
}

fn tests(house: &House, options: &Options, count: &mut Count) -> Result<()> {
    command::run(
        "build the gateway with failpoints",
        native(house, &["build", "--bin", "duet"]),
    )?;
    // A copy, since any other build would replace it while the tests run.
    let duet = house.keep().join("duet-under-test");
    fs::create_dir_all(house.keep())?;
    fs::copy(house.duet(), &duet).with_context(|| format!("cannot write {}", duet.display()))?;

    // With the guests: what they decide needs no wasm to be tested.
    let mut cargo = house.cargo();
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(FEATURES)
        .env("DUET_BIN", &duet);
    if options.full {
        cargo.env("DUET_TEST_FULL", "1");
        // What they have measured goes to the results.
        cargo.args(["--", "--show-output"]);
    }
    let tested = follow("run the tests", cargo, count);
    if options.full {
        results::write(
            house,
            "tests",
            &format!(
                "{} passed, {} failed\n\n{}\n",
                count.passed,
                count.failed,
                count.measured.join("\n")
            ),
        )?;
    }
    tested
}

/// Runs cargo's tests, passes their lines on and counts them.
fn follow(what: &str, mut cargo: Command, count: &mut Count) -> Result<()> {
    command::say(what, &cargo);
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    count.follow(child.stdout.take().context("cargo test has no output")?);
    let status = child.wait()?;
    if !status.success() {
        bail!("cargo test ended with {status}");
    }
    Ok(())
}

fn clippy(house: &House) -> Result<()> {
    let mut cargo = native(house, &["clippy", "--all-targets"]);
    cargo.args(["--", "-D", "warnings"]);
    command::run("lint", cargo)?;
    let mut cargo = house.cargo();
    cargo.args(["clippy", "--release", "--target", guests::TARGET]);
    for guest in &house.guests {
        cargo.args(["-p", &guest.name]);
    }
    cargo.args(["--", "-D", "warnings"]);
    command::run("lint the plugins", cargo)
}

fn doc(house: &House) -> Result<()> {
    let mut cargo = native(house, &["doc", "--no-deps"]);
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    command::run("build the documentation", cargo)
}

fn deny(house: &House) -> Result<()> {
    let tool = tools::need(house, "cargo-deny", &["--no-default-features"])?;
    let check = |list: &[&str]| {
        let mut deny = tool.command(&house.root, "deny");
        deny.args([
            "--workspace",
            "--all-features",
            "check",
            "--hide-inclusion-graph",
        ])
        .args(list);
        deny
    };
    command::run(
        "check licences, sources and doubles",
        check(&["bans", "licenses", "sources"]),
    )?;
    advisories::check(house, &tool)
}
