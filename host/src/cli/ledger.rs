//! `duet number ledger`: what came of a number's messages, and whether it adds up.

use anyhow::Context;
use reqwest::Method;
use serde_json::Value;

use super::Ended;
use super::answer::{at, word};
use super::number::meant;
use super::place::Gateway;
use crate::config::Flags;

#[derive(clap::Args)]
pub(super) struct Asked {
    /// Which: its phone, or Meta's phone_number_id
    number: String,
    /// The first day, such as 2026-11-01, in UTC
    #[arg(long)]
    from: Option<String>,
    /// The last day
    #[arg(long)]
    to: Option<String>,
    /// The gateway's whole answer, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Ends with problems when it does not add up.
pub(super) async fn run(asked: &Asked) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&asked.flags)?;
    let number = meant(&gateway, &asked.number).await?;
    let path = format!("numbers/{}/ledger", word(at(&number, "/id")));
    let days = [("from", &asked.from), ("to", &asked.to)];
    let mut query = vec![("meta", "true")];
    query.extend(
        days.iter()
            .filter_map(|(name, day)| Some((*name, day.as_deref()?))),
    );
    let ledger = gateway.call(Method::GET, &path, &query).await?;
    if asked.json {
        say!("{}", serde_json::to_string_pretty(&ledger)?);
    } else {
        print(&number, &ledger);
    }
    let adds_up = at(&ledger, "/adds_up").as_bool();
    Ok(match adds_up.context("the answer is no ledger")? {
        true => Ended::Done,
        false => Ended::Problems,
    })
}

fn print(number: &Value, ledger: &Value) {
    say!(
        "{} ({})",
        word(at(number, "/display")),
        word(at(number, "/id"))
    );
    let counts = |place: &str, names: &[&str]| {
        let told = names.iter().map(|name| {
            let count = at(ledger, &format!("/{place}/{name}"));
            format!("{count} {name}")
        });
        told.collect::<Vec<_>>().join(", ")
    };
    if at(ledger, "/receipts").is_object() {
        say!(
            "  webhooks, whole gateway: {}",
            counts(
                "receipts",
                &["accepted", "kept", "aged", "waiting", "unreadable"]
            )
        );
    }
    say!(
        "  arrived here: {}",
        counts("arrived", &["receipts", "elements", "repeated"])
    );
    say!(
        "  events: {}",
        counts("events", &["new", "own", "kept", "erased", "aged", "early"])
    );
    for (kind, count) in at(ledger, "/arrived/kinds")
        .as_object()
        .into_iter()
        .flatten()
    {
        say!("    {count} {kind}");
    }
    for plugin in rows(ledger, "/plugins") {
        say!(
            "  plugin {}: {} done, {} skipped, {} waiting, {} retried, {} dead ({} dead letters now)",
            word(at(plugin, "/name")),
            at(plugin, "/done"),
            at(plugin, "/skipped"),
            at(plugin, "/waiting"),
            at(plugin, "/retried"),
            at(plugin, "/dead"),
            at(plugin, "/dead_letters")
        );
    }
    say!("  sends: {}", counts("sends", &["made", "erased"]));
    for fate in rows(ledger, "/sends/fates") {
        let cause = at(fate, "/cause")
            .as_str()
            .map(|_| word(at(fate, "/cause")));
        let cause = cause.map_or_else(String::new, |cause| format!(" ({cause})"));
        say!(
            "    {} {}{cause}",
            at(fate, "/count"),
            word(at(fate, "/state"))
        );
    }
    meta(at(ledger, "/meta"));
    say!("{}", word(at(ledger, "/summary")));
}

fn meta(meta: &Value) {
    match at(meta, "/state").as_str() {
        Some("read") => say!(
            "  Meta's record: {} messages{}, {} not known here",
            at(meta, "/messages"),
            if at(meta, "/more") == &Value::Bool(true) {
                " looked at of more"
            } else {
                ""
            },
            at(meta, "/missing")
        ),
        Some("not-offered") => say!(
            "  Meta's record: not offered for this number ({})",
            word(at(meta, "/reason"))
        ),
        _ => say!(
            "  Meta's record: could not be read ({})",
            word(at(meta, "/reason"))
        ),
    }
    for id in rows(meta, "/missing_ids") {
        say!("    not known here: {}", word(id));
    }
    for message in rows(meta, "/undelivered") {
        say!(
            "    webhook {}: {}",
            word(at(message, "/state")),
            word(at(message, "/id"))
        );
    }
}

fn rows<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    at(value, pointer).as_array().into_iter().flatten()
}
