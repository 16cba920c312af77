//! `duet plugin replay`: what a version of a plugin would have done with the last events, beside what was done.

use std::path::PathBuf;

use anyhow::{Context, bail};
use duet_rules::plugins_toml::name_is_valid;
use serde_json::Value;

use crate::cli::Ended;
use crate::cli::answer::{at, word};
use crate::cli::place::Gateway;
use crate::config::Flags;
use crate::plugin::Component;

#[derive(clap::Args)]
pub(in crate::cli) struct Asked {
    /// The plugin's name in plugins.toml
    name: String,
    /// Only the event with this seq
    #[arg(long, value_name = "SEQ", conflicts_with = "last")]
    event: Option<i64>,
    /// Only the last so many runs; all that are kept if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,
    /// The version, a .wasm file; the one that plugins.toml names if absent
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(asked: &Asked) -> anyhow::Result<Ended> {
    let name = &asked.name;
    if !name_is_valid(name) {
        bail!("{name:?} is no name of a plugin; duet plugin list has them");
    }
    let bytes = match &asked.component {
        Some(file) => {
            let read = Component::read(file);
            let read = read.with_context(|| format!("cannot read {}", file.display()))?;
            read.bytes.to_vec()
        }
        None => Vec::new(),
    };
    let gateway = Gateway::running(&asked.flags)?;
    let wanted = [
        ("event", asked.event.map(|seq| seq.to_string())),
        ("last", asked.last.map(|count| count.to_string())),
    ];
    let query: Vec<_> = wanted
        .iter()
        .filter_map(|(key, value)| Some((*key, value.as_deref()?)))
        .collect();
    let path = format!("plugins/{name}/replay");
    let replay = gateway.hand_in(&path, &query, bytes).await?;
    if asked.json {
        say!("{replay:#}");
    } else {
        tell(&replay);
    }
    let runs = at(&replay, "/runs").as_array();
    let same = runs.is_some_and(|runs| runs.iter().all(|run| at(run, "/result") == "same"));
    Ok(if same { Ended::Done } else { Ended::Problems })
}

fn tell(replay: &Value) {
    let version = at(replay, "/digest").as_str().unwrap_or_default();
    for run in at(replay, "/runs").as_array().into_iter().flatten() {
        say!(
            "event {}  {}  {}  {}",
            at(run, "/seq"),
            word(at(run, "/kind")),
            word(at(run, "/at")),
            word(at(run, "/result"))
        );
        match at(run, "/cause").as_str() {
            Some(cause) => say!("  {}", word(&cause.into())),
            None => say!(
                "  was {}, is {}",
                word(at(run, "/was")),
                word(at(run, "/is"))
            ),
        }
        if at(run, "/other_settings") == true {
            say!("  it was handled under other settings");
        }
        for key in ["/differs", "/unmatched"] {
            for line in at(run, key).as_array().into_iter().flatten() {
                say!("  {}", word(line));
            }
        }
    }
    say!(
        "{} {} ({}): {} the same, {} otherwise, {} faulted, {} skipped",
        word(at(replay, "/plugin")),
        word(at(replay, "/version")),
        version.get(..8).unwrap_or_default(),
        at(replay, "/same"),
        at(replay, "/differs"),
        at(replay, "/faults"),
        at(replay, "/skipped")
    );
}
