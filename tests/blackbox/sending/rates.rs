//! Rates: of a customer, of a number, and what the app uses up of them.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_is_never_sent_more_than_meta_allows_in_a_burst() -> anyhow::Result<()> {
    let mut stage = Stage::set(|setup| setup).await?;
    let conversation = stage.meets(CUSTOMER).await?;
    let texts: Vec<_> = (1..=47).map(|n| n.to_string()).collect();
    for body in &texts {
        let (status, answer) = stage.says(conversation, &text(body)).await?;
        assert_eq!(status, 202, "{answer}");
    }
    let held = stage
        .admin
        .row(
            "outbox",
            "one waits for the customer's rate",
            PATIENCE,
            |row| row["cause"] == "pair-rate",
        )
        .await?;
    assert_eq!(held["state"], "pending");
    assert!(held["next_at"].is_string(), "it says when: {held}");
    // What was taken is on disk: a restart begins no new burst.
    stage.gateway.kill9().await?;
    stage.gateway.restart().await?;
    stage.admin = stage.gateway.admin()?;
    stage.sim.wait_sent(47, PATIENCE).await?;
    assert_eq!(stage.texts(), texts, "in order, each once");
    assert_eq!(stage.refused(), Vec::<u32>::new());
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_never_sends_more_than_meta_allows_with_what_comes_in() -> anyhow::Result<()> {
    let stage = Stage::set(|setup| setup).await?;
    let customers: Vec<_> = (0..30).map(|n| format!("9198000001{n:02}")).collect();
    let mut conversations = Vec::new();
    for customer in &customers {
        stage.sim.customer_writes(customer, "hello").await?;
    }
    for customer in &customers {
        let conversation = stage.admin.conversation(customer, PATIENCE).await?;
        conversations.push(conversation["id"].as_i64().unwrap_or_default());
    }
    for n in 1..=2 {
        for conversation in &conversations {
            stage.says(*conversation, &text(&n.to_string())).await?;
        }
    }
    stage.sim.wait_sent(60, PATIENCE).await?;
    assert_eq!(stage.refused(), Vec::<u32>::new());
    for customer in &customers {
        let sent = stage.sim.sent();
        let mine: Vec<_> = sent
            .iter()
            .filter(|sent| sent.to == *customer)
            .map(|sent| sent.body["text"]["body"].clone())
            .collect();
        assert_eq!(mine, [json!("1"), json!("2")]);
    }
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_sends_from_the_app_counts_towards_the_customers_rate() -> anyhow::Result<()>
{
    let stage = Stage::set(|setup| setup.env("DUET_SENDING_PAIR_SECONDS", 3600)).await?;
    let conversation = stage.meets(CUSTOMER).await?;
    let echoes: Vec<_> = (0..45)
        .map(|n| webhook::echo(CUSTOMER, &format!("wamid.app.{n}"), "from the phone"))
        .collect();
    stage.meta.deliver(&webhook::body(&echoes)).await?;
    stage.admin.intake_done(PATIENCE).await?;
    stage.says(conversation, &text("and from here")).await?;
    stage
        .admin
        .row(
            "outbox",
            "it waits for the customer's rate",
            PATIENCE,
            |row| row["cause"] == "pair-rate",
        )
        .await?;
    assert_eq!(stage.sim.sent_total(), 0);
    stage.gateway.end().await
}
