//! Did all my chats come over? Six months of a number's chats arrive in chunks, in any order and in either of
//! Meta's spellings; the report says what came, what did not, and why.

use std::time::Duration;

use duet_sim::{HistoryPlan, Sim};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::wait::{Seen, until};
use duet_tests::webhook::{self, NUMBER, body, change, now_s};
use duet_tests::{Admin, Gateway, Setup, gateway};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const CUSTOMER: &str = "919800000001";
/// Old messages of one customer.
const OLD: u64 = 30;

async fn report(admin: &Admin) -> anyhow::Result<Value> {
    admin.get(&format!("/numbers/{NUMBER}/history")).await
}

/// A chunk with these old messages of one customer.
fn chunk(phase: u8, order: u8, progress: u8, messages: Value) -> Value {
    change(
        "history",
        json!({"history": [{"metadata": {"phase": phase, "chunk_order": order, "progress": progress},
            "threads": [{"id": CUSTOMER, "messages": messages}]}]}),
    )
}

fn text(id: &str) -> Value {
    json!({"from": CUSTOMER, "id": id, "timestamp": (now_s() - 86_400 * 30).to_string(), "type": "text",
        "text": {"body": "do you ship to Pune?"}, "history_context": {"status": "pending"}})
}

fn placeholder(id: &str, days: u64) -> Value {
    json!({"from": CUSTOMER, "id": id, "timestamp": (now_s() - 86_400 * days).to_string(),
        "type": "media_placeholder", "history_context": {"status": "READ"}})
}

/// A history in which every automation would wake up, were it not for the past tense.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_months_of_chats_come_over_whole_and_wake_no_automation() -> anyhow::Result<()> {
    for (lower_case, shuffled) in [(false, false), (true, true)] {
        let sim = Sim::start(gateway::sim()).await?;
        let plugins = PluginsFile::probe("bot", 0);
        let gateway = Gateway::start(Setup::default().graph(sim.url()).plugins(plugins)).await?;
        sim.set_webhook(gateway.webhook()?);
        let admin = gateway.admin()?;
        admin.plugins_run(PATIENCE).await?;
        let plan = HistoryPlan {
            conversations: 7,
            messages: 30,
            chunk_messages: 25,
            lower_case,
            shuffled,
            ..HistoryPlan::default()
        };
        sim.history(&plan).await?;
        sim.wait_quiet(PATIENCE).await?;
        admin.intake_done(PATIENCE).await?;

        let report = report(&admin).await?;
        assert_eq!(report["state"], "complete", "{report}");
        assert_eq!(report["messages"], 210, "{report}");
        let phases = report["phases"].as_array().cloned().unwrap_or_default();
        assert_eq!(phases.len(), 3, "{report}");
        let media = |of: &str| -> i64 {
            let of = |phase: &Value| phase["media"][of].as_i64().unwrap_or_default();
            phases.iter().map(of).sum()
        };
        for phase in &phases {
            assert_eq!(phase["messages_told"], phase["messages"], "{phase}");
            assert_eq!(phase["conversations"], 7, "{phase}");
        }
        // Every fifth is media; what is younger than 14 days follows, the rest never will.
        assert!(media("came") > 0 && media("too_old") > 0, "{report}");
        assert_eq!(media("told"), media("came") + media("too_old"));
        let conversation = admin.conversation(CUSTOMER, PATIENCE).await?;
        assert_eq!(conversation["window_until"], Value::Null);
        assert_eq!(conversation["handling"], "automation");
        assert_eq!(sim.sent_total(), 0, "an automation woke up");
        gateway.end().await?;
    }
    Ok(())
}

/// A plugin that takes the old chats over into a CRM is no reason for anybody to be written to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_asks_for_history_gets_all_of_it_and_answers_none() -> anyhow::Result<()> {
    let sim = Sim::start(gateway::open_sim()).await?;
    let both = PluginsFile::probe_of(&["message.text", "history.text"], "crm", "crm", 0);
    let plugins = PluginsFile::default().and("probe", &both);
    let gateway = Gateway::start(Setup::default().graph(sim.url()).plugins(plugins)).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let old: Vec<Value> = (0..OLD).map(|n| text(&format!("wamid.old.{n}"))).collect();
    meta.deliver(&chunk(0, 1, 100, json!(old))).await?;
    let all_events = async |count: u64| {
        until("all events", PATIENCE, || async {
            let done = done(&admin).await?;
            Ok(Seen::when(done == count, (), || format!("{done} done")))
        })
        .await
    };
    all_events(OLD).await?;
    // A conversation's sends leave in order: what the old ones had sent would be there before this answer.
    meta.deliver(&webhook::text(CUSTOMER, "wamid.live", "hello"))
        .await?;
    all_events(OLD + 1).await?;
    until("the answer", PATIENCE, || async {
        Ok(Seen::when(sim.sent_total() > 0, (), || "none".into()))
    })
    .await?;
    assert_eq!(sim.sent_total(), 1, "old messages were answered");
    gateway.end().await
}

