//! A system that plugins call is down for a while: nothing is lost, order is kept, it is left alone, and nobody else notices.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use duet_sim::Sim;
use duet_tests::outside::{Outside, Reply};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(180);
const CUSTOMERS: usize = 20;
const MESSAGES: usize = 3;
const ATTEMPTS: usize = 5;
const IDLE: &str =
    "[plugins.idle]\ncomponent = \"idle.wasm\"\nfrom = \"beginning\"\nevents = [\"message.text\"]";

struct Stage {
    sim: Sim,
    /// Answers with `status`.
    crm: Outside,
    status: Arc<AtomicU16>,
    /// Does well all the time.
    shop: Outside,
    gateway: Gateway,
    admin: Admin,
}

impl Stage {
    /// `caller`, of which an event has few attempts, beside `idle`, which calls nobody. The CRM is down.
    async fn set() -> anyhow::Result<Stage> {
        let status = Arc::new(AtomicU16::new(503));
        let now = status.clone();
        let crm = Outside::start(move |_| Reply::new(now.load(Ordering::SeqCst), "")).await?;
        let shop = Outside::start(|_| Reply::new(201, "")).await?;
        let allow = json!([crm.url(), shop.url()]);
        let table = format!(
            "[plugins.caller]\ncomponent = \"caller.wasm\"\nfrom = \"beginning\"\n\
             [plugins.caller.retry]\nattempts = {ATTEMPTS}\nfirst_seconds = 1\nmax_seconds = 1\n\
             [plugins.caller.limits]\nwall_ms_max = 120000\ncpu_ms_max = 10000\n\
             [plugins.caller.messages]\nspeak = [\"automation\"]\n[plugins.caller.store]\n\
             [plugins.caller.http]\nallow = {allow}\nprivate = true\n\
             [plugins.caller.http.secrets.token]\nenv = \"CALLERS_TOKEN\"\nhosts = {allow}\n\
             [plugins.caller.http.secrets.other]\nenv = \"CALLERS_TOKEN\"\nhosts = {allow}\n"
        );
        let plugins = PluginsFile::default()
            .and("caller", &table)
            .and("idle", IDLE);
        let sim = Sim::start(gateway::open_sim()).await?;
        let setup = Setup::default()
            .graph(sim.url())
            .plugins(plugins)
            .env("CALLERS_TOKEN", "not to be seen");
        let gateway = Gateway::start(setup).await?;
        let admin = gateway.admin()?;
        admin.plugins_run(PATIENCE).await?;
        Ok(Stage {
            sim,
            crm,
            status,
            shop,
            gateway,
            admin,
        })
    }

    /// A message that makes the plugin call these, of which the last one has to answer with a 2xx, and reply.
    async fn say(&self, customer: usize, nth: usize, systems: &[&Outside]) -> anyhow::Result<()> {
        let told = format!("{customer}/{nth}");
        let mut steps = Vec::new();
        for system in systems {
            let url = format!("{}/{told}", system.url());
            steps.push(json!({"call": {"method": "POST", "url": url, "timeout_ms": 60_000}}));
        }
        steps.extend([json!({"want": 201}), json!({"say": told})]);
        let from = format!("9195000000{customer:02}");
        let id = format!("wamid.{customer}.{nth}");
        let text = webhook::text(&from, &id, &json!(steps).to_string());
        self.gateway.meta()?.deliver(&text).await
    }

    async fn plugin(
        &self,
        name: &str,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let fits = |row: &Value| row["name"] == name && fits(row);
        self.admin.row("plugins", what, PATIENCE, fits).await
    }

    /// Calls of the CRM come to so many.
    async fn tried(&self, calls: usize) -> anyhow::Result<()> {
        until("it is tried", PATIENCE, || async {
            let seen = self.crm.called().len();
            Ok(Seen::when(seen >= calls, (), || format!("{seen} calls")))
        })
        .await
    }

