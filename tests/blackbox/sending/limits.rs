//! Conversations that may be begun in a day.

use super::*;

/// Meta counts over all accounts of a portfolio.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounts_of_one_portfolio_share_one_limit() -> anyhow::Result<()> {
    let stage = Stage::set(|setup| setup).await?;
    for waba in [webhook::WABA, OTHER_WABA] {
        let info = json!({"waba_id": waba, "owner_business_id": "2329417887457253"});
        let value = json!({"event": "PARTNER_ADDED", "waba_info": info});
        let mut added = webhook::body(&[json!({"field": "account_update", "value": value})]);
        added["entry"][0]["id"] = json!(waba);
        stage.meta.deliver(&added).await?;
    }
    let limit = |max: i64| {
        let value = json!({"max_daily_conversations_per_business": max});
        webhook::body(&[json!({"field": "business_capability_update", "value": value})])
    };
    stage.meta.deliver(&limit(1)).await?;
    let mut conversations = Vec::new();
    for (customer, number, waba) in [
        ("919800000031", webhook::NUMBER, webhook::WABA),
        ("919800000032", OTHER_NUMBER, OTHER_WABA),
    ] {
        let mut body = webhook::text(customer, &format!("wamid.{customer}"), "hello");
        body["entry"][0]["id"] = json!(waba);
        let value = &mut body["entry"][0]["changes"][0]["value"];
        value["metadata"]["phone_number_id"] = json!(number);
        value["messages"][0]["timestamp"] = json!((webhook::now_s() - 30 * 3600).to_string());
        stage.meta.deliver(&body).await?;
        let conversation = stage.admin.conversation(customer, PATIENCE).await?;
        conversations.push(conversation["id"].as_i64().unwrap_or_default());
        let templates = format!("waba={waba}");
        until("the templates are read", PATIENCE, || async {
            let rows = stage.admin.rows("templates", &templates).await?;
            Ok(Seen::when(!rows.is_empty(), (), || templates.clone()))
        })
        .await?;
    }
    stage.says(conversations[0], &campaign()).await?;
    stage.sim.wait_sent(1, PATIENCE).await?;
    stage.says(conversations[1], &campaign()).await?;
    let held = stage
        .admin
        .row("outbox", "the other account waits", PATIENCE, |row| {
            row["cause"] == "portfolio-limit"
        })
        .await?;
    assert_eq!(held["conversation"], conversations[1]);
    // The word for one account frees what waits in the other one.
    stage.meta.deliver(&limit(-1)).await?;
    stage.sim.wait_sent(2, PATIENCE).await?;
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_conversations_are_begun_than_meta_allows_in_a_day() -> anyhow::Result<()> {
    let stage = Stage::set(|setup| setup).await?;
    let limit = |max: i64| {
        let value =
            json!({"max_daily_conversations_per_business": max, "max_phone_numbers_per_waba": 25});
        webhook::body(&[json!({"field": "business_capability_update", "value": value})])
    };
    stage.meta.deliver(&limit(2)).await?;
    let mut conversations = Vec::new();
    for n in 0..3 {
        // Known from long ago: the window is closed.
        let customer = format!("91980000002{n}");
        let mut body = webhook::text(&customer, &format!("wamid.old.{n}"), "hello");
        let at = (webhook::now_s() - 30 * 3600).to_string();
        body["entry"][0]["changes"][0]["value"]["messages"][0]["timestamp"] = json!(at);
        stage.meta.deliver(&body).await?;
        let conversation = stage.admin.conversation(&customer, PATIENCE).await?;
        conversations.push(conversation["id"].as_i64().unwrap_or_default());
    }
    for (n, conversation) in (1..).zip(&conversations) {
        stage.says(*conversation, &campaign()).await?;
        // One after the other, so that the third is the one too many.
        stage.sim.wait_sent(n.min(2), PATIENCE).await?;
    }
    let held = stage
        .admin
        .row("outbox", "the third waits", PATIENCE, |row| {
            row["cause"] == "portfolio-limit"
        })
        .await?;
    assert_eq!(held["conversation"], conversations[2]);
    // A second message to somebody who counts already begins nothing new.
    stage.says(conversations[0], &campaign()).await?;
    stage.sim.wait_sent(3, PATIENCE).await?;
    stage.meta.deliver(&limit(-1)).await?;
    stage.sim.wait_sent(4, PATIENCE).await?;
    stage.gateway.end().await
}
