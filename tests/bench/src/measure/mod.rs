//! What each line of the table does.
//!
//! - `intake`: the listener and its receipt log, at full speed and at a steady rate
//! - `flow`: the whole gateway, from webhook to event, effect and Graph call
//! - `history`: the chats of six months, beside live traffic
//! - `run`: one run of a plugin, alone; `bare`: the same in nothing but wasmtime; `share`: what the host adds to it
//! - `plugins`: hundreds of them; `reloads`: one replaced again and again; `neighbour`: one beside another that
//!   misbehaves
//! - `life`: start, restart, memory, and a change that goes live

mod bare;
mod flow;
mod history;
mod intake;
mod life;
mod neighbour;
mod plugins;
mod reloads;
mod run;
mod share;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::table::{Line, Table};

#[derive(clap::Args, Debug)]
pub(crate) struct Plan {
    /// The gateway to measure
    #[arg(long)]
    duet: Option<PathBuf>,
    /// Where the measurements keep their data; it is emptied first
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Also what takes minutes
    #[arg(long)]
    full: bool,
    /// Only lines whose name contains this
    only: Option<String>,
}

/// A measurement: its name, and what it does. It may give several lines.
type Measurement = (&'static str, fn(&Plan) -> Result<Vec<Line>>);

const ALL: &[Measurement] = &[
    ("durable webhooks, 64 connections", |plan| {
        intake::flood(plan, 64)
    }),
    ("durable webhooks, 256 connections", |plan| {
        intake::flood(plan, 256)
    }),
    ("steady 3,300 webhooks", |plan| intake::steady(plan, 3300.0)),
    ("sustained through intake", flow::sustained),
    ("events through faq", flow::effects),
    ("webhook to Graph call", flow::answers),
    ("history", history::import),
    ("instantiate and call", run::instantiate_and_call),
    ("share of an event", share::of_the_host),
    ("kept runs", flow::kept_runs),
    ("plugins", plugins::many),
    ("reloads", reloads::replace_and_replace),
    ("neighbour", neighbour::beside_the_bad),
    ("start and memory", life::start),
    ("save to live", life::save_to_live),
];

pub(crate) fn run(plan: &Plan) -> Result<()> {
    let mut table = Table::begin();
    for (name, measure) in ALL {
        if plan
            .only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
        {
            for line in measure(plan).with_context(|| format!("measuring {name}"))? {
                table.add(&line);
            }
        }
    }
    table.end()
}

impl Plan {
    /// The gateway under measurement.
    fn duet(&self) -> Result<&Path> {
        self.duet.as_deref().context("name the gateway with --duet")
    }

    /// An empty folder for one measurement.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}
