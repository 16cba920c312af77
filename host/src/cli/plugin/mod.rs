//! `duet plugin`: how the plugins fare, and how one is switched on and off.
//!
//! - `top`, `logs`: the plugins at work, from the gateway that runs
//! - `replay`: another version over the last events, in the gateway that runs; `promote`: a canary becomes the live version;
//!   `rollback`: the way back
//! - `inspect`: what a component asks for before it is switched on
//! - `switch`: `enable` and `disable`, which change `plugins.toml`

mod inspect;
mod logs;
mod promote;
mod replay;
mod rollback;
mod switch;
mod top;

use clap::Subcommand;
use serde_json::Value;

use super::Ended;
use super::answer::{at, word};
use super::place::Gateway;
use crate::config::Flags;

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
    /// Run a version over the events that its plugin was done with last, and tell what it would do otherwise; nothing of it
    /// is done. Ends with 0 when all runs come to the same
    Replay(replay::Asked),
    /// Make the canary of a plugin its live version: its component takes the place of the file. Rollback undoes it
    Promote(promote::Asked),
    /// Put the version back that was live before: its component takes the place of the file. Once more undoes it. While a
    /// canary runs, withdraw that instead
    Rollback(rollback::Asked),
    /// What a component says of itself, what it asks for and why, and the lines that switch it on; nothing of it is run.
    /// Of a plugin that is at work, how it fares
    Inspect(inspect::Named),
    /// Show what a component asks for and why, ask, and switch it on in plugins.toml
    Enable(switch::Enable),
    /// Switch a plugin off in plugins.toml; it keeps its place
    Disable(switch::Disable),
}

pub(super) async fn run(verb: Verb) -> anyhow::Result<Ended> {
    match verb {
        Verb::List(flags) => list(&flags).await,
        Verb::Top(asked) => top::run(&asked).await,
        Verb::Logs(asked) => logs::run(&asked).await,
        Verb::Replay(asked) => replay::run(&asked).await,
        Verb::Promote(asked) => promote::run(&asked).await,
        Verb::Rollback(asked) => rollback::run(&asked).await,
        Verb::Inspect(named) => inspect::run(&named).await,
        Verb::Enable(asked) => switch::enable(&asked),
        Verb::Disable(asked) => switch::disable(&asked),
    }
}

async fn list(flags: &Flags) -> anyhow::Result<Ended> {
    let plugins = Gateway::running(flags)?.list("plugins").await?;
    if plugins.is_empty() {
        say!("{NONE}");
    }
    plugins.iter().for_each(tell);
    Ok(Ended::Done)
}

/// How a plugin of a running gateway fares.
fn tell(plugin: &Value) {
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
    let hooks = at(plugin, "/hooks").as_array();
    let hooks: Vec<_> = hooks.into_iter().flatten().map(word).collect();
    if !hooks.is_empty() {
        say!("  called at {}", hooks.join(", "));
    }
    if let Some(timers @ 1..) = at(plugin, "/timers").as_i64() {
        say!("  {timers} timers set");
    }
    if let Some(tried) = at(plugin, "/tried_at").as_str() {
        say!("  its events wait; one is tried at {tried}");
    }
    if let Some(version) = at(plugin, "/shadow/version").as_str() {
        let count = |name: &str| at(plugin, &format!("/shadow/{name}"));
        let taken = match count("faults").as_u64() {
            Some(0) => "it took over",
            _ => "it did not take over",
        };
        say!(
            "  shadow of {} at {}: {} the same, {} otherwise, {} faulted, {} skipped: {taken}",
            word(&version.into()),
            word(at(plugin, "/shadow/at")),
            count("same"),
            count("differs"),
            count("faults"),
            count("skipped")
        );
    }
    if at(plugin, "/canary").is_object() {
        tell_canary(at(plugin, "/canary"));
    }
    for line in at(plugin, "/cause").as_str().unwrap_or_default().lines() {
        say!("  {}", word(&line.into()));
    }
}

/// How its canary fares; the plugin's own counts have its part, too.
fn tell_canary(canary: &Value) {
    let count = |name: &str| at(canary, &format!("/events/{name}"));
    say!(
        "  canary {} {}, {} % of the conversations: {} done, {} retried, {} faults, {} left to the live version",
        word(at(canary, "/version")),
        word(at(canary, "/state")),
        at(canary, "/percent"),
        count("done"),
        count("retried"),
        count("faults"),
        count("left")
    );
    for line in at(canary, "/cause").as_str().unwrap_or_default().lines() {
        say!("    {}", word(&line.into()));
    }
}
