//! The ledger of a number: it adds up after everything that may happen to a gateway, and names what is missing after
//! what must not happen.

use std::time::Duration;

use duet_sim::Sim;
use duet_tests::plugins_file::PluginsFile;
use duet_tests::wait::{Seen, until};
use duet_tests::webhook::{self, NUMBER};
use duet_tests::{Admin, Gateway, Setup, gateway};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const CUSTOMER: &str = "919800000001";

/// Two texts and their answers by the plugin, one text of them told twice.
async fn set() -> anyhow::Result<(Sim, Gateway)> {
    let sim = Sim::start(gateway::open_sim()).await?;
    let setup = Setup::default()
        .graph(sim.url())
        .plugins(PluginsFile::probe("a", 0));
    let gateway = Gateway::start(setup).await?;
    sim.set_webhook(gateway.webhook()?);
    let admin = gateway.admin()?;
    admin.plugins_run(PATIENCE).await?;
    sim.customer_writes(CUSTOMER, "one").await?;
    sim.customer_writes(CUSTOMER, "two").await?;
    let twice = webhook::text("919800000002", "wamid.twice", "hello");
    gateway.meta()?.deliver(&twice).await?;
    gateway.meta()?.deliver(&twice).await?;
    sim.wait_sent(3, PATIENCE).await?;
    Ok((sim, gateway))
}

async fn ledger(admin: &Admin, query: &str) -> anyhow::Result<Value> {
    admin.get(&format!("/numbers/{NUMBER}/ledger{query}")).await
}

/// The ledger, once it is as a test wants it.
async fn settled(
    admin: &Admin,
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    until(what, PATIENCE, || async {
        let ledger = ledger(admin, "?meta=true").await?;
        let seen = ledger.to_string();
        Ok(Seen::when(fits(&ledger), ledger, || seen))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_tells_what_came_of_a_numbers_messages() -> anyhow::Result<()> {
    let (sim, gateway) = set().await?;
    let admin = gateway.admin()?;
    // Three statuses for each answer.
    let ledger = settled(&admin, "all statuses are in", |ledger| {
        ledger["arrived"]["kinds"]["status.read"] == 3 && ledger["plugins"][0]["waiting"] == 0
    })
    .await?;
    assert_eq!(ledger["adds_up"], true, "{ledger}");
    assert_eq!(
        (
            &ledger["arrived"]["elements"],
            &ledger["arrived"]["repeated"]
        ),
        (&json!(13), &json!(1))
    );
    assert_eq!(
        (&ledger["events"]["new"], &ledger["events"]["kept"]),
        (&json!(12), &json!(12))
    );
    assert_eq!(
        ledger["sends"]["fates"],
        json!([{"state": "sent", "cause": null, "count": 3}])
    );
    let probe = &ledger["plugins"][0];
    assert_eq!(
        probe["done"]
            .as_i64()
            .zip(probe["skipped"].as_i64())
            .map(|(done, skipped)| done + skipped),
        Some(12)
    );
    assert_eq!(
        (&ledger["meta"]["state"], &ledger["meta"]["messages"]),
        (&json!("read"), &json!(3))
    );

    let phone = webhook::DISPLAY;
    let (status, words) = gateway.duet(&["number", "ledger", phone]).await?;
    assert!(status.success(), "{words}");
    assert!(
        words.contains("Nothing is missing: 12 events and 3 sends add up."),
        "{words}"
    );
    let (_, words) = gateway
        .duet(&[
            "number",
            "ledger",
            phone,
            "--json",
            "--from",
            "2020-01-01",
            "--to",
            "2020-12-31",
        ])
        .await?;
    let none: Value = serde_json::from_str(&words)?;
    assert_eq!(
        (&none["arrived"]["elements"], &none["adds_up"]),
        (&json!(0), &json!(true))
    );
    // No days at all would add up, too.
    for (query, why) in [
        ("from=June", "from: must be a day such as 2026-11-23"),
        ("from=2026-11-02&to=2026-11-01", "to: is a day before from"),
    ] {
        let path = format!("/numbers/{NUMBER}/ledger?{query}");
        let (status, answer) = admin.call(reqwest::Method::GET, &path, None).await?;
        assert_eq!((status, &answer["error"]["message"]), (400, &json!(why)));
    }

    // Meta does not give its record of every number.
    sim.add_trouble(duet_sim::Trouble {
        code: 200,
        on: "message_history".into(),
        ..Default::default()
    });
    let (status, words) = gateway.duet(&["number", "ledger", phone]).await?;
    assert!(
        status.success() && words.contains("not offered for this number"),
        "{words}"
    );
    gateway.end().await
}

/// Somebody else's program sends from the same number: Meta knows of it, and its webhook was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_only_meta_knows_is_named() -> anyhow::Result<()> {
    let (sim, gateway) = set().await?;
    let body = json!({"messaging_product": "whatsapp", "to": CUSTOMER, "type": "text", "text": {"body": "from elsewhere"}});
    let answer: Value = reqwest::Client::new()
        .post(format!("{}/v23.0/{NUMBER}/messages", sim.url()))
        .bearer_auth(gateway::ACCESS_TOKEN)
        .json(&body)
        .send()
        .await?
        .json()
        .await?;
    let ledger = settled(&gateway.admin()?, "Meta's record has it", |ledger| {
        ledger["meta"]["missing"] == 1 && ledger["events"]["early"] == 1
    })
    .await?;
    assert_eq!(
        ledger["meta"]["missing_ids"][0],
        answer["messages"][0]["id"]
    );
    let (status, words) = gateway.duet(&["number", "ledger", NUMBER]).await?;
    assert_eq!(status.code(), Some(1), "{words}");
    assert!(
        words.contains("Meta knows of 1 messages of this number that are not here"),
        "{words}"
    );
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_taken_out_is_missed() -> anyhow::Result<()> {
    let (sim, mut gateway) = set().await?;
    settled(&gateway.admin()?, "all is done", |ledger| {
        ledger["arrived"]["kinds"]["status.read"] == 3 && ledger["plugins"][0]["waiting"] == 0
    })
    .await?;
    gateway.stop().await?;
    let taken = [
        ("duet.db", "DELETE FROM events WHERE seq = 2"),
        ("duet.db", "DELETE FROM outbox WHERE id = 1"),
        ("receipts.db", "DELETE FROM receipts WHERE id = 1"),
    ];
    for (file, statement) in taken {
        let connection = rusqlite::Connection::open(gateway.data().join(file))?;
        assert_eq!(connection.execute(statement, [])?, 1, "{statement}");
    }
    gateway.restart().await?;
    sim.set_webhook(gateway.webhook()?);
    let (status, words) = gateway.duet(&["number", "ledger", NUMBER]).await?;
    assert_eq!(status.code(), Some(1), "{words}");
    for place in ["receipts", "events", "sends"] {
        assert!(
            words.contains(&format!("{place}: 1 missing")),
            "{place}: {words}"
        );
    }
    gateway.end().await
}
