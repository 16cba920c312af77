//! `duet business`: whose numbers the gateway that runs serves.

use std::io::Read as _;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};

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
    /// Make a new webhook secret for a business at 360dialog, and print what has to stand there
    Webhook(WebhookOf),
}

#[derive(clap::Args)]
pub(super) struct New {
    /// Its id: 1 to 63 of a-z, 0-9 and -
    business: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// Its numbers are at 360dialog: set the number's key, from DUET_BUSINESS_TOKEN or else from standard input, and
    /// its webhook
    #[arg(long = "360dialog", requires = "number")]
    at_360dialog: bool,
    /// Meta's phone_number_id of the number that the key is for
    #[arg(long, requires = "at_360dialog")]
    number: Option<String>,
    /// 360dialog's API, if it is not at the usual address
    #[arg(long, requires = "at_360dialog")]
    base_url: Option<String>,
    /// Where 360dialog reaches this gateway, such as https://duet.example.com: then the webhook is set there
    #[arg(long, requires = "at_360dialog")]
    address: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(clap::Args)]
pub(super) struct WebhookOf {
    /// Which: its id
    business: String,
    /// Where 360dialog reaches this gateway, such as https://duet.example.com: then the webhook is set there
    #[arg(long)]
    address: Option<String>,
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
    /// Its API, if it is not at the usual address
    #[arg(long, requires = "provider")]
    base_url: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(verb: Verb) -> anyhow::Result<Ended> {
    match verb {
        Verb::List(flags) => list(&flags).await,
        Verb::Add(new) => add(&new).await,
        Verb::Remove(one) => remove(&one).await,
        Verb::Token(of) => token(&of).await,
        Verb::Webhook(of) => {
            let gateway = Gateway::running(&of.flags)?;
            webhook(&gateway, &of.business, of.address.as_deref()).await
        }
    }
}

async fn list(flags: &Flags) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(flags)?;
    let businesses = gateway.list("businesses").await?;
    if businesses.is_empty() {
        say!("there is none beside the gateway's own; duet business add makes one");
    }
    for business in &businesses {
        say!(
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
    let business = &new.business;
    let key = new.at_360dialog.then(given_token).transpose()?;
    let body = json!({"id": business, "name": new.name});
    gateway.send(Method::POST, "businesses", &body).await?;
    say!("made the business {business}");
    let (Some(key), Some(number)) = (key, &new.number) else {
        return Ok(Ended::Done);
    };
    let access = json!({
        "provider": "360dialog", "base_url": new.base_url, "number": number, "token": key,
    });
    let path = format!("{}/access", path(business)?);
    let set = gateway.send(Method::PUT, &path, &access).await;
    set.with_context(|| {
        format!(
            "the business is made, its key is not set; set it with duet business token {business} --provider 360dialog --number {number}, then duet business webhook {business}"
        )
    })?;
    say!("the key of the number {number} is set and used from now on");
    let told = webhook(&gateway, business, new.address.as_deref()).await;
    told.with_context(|| {
        format!("the key is set, the webhook is not; make it with duet business webhook {business}")
    })
}

/// Makes a new secret, and prints what has to stand at the partner.
async fn webhook(
    gateway: &Gateway,
    business: &str,
    address: Option<&str>,
) -> anyhow::Result<Ended> {
    let path = format!("{}/webhook", path(business)?);
    let body = json!({"address": address});
    let told = gateway.send(Method::POST, &path, &body).await?;
    say!("what has to stand at 360dialog, shown this once:");
    say!("  address  {}", word(at(&told, "/url")));
    say!(
        "  header   {}: {}",
        word(at(&told, "/header")),
        word(at(&told, "/value"))
    );
    let numbers = at(&told, "/numbers").as_array();
    let mut ended = Ended::Done;
    for number in numbers.into_iter().flatten() {
        let id = word(at(number, "/number"));
        if at(number, "/set") == &Value::Bool(true) {
            say!("number {id}: it is set there");
        } else {
            say!(
                "number {id}: it is not set there: {}",
                word(at(number, "/cause"))
            );
            if address.is_some() {
                ended = Ended::Problems;
            }
        }
    }
    for left in at(&told, "/remaining").as_array().into_iter().flatten() {
        say!("- {}", word(left));
    }
    Ok(ended)
}

async fn remove(one: &One) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&one.flags)?;
    gateway
        .call(Method::DELETE, &path(&one.business)?, &[])
        .await?;
    say!("removed the business {}", one.business);
    Ok(Ended::Done)
}

async fn token(of: &TokenOf) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&of.flags)?;
    let path = format!("{}/access", path(&of.business)?);
    let body = json!({
        "token": given_token()?, "number": of.number, "provider": of.provider,
        "base_url": of.base_url,
    });
    gateway.send(Method::PUT, &path, &body).await?;
    say!("the token of {} is set and used from now on", of.business);
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
