//! Guests: the workspace members that become components for the gateway.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::house::{Guest, House};

pub(crate) const TARGET: &str = "wasm32-wasip2";

/// Builds all guests in release and puts each component beside its source.
pub(crate) fn build(house: &House) -> Result<()> {
    need_target()?;
    build_some(house, &house.guests.iter().collect::<Vec<_>>())
}

/// Builds these guests; expects the target to be there.
pub(crate) fn build_some(house: &House, guests: &[&Guest]) -> Result<()> {
    let mut cargo = house.cargo();
    cargo.args(["build", "--quiet", "--release", "--target", TARGET]);
    for guest in guests {
        cargo.args(["-p", &guest.name]);
    }
    command::run("build the plugins", cargo)?;
    guests.iter().try_for_each(|guest| publish(house, guest))
}

/// A gateway that watches the file sees the old component or the new one, nothing between.
fn publish(house: &House, guest: &Guest) -> Result<()> {
    // Cargo spells files of crates with underscores.
    let built = house
        .target
        .join(TARGET)
        .join("release")
        .join(format!("{}.wasm", guest.name.replace('-', "_")));
    let component = guest.component();
    let new = fs::read(&built).with_context(|| format!("cargo left no {}", built.display()))?;
    if fs::read(&component).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let draft = component.with_extension("wasm.new");
    fs::write(&draft, new)
        .and_then(|()| fs::rename(&draft, &component))
        .with_context(|| format!("cannot write {}", component.display()))
}

/// Sees to it that rustc can make components.
pub(crate) fn need_target() -> Result<()> {
    if has_target()? {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]);
    if Command::new("rustup").arg("--version").output().is_err() {
        bail!(
            "this Rust has no {TARGET} and there is no rustup to add it; run first: curl https://sh.rustup.rs -sSf | sh"
        );
    }
    command::run("install the wasm target", rustup)
}

fn has_target() -> Result<bool> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    let folder = command::output(rustc)?;
    Ok(Path::new(folder.trim()).is_dir())
}
