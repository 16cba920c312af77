//! The verbs that play on a sim that runs.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::transcript_line;

/// Where a sim listens unless it is told.
pub(super) const URL_DEFAULT: &str = "http://127.0.0.1:7700";

/// Which sim.
#[derive(Args, Debug)]
pub(super) struct At {
    /// Address of the sim.
    #[arg(long = "sim", env = "DUET_SIM_URL", default_value = URL_DEFAULT)]
    url: String,
}

#[derive(Args, Debug)]
pub(super) struct CustomerArgs {
    /// What the customer writes.
    text: String,
    /// The customer's phone.
    #[arg(long, default_value = "919800000001")]
    from: String,
    /// The customer's profile name.
    #[arg(long)]
    name: Option<String>,
    /// Phone number id of the business.
    #[arg(long)]
    number: Option<String>,
    #[command(flatten)]
    at: At,
}

#[derive(Args, Debug)]
pub(super) struct PhoneArgs {
    /// What the person on the phone writes.
    #[arg(default_value = "")]
    text: String,
    /// The customer's phone.
    #[arg(long, default_value = "919800000001")]
    to: String,
    /// The wamid of a message that the text replaces.
    #[arg(long)]
    edit: Option<String>,
    /// The wamid of a message to take back.
    #[arg(long)]
    revoke: Option<String>,
    /// An emoji for --message.
    #[arg(long, requires = "message")]
    reaction: Option<String>,
    /// The wamid that is reacted to.
    #[arg(long)]
    message: Option<String>,
    /// Phone number id of the business.
    #[arg(long)]
    number: Option<String>,
    #[command(flatten)]
    at: At,
}

#[derive(Args, Debug)]
pub(super) struct MoodArgs {
    /// Refuse sends with this code.
    #[arg(long)]
    fail: Option<u32>,
    /// Accept sends, then fail them by a status with this code.
    #[arg(long)]
    fail_later: Option<u32>,
    /// Accept sends, but close the connection without an answer.
    #[arg(long)]
    lost: bool,
    /// Never answer.
    #[arg(long)]
    hang: bool,
    /// For the next n calls only.
    #[arg(long)]
    times: Option<u64>,
    /// For every n-th call only.
    #[arg(long)]
    every: Option<u64>,
    /// With this probability only.
    #[arg(long)]
    probability: Option<f64>,
    /// Graph latency.
    #[arg(long)]
    latency_ms: Option<u64>,
    /// Deliver every webhook this often.
    #[arg(long)]
    copies: Option<u32>,
    /// Let webhooks overtake each other by up to this.
    #[arg(long)]
    reorder_ms: Option<u64>,
    /// Deliver every webhook this often again as a retry, also after a 200.
    #[arg(long)]
    resends: Option<u32>,
    /// Let the person on the phone answer every customer after this long.
    #[arg(long)]
    phone_answers_ms: Option<u64>,
    /// Switch Meta's rate limits on or off.
    #[arg(long)]
    rate_limits: Option<bool>,
    /// Good health again, before anything else.
    #[arg(long)]
    clear: bool,
    /// Any further part of the mood, as JSON.
    #[arg(long)]
    json: Option<String>,
    #[command(flatten)]
    at: At,
}

#[derive(Args, Debug)]
pub(super) struct HistoryArgs {
    /// The plan as JSON, such as {"conversations":20,"messages":50,"shuffled":true}.
    #[arg(default_value = "{}")]
    plan: String,
    #[command(flatten)]
    at: At,
}

#[derive(Args, Debug)]
pub(super) struct AccountArgs {
    /// PARTNER_REMOVED, ACCOUNT_OFFBOARDED, ACCOUNT_RECONNECTED, PARTNER_ADDED.
    event: String,
    /// Reason of a disconnection, such as PRIMARY_INACTIVITY.
    #[arg(long)]
    reason: Option<String>,
    /// USER or SYSTEM.
    #[arg(long)]
    initiated_by: Option<String>,
    /// Shape of PARTNER_REMOVED: waba or phone.
    #[arg(long)]
    shape: Option<String>,
    /// Time of the entry in seconds since 1970; now if absent.
    #[arg(long)]
    time: Option<u64>,
    #[command(flatten)]
    at: At,
}

#[derive(Args, Debug)]
pub(super) struct MoveArgs {
    /// The customer's phone so far.
    from: String,
    /// The new phone.
    to: String,
    #[command(flatten)]
    at: At,
}

pub(super) async fn customer(args: CustomerArgs) -> anyhow::Result<()> {
    let CustomerArgs {
        text,
        from,
        name,
        number,
        at,
    } = args;
    let said = at
        .post(
            "customer",
            json!({"from": from, "text": text, "name": name, "number": number}),
        )
        .await?;
    print_id(&said);
    Ok(())
}

pub(super) async fn phone(args: PhoneArgs) -> anyhow::Result<()> {
    let text = (!args.text.is_empty()).then_some(args.text);
    let body = json!({
        "to": args.to, "text": text, "edit": args.edit, "revoke": args.revoke,
        "reaction": args.reaction, "message": args.message, "number": args.number,
    });
    let said = args.at.post("phone", body).await?;
    print_id(&said);
    Ok(())
}

