//! `cargo xtask bench`: builds the measuring program and lets it print its table.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::house::House;
use crate::{command, guests};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// A minute for each measurement and a million messages for the restart
    #[arg(long)]
    full: bool,
    /// Only lines whose name contains this
    only: Option<String>,
}

impl Options {
    pub(crate) fn full() -> Options {
        Options {
            seconds: 60,
            full: true,
            only: None,
        }
    }
}

pub(crate) fn run(house: &House, options: &Options) -> Result<()> {
    measure(house, options).map(drop)
}

/// Measures and prints; the answer is what was printed.
pub(crate) fn measure(house: &House, options: &Options) -> Result<String> {
    guests::build(house)?;
    let build = house.native(&["build", "--bin", "duet", "--bin", "duet-bench"]);
    command::run("build the gateway and the bench", build)?;
    let mut bench = Command::new(
        house
            .duet()
            .with_file_name(format!("duet-bench{}", std::env::consts::EXE_SUFFIX)),
    );
    bench
        .current_dir(&house.root)
        .arg("--duet")
        .arg(house.duet())
        .arg("--folder")
        .arg(house.keep().join("bench"));
    bench
        .arg("--seconds")
        .arg(if options.full { 60 } else { options.seconds }.to_string());
    bench
        .args(options.full.then_some("--full"))
        .args(&options.only);
    command::say("measure", &bench);
    let mut child = bench.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("the bench has no output")?;
    let mut table = String::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        table.push_str(&line);
        table.push('\n');
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the bench ended with {status}");
    }
    Ok(table)
}
