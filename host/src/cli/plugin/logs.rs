//! `duet plugin logs`: what a plugin has written lately, and with `--follow` what it writes.

use std::time::Duration;

use anyhow::bail;
use duet_rules::plugins_toml::name_is_valid;
use reqwest::Method;

use crate::cli::answer::{at, word};
use crate::cli::place::Gateway;
use crate::cli::{Ended, tell};
use crate::config::Flags;

const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(in crate::cli) struct Asked {
    /// The plugin's name in plugins.toml
    name: String,
    /// Goes on with what it writes from now on
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(asked: &Asked) -> anyhow::Result<Ended> {
    let Asked { name, follow, .. } = asked;
    if !name_is_valid(name) {
        bail!("{name:?} is no name of a plugin; duet plugin list has them");
    }
    let gateway = Gateway::running(&asked.flags)?;
    let path = format!("plugins/{name}/logs");
    let mut after = "0".to_owned();
    loop {
        let page = gateway
            .call(Method::GET, &path, &[("after", &after), ("limit", "1000")])
            .await?;
        let lines = at(&page, "/logs").as_array();
        for line in lines.into_iter().flatten() {
            let read = tell(format_args!(
                "{} {:5} {} {}",
                word(at(line, "/at")),
                word(at(line, "/level")),
                word(at(line, "/event")),
                word(at(line, "/text"))
            ));
            if !read {
                return Ok(Ended::Done);
            }
        }
        after = at(&page, "/next").to_string();
        if lines.is_none_or(Vec::is_empty) {
            if !follow {
                return Ok(Ended::Done);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
