//! Cargo's own tools that Rust does not bring: installed below the target folder, once.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command;
use crate::house::House;

/// An installed tool.
pub(super) struct Tool {
    program: PathBuf,
}

impl Tool {
    /// The tool as cargo would call it in `folder`; `word` is what stands after `cargo`.
    pub(super) fn command(&self, folder: &Path, word: &str) -> Command {
        // The program changes, the clean environment stays.
        let cargo = command::cargo(folder);
        let mut command = Command::new(&self.program);
        command.current_dir(folder).arg(word);
        for (name, value) in cargo.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

/// The tool `name` from the target folder; compiled there first if it is absent, unoptimised, since
/// compiling it takes longer than all it does.
pub(super) fn need(house: &House, name: &str, features: &[&str]) -> Result<Tool> {
    let tools = house.target.join("tools");
    let program = tools
        .join("bin")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        let mut cargo = house.cargo();
        cargo
            .args(["install", "--quiet", "--locked", "--debug", name])
            .args(features);
        cargo
            .arg("--root")
            .arg(&tools)
            .arg("--target-dir")
            .arg(tools.join("build"));
        command::run(&format!("install {name} below the target folder"), cargo)?;
    }
    Ok(Tool { program })
}
