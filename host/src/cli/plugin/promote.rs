//! `duet plugin promote`: the canary's component takes the place of the one in the live version's file.

use anyhow::bail;
use duet_rules::plugins_toml::name_is_valid;
use reqwest::Method;

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
    let path = format!("plugins/{name}/promote");
    let promoted = gateway.call(Method::POST, &path, &[]).await?;
    say!(
        "{} is version {} now, which was the canary",
        word(at(&promoted, "/file")),
        word(at(&promoted, "/version"))
    );
    for other in at(&promoted, "/others").as_array().into_iter().flatten() {
        say!("  {} has the same file and gets it, too", word(other));
    }
    Ok(super::rollback::ends(name, &promoted))
}