pub(super) async fn mood(args: MoodArgs) -> anyhow::Result<()> {
    let at = &args.at;
    if args.clear {
        let nulls = [
            "latency_ms",
            "jitter_ms",
            "token_expired",
            "rate_limits",
            "phone_answers_ms",
            "troubles",
            "webhook",
        ]
        .map(|name| (name.to_owned(), Value::Null));
        at.post("mood", Value::Object(Map::from_iter(nulls)))
            .await?;
    }
    let mut patch = match &args.json {
        Some(json) => serde_json::from_str(json).context("--json is not a JSON object")?,
        None => Map::new(),
    };
    patch.extend(
        args.latency_ms
            .map(|ms| ("latency_ms".to_owned(), json!(ms))),
    );
    patch.extend(
        args.rate_limits
            .map(|on| ("rate_limits".to_owned(), json!(on))),
    );
    patch.extend(
        args.phone_answers_ms
            .map(|ms| ("phone_answers_ms".to_owned(), json!(ms))),
    );
    let webhook: Map<_, _> = [
        ("copies", args.copies.map(u64::from)),
        ("resends", args.resends.map(u64::from)),
        ("reorder_ms", args.reorder_ms),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
    .collect();
    if !webhook.is_empty() {
        patch.insert("webhook".into(), Value::Object(webhook));
    }
    let (times, every, probability) = (args.times, args.every, args.probability);
    let trouble = |deed: &str, code: u32| json!({"do": deed, "code": code, "times": times, "every": every, "probability": probability});
    let wanted = [
        ("fail", args.fail),
        ("fail_later", args.fail_later),
        ("lost", args.lost.then_some(0)),
        ("hang", args.hang.then_some(0)),
    ];
    let fresh: Vec<Value> = wanted
        .into_iter()
        .filter_map(|(deed, code)| Some(trouble(deed, code?)))
        .collect();
    if !fresh.is_empty() {
        let now = at.get("mood").await?;
        let mut troubles = now
            .get("troubles")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        troubles.extend(fresh);
        patch.insert("troubles".into(), json!(troubles));
    }
    let mood = at.post("mood", Value::Object(patch)).await?;
    println!("{mood:#}");
    Ok(())
}

pub(super) async fn history(args: HistoryArgs) -> anyhow::Result<()> {
    let plan = serde_json::from_str(&args.plan).context("the plan is not JSON")?;
    args.at.post("history", plan).await?;
    Ok(())
}

pub(super) async fn account(args: AccountArgs) -> anyhow::Result<()> {
    let body = json!({
        "event": args.event, "reason": args.reason, "initiated_by": args.initiated_by,
        "shape": args.shape, "time": args.time,
    });
    args.at.post("account", body).await?;
    Ok(())
}

pub(super) async fn moves(args: MoveArgs) -> anyhow::Result<()> {
    args.at
        .post("move", json!({"from": args.from, "to": args.to}))
        .await?;
    Ok(())
}

pub(super) async fn sent(at: At) -> anyhow::Result<()> {
    let page = at.get("sent?limit=10000").await?;
    for sent in page
        .get("sent")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |name: &str| sent.get(name).and_then(Value::as_str).unwrap_or_default();
        let said = sent
            .pointer("/body/text/body")
            .and_then(Value::as_str)
            .map_or_else(|| format!("[{}]", text("type")), str::to_owned);
        println!(
            "{}",
            transcript_line(
                sent.get("at_ms").and_then(Value::as_u64).unwrap_or(0),
                "gateway",
                text("to"),
                &said
            )
        );
    }
    Ok(())
}

pub(super) async fn watch(at: At) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let page = at
            .get(&format!("transcript?after={after}&wait_ms=30000"))
            .await?;
        for line in page
            .get("transcript")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
            println!(
                "{}",
                transcript_line(
                    line.get("at_ms").and_then(Value::as_u64).unwrap_or(0),
                    text("who"),
                    text("peer"),
                    text("text")
                )
            );
        }
        after = page.get("next").and_then(Value::as_u64).unwrap_or(0);
    }
}

pub(super) async fn state(at: At) -> anyhow::Result<()> {
    println!("{:#}", at.get("state").await?);
    Ok(())
}

pub(super) async fn reset(at: At) -> anyhow::Result<()> {
    at.post("reset", json!({})).await?;
    Ok(())
}

fn print_id(said: &Value) {
    println!(
        "{}",
        said.get("id").and_then(Value::as_str).unwrap_or_default()
    );
}

impl At {
    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(client()?.get(self.path(path))).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        // Absent fields stay out, so that the sim's defaults hold; a mood's own nulls mean a reset.
        let body = if path == "mood" {
            body
        } else {
            without_nulls(body)
        };
        self.ask(client()?.post(self.path(path)).json(&body)).await
    }

    pub(super) fn path(&self, path: &str) -> String {
        format!("{}/sim/{path}", self.url.trim_end_matches('/'))
    }

    pub(super) async fn ask(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.send().await.with_context(|| {
            format!("no sim answers at {}; start one with `duet sim`", self.url)
        })?;
        let failed = !answer.status().is_success();
        let said: Value = answer
            .json()
            .await
            .context("that address does not answer like a sim")?;
        if failed {
            bail!(
                "{}",
                said.get("error")
                    .and_then(Value::as_str)
                    .unwrap_or("the sim refused")
            );
        }
        Ok(said)
    }
}

pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(70))
        .build()?)
}

pub(super) fn without_nulls(body: Value) -> Value {
    match body {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
        ),
        other => other,
    }
}
