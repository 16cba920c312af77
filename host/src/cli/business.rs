//! `duet business`: whose numbers the gateway that runs serves.

use std::io::Read as _;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::json;

use super::Ended;
use super::answer::{at, word};
use super::place::Gateway;
use crate::config::Flags;

/// Where a token may stand instead of on standard input.
const TOKEN_VARIABLE: &str = "DUET_BUSINESS_TOKEN";
const TOKEN_BYTES_MAX: u64 = 64 << 10;

#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// A line for each business
    List(Flags),
    /// Make a business
    Add(New),
    /// Remove a business that has no numbers
    Remove(One),
    /// Set its access token, from DUET_BUSINESS_TOKEN or else from standard input; nothing shows it again
    Token(TokenOf),
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

#[derive(clap::Args)]
pub(super) struct TokenOf {
    /// Which: its id
    business: String,
    /// Meta's phone_number_id of the number that the token is for, where it is not for all of the business
    #[arg(long)]
    number: Option<String>,
    /// Who has given it: meta or 360dialog
    #[arg(long)]
    provider: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(verb: Verb) -> anyhow::Result<Ended> {
    match verb {
        Verb::List(flags) => list(&flags).await,
        Verb::Add(new) => add(&new).await,
        Verb::Remove(one) => remove(&one).await,
        Verb::Token(of) => token(&of).await,
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

async fn token(of: &TokenOf) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&of.flags)?;
    let path = format!("{}/access", path(&of.business)?);
    let body = json!({"token": given_token()?, "number": of.number, "provider": of.provider});
    gateway.send(Method::PUT, &path, &body).await?;
    println!("the token of {} is set and used from now on", of.business);
    Ok(Ended::Done)
}

/// Never from a flag: those are seen by every user of the machine.
fn given_token() -> anyhow::Result<String> {
    let mut text = String::new();
    match std::env::var(TOKEN_VARIABLE) {
        Ok(token) => text = token,
        Err(_) => {
            std::io::stdin()
                .take(TOKEN_BYTES_MAX)
                .read_to_string(&mut text)
                .context("the token on standard input cannot be read")?;
        }
    }
    let token = text.trim();
    ensure!(
        !token.is_empty(),
        "there is no token; write it to standard input, or set {TOKEN_VARIABLE}"
    );
    Ok(token.to_owned())
}

/// The path of a business; an id that is none would lead to another path.
fn path(business: &str) -> anyhow::Result<String> {
    ensure!(
        duet_rules::business::id_is_valid(business),
        "{business:?} is no id of a business; duet business list shows all"
    );
    Ok(format!("businesses/{business}"))
}
