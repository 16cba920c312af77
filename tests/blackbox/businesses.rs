//! One gateway, several businesses: each sends under its own token, and what is wrong with one's holds nobody else up.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use duet_tests::fake_graph::{FakeGraph, Reply};
use duet_tests::gateway::ACCESS_TOKEN;
use duet_tests::{Admin, Gateway, Meta, Setup, webhook};
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const OWN_CUSTOMER: &str = "919800000001";
const TEA_CUSTOMER: &str = "919800000002";
const TEA_NUMBER: &str = "2001";
const TEA_WABA: &str = "2000";
const TEA_TOKEN: &str = "EAAG-the-tea-house-has-this-token";
const NEW_TOKEN: &str = "EAAG-and-later-it-has-that-token";
const MASTER_KEYS: [&str; 2] = [
    "1111111111111111111111111111111111111111111111111111111111111111",
    "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI=",
];

struct Stage {
    graph: FakeGraph,
    /// While it is set, the tea house's token has expired.
    expired: Arc<AtomicBool>,
    /// While it is set, no upload is answered.
    hangs: Arc<AtomicBool>,
    gateway: Gateway,
}

impl Stage {
    /// A gateway with its own number and that of the tea house, each with a customer who has written.
    async fn set(setup: Setup) -> anyhow::Result<Stage> {
        let expired = Arc::new(AtomicBool::new(false));
        let hangs = Arc::new(AtomicBool::new(false));
        let (seen, waits) = (expired.clone(), hangs.clone());
        let graph = FakeGraph::start(move |path, _| {
            if path.ends_with("/media") {
                let until = Instant::now() + PATIENCE;
                tokio::task::block_in_place(|| {
                    while waits.load(Ordering::SeqCst) && Instant::now() < until {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                });
                return Reply::json(&json!({"id": "77"}));
            }
            if path.contains(TEA_NUMBER) && seen.load(Ordering::SeqCst) {
                let error = json!({"message": "expired", "type": "OAuthException", "code": 190});
                return Reply::json(&json!({"error": error}));
            }
            Reply::json(&json!({"messages": [{"id": "wamid.sent"}]}))
        })
        .await?;
        let setup = setup
            .graph(&format!("{}/v23.0", graph.url()))
            .env("DUET_BUSINESS_TOKEN", TEA_TOKEN);
        let stage = Stage {
            graph,
            expired,
            hangs,
            gateway: Gateway::start(setup).await?,
        };
        for command in [
            &["business", "add", "tea", "--name", "The tea house"][..],
            &["business", "token", "tea"][..],
        ] {
            let (status, said) = stage.gateway.duet(command).await?;
            assert!(status.success(), "{said}");
            assert!(!said.contains(TEA_TOKEN), "{said}");
        }
        let path = format!("/businesses/tea/accounts/{TEA_WABA}");
        let (status, given) = stage.admin()?.call(Method::PUT, &path, None).await?;
        assert_eq!(status, 204, "{given}");
        stage.tea_customer_writes("wamid.1").await?;
        let own = webhook::text(OWN_CUSTOMER, "wamid.2", "hello");
        stage.meta()?.deliver(&own).await?;
        Ok(stage)
    }

    fn admin(&self) -> anyhow::Result<Admin> {
        self.gateway.admin()
    }

    fn meta(&self) -> anyhow::Result<Meta> {
        self.gateway.meta()
    }

    async fn tea_customer_writes(&self, id: &str) -> anyhow::Result<()> {
        self.writes_to_tea(TEA_CUSTOMER, id).await
    }

    async fn writes_to_tea(&self, customer: &str, id: &str) -> anyhow::Result<()> {
        let mut body = webhook::text(customer, id, "a pot of tea?");
        body["entry"][0]["id"] = json!(TEA_WABA);
        body["entry"][0]["changes"][0]["value"]["metadata"] =
            json!({"display_phone_number": "912255500200", "phone_number_id": TEA_NUMBER});
        self.meta()?.deliver(&body).await
    }

    /// A person answers through the API; the answer is the row of the outbox.
    async fn answer(&self, customer: &str) -> anyhow::Result<i64> {
        let yes = json!({"type": "text", "text": {"body": "yes"}});
        self.send(customer, &yes).await
    }

    async fn send(&self, customer: &str, message: &Value) -> anyhow::Result<i64> {
        let admin = self.admin()?;
        let conversation = admin.conversation(customer, PATIENCE).await?;
        let path = format!("/conversations/{}/messages", conversation["id"]);
        let queued = admin.post(&path, message).await?;
        Ok(queued["outbox"].as_i64().unwrap_or_default())
    }

    async fn row(&self, id: i64, what: &str, fits: fn(&Value) -> bool) -> anyhow::Result<Value> {
        let is_it = |row: &Value| row["id"] == json!(id) && fits(row);
        self.admin()?.row("outbox", what, PATIENCE, is_it).await
    }

    async fn open_alarms(&self) -> anyhow::Result<Vec<Value>> {
        self.admin()?.rows("alarms", "open=true").await
    }

    /// The tokens with which messages of a number were posted, in order.
    fn tokens(&self, number: &str) -> Vec<String> {
        self.tokens_at(number, "messages")
    }

    fn tokens_at(&self, number: &str, edge: &str) -> Vec<String> {
        let requests = self.graph.requests();
        let of_number = requests
            .iter()
            .filter(|request| request.starts_with(&format!("POST /v23.0/{number}/{edge} ")));
        of_number
            .filter_map(|request| {
                let line = request
                    .lines()
                    .find(|line| line.starts_with("authorization: "))?;
                Some(line.trim_start_matches("authorization: Bearer ").to_owned())
            })
            .collect()
    }
}

fn is_sent(row: &Value) -> bool {
    row["state"] == "sent"
}

fn is_refused(row: &Value) -> bool {
    row["state"] == "pending" && row["cause"] == "token-refused"
}

fn is_sealed(row: &Value) -> bool {
    row["state"] == "pending" && row["cause"] == "token-sealed"
}

/// Whether any file below the folder holds these bytes.
fn holds(folder: &Path, text: &str) -> anyhow::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            holds(&path, text)?
        } else {
            memchr::memmem::find(&std::fs::read(&path)?, text.as_bytes()).is_some()
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_holds_its_business_alone_and_a_new_one_lets_all_go() -> anyhow::Result<()>
{
    let stage = Stage::set(Setup::default()).await?;
    for customer in [OWN_CUSTOMER, TEA_CUSTOMER] {
        let row = stage.answer(customer).await?;
        stage.row(row, "an answer is sent", is_sent).await?;
    }
    assert_eq!(stage.tokens(webhook::NUMBER), [ACCESS_TOKEN]);
    assert_eq!(stage.tokens(TEA_NUMBER), [TEA_TOKEN]);

    stage.expired.store(true, Ordering::SeqCst);
    let held = stage.answer(TEA_CUSTOMER).await?;
    stage.row(held, "the answer is held", is_refused).await?;
    let own = stage.answer(OWN_CUSTOMER).await?;
    stage.row(own, "nobody else is held", is_sent).await?;
    let alarms = stage.open_alarms().await?;
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!(alarms[0]["name"], "token-refused");
    assert_eq!(alarms[0]["number"], TEA_NUMBER);

    stage.expired.store(false, Ordering::SeqCst);
    let token = json!({"token": NEW_TOKEN});
    let access = "/businesses/tea/access";
    let (status, said) = stage
        .admin()?
        .call(Method::PUT, access, Some(&token))
        .await?;
    assert_eq!(status, 204, "{said}");
    stage.row(held, "the held answer goes", is_sent).await?;
    assert_eq!(
        stage.tokens(TEA_NUMBER).last().map(String::as_str),
        Some(NEW_TOKEN)
    );
    assert_eq!(stage.open_alarms().await?, [json!(null); 0]);

    for token in [TEA_TOKEN, NEW_TOKEN] {
        assert!(!holds(&stage.gateway.data(), token)?, "{token} is on disk");
    }
    let Stage { gateway, .. } = stage;
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_key_that_is_lost_holds_sends_and_loses_nothing_and_one_can_be_rotated()
-> anyhow::Result<()> {
    let [old, new] = MASTER_KEYS;
    let mut stage = Stage::set(Setup::default().env("DUET_MASTER_KEY", old)).await?;
    let with = |key: &str| [("DUET_MASTER_KEY".to_owned(), key.to_owned())];

    stage.gateway.stop().await?;
    assert!(stage.gateway.restart_with(&with(new)).await?);
    stage.tea_customer_writes("wamid.3").await?;
    stage.admin()?.intake_done(PATIENCE).await?;
    let row = stage.answer(TEA_CUSTOMER).await?;
    stage.row(row, "the answer is held", is_sealed).await?;
    let own = stage.answer(OWN_CUSTOMER).await?;
    stage.row(own, "nobody else is held", is_sent).await?;
    assert_eq!(stage.open_alarms().await?[0]["name"], "token-refused");
    let log = stage.gateway.log();
    assert!(
        log.contains("put that key back into DUET_MASTER_KEY"),
        "{log}"
    );

    stage.gateway.stop().await?;
    let both = format!("{new},{old}");
    assert!(stage.gateway.restart_with(&with(&both)).await?);
    stage.row(row, "the held answer goes", is_sent).await?;

    stage.gateway.stop().await?;
    assert!(stage.gateway.restart_with(&with(new)).await?);
    let row = stage.answer(TEA_CUSTOMER).await?;
    stage
        .row(row, "the old key is needed no more", is_sent)
        .await?;
    assert_eq!(stage.tokens(TEA_NUMBER), [TEA_TOKEN; 2]);
    let Stage { gateway, .. } = stage;
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_waited_for_its_place_goes_under_the_token_of_now() -> anyhow::Result<()> {
    let stage = Stage::set(Setup::default()).await?;
    let admin = stage.admin()?;
    stage.hangs.store(true, Ordering::SeqCst);
    let mut rows = Vec::new();
    // Four are uploaded at once.
    for at in 0..5 {
        let customer = format!("91980000010{at}");
        stage
            .writes_to_tea(&customer, &format!("wamid.1{at}"))
            .await?;
        let (status, given) = admin
            .hand_over("?business=tea", "image/png", vec![at; 10])
            .await?;
        assert_eq!(status, 201, "{given}");
        let picture = json!({"type": "image", "image": {"file": given["sha256"]}});
        let row = stage.send(&customer, &picture).await?;
        let waits = |row: &Value| row["cause"] == "file-uploading";
        stage.row(row, "it waits for its file", waits).await?;
        rows.push(row);
    }
    let token = json!({"token": NEW_TOKEN});
    let (status, said) = admin
        .call(Method::PUT, "/businesses/tea/access", Some(&token))
        .await?;
    assert_eq!(status, 204, "{said}");
    stage.hangs.store(false, Ordering::SeqCst);
    for row in rows {
        stage.row(row, "it is sent", is_sent).await?;
    }
    let under: Vec<_> = stage.tokens_at(TEA_NUMBER, "media");
    let old = [TEA_TOKEN; 4].as_slice();
    assert_eq!(under, [old, &[NEW_TOKEN]].concat());
    stage.gateway.end().await
}
