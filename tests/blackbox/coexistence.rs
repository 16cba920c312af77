//! The life of a number that stays in the app: what happens to it is seen, and what is sent meanwhile waits.

use std::time::Duration;

use duet_sim::Sim;
use duet_sim::play::AccountEvent;
use duet_tests::wait::{Seen, until};
use duet_tests::webhook::{self, now_s};
use duet_tests::{Admin, Gateway, Setup, gateway};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const CUSTOMER: &str = "919800000001";
const DAY_S: u64 = 86_400;

async fn set() -> anyhow::Result<(Sim, Gateway)> {
    let sim = Sim::start(gateway::sim()).await?;
    let gateway = Gateway::start(Setup::default().graph(sim.url())).await?;
    sim.set_webhook(gateway.webhook()?);
    Ok((sim, gateway))
}

fn event(name: &str) -> AccountEvent {
    AccountEvent {
        event: name.into(),
        ..AccountEvent::default()
    }
}

/// Waits until the only number is in this state.
async fn number_is(admin: &Admin, state: &str) -> anyhow::Result<Value> {
    until(&format!("the number is {state}"), PATIENCE, || async {
        let number = admin.get("/numbers").await?["numbers"][0].clone();
        let seen = number.to_string();
        Ok(Seen::when(number["state"] == state, number, || seen))
    })
    .await
}

/// Meta's own samples of the two words have swapped times, so RECONNECTED is told here as the older one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_wait_while_the_number_moves_and_leave_once_meta_confirms() -> anyhow::Result<()> {
    let (sim, gateway) = set().await?;
    let admin = gateway.admin()?;
    sim.customer_writes(CUSTOMER, "is it open?").await?;
    let conversation = admin.conversation(CUSTOMER, PATIENCE).await?["id"].clone();

    sim.account(event("ACCOUNT_OFFBOARDED")).await?;
    number_is(&admin, "offboarded").await?;
    let path = format!("/conversations/{conversation}/messages");
    for text in ["Until nine.", "On Sundays too."] {
        admin
            .post(&path, &json!({"type": "text", "text": {"body": text}}))
            .await?;
    }
    admin
        .row("outbox", "the first send is held", PATIENCE, |row| {
            row["cause"] == "number-offboarded"
        })
        .await?;
    assert_eq!(sim.sent_total(), 0);

    sim.account(AccountEvent {
        time: Some(now_s() - 60),
        ..event("ACCOUNT_RECONNECTED")
    })
    .await?;
    let sent = sim.wait_sent(2, PATIENCE).await?;
    let texts: Vec<_> = sent.iter().map(|sent| &sent.body["text"]["body"]).collect();
    assert_eq!(texts, ["Until nine.", "On Sundays too."]);
    number_is(&admin, "live").await?;
    let asked = sim
        .requests()
        .iter()
        .filter(|request| request.method == "GET" && request.path.contains(webhook::NUMBER))
        .count();
    assert!(asked > 0, "Meta was asked");
    gateway.end().await
}

/// Meta repeats what it got no 200 for, for days: the word of yesterday must not silence a number that is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_offboarding_holds_nothing_for_good() -> anyhow::Result<()> {
    let (sim, gateway) = set().await?;
    let admin = gateway.admin()?;
    sim.customer_writes(CUSTOMER, "is it open?").await?;
    let conversation = admin.conversation(CUSTOMER, PATIENCE).await?["id"].clone();
    let offboarded = |time: u64| {
        json!({"object": "whatsapp_business_account", "entry": [{"id": webhook::WABA, "time": time,
            "changes": [{"field": "account_update", "value": {"event": "ACCOUNT_OFFBOARDED"}}]}]})
    };
    // The number never left the app at Meta's; the word alone says so.
    gateway.meta()?.deliver(&offboarded(now_s())).await?;
    admin.intake_done(PATIENCE).await?;
    number_is(&admin, "live").await?;
    gateway
        .meta()?
        .deliver(&offboarded(now_s() - DAY_S))
        .await?;
    admin.intake_done(PATIENCE).await?;
    let path = format!("/conversations/{conversation}/messages");
    admin
        .post(&path, &json!({"type": "text", "text": {"body": "Yes."}}))
        .await?;
    sim.wait_sent(1, PATIENCE).await?;
    number_is(&admin, "live").await?;
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_silent_raises_one_alarm_for_each_silence() -> anyhow::Result<()> {
    let (_sim, mut gateway) = set().await?;
    for (days, open) in [
        (13, vec!["app-silent-urgent"]),
        (10, vec!["app-silent"]),
        (1, vec![]),
    ] {
        let seen_s = now_s() - days * DAY_S - 60;
        let mut echo = webhook::echo(CUSTOMER, &format!("wamid.{days}"), "Until nine.");
        echo["value"]["message_echoes"][0]["timestamp"] = json!(seen_s.to_string());
        gateway.meta()?.deliver(&webhook::body(&[echo])).await?;
        gateway.admin()?.intake_done(PATIENCE).await?;
        // A gateway looks when it starts, and then every minute: twice raises nothing twice.
        for _ in 0..2 {
            gateway.stop().await?;
            gateway.restart().await?;
            let admin = gateway.admin()?;
            until("the alarms", PATIENCE, || async {
                let alarms = admin
                    .rows("alarms", &format!("open=true&number={}", webhook::NUMBER))
                    .await?;
                let names: Vec<_> = alarms.iter().map(|alarm| alarm["name"].clone()).collect();
                let counted = alarms.iter().all(|alarm| alarm["times"] == 1);
                Ok(Seen::when(names == open && counted, (), || {
                    json!(alarms).to_string()
                }))
            })
            .await?;
            let others = admin.rows("alarms", "number=1").await?;
            assert!(others.is_empty(), "of another number: {others:?}");
        }
    }
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_nobody_opens_is_at_risk() -> anyhow::Result<()> {
    let (_sim, gateway) = set().await?;
    let (admin, meta) = (gateway.admin()?, gateway.meta()?);
    for (days, state, urgent) in [
        (13, "at-risk", true),
        (10, "at-risk", false),
        (1, "live", false),
    ] {
        let seen_s = now_s() - days * DAY_S - 60;
        let mut echo = webhook::echo(CUSTOMER, &format!("wamid.{days}"), "Until nine.");
        echo["value"]["message_echoes"][0]["timestamp"] = json!(seen_s.to_string());
        meta.deliver(&webhook::body(&[echo])).await?;
        admin.intake_done(PATIENCE).await?;
        let number = number_is(&admin, state).await?;
        assert_eq!(number["urgent"], urgent, "{days} days");
        let due: jiff::Timestamp = number["app_due_at"].as_str().unwrap_or_default().parse()?;
        assert_eq!(
            u64::try_from(due.as_second())?,
            seen_s + 14 * DAY_S,
            "{days} days"
        );
    }
    gateway.end().await
}
