//! `duet sim serve`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::client::URL_DEFAULT;
use super::transcript_line;
use crate::config::{Config, DeliveryRules, Number, StatusDelays};
use crate::mood::Mood;
use crate::sim::Sim;

/// Where webhooks go, which is where a gateway listens unless it is told.
const WEBHOOK_DEFAULT: &str = "http://127.0.0.1:7800/webhook";

#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// Where the Graph API and the play face listen.
    #[arg(long, env = "DUET_SIM_LISTEN", default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// Where webhooks go.
    #[arg(long, env = "DUET_SIM_WEBHOOK", default_value = WEBHOOK_DEFAULT)]
    webhook: String,
    /// App secret that signs webhooks; else the first of DUET_APP_SECRET.
    #[arg(long, env = "DUET_SIM_APP_SECRET", hide_env_values = true)]
    app_secret: Option<String>,
    /// Token that the Graph API accepts; else DUET_ACCESS_TOKEN.
    #[arg(long, env = "DUET_SIM_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Token of the webhook handshake; else DUET_VERIFY_TOKEN.
    #[arg(long, env = "DUET_SIM_VERIFY_TOKEN", hide_env_values = true)]
    verify_token: Option<String>,
    /// A business number as ID or ID:DIGITS; may be repeated.
    #[arg(long = "number", env = "DUET_SIM_NUMBER", value_delimiter = ',')]
    numbers: Vec<String>,
    /// WhatsApp Business Account of the numbers.
    #[arg(long, env = "DUET_SIM_WABA", default_value = "102290129340398")]
    waba: String,
    /// Webhooks carry no business-scoped user ids, as before April 2026.
    #[arg(long)]
    without_user_ids: bool,
    /// Anybody may be written to at any time.
    #[arg(long)]
    open_window: bool,
    /// Customers never read on their own.
    #[arg(long)]
    unread: bool,
    /// Meta's mood at the start, as JSON.
    #[arg(long)]
    mood: Option<String>,
    /// Wait before a refused webhook comes again; each later wait is twice as long.
    #[arg(long, default_value_t = DeliveryRules::default().retry_first_ms)]
    retry_first_ms: u64,
    /// How long a refused webhook is tried; Meta's pages give both.
    #[arg(long, value_enum, default_value_t = Horizon::H36)]
    retry_for: Horizon,
    /// Deliveries in flight at once.
    #[arg(long, default_value_t = DeliveryRules::default().lanes)]
    lanes: usize,
    /// What both syncs bring, as JSON, such as {"messages":200000,"threads":2000}.
    #[arg(long)]
    business: Option<String>,
    /// Makes ids and dice repeatable.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Horizon {
    #[value(name = "36h")]
    H36,
    #[value(name = "7d")]
    D7,
}

impl ServeArgs {
    fn config(self) -> anyhow::Result<Config> {
        let default = Config::default();
        let secret = |own: Option<String>, shared: &str, default: String| {
            let shared = || {
                std::env::var(shared)
                    .ok()
                    .and_then(|list| list.split(',').next().map(|first| first.trim().to_owned()))
            };
            own.or_else(shared)
                .filter(|secret| !secret.is_empty())
                .unwrap_or(default)
        };
        let mood = self
            .mood
            .as_deref()
            .map_or(Ok(Mood::default()), serde_json::from_str)
            .context("--mood does not fit")?;
        let business = self
            .business
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .context("--business does not fit")?;
        let delays = StatusDelays::default();
        Ok(Config {
            listen: self.listen,
            webhook: Some(self.webhook),
            app_secret: secret(self.app_secret, "DUET_APP_SECRET", default.app_secret),
            token: secret(self.token, "DUET_ACCESS_TOKEN", default.token),
            verify_token: secret(self.verify_token, "DUET_VERIFY_TOKEN", default.verify_token),
            numbers: numbers(&self.numbers, &self.waba),
            user_ids: !self.without_user_ids,
            open_window: self.open_window,
            statuses: StatusDelays {
                read_ms: delays.read_ms.filter(|_| !self.unread),
                ..delays
            },
            delivery: DeliveryRules {
                retry_first_ms: self.retry_first_ms,
                horizon_ms: match self.retry_for {
                    Horizon::H36 => DeliveryRules::HORIZON_36_H_MS,
                    Horizon::D7 => DeliveryRules::HORIZON_7_D_MS,
                },
                lanes: self.lanes,
                ..DeliveryRules::default()
            },
            mood,
            business,
            seed: self.seed,
            ..Config::default()
        })
    }
}

