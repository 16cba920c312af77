//! `duet sim business`.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::client::{At, client, without_nulls};

/// A large business at a low rate takes its time.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Args, Debug)]
pub(super) struct BusinessArgs {
    /// The same seed gives the same business.
    #[arg(long)]
    seed: Option<u64>,
    /// Entries of the phone's address book.
    #[arg(long)]
    contacts: Option<u32>,
    /// People with a past.
    #[arg(long)]
    threads: Option<u32>,
    /// Old messages of all threads together.
    #[arg(long)]
    messages: Option<u32>,
    /// Share of messages that are media.
    #[arg(long)]
    media_percent: Option<u8>,
    /// How far the past reaches, 1 to 6.
    #[arg(long)]
    months: Option<u8>,
    /// english, hindi, hinglish, marathi, tamil; may be repeated.
    #[arg(long = "language")]
    languages: Vec<String>,
    /// Share of people with a username.
    #[arg(long)]
    username_percent: Option<u8>,
    /// Share of people without a phone.
    #[arg(long)]
    user_id_only_percent: Option<u8>,
    /// Live webhooks that follow.
    #[arg(long)]
    live: Option<u32>,
    /// Leave the address book and the past out.
    #[arg(long)]
    only_live: bool,
    /// Webhooks a second at most.
    #[arg(long)]
    webhooks_per_second: Option<u32>,
    /// Phone number id of the business.
    #[arg(long)]
    number: Option<String>,
    #[command(flatten)]
    at: At,
}

pub(super) async fn run(args: BusinessArgs) -> anyhow::Result<()> {
    let languages = (!args.languages.is_empty()).then_some(args.languages);
    let business = without_nulls(json!({
        "seed": args.seed, "contacts": args.contacts, "threads": args.threads, "messages": args.messages,
        "media_percent": args.media_percent, "months": args.months, "languages": languages,
        "username_percent": args.username_percent, "user_id_only_percent": args.user_id_only_percent,
    }));
    let past = args.only_live.then_some(false);
    let play = without_nulls(json!({
        "number": args.number, "business": business, "contacts": past, "history": past, "follow_ups": past,
        "live": args.live, "webhooks_per_second": args.webhooks_per_second,
    }));
    let request = client()?.post(args.at.path("business")).json(&play);
    let report = args.at.ask(request.timeout(PATIENCE)).await?;
    println!("{report:#}");
    Ok(())
}