    /// What the customer has been told, in order.
    fn told(&self, customer: usize) -> Vec<String> {
        let start = format!("{customer}/");
        let sent = self.sim.sent().into_iter();
        let texts = sent.filter_map(|sent| {
            let text = sent.body.pointer("/text/body").and_then(Value::as_str)?;
            text.starts_with(&start).then(|| text.to_owned())
        });
        texts.collect()
    }

    /// Everything is said once and in order, and nothing was given up.
    async fn comes_back(&self, customers: usize) -> anyhow::Result<()> {
        self.status.store(201, Ordering::SeqCst);
        let expect = |customer: usize| -> Vec<String> {
            (0..MESSAGES)
                .map(|nth| format!("{customer}/{nth}"))
                .collect()
        };
        until("everything is said", PATIENCE, || async {
            let missing = (0..customers).find(|customer| self.told(*customer) != expect(*customer));
            Ok(Seen::when(missing.is_none(), (), || {
                let told = missing.map(|customer| self.told(customer));
                format!("customer {missing:?} was told {told:?}")
            }))
        })
        .await?;
        let row = self
            .plugin("caller", "nothing waits", |row| {
                row["state"] == "ready" && row["events"]["waiting"] == 0
            })
            .await?;
        assert_eq!(
            (&row["cause"], &row["events"]["faults"]),
            (&Value::Null, &json!(0))
        );
        let dead = self.admin.rows("dead-letters", "").await?;
        assert_eq!(dead, Vec::<Value>::new());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_need_what_is_down_wait_and_nobody_else_does() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    for nth in 0..MESSAGES {
        for customer in 0..CUSTOMERS {
            stage.say(customer, nth, &[&stage.shop, &stage.crm]).await?;
        }
    }
    let waiting = stage
        .plugin("caller", "all of it waits", |row| {
            row["state"] == "waiting" && row["events"]["waiting"] == CUSTOMERS
        })
        .await?;
    let cause = format!(
        "{} is down (status 503), and events that need it wait",
        stage.crm.url()
    );
    assert_eq!(waiting["cause"], json!(cause), "{waiting}");
    assert!(waiting["tried_at"].is_string(), "{waiting}");
    // Whoever needs another system goes on, and so does the neighbour.
    stage.say(CUSTOMERS, 0, &[&stage.shop]).await?;
    stage
        .plugin("caller", "it goes on elsewhere", |row| {
            row["events"]["done"] == 1
        })
        .await?;
    let all = CUSTOMERS * MESSAGES + 1;
    let idle = stage
        .plugin("idle", "the neighbour goes on", |row| {
            row["events"]["done"] == all
        })
        .await?;
    assert_eq!(idle["state"], "ready");
    // All that were under way at once, and then one at a time in growing pauses.
    let before = stage.crm.called().len();
    stage.tried(before + 3).await?;
    let calls = stage.crm.called().len();
    assert!(calls < CUSTOMERS * ATTEMPTS / 2, "{calls} calls");

    stage.comes_back(CUSTOMERS).await?;
    // What was done meanwhile was not done again.
    let called = stage.shop.called();
    let keys: BTreeSet<_> = called
        .iter()
        .map(|called| called.header("idempotency-key"))
        .collect();
    assert_eq!((called.len(), keys.len()), (all, all));
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_for_what_is_down_wait_on_after_a_power_cut() -> anyhow::Result<()> {
    let mut stage = Stage::set().await?;
    for nth in 0..MESSAGES {
        stage.say(0, nth, &[&stage.crm]).await?;
    }
    // More calls than an event has attempts, before and after.
    stage.tried(ATTEMPTS + 1).await?;
    for _ in 0..2 {
        let waits = |row: &Value| row["state"] == "waiting";
        stage.plugin("caller", "it waits", waits).await?;
        stage.gateway.kill9().await?;
        stage.gateway.restart().await?;
        stage.admin = stage.gateway.admin()?;
        let before = stage.crm.called().len();
        stage.tried(before + 3).await?;
    }
    stage.comes_back(1).await?;
    stage.gateway.end().await
}