fn numbers(given: &[String], waba: &str) -> Vec<Number> {
    let number = |given: &String| {
        let (id, digits) = given.split_once(':').unwrap_or((given, ""));
        let mut number = Number {
            id: id.to_owned(),
            waba: waba.to_owned(),
            ..Number::default()
        };
        if !digits.is_empty() {
            number.digits = digits.to_owned();
            number.display = format!("+{digits}");
        }
        number
    };
    if given.is_empty() {
        vec![Number {
            waba: waba.to_owned(),
            ..Number::default()
        }]
    } else {
        given.iter().map(number).collect()
    }
}

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let config = args.config()?;
    let webhook = config.webhook.clone().unwrap_or_default();
    let numbers: Vec<String> = config
        .numbers
        .iter()
        .map(|number| format!("{} ({})", number.display, number.id))
        .collect();
    let sim = Sim::start(config.clone()).await?;
    println!("Graph API   {}", sim.url());
    println!("play face   {}/sim", sim.url());
    println!("webhooks to {webhook}");
    println!("numbers     {}", numbers.join(", "));
    match sim.check_webhook(&config.verify_token).await {
        Ok(()) => println!("handshake   the webhook address gave the challenge back"),
        Err(error) => println!("handshake   {error}; webhooks wait and are tried again"),
    }
    println!("\nThe gateway, in another terminal:");
    println!("    {}", gateway_line(&config, sim.url()));
    println!("A customer, in a third one:");
    println!("    {}\n", customer_line(sim.url()));
    tokio::select! {
        () = follow(&sim) => {}
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    sim.stop().await;
    Ok(())
}

/// Starts a gateway that fits this sim. A secret that somebody has chosen is named, never shown.
fn gateway_line(config: &Config, url: &str) -> String {
    let default = Config::default();
    let secrets = [
        ("DUET_APP_SECRET", &config.app_secret, &default.app_secret),
        (
            "DUET_VERIFY_TOKEN",
            &config.verify_token,
            &default.verify_token,
        ),
        ("DUET_ACCESS_TOKEN", &config.token, &default.token),
    ];
    let (well_known, chosen): (Vec<_>, Vec<_>) = secrets
        .into_iter()
        .partition(|(_, value, default)| value == default);
    let mut line = String::new();
    for (name, value, _) in well_known {
        line.push_str(&format!("{name}={value} "));
    }
    line.push_str(&format!("duet serve --graph-url {url}/v23.0"));
    if let Some(address) = config.webhook.as_deref().and_then(listener) {
        line.push_str(&format!(" --listen {address}"));
    }
    if !chosen.is_empty() {
        let names: Vec<_> = chosen.into_iter().map(|(name, ..)| name).collect();
        line.push_str(&format!("    # {} as given to this sim", names.join(", ")));
    }
    line
}

/// The address on which a gateway gets these webhooks, when it is not the one that it takes by itself.
fn listener(webhook: &str) -> Option<SocketAddr> {
    let address = webhook.strip_prefix("http://")?.strip_suffix("/webhook")?;
    (webhook != WEBHOOK_DEFAULT).then(|| address.parse().ok())?
}

fn customer_line(url: &str) -> String {
    let sim = (url != URL_DEFAULT).then(|| format!("--sim {url} "));
    let sim = sim.unwrap_or_default();
    format!("duet sim customer {sim}\"Is the shop open?\"")
}

async fn follow(sim: &Sim) {
    let mut after = 0;
    loop {
        let (lines, next) = sim.transcript(after, Duration::from_secs(60)).await;
        for line in lines {
            println!(
                "{}",
                transcript_line(line.at_ms, line.who, &line.peer, &line.text)
            );
        }
        after = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_for_the_other_terminals_fit_this_sim() {
        let mut config = Config {
            webhook: Some(WEBHOOK_DEFAULT.into()),
            ..Config::default()
        };
        assert_eq!(
            gateway_line(&config, URL_DEFAULT),
            "DUET_APP_SECRET=sim-app-secret DUET_VERIFY_TOKEN=sim-verify-token DUET_ACCESS_TOKEN=sim-token \
             duet serve --graph-url http://127.0.0.1:7700/v23.0"
        );
        config.app_secret = "hunter2".into();
        config.token = "hunter3".into();
        config.webhook = Some("http://127.0.0.1:9800/webhook".into());
        assert_eq!(
            gateway_line(&config, "http://127.0.0.1:7722"),
            "DUET_VERIFY_TOKEN=sim-verify-token duet serve --graph-url http://127.0.0.1:7722/v23.0 \
             --listen 127.0.0.1:9800    # DUET_APP_SECRET, DUET_ACCESS_TOKEN as given to this sim"
        );
        assert_eq!(
            [URL_DEFAULT, "http://127.0.0.1:7722"].map(customer_line),
            [
                r#"duet sim customer "Is the shop open?""#,
                r#"duet sim customer --sim http://127.0.0.1:7722 "Is the shop open?""#,
            ]
        );
    }
}
