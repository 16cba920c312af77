//! `duet plugin rollback`: the version that was live before takes the place of the one in the component's file.

use anyhow::bail;
use duet_rules::plugins_toml::name_is_valid;
use reqwest::Method;
use serde_json::Value;

use crate::cli::Ended;
use crate::cli::answer::{at, word};
use crate::cli::place::Gateway;
use crate::config::Flags;

#[derive(clap::Args)]
pub(in crate::cli) struct Asked {
    /// The plugin's name in plugins.toml
    name: String,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(asked: &Asked) -> anyhow::Result<Ended> {
    let name = &asked.name;
    if !name_is_valid(name) {
        bail!("{name:?} is no name of a plugin; duet plugin list has them");
    }
    let gateway = Gateway::running(&asked.flags)?;
    let path = format!("plugins/{name}/rollback");
    let back = gateway.call(Method::POST, &path, &[]).await?;
    if let Some(version) = at(&back, "/withdrawn").as_str() {
        say!("version {} is no canary any more", word(&version.into()));
    }
    match at(&back, "/file").as_str() {
        Some(file) => say!(
            "{} is version {} again, as it was live from {}",
            word(&file.into()),
            word(at(&back, "/version")),
            word(at(&back, "/live_at"))
        ),
        None => say!(
            "version {} has all conversations; no file was changed, and once more puts the version before it back",
            word(at(&back, "/version"))
        ),
    }
    for other in at(&back, "/others").as_array().into_iter().flatten() {
        say!("  {} has the same file and goes back with it", word(other));
    }
    Ok(ends(name, &back))
}

/// Tells whether the plugin runs what it was given.
pub(super) fn ends(name: &str, told: &Value) -> Ended {
    for line in at(told, "/cause").as_str().unwrap_or_default().lines() {
        say!("  {}", word(&line.into()));
    }
    if at(told, "/live") == true {
        say!("{name} runs it");
        return Ended::Done;
    }
    say!("{name} does not run it; duet plugin list says how it fares");
    Ended::Problems
}
