//! Children of this program: started, asked, ended. They end by themselves when this program does.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::load::{Answers, Options};

/// A listener that runs until it is dropped.
pub(crate) struct Listener {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Listener {
    /// The gateway's listener with its receipt log in `store`, or the one that stores nothing.
    pub(crate) fn start(store: Option<&Path>) -> Result<Listener> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("listen");
        if let Some(folder) = store {
            std::fs::create_dir_all(folder)?;
            command.arg("--store").arg(folder);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().parse().context("the listener did not start")?;
        Ok(Listener { child, address })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The end of its input is the sign to go.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs the generator in a process of its own.
pub(crate) fn load(options: &Options) -> Result<Answers> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("load").arg("--to").arg(options.to.to_string());
    command
        .arg("--connections")
        .arg(options.connections.to_string());
    command.arg("--seconds").arg(options.seconds.to_string());
    command
        .arg("--count")
        .arg(options.count.to_string())
        .arg("--first")
        .arg(options.first.to_string());
    command
        .arg("--customers")
        .arg(options.customers.to_string())
        .arg("--text")
        .arg(&options.text);
    if let Some(rate) = options.rate {
        command.arg("--rate").arg(rate.to_string());
    }
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("the generator ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("the generator told nothing")
}
