//! `duet business`: whose numbers the gateway that runs serves.

use reqwest::Method;
use serde_json::json;

use super::Ended;
use super::answer::{at, word};
use super::place::Gateway;
use crate::config::Flags;

#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// A line for each business
    List(Flags),
    /// Make a business
    Add(New),
    /// Remove a business that has no numbers
    Remove(One),
}

#[derive(clap::Args)]
pub(super) struct New {
    /// Its id: 1 to 63 of a-z, 0-9 and -
    business: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(clap::Args)]
pub(super) struct One {
    /// Which: its id
    business: String,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(verb: Verb) -> anyhow::Result<Ended> {
    match verb {
        Verb::List(flags) => list(&flags).await,
        Verb::Add(new) => add(&new).await,
        Verb::Remove(one) => remove(&one).await,
    }
}

async fn list(flags: &Flags) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(flags)?;
    for business in &gateway.list("businesses").await? {
        println!(
            "{}  {}  {} accounts, {} numbers",
            word(at(business, "/id")),
            word(at(business, "/name")),
            at(business, "/accounts"),
            at(business, "/numbers")
        );
    }
    Ok(Ended::Done)
}

async fn add(new: &New) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&new.flags)?;
    let body = json!({"id": new.business, "name": new.name});
    gateway.send(Method::POST, "businesses", &body).await?;
    println!("made the business {}", new.business);
    Ok(Ended::Done)
}

async fn remove(one: &One) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&one.flags)?;
    gateway
        .call(Method::DELETE, &path(&one.business)?, &[])
        .await?;
    println!("removed the business {}", one.business);
    Ok(Ended::Done)
}

/// The path of a business; an id that is none would lead to another path.
fn path(business: &str) -> anyhow::Result<String> {
    anyhow::ensure!(
        duet_rules::business::id_is_valid(business),
        "{business:?} is no id of a business; duet business list shows all"
    );
    Ok(format!("businesses/{business}"))
}
