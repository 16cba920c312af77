//! The user's turn: writes as customer or from the phone, changes plugins.toml or a plugin, and writes again.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::chat::{self, Chat};
use super::scene::{CUSTOMER, give_back};
use super::stage::Stage;
use crate::guests;
use crate::house::{Guest, House};

/// How often the sources are looked at.
const LOOK: Duration = Duration::from_millis(300);

pub(super) fn play(house: &House, stage: &Stage, chat: &mut Chat) -> Result<()> {
    chat::act("4. Your turn");
    chat::note(
        "What you write is the customer's. \"phone: …\" replies from the phone, \"back\" gives the conversation",
    );
    chat::note(
        "back to the plugin, \"quit\" or ctrl-c ends. Now change an answer in plugins.toml, or the code in",
    );
    chat::note("plugins/faq/src/lib.rs, save, and write again.");
    let (send, lines) = channel();
    listen_to_user(send)?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| watch(house, &over));
        scope.spawn(|| show(stage, chat, &over));
        scope.spawn(|| tell_reloads(stage, &over));
        let played = answer_user(stage, &lines);
        over.store(true, Ordering::Relaxed);
        played
    })
}

/// Shows what happens while it happens.
fn show(stage: &Stage, chat: &mut Chat, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        match chat.show(stage, 500) {
            Ok(true) => chat::prompt(),
            Ok(false) => {}
            Err(_) => return,
        }
    }
}

/// What came of a save, as the gateway's log tells it: what is live, and what is wrong with the rest.
fn tell_reloads(stage: &Stage, over: &AtomicBool) {
    let mut place = 0;
    stage.logged_since(&mut place);
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        let told: Vec<_> = stage
            .logged_since(&mut place)
            .iter()
            .filter_map(|line| reload(line))
            .collect();
        for line in &told {
            println!("\n    {line}");
        }
        if !told.is_empty() {
            chat::prompt();
        }
    }
}

/// A line of the log about a reload, in the demo's words.
fn reload(line: &str) -> Option<String> {
    if let Some((_, problem)) = line.split_once("ERROR duet::gateway::reloader: ") {
        return Some(format!("the gateway keeps the old plugin: {problem}"));
    }
    let (_, live) = line.split_once("plugin is live instance=\"")?;
    let name = live.split('"').next().unwrap_or_default();
    Some(format!("{name} is live as you saved it; write again"))
}

/// Lines of the user; the end of the input and ctrl-c are `quit`.
fn listen_to_user(send: Sender<String>) -> Result<()> {
    let interrupted = send.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for ctrl-c")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            let _ = interrupted.send("quit".into());
        }
    });
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
        let _ = send.send("quit".into());
    });
    Ok(())
}

fn answer_user(stage: &Stage, lines: &Receiver<String>) -> Result<()> {
    loop {
        chat::prompt();
        let line = lines.recv()?;
        let done = match line.trim() {
            "quit" => return Ok(()),
            "" => Ok(()),
            "back" => give_back(stage),
            line => say(stage, line),
        };
        if let Err(error) = done {
            println!("    {error:#}");
        }
    }
}

fn say(stage: &Stage, line: &str) -> Result<()> {
    match line.strip_prefix("phone:") {
        Some(text) => stage
            .sim
            .post("/sim/phone", &json!({"to": CUSTOMER, "text": text.trim()})),
        None => stage
            .sim
            .post("/sim/customer", &json!({"from": CUSTOMER, "text": line})),
    }?;
    Ok(())
}

/// Builds a plugin again when its source changes; the gateway then finds the new component by itself.
fn watch(house: &House, over: &AtomicBool) {
    let mut seen: HashMap<&str, Vec<(PathBuf, SystemTime)>> = house
        .guests
        .iter()
        .map(|guest| (guest.name.as_str(), sources(guest)))
        .collect();
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        for guest in &house.guests {
            let now = sources(guest);
            if seen.insert(&guest.name, now.clone()) != Some(now) {
                println!("\n    {} has changed", guest.name);
                match guests::build_some(house, &[guest]) {
                    Ok(()) => println!("    {} is built", guest.name),
                    Err(error) => println!("    {error:#}; the gateway keeps the old plugin"),
                }
            }
        }
    }
}

/// All files of a guest's source with the time of their last change.
fn sources(guest: &Guest) -> Vec<(PathBuf, SystemTime)> {
    let mut found = Vec::new();
    collect(&guest.folder.join("src"), &mut found);
    for name in ["Cargo.toml", "manifest.json"] {
        found.extend(stamped(&guest.folder.join(name)));
    }
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, SystemTime)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.extend(stamped(&path));
        }
    }
}

fn stamped(path: &Path) -> Option<(PathBuf, SystemTime)> {
    Some((path.to_owned(), fs::metadata(path).ok()?.modified().ok()?))
}
