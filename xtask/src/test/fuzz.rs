//! The fuzz targets: built once, then as many at a time as there are cores.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::tools::{self, Tool};
use super::{Options, results};
use crate::command;
use crate::house::House;

const SECONDS: u32 = 30;
const SECONDS_FULL: u32 = 600;
/// The lines of a failing fuzzer that are shown: the panic, the backtrace and where the input lies.
const LINES_SHOWN: usize = 60;

/// What all targets share.
struct Fuzzer<'h> {
    house: &'h House,
    tool: Tool,
    folder: PathBuf,
    full: bool,
}

pub(super) fn run(house: &House, options: &Options) -> Result<()> {
    let fuzzer = Fuzzer {
        house,
        tool: tools::need(house, "cargo-fuzz", &[])?,
        folder: house.root.join("tests/fuzz"),
        full: options.full,
    };
    fs::create_dir_all(fuzzer.findings())?;
    command::run("build the fuzz targets", fuzzer.cargo("build"))?;
    let mut list = fuzzer.tool.command(&fuzzer.folder, "fuzz");
    list.args(["list", "--fuzz-dir", "."]);
    let targets = command::output(list)?;
    let targets: Vec<&str> = targets.lines().collect();
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    for some in targets.chunks(at_once) {
        let started: Vec<_> = some
            .iter()
            .map(|target| Running::start(&fuzzer, target))
            .collect();
        // Each is waited for, also behind one that failed: none is left running.
        let ends: Vec<_> = started
            .into_iter()
            .map(|started| started.and_then(Running::end))
            .collect();
        ends.into_iter().collect::<Result<()>>()?;
    }
    if options.full {
        let mut told = String::new();
        for target in targets {
            writeln!(told, "{target}: {SECONDS_FULL} s without a finding")?;
        }
        results::write(house, "fuzz", &told)?;
    }
    Ok(())
}

impl Fuzzer<'_> {
    /// Cargo-fuzz with what makes the same build of every call.
    fn cargo(&self, word: &str) -> Command {
        let mut fuzz = self.tool.command(&self.folder, "fuzz");
        // The fuzzer's flags belong to nightly. Duet has no unsafe code, so a panic is what there is to find.
        fuzz.env("RUSTC_BOOTSTRAP", "1")
            .arg(word)
            .args([
                "--fuzz-dir",
                ".",
                "--sanitizer",
                "none",
                "--debug-assertions",
                "--target-dir",
            ])
            .arg(self.house.target.join("fuzz"));
        fuzz
    }

    fn findings(&self) -> PathBuf {
        self.folder.join("findings")
    }

    fn command(&self, target: &str) -> Result<Command> {
        let grown = self.house.keep().join("fuzz").join(target);
        fs::create_dir_all(&grown)?;
        let mut fuzz = self.cargo("run");
        fuzz.arg(target)
            .arg(grown)
            .arg(self.folder.join("seeds").join(target));
        if target == "webhook_body" {
            fuzz.arg(self.house.root.join("tests/payloads"));
        }
        fuzz.args([
            "--",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            "-verbosity=0",
        ]);
        // A change is judged by the same inputs as the one before it; new ground is for --full.
        fuzz.args((!self.full).then_some("-seed=1"));
        fuzz.arg(format!(
            "-max_total_time={}",
            if self.full { SECONDS_FULL } else { SECONDS }
        ));
        fuzz.arg(format!("-artifact_prefix={}/", self.findings().display()));
        Ok(fuzz)
    }
}

/// A fuzzer at work; what it prints goes to a file, since it shares the terminal with others.
struct Running {
    target: String,
    log: PathBuf,
    child: std::process::Child,
}

impl Running {
    fn start(fuzzer: &Fuzzer<'_>, target: &str) -> Result<Running> {
        let mut command = fuzzer.command(target)?;
        command::say(&format!("fuzz {target}"), &command);
        let log = fuzzer
            .house
            .keep()
            .join("fuzz")
            .join(format!("{target}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", command::line(&command)))?;
        Ok(Running {
            target: target.to_owned(),
            log,
            child,
        })
    }

    fn end(mut self) -> Result<()> {
        let status = self.child.wait()?;
        let log = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        if status.success() {
            let runs = log
                .lines()
                .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
            println!(
                "{}: no finding in {} runs",
                self.target,
                runs.unwrap_or("?").trim()
            );
            return Ok(());
        }
        let lines: Vec<&str> = log.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(LINES_SHOWN)) {
            println!("{line}");
        }
        bail!(
            "fuzz {} failed ({status}), see {}",
            self.target,
            self.log.display()
        );
    }
}
