//! `duet number`: the answers to an owner's questions, from the gateway that runs, and connecting numbers through it.

mod connect;

use anyhow::bail;
use reqwest::Method;
use serde_json::Value;

use super::answer::{at, word};
use super::handling;
use super::place::Gateway;
use super::{Ended, ledger};
use crate::config::Flags;

#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// A line for each number
    List(Flags),
    /// All about one number
    Status(One),
    /// How its conversations are handled: person_hours=12 grace_minutes=60 time_zone=Europe/Berlin
    /// "open=mon-fri 09:00-18:00, sat 10:00-14:00" speaking=order-status
    Set(Changes),
    /// What came of its messages, and whether anything is missing: exit code 1 if so
    Ledger(ledger::Asked),
    /// The ways out: what to tap in the app, and what is lost
    Leave(One),
    /// Connect the numbers of an account that stay in the WhatsApp Business app
    Add(connect::Account),
    /// Ask Meta for a number's contacts and history; each is given once, within 24 hours after it was connected
    Sync(connect::AskFor),
}

#[derive(clap::Args)]
pub(super) struct One {
    /// Which: its phone, or Meta's phone_number_id
    number: String,
    #[command(flatten)]
    flags: Flags,
}

#[derive(clap::Args)]
pub(super) struct Changes {
    /// Which: its phone, or Meta's phone_number_id
    number: String,
    /// What to set, and to what; nothing behind the = takes it back
    #[arg(required = true, value_name = "KEY=VALUE")]
    changes: Vec<String>,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(verb: Verb) -> anyhow::Result<Ended> {
    match verb {
        Verb::List(flags) => list(&flags).await,
        Verb::Status(one) => status(&one).await,
        Verb::Set(changes) => set(&changes).await,
        Verb::Ledger(asked) => ledger::run(&asked).await,
        Verb::Leave(one) => connect::leave(&one).await,
        Verb::Add(account) => connect::add(&account).await,
        Verb::Sync(ask) => connect::sync(&ask).await,
    }
}

async fn list(flags: &Flags) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(flags)?;
    let numbers = gateway.list("numbers").await?;
    if numbers.is_empty() {
        say!("no number is known yet; duet number add connects those of an account");
    }
    for number in &numbers {
        let history = at(number, "/history");
        say!(
            "{}  {}  {}  {}contacts {}  history {}, {} messages",
            word(at(number, "/id")),
            word(at(number, "/display")),
            word(at(number, "/state")),
            of_business(number, "business ", "  "),
            word(at(number, "/contacts/state")),
            word(at(history, "/state")),
            at(history, "/messages")
        );
    }
    Ok(Ended::Done)
}

async fn status(one: &One) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&one.flags)?;
    let number = meant(&gateway, &one.number).await?;
    let id = word(at(&number, "/id"));
    let about = format!("numbers/{id}");
    let history = gateway
        .call(Method::GET, &format!("{about}/history"), &[])
        .await?;
    let handled = gateway
        .call(Method::GET, &format!("{about}/handling"), &[])
        .await?;
    print(&number, &history);
    say!("  handling: {}", handling::told(&handled));
    let query = [("open", "true"), ("limit", "1000"), ("number", id.as_str())];
    let alarms = gateway.call(Method::GET, "alarms", &query).await?;
    for alarm in at(&alarms, "/alarms").as_array().into_iter().flatten() {
        say!(
            "  alarm {}: {}",
            at(alarm, "/id"),
            word(at(alarm, "/detail"))
        );
    }
    Ok(Ended::Done)
}

async fn set(asked: &Changes) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&asked.flags)?;
    let number = meant(&gateway, &asked.number).await?;
    let handled = handling::set(&gateway, &word(at(&number, "/id")), &asked.changes).await?;
    say!("From now on {}.", handling::told(&handled));
    Ok(Ended::Done)
}

/// The number with this phone or id.
pub(super) async fn meant(gateway: &Gateway, named: &str) -> anyhow::Result<Value> {
    let digits: String = named.chars().filter(char::is_ascii_digit).collect();
    let is_meant =
        |number: &Value| word(at(number, "/id")) == named || word(at(number, "/display")) == digits;
    match gateway.list("numbers").await?.into_iter().find(is_meant) {
        Some(number) => Ok(number),
        None => bail!("no number is known as {named}; duet number list shows all"),
    }
}

fn print(number: &Value, history: &Value) {
    say!(
        "{} ({}){} is {}{}.",
        word(at(number, "/display")),
        word(at(number, "/id")),
        of_business(number, " of ", ""),
        word(at(number, "/state")),
        since(at(number, "/state_since"))
    );
    if at(number, "/reason").is_string() {
        say!(
            "  because: {}, by {}",
            word(at(number, "/reason")),
            word(at(number, "/initiated_by"))
        );
        if at(number, "/reason_means").is_string() {
            say!("  {}", word(at(number, "/reason_means")));
        }
    }
    match at(number, "/app_seen_at").as_str() {
        Some(seen) => say!("  app: last seen {seen}"),
        None => say!("  app: never seen"),
    }
    if let Some(due) = at(number, "/app_due_at").as_str() {
        say!("  open the app on the phone before {due}, or Meta disconnects the number");
    }
    say!("  standing: {}", word(at(number, "/standing/summary")));
    say!("  contacts: {}", word(at(number, "/contacts/summary")));
    say!("  history: {}", word(at(history, "/summary")));
    for phase in at(history, "/phases").as_array().into_iter().flatten() {
        say!(
            "    phase {}{}: {} chunks, {} messages in {} conversations; media: {} of {}{}",
            at(phase, "/phase"),
            span(at(phase, "/phase")),
            at(phase, "/chunks"),
            at(phase, "/messages"),
            at(phase, "/conversations"),
            at(phase, "/media/came"),
            at(phase, "/media/told"),
            missing(at(phase, "/chunks_missing"))
        );
    }
}

/// The business, unless it is the gateway's own.
fn of_business(number: &Value, before: &str, after: &str) -> String {
    match at(number, "/business").as_str() {
        None | Some("") => String::new(),
        Some(_) => format!("{before}{}{after}", word(at(number, "/business"))),
    }
}

/// How far back a phase reaches, as Meta says.
fn span(phase: &Value) -> &'static str {
    match phase.as_i64() {
        Some(0) => " (the last day)",
        Some(1) => " (up to 90 days)",
        Some(2) => " (up to 180 days)",
        _ => "",
    }
}

fn since(at: &Value) -> String {
    at.as_str()
        .map_or_else(String::new, |at| format!(" since {at}"))
}

fn missing(chunks: &Value) -> String {
    let chunks = chunks.as_array().filter(|chunks| !chunks.is_empty());
    chunks.map_or_else(String::new, |chunks| {
        let list: Vec<String> = chunks.iter().map(Value::to_string).collect();
        format!("; missing chunks: {}", list.join(", "))
    })
}
