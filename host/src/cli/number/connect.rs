use reqwest::Method;
use serde_json::{Value, json};

use super::{One, meant};
use crate::cli::Ended;
use crate::cli::answer::{at, word};
use crate::cli::doctor::tell_findings;
use crate::cli::place::Gateway;
use crate::config::Flags;

#[derive(clap::Args)]
pub(in crate::cli) struct Account {
    /// Meta's id of the WhatsApp Business Account
    #[arg(required_unless_present = "signup")]
    waba: Option<String>,
    /// Make a link to a page on which the owner goes through the signup; all else goes by itself. It needs --business
    #[arg(long, requires = "business", conflicts_with_all = ["waba", "number", "signed_up", "dry_run"])]
    signup: bool,
    /// The only number of it that is meant, by Meta's phone_number_id
    #[arg(long)]
    number: Option<String>,
    /// Whose it is; the gateway's own if absent
    #[arg(long)]
    business: Option<String>,
    /// The business has just gone through the signup again: what was asked for before counts no more
    #[arg(long)]
    signed_up: bool,
    /// Only look; nothing is changed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    flags: Flags,
}

#[derive(clap::Args)]
pub(in crate::cli) struct AskFor {
    /// Which: its phone, or Meta's phone_number_id
    number: String,
    /// Only this
    #[arg(value_parser = ["contacts", "history"])]
    kind: Option<String>,
    /// Although it may have been asked for before: Meta then refuses, and what it gave once it does not give again
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn add(account: &Account) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&account.flags)?;
    if account.signup {
        return link(&gateway, account).await;
    }
    let wish = json!({
        "waba": account.waba, "number": account.number, "business": account.business,
        "signed_up": account.signed_up, "dry_run": account.dry_run,
    });
    let told = gateway.send(Method::POST, "numbers", &wish).await?;
    tell_findings(&told);
    if at(&told, "/begun") == &Value::Bool(true) {
        say!("begun: duet number list shows how far it has come");
        return Ok(Ended::Done);
    }
    say!("{}", word(at(&told, "/verdict")));
    match at(&told, "/ready") {
        Value::Bool(true) => Ok(Ended::Done),
        _ => Ok(Ended::Problems),
    }
}

async fn link(gateway: &Gateway, account: &Account) -> anyhow::Result<Ended> {
    let wish = json!({"business": account.business});
    let made = gateway.send(Method::POST, "signups", &wish).await?;
    say!("{}", word(at(&made, "/url")));
    say!(
        "for the owner of the number alone: it can be used once, until {}",
        word(at(&made, "/expires_at"))
    );
    Ok(Ended::Done)
}

pub(super) async fn sync(ask: &AskFor) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&ask.flags)?;
    let number = meant(&gateway, &ask.number).await?;
    let path = format!("numbers/{}/sync", word(at(&number, "/id")));
    let kinds = ask.kind.as_ref().map(|kind| vec![kind]);
    let body = json!({"kinds": kinds, "again": ask.again});
    let told = gateway.send(Method::POST, &path, &body).await?;
    for kind in at(&told, "/asked").as_array().into_iter().flatten() {
        let kind = word(kind);
        let of_it = |what: &str| at(&told, &format!("/number/{kind}/{what}"));
        let cause = of_it("request/cause");
        let cause = cause
            .as_str()
            .map_or_else(String::new, |_| format!(" ({})", word(cause)));
        say!("{kind}: asked for; {}{cause}", word(of_it("state")));
    }
    for not in at(&told, "/not_asked").as_array().into_iter().flatten() {
        let (kind, reason) = (at(not, "/kind"), at(not, "/reason"));
        say!("{}: not asked for. {}", word(kind), word(reason));
    }
    Ok(Ended::Done)
}

pub(super) async fn leave(one: &One) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&one.flags)?;
    let number = meant(&gateway, &one.number).await?;
    let path = format!("numbers/{}/leaving", word(at(&number, "/id")));
    let told = gateway.call(Method::GET, &path, &[]).await?;
    for way in at(&told, "/ways").as_array().into_iter().flatten() {
        say!("To keep {} alone:", word(at(way, "/keeps")));
        for step in at(way, "/steps").as_array().into_iter().flatten() {
            say!("  - {}", word(step));
        }
        say!("  Lost:");
        for lost in at(way, "/lost").as_array().into_iter().flatten() {
            say!("  - {}", word(lost));
        }
        say!("  {}", word(at(way, "/here")));
    }
    Ok(Ended::Done)
}
