//! Where things are, as cargo sees it: CARGO_TARGET_DIR and cargo's own settings count.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;

/// The workspace on this disk.
pub(crate) struct House {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) guests: Vec<Guest>,
}

/// A workspace member that becomes a component.
pub(crate) struct Guest {
    /// Package name, also the name of the component's file.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

impl Guest {
    /// The component beside its source.
    pub(crate) fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }
}

impl House {
    pub(crate) fn find() -> Result<House> {
        let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut cargo = command::cargo(xtask);
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata: Value = serde_json::from_str(&command::output(cargo)?)?;
        let folder = |name: &str| {
            metadata
                .get(name)
                .and_then(Value::as_str)
                .map(PathBuf::from)
                .with_context(|| format!("cargo metadata has no {name}"))
        };
        let guests = metadata
            .get("packages")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(guest);
        Ok(House {
            root: folder("workspace_root")?,
            target: folder("target_directory")?,
            guests: guests.collect(),
        })
    }

    /// What the chores keep between runs: tools, the demo's data, the binary under test.
    pub(crate) fn keep(&self) -> PathBuf {
        self.target.join("xtask")
    }

    /// The gateway as `cargo build` leaves it.
    pub(crate) fn duet(&self) -> PathBuf {
        self.target
            .join("debug")
            .join(format!("duet{}", std::env::consts::EXE_SUFFIX))
    }

    pub(crate) fn cargo(&self) -> std::process::Command {
        command::cargo(&self.root)
    }

    /// Cargo over everything but the guests, which have a target of their own. Demo, test and bench all build
    /// through it: with fewer packages cargo resolves other features and compiles wasmtime anew.
    pub(crate) fn native(&self, words: &[&str]) -> std::process::Command {
        let mut cargo = self.cargo();
        cargo.args(words).arg("--workspace");
        for guest in &self.guests {
            cargo.args(["--exclude", &guest.name]);
        }
        cargo
    }
}

fn guest(package: &Value) -> Option<Guest> {
    let targets = package.get("targets")?.as_array()?;
    let is_component = targets
        .iter()
        .filter_map(|target| target.get("crate_types")?.as_array())
        .flatten()
        .any(|kind| kind == "cdylib");
    let manifest = Path::new(package.get("manifest_path")?.as_str()?);
    let name = package.get("name")?.as_str()?.to_owned();
    is_component.then(|| {
        Some(Guest {
            name,
            folder: manifest.parent()?.to_owned(),
        })
    })?
}
