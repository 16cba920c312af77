//! `duet plugin`: how the plugins fare, and what one asks for before it is switched on.
//!
//! - `top`, `logs`: the plugins at work, from the gateway that runs

mod logs;
mod top;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;
use duet_rules::manifest::{CONTRACT, Manifest, SECTION};
use duet_rules::plugins_toml::{draft, needed, one_line};
use serde_json::json;

use super::Ended;
use super::answer::{at, word};
use super::place::Gateway;
use crate::config::Flags;
use crate::plugin::{Component, outline};

/// What is said where there is no plugin.
const NONE: &str =
    "plugins.toml switches none on; duet plugin inspect tells what a component needs";

#[derive(Subcommand)]
pub(super) enum Verb {
    /// How each plugin fares
    List(Flags),
    /// The plugins at work, again each second: what they do, compute and hold, and how long it takes them
    Top(top::Asked),
    /// What a plugin has written to its log lately; it may quote customers
    Logs(logs::Asked),
    /// What a component says of itself, what it asks for and why, and the lines that switch it on; nothing of it is run
    Inspect(Named),
}

#[derive(clap::Args)]
pub(super) struct Named {
    /// The .wasm file
    component: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(verb: Verb) -> anyhow::Result<Ended> {
    match verb {
        Verb::List(flags) => list(&flags).await,
        Verb::Top(asked) => top::run(&asked).await,
        Verb::Logs(asked) => logs::run(&asked).await,
        Verb::Inspect(named) => inspect(&named),
    }
}

async fn list(flags: &Flags) -> anyhow::Result<Ended> {
    let plugins = Gateway::running(flags)?.list("plugins").await?;
    if plugins.is_empty() {
        say!("{NONE}");
    }
    for plugin in &plugins {
        let count = |name: &str| at(plugin, &format!("/events/{name}"));
        say!(
            "{}  {}  {}  {} done, {} to do, {} retried, {} faults, {} dead letters",
            word(at(plugin, "/name")),
            word(at(plugin, "/state")),
            word(at(plugin, "/version")),
            count("done"),
            count("depth"),
            count("retried"),
            count("faults"),
            count("dead")
        );
        if let Some(tried) = at(plugin, "/tried_at").as_str() {
            say!("  its events wait; one is tried at {tried}");
        }
        for line in at(plugin, "/cause").as_str().unwrap_or_default().lines() {
            say!("  {}", word(&line.into()));
        }
    }
    Ok(Ended::Done)
}

fn inspect(named: &Named) -> anyhow::Result<Ended> {
    let path = named.component.display().to_string();
    let component =
        Component::read(&named.component).with_context(|| format!("cannot read {path}"))?;
    let outside = outline(&component.bytes).map_err(|error| {
        anyhow::anyhow!(
            "{path} is no plugin: {error}; build it for wasm32-wasip2, or with the SDK of its language"
        )
    })?;
    let [section] = outside.manifests.as_slice() else {
        bail!(
            "{path} has {} sections called {SECTION}, one is needed; build it with the SDK, which embeds the manifest",
            outside.manifests.len()
        );
    };
    let manifest = match Manifest::parse(&path, section) {
        Ok(manifest) => manifest,
        Err(problems) => {
            for problem in problems {
                say!("{problem}");
            }
            return Ok(Ended::Problems);
        }
    };
    if named.json {
        let told = json!({
            "manifest": manifest,
            "digest": component.digest,
            "bytes": component.bytes.len(),
            "imports": outside.imports,
            "contract": CONTRACT,
        });
        say!("{}", serde_json::to_string_pretty(&told)?);
    } else {
        tell(&path, &component, &manifest, &outside.imports);
    }
    Ok(Ended::Done)
}

fn tell(path: &str, component: &Component, manifest: &Manifest, imports: &[String]) {
    say!(
        "{} {}, {} bytes, SHA-256 {}",
        manifest.name,
        manifest.version,
        component.bytes.len(),
        component.digest
    );
    if !manifest.description.is_empty() {
        say!("  {}", one_line(&manifest.description));
    }
    say!(
        "  built for contract {}; this gateway speaks {CONTRACT}",
        manifest.contract
    );
    let events: Vec<String> = manifest.events.iter().map(ToString::to_string).collect();
    say!("  gets {}", events.join(", "));
    let needed = needed(imports);
    if needed.is_empty() {
        say!("  needs no grant: it can write to its log and read its settings and the clock");
    }
    for interface in needed {
        let reason = manifest.permissions.get(interface.name);
        let reason = reason.map_or("it gives no reason", |permission| &permission.reason);
        say!("  asks for {}: {}", interface.name, one_line(reason));
    }
    say!("\nTo switch it on, add to plugins.toml, then duet check:\n");
    say!("{}", draft(manifest, path, imports).trim_end());
}
