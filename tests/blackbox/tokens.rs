//! A token that Meta refuses for files or templates: nothing is hammered, and sends and files wait for the same word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use duet_tests::fake_graph::{FakeGraph, Reply};
use duet_tests::{Admin, Gateway, Setup, webhook};
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const CUSTOMER: &str = "919800000001";
const PICTURE: &[u8] = b"a picture of tea";

fn refusal(code: i64) -> Reply {
    let error = json!({"message": "no", "type": "OAuthException", "code": code});
    Reply::json_with(400, &json!({"error": error}))
}

/// A gateway with a business whose token Meta refuses with this code while the switch is on, where `wanted` says so.
async fn start(
    code: i64,
    wanted: fn(&str) -> bool,
) -> anyhow::Result<(FakeGraph, Arc<AtomicBool>, Gateway)> {
    let refuses = Arc::new(AtomicBool::new(true));
    let seen = refuses.clone();
    let graph = FakeGraph::start(move |path, own| {
        if wanted(path) && seen.load(Ordering::SeqCst) {
            return refusal(code);
        }
        if path.ends_with("/message_templates") {
            return Reply::json(&json!({"data": []}));
        }
        if path.ends_with("/file") {
            return Reply::bytes(PICTURE);
        }
        if path.contains("/picture") {
            return Reply::json(&json!({"url": format!("{own}/file"), "mime_type": "image/png"}));
        }
        Reply::json(&json!({"messages": [{"id": "wamid.sent"}]}))
    })
    .await?;
    let setup = Setup::default()
        .graph(&format!("{}/v23.0", graph.url()))
        .env("DUET_BUSINESS_TOKEN", "EAAG-tea");
    let gateway = Gateway::start(setup).await?;
    for command in [
        &["business", "add", "tea"][..],
        &["business", "token", "tea"],
    ] {
        let (status, said) = gateway.duet(command).await?;
        anyhow::ensure!(status.success(), "{said}");
    }
    let given = format!("/businesses/tea/accounts/{}", webhook::WABA);
    let (status, said) = gateway.admin()?.call(Method::PUT, &given, None).await?;
    anyhow::ensure!(status == 204, "{said}");
    Ok((graph, refuses, gateway))
}

fn image(id: usize) -> Value {
    let message = json!({"from": CUSTOMER, "id": format!("wamid.{id}"), "type": "image",
        "timestamp": webhook::now_s().to_string(),
        "image": {"mime_type": "image/png", "id": format!("picture{id}")}});
    let contacts = json!([{"profile": {"name": "Asha"}, "wa_id": CUSTOMER}]);
    let value = json!({"contacts": contacts, "messages": [message]});
    webhook::body(&[webhook::change("messages", value)])
}

async fn answer(admin: &Admin) -> anyhow::Result<Value> {
    let conversation = admin.conversation(CUSTOMER, PATIENCE).await?;
    let path = format!("/conversations/{}/messages", conversation["id"]);
    let text = json!({"type": "text", "text": {"body": "yes"}});
    admin.post(&path, &text).await
}

async fn has_alarm(admin: &Admin, name: &str) -> anyhow::Result<()> {
    let is_it = |row: &Value| row["name"] == name && row["acknowledged_at"].is_null();
    admin
        .row("alarms", "there is an alarm", PATIENCE, is_it)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_refused_for_a_file_holds_the_sends_too_and_is_not_hammered()
-> anyhow::Result<()> {
    let (graph, refuses, gateway) =
        start(190, |path| !path.ends_with("/message_templates")).await?;
    let (admin, meta) = (gateway.admin()?, gateway.meta()?);
    meta.deliver(&image(1)).await?;
    has_alarm(&admin, "token-refused").await?;
    for id in 2..=20 {
        meta.deliver(&image(id)).await?;
    }
    admin.intake_done(PATIENCE).await?;
    answer(&admin).await?;
    let is_held = |row: &Value| row["state"] == "pending" && row["cause"] == "token-refused";
    admin
        .row("outbox", "the answer is held", PATIENCE, is_held)
        .await?;

    refuses.store(false, Ordering::SeqCst);
    let token = json!({"token": "EAAG-another"});
    let (status, said) = admin
        .call(Method::PUT, "/businesses/tea/access", Some(&token))
        .await?;
    assert_eq!(status, 204, "{said}");
    let is_sent = |row: &Value| row["state"] == "sent";
    admin
        .row("outbox", "the answer goes", PATIENCE, is_sent)
        .await?;
    admin.media_done(PATIENCE).await?;
    assert_eq!(admin.rows("alarms", "open=true").await?, [json!(null); 0]);
    let asked = |part: &str, token: &str| {
        let requests = graph.requests();
        let is_it = |request: &&String| {
            request
                .lines()
                .next()
                .is_some_and(|line| line.contains(part))
                && request.contains(token)
        };
        requests.iter().filter(is_it).count()
    };
    assert_eq!(asked("/picture", "EAAG-another"), 20);
    // Those that were on their way together, and no more.
    assert!(asked("/picture", "EAAG-tea") <= 4, "{:?}", graph.requests());
    assert_eq!(asked("/messages", "EAAG-tea"), 0);
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_may_not_read_templates_still_sends() -> anyhow::Result<()> {
    let (_graph, refuses, gateway) =
        start(200, |path| path.ends_with("/message_templates")).await?;
    let (admin, meta) = (gateway.admin()?, gateway.meta()?);
    meta.deliver(&webhook::text(CUSTOMER, "wamid.1", "tea?"))
        .await?;
    has_alarm(&admin, "templates-refused").await?;
    answer(&admin).await?;
    let is_sent = |row: &Value| row["state"] == "sent";
    admin
        .row("outbox", "the answer goes", PATIENCE, is_sent)
        .await?;

    refuses.store(false, Ordering::SeqCst);
    let is_over = |row: &Value| row["settled"] == true;
    admin
        .row("alarms", "it settles by itself", PATIENCE, is_over)
        .await?;
    gateway.end().await
}
