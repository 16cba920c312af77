//! The demo: a local Meta with a local phone, the gateway, and a scene between a customer, a plugin and a
//! person on the phone. With a terminal the user then plays on; without one the demo changes an answer itself.
//!
//! - `stage`: the two processes
//! - `wire`: what is asked of them over HTTP
//! - `chat`: what is shown
//! - `scene`: what happens, and what must not
//! - `live`: the user's turn
//! - `summary`: what the gateway says happened

mod chat;
mod live;
mod scene;
mod stage;
mod summary;
mod wire;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;
use std::{fs, io};

use anyhow::{Context, Result};

use crate::house::House;
use crate::{command, guests};
use chat::Chat;
use stage::Stage;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Plays the scene to its end and asks nothing, also with a terminal
    #[arg(long, conflicts_with = "live")]
    scripted: bool,
    /// Reads what you write after the scene, also without a terminal
    #[arg(long)]
    live: bool,
}

pub(crate) fn run(house: &House, options: &Options) -> Result<()> {
    let began = Instant::now();
    let live = options.live || (!options.scripted && io::stdin().is_terminal());
    println!(
        "Duet's demo. The first run compiles everything, which takes up to 15 minutes; later ones start at once."
    );
    guests::build(house)?;
    command::run(
        "build the gateway",
        house.native(&["build", "--bin", "duet"]),
    )?;

    let plugins = if live {
        house.root.join("plugins.toml")
    } else {
        copy_plugins(house)?
    };
    let stage = Stage::start(house, &plugins)?;
    println!("▸ ready after {:.1} s", began.elapsed().as_secs_f64());
    let mut chat = Chat::new();
    let played = play(house, &stage, &mut chat, live, &plugins);
    let summed = summary::print(&stage);
    if played.is_err() {
        stage.show_log();
    }
    played.and(summed)
}

fn play(
    house: &House,
    stage: &Stage,
    chat: &mut Chat,
    live: bool,
    plugins: &std::path::Path,
) -> Result<()> {
    let answer = scene::takeover(stage, chat)?;
    if live {
        live::play(house, stage, chat)
    } else {
        scene::change_answer(stage, chat, plugins, &answer)
    }
}

/// Without a user the demo changes an answer itself. The user's own file is not its to change: it plays on a copy.
fn copy_plugins(house: &House) -> Result<PathBuf> {
    let folder = house.keep().join("demo");
    for guest in house
        .guests
        .iter()
        .filter(|guest| guest.folder.starts_with(house.root.join("plugins")))
    {
        let component = guest.component();
        let copy = folder.join(component.strip_prefix(&house.root)?);
        copy.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::copy(&component, &copy)
            .with_context(|| format!("cannot copy {}", component.display()))?;
    }
    let copy = folder.join("plugins.toml");
    let original = house.root.join("plugins.toml");
    fs::copy(&original, &copy).with_context(|| format!("cannot copy {}", original.display()))?;
    println!(
        "▸ nobody is at the keyboard: the demo runs a copy of plugins.toml, since it will change an answer: {}",
        copy.display()
    );
    Ok(copy)
}
