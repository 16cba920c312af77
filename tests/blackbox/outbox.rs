//! The way out: in order within a conversation, tried again by Meta's code, and never sent twice when an
//! answer is lost.

use std::time::Duration;

use duet_sim::{Config, Deed, Mood, Sim, StatusDelays, Trouble};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::tries::wait_tries;
use duet_tests::{Admin, Gateway, Meta, Setup, gateway, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const CUSTOMER: &str = "919800000001";
const HOLD_SECONDS: u32 = 2;

struct Stage {
    sim: Sim,
    gateway: Gateway,
    meta: Meta,
    admin: Admin,
}

impl Stage {
    async fn set(statuses: StatusDelays) -> anyhow::Result<Stage> {
        let sim = Sim::start(config(statuses)).await?;
        let setup = Setup::default()
            .graph(sim.url())
            .plugins(PluginsFile::probe("bot", 0))
            .env("DUET_UNKNOWN_HOLD_SECONDS", HOLD_SECONDS);
        let gateway = Gateway::start(setup).await?;
        sim.set_webhook(gateway.webhook()?);
        let (meta, admin) = (gateway.meta()?, gateway.admin()?);
        admin.plugins_run(PATIENCE).await?;
        Ok(Stage {
            sim,
            gateway,
            meta,
            admin,
        })
    }

    async fn customer_writes(&self, id: &str) -> anyhow::Result<()> {
        self.meta
            .deliver(&webhook::text(CUSTOMER, id, "is it open?"))
            .await
    }

    /// Waits until the row of the n-th reply, from 1, is in this state.
    async fn reply_is(&self, n: i64, state: &str) -> anyhow::Result<Value> {
        let what = format!("reply {n} is {state}");
        self.admin
            .row("outbox", &what, PATIENCE, |row| {
                row["id"] == json!(n) && row["state"] == state
            })
            .await
    }

    fn counts(&self) -> Vec<u64> {
        self.sim.sent().iter().map(count).collect()
    }
}

fn config(statuses: StatusDelays) -> Config {
    Config {
        statuses,
        ..gateway::open_sim()
    }
}

/// `probe` numbers its replies.
fn count(sent: &duet_sim::Sent) -> u64 {
    let text = sent.body["text"]["body"].as_str().unwrap_or_default();
    text.split(' ')
        .nth(3)
        .and_then(|word| word.parse().ok())
        .unwrap_or_default()
}

fn soon() -> StatusDelays {
    StatusDelays {
        sent_ms: Some(20),
        delivered_ms: Some(40),
        read_ms: Some(60),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_leave_in_order_and_statuses_come_home() -> anyhow::Result<()> {
    let stage = Stage::set(soon()).await?;
    // Slow answers: a second request could overtake if there were one.
    stage.sim.set_mood(Mood {
        latency_ms: 10,
        jitter_ms: 40,
        ..Mood::default()
    });
    let ids: Vec<_> = (0..25).map(|n| format!("wamid.{n}")).collect();
    for id in &ids {
        stage.customer_writes(id).await?;
    }
    stage.sim.wait_sent(25, PATIENCE).await?;
    assert_eq!(stage.counts(), (1..=25).collect::<Vec<_>>());
    // Three words for each: sent, delivered, read.
    stage
        .admin
        .count("events", "kind=status.*", 75, PATIENCE)
        .await?;
    let conversation = stage.admin.conversation(CUSTOMER, PATIENCE).await?["id"]
        .as_i64()
        .unwrap_or_default();
    let messages = stage.admin.messages(conversation).await?;
    let out: Vec<_> = messages
        .iter()
        .filter(|message| message["direction"] == "out")
        .collect();
    assert_eq!((messages.len(), out.len()), (50, 25));
    for message in out {
        assert_eq!(
            (&message["origin"], &message["status"]),
            (&json!("duet"), &json!("read")),
            "{message}"
        );
    }
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_decides_about_another_attempt_not_the_http_status() -> anyhow::Result<()> {
    let stage = Stage::set(soon()).await?;
    // (code, HTTP status, attempts, state)
    let cases: [(u32, u16, i64, &str); 6] = [
        (130_429, 400, 2, "sent"),
        (131_000, 500, 2, "sent"),
        (131_056, 400, 2, "sent"),
        (131_026, 400, 1, "failed"),
        (131_049, 503, 1, "failed"),
        (131_051, 429, 1, "failed"),
    ];
    for (n, (code, http, attempts, state)) in (1..).zip(cases) {
        stage.sim.add_trouble(Trouble {
            code,
            http: Some(http),
            times: Some(1),
            ..Trouble::default()
        });
        stage.customer_writes(&format!("wamid.{code}")).await?;
        let row = stage.reply_is(n, state).await?;
        assert_eq!(row["attempts"], attempts, "{code} with {http}: {row}");
        if state == "failed" {
            assert_eq!(row["code"], code, "{row}");
        }
    }
    assert_eq!(
        stage.counts(),
        [1, 2, 3],
        "what was refused for good was not sent"
    );
    assert_eq!(wait_tries(&stage.sim, 9, PATIENCE).await?.len(), 3 * 2 + 3);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_settled_by_a_status_and_holds_its_conversation_till_then()
-> anyhow::Result<()> {
    let stage = Stage::set(StatusDelays::sent(1000)).await?;
    stage.sim.trouble(Deed::Lost, 1);
    stage.customer_writes("wamid.1").await?;
    stage.reply_is(1, "unknown").await?;
    stage.customer_writes("wamid.2").await?;
    let row = stage.reply_is(1, "sent").await?;
    assert_eq!(
        row["wamid"],
        json!(stage.sim.sent()[0].id),
        "the status brought the id"
    );
    stage.reply_is(2, "sent").await?;
    assert_eq!(stage.counts(), [1, 2], "once each, in order");
    let second = &stage.sim.sent()[1];
    let status = stage
        .sim
        .deliveries()
        .into_iter()
        .find(|delivery| delivery.outcome == "delivered");
    assert!(
        status.is_some_and(|status| status.at_ms <= second.at_ms),
        "the second waited for the status"
    );
    assert_eq!(
        stage.admin.rows("dead-letters", "").await?,
        Vec::<Value>::new()
    );
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_without_a_status_becomes_a_dead_letter_and_is_sent_again_only_on_demand()
-> anyhow::Result<()> {
    let stage = Stage::set(StatusDelays::none()).await?;
    // Taken, yet nobody says so; and not taken at all. From here both look the same.
    for (n, deed) in [(1, Deed::Lost), (2, Deed::LostBeforeAccept)] {
        stage.sim.trouble(deed, 1);
        stage.customer_writes(&format!("wamid.{n}")).await?;
        stage.reply_is(n, "dead").await?;
    }
    let dead = stage.admin.rows("dead-letters", "").await?;
    assert_eq!(
        dead.iter()
            .map(|row| row["outbox"].clone())
            .collect::<Vec<_>>(),
        [json!(1), json!(2)]
    );
    assert!(
        dead.iter()
            .all(|row| row["cause"].as_str().is_some_and(|cause| !cause.is_empty())),
        "{dead:?}"
    );
    let path = format!("/dead-letters/{}/redrive", dead[0]["id"]);
    let (status, answer) = stage.admin.call(reqwest::Method::POST, &path, None).await?;
    assert_eq!(status, 409, "a send is never repeated blindly: {answer}");

    // The conversation goes on, also through a restart.
    stage.customer_writes("wamid.3").await?;
    stage.reply_is(3, "sent").await?;
    assert_eq!(stage.counts(), [1, 3]);
    assert_eq!(wait_tries(&stage.sim, 3, PATIENCE).await?.len(), 3);

    // A late status corrects what was believed dead.
    let opaque = stage.sim.sent()[0].opaque.clone();
    let mut status = webhook::status(CUSTOMER, &stage.sim.sent()[0].id, "delivered");
    status["value"]["statuses"][0]["biz_opaque_callback_data"] = json!(opaque);
    stage.meta.deliver(&webhook::body(&[status])).await?;
    stage.reply_is(1, "sent").await?;
    let dead = stage.admin.count("dead-letters", "", 1, PATIENCE).await?;
    assert_eq!(dead[0]["outbox"], 2);

    // Somebody has looked in the app, and says that it is to be sent even so.
    let path = format!("/dead-letters/{}/redrive?even_if_sent=true", dead[0]["id"]);
    stage.admin.post(&path, &Value::Null).await?;
    stage.reply_is(2, "sent").await?;
    assert_eq!(stage.counts(), [1, 3, 2]);
    stage.admin.count("dead-letters", "", 0, PATIENCE).await?;
    let ledger = format!("/numbers/{}/ledger", webhook::NUMBER);
    let ledger = stage.admin.get(&ledger).await?;
    assert_eq!(ledger["adds_up"], true, "{ledger}");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_would_refuse_for_the_window_is_refused_here() -> anyhow::Result<()> {
    let stage = Stage::set(soon()).await?;
    // The window of a message that was 25 hours on its way is closed.
    let mut late = webhook::text(CUSTOMER, "wamid.late", "is it open?");
    let day_before = (webhook::now_s() - 25 * 3600).to_string();
    late["entry"][0]["changes"][0]["value"]["messages"][0]["timestamp"] = json!(day_before);
    stage.meta.deliver(&late).await?;
    stage
        .admin
        .row("plugins", "the plugin has seen it", PATIENCE, |row| {
            row["events"]["done"] == json!(1)
        })
        .await?;
    // A person is told at once.
    let conversation = stage.admin.conversation(CUSTOMER, PATIENCE).await?;
    let path = format!("/conversations/{}/messages", conversation["id"]);
    let message = json!({"type": "text", "text": {"body": "Good morning"}});
    let (status, answer) = stage
        .admin
        .call(reqwest::Method::POST, &path, Some(&message))
        .await?;
    assert_eq!(
        (status, &answer["error"]["meta_code"]),
        (409, &json!(131_047)),
        "{answer}"
    );
    // Only a template may leave.
    let template = json!({"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}});
    let (status, answer) = stage
        .admin
        .call(reqwest::Method::POST, &path, Some(&template))
        .await?;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(
        wait_tries(&stage.sim, 1, PATIENCE).await?.len(),
        1,
        "nothing else was tried at Meta"
    );
    assert_eq!(stage.sim.sent_total(), 1, "and that was the template");
    stage
        .admin
        .count("outbox", "state=sent", 1, PATIENCE)
        .await?;
    // What was refused early has left no row.
    assert_eq!(stage.admin.rows("outbox", "").await?.len(), 1);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_left_is_sent_when_meta_is_back() -> anyhow::Result<()> {
    let stage = Stage::set(soon()).await?;
    let address = stage.sim.url().trim_start_matches("http://").parse()?;
    stage.sim.stop().await;
    stage.customer_writes("wamid.1").await?;
    stage.customer_writes("wamid.2").await?;
    stage
        .admin
        .row("outbox", "an attempt has failed", PATIENCE, |row| {
            row["cause"].is_string()
        })
        .await?;
    let back = Sim::start(Config {
        listen: address,
        ..config(soon())
    })
    .await?;
    back.set_webhook(stage.gateway.webhook()?);
    let sent = back.wait_sent(2, PATIENCE).await?;
    assert_eq!(sent.iter().map(count).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        stage.admin.rows("dead-letters", "").await?,
        Vec::<Value>::new()
    );
    stage.gateway.end().await
}