/// Old chats that a plugin cannot take over yet are no reason for their customer to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_message_goes_beside_the_old_ones_of_its_customer() -> anyhow::Result<()> {
    let sim = Sim::start(gateway::open_sim()).await?;
    let plugins = PluginsFile::default().and(
        "misbehave",
        "[plugins.crm]\ncomponent = \"misbehave.wasm\"\nfrom = \"beginning\"\n\
         events = [\"message.text\", \"history.text\"]\n\
         [plugins.crm.retry]\nfirst_seconds = 3600\nmax_seconds = 3600\n\
         [plugins.crm.messages]\nspeak = [\"automation\"]\n\
         [plugins.crm.store]\n[plugins.crm.contacts]\n[plugins.crm.conversations]\n",
    );
    let gateway = Gateway::start(Setup::default().graph(sim.url()).plugins(plugins)).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let old = [("1", "retry"), ("2", "well"), ("3", "well")].map(|(n, words)| {
        let mut old = text(&format!("wamid.old.{n}"));
        old["text"]["body"] = json!(words);
        old
    });
    meta.deliver(&chunk(0, 1, 100, json!(old))).await?;
    until("the old one to be put off", PATIENCE, || async {
        let page = admin.get("/plugins").await?;
        let put_off = page["plugins"][0]["events"]["waiting"] == 1;
        Ok(Seen::when(put_off, (), || page.to_string()))
    })
    .await?;

    meta.deliver(&webhook::text(CUSTOMER, "wamid.live", "well"))
        .await?;
    until("the answer", PATIENCE, || async {
        Ok(Seen::when(sim.sent_total() == 1, (), || "none".into()))
    })
    .await?;
    assert_eq!(done(&admin).await?, 1, "an old one went before its first");
    gateway.end().await
}

/// Events that the one plugin is done with.
async fn done(admin: &Admin) -> anyhow::Result<u64> {
    let page = admin.get("/plugins").await?;
    Ok(page["plugins"][0]["events"]["done"]
        .as_u64()
        .unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_that_never_came_and_media_that_never_will_are_named() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let deliver = async |changes: &[Value]| -> anyhow::Result<Value> {
        meta.deliver(&body(changes)).await?;
        admin.intake_done(PATIENCE).await?;
        report(&admin).await
    };
    let first = chunk(
        1,
        1,
        40,
        json!([text("wamid.1"), placeholder("wamid.2", 40)]),
    );
    let third = chunk(
        1,
        3,
        100,
        json!([text("wamid.3"), placeholder("wamid.4", 3)]),
    );
    let told = deliver(&[third, first]).await?;
    assert_eq!(
        (&told["state"], &told["progress"]),
        (&json!("syncing"), &json!(100))
    );
    assert_eq!(told["phases"][0]["chunks_missing"], json!([2]));
    assert_eq!(
        told["phases"][0]["media"],
        json!({"told": 2, "came": 0, "too_old": 1})
    );

    let (ended, words) = gateway
        .duet(&["number", "status", webhook::DISPLAY])
        .await?;
    assert!(
        ended.success() && words.contains("missing chunks: 2"),
        "{words}"
    );
    assert!(words.contains("phase 1 (up to 90 days)"), "{words}");

    let told = deliver(&[chunk(1, 2, 80, json!([text("wamid.5")]))]).await?;
    assert_eq!(
        (&told["state"], &told["phases"][0]["chunks_missing"]),
        (&json!("complete"), &json!([]))
    );
    let image = json!({"from": CUSTOMER, "id": "wamid.4", "timestamp": now_s().to_string(), "type": "image",
        "image": {"id": "1", "mime_type": "image/jpeg"}});
    let told = deliver(&[change("history", json!({"messages": [image]}))]).await?;
    assert_eq!(told["phases"][0]["media"]["came"], 1);
    assert_eq!(told["messages"], 5);
    let (ended, words) = gateway.duet(&["number", "list"]).await?;
    let line = format!("{NUMBER}  {}  live", webhook::DISPLAY);
    assert!(ended.success() && words.starts_with(&line), "{words}");
    let (ended, words) = gateway.duet(&["number", "status", "+1 555"]).await?;
    assert!(
        !ended.success() && words.contains("duet number list"),
        "{words}"
    );
    gateway.end().await
}

/// The days around the connection come twice: as the history's and as live messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_came_live_and_with_the_history_counts_once_and_for_both()
-> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    for changes in [
        vec![webhook::texts(
            CUSTOMER,
            "Asha",
            &[("wamid.1", "do you ship to Pune?")],
        )],
        vec![chunk(0, 1, 100, json!([text("wamid.1"), text("wamid.2")]))],
        vec![webhook::texts(
            CUSTOMER,
            "Asha",
            &[("wamid.2", "do you ship to Pune?")],
        )],
    ] {
        meta.deliver(&body(&changes)).await?;
        admin.intake_done(PATIENCE).await?;
    }
    let report = report(&admin).await?;
    assert_eq!(
        (&report["messages"], &report["phases"][0]["messages_told"]),
        (&json!(2), &json!(2))
    );
    let conversation = admin.conversation(CUSTOMER, PATIENCE).await?;
    let id = conversation["id"].as_i64().unwrap_or_default();
    assert_eq!(admin.messages(id).await?.len(), 2);
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_the_business_did_not_share_says_so_and_what_can_be_done()
-> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let declined = json!([{"errors": [{"code": 2_593_109, "title": "History sync is turned off",
        "message": "History sync is turned off", "error_data": {"details": "turned off by the business"}}]}]);
    meta.deliver(&body(&[change("history", json!({"history": declined}))]))
        .await?;
    admin.intake_done(PATIENCE).await?;
    let told = report(&admin).await?;
    assert_eq!(told["state"], "declined");
    assert!(
        told["summary"].to_string().contains("connect it anew"),
        "{told}"
    );

    // Disconnected and connected anew: this time the business shares it.
    for event in ["PARTNER_REMOVED", "PARTNER_ADDED"] {
        meta.deliver(&body(&[
            json!({"field": "account_update", "value": {"event": event}}),
        ]))
        .await?;
        admin.intake_done(PATIENCE).await?;
    }
    assert_eq!(report(&admin).await?["state"], "none");
    meta.deliver(&body(&[chunk(0, 1, 100, json!([text("wamid.1")]))]))
        .await?;
    admin.intake_done(PATIENCE).await?;
    assert_eq!(report(&admin).await?["state"], "complete");
    gateway.end().await
}
