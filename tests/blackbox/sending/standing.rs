//! What Meta says of a number, of an account and of the app.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_tells_of_the_app_and_is_open_once_until_it_is_acknowledged() -> anyhow::Result<()>
{
    let stage = Stage::set(|setup| setup.env("DUET_SENDING_OPT_OUT_WORDS", "stop")).await?;
    stage.meets(CUSTOMER).await?;
    let stop = webhook::text(CUSTOMER, "wamid.stop", "Stop");
    stage.meta.deliver(&stop).await?;
    let echo = |n: u32| webhook::echo(CUSTOMER, &format!("wamid.app.{n}"), "our secret sale");
    for n in 0..2 {
        stage.meta.deliver(&webhook::body(&[echo(n)])).await?;
    }
    stage.admin.intake_done(PATIENCE).await?;
    let open = stage.admin.rows("alarms", "open=true").await?;
    let found: Vec<_> = open
        .iter()
        .map(|alarm| (alarm["name"].clone(), alarm["times"].clone()))
        .collect();
    assert_eq!(found, [(json!("app-wrote-to-opted-out"), json!(2))]);
    let told = open[0].to_string();
    assert!(!told.contains(CUSTOMER) && !told.contains("sale"), "{told}");
    let (_, metrics) = stage.admin.open("/metrics").await?;
    let line = "duet_alarms_total{name=\"app-wrote-to-opted-out\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert!(stage.gateway.log().contains("app-wrote-to-opted-out"));

    let path = format!("/alarms/{}/acknowledge", open[0]["id"]);
    stage.admin.post(&path, &json!({})).await?;
    let again = stage.admin.call(Method::POST, &path, None).await?.0;
    assert_eq!(again, 404, "it is no longer open");
    stage
        .admin
        .count("alarms", "open=true", 0, PATIENCE)
        .await?;
    // So much at once that nothing is left of the number's rate; and the customer is still one who said stop.
    let echoes: Vec<_> = (2..32).map(echo).collect();
    stage.meta.deliver(&webhook::body(&echoes)).await?;
    let open = stage
        .admin
        .count("alarms", "open=true", 2, PATIENCE)
        .await?;
    let mut names: Vec<_> = open.iter().map(|alarm| alarm["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [Some("app-used-up-rate"), Some("app-wrote-to-opted-out")]
    );
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaigns_of_a_flagged_number_wait_until_meta_says_that_it_is_well() -> anyhow::Result<()>
{
    let stage = Stage::set(|setup| setup).await?;
    let conversation = stage.meets(CUSTOMER).await?;
    let word = |event: &str| {
        let value = json!({"display_phone_number": webhook::DISPLAY, "event": event, "current_limit": "TIER_10K"});
        webhook::body(&[json!({"field": "phone_number_quality_update", "value": value})])
    };
    stage.meta.deliver(&word("FLAGGED")).await?;
    stage
        .admin
        .row("alarms", "it is told", PATIENCE, |alarm| {
            alarm["name"] == "quality-low"
        })
        .await?;
    let (ended, words) = stage
        .gateway
        .duet(&["number", "status", webhook::DISPLAY])
        .await?;
    for told in ["standing: Meta has flagged the number", "alarm 1: "] {
        assert!(ended.success() && words.contains(told), "{told}: {words}");
    }
    stage.says(conversation, &campaign()).await?;
    stage
        .admin
        .row("outbox", "it waits", PATIENCE, |row| {
            row["cause"] == "quality-low"
        })
        .await?;
    assert_eq!(stage.sim.sent_total(), 0);
    // It keeps no answer to the same customer back.
    let (status, answer) = stage.says(conversation, &text("yes, in blue")).await?;
    assert_eq!(status, 202, "{answer}");
    let sent = stage.sim.wait_sent(1, PATIENCE).await?;
    assert_eq!(sent[0].body["text"]["body"], "yes, in blue");
    stage.meta.deliver(&word("UNFLAGGED")).await?;
    let sent = stage.sim.wait_sent(2, PATIENCE).await?;
    assert_eq!(sent[1].body["type"], "template");
    assert!(stage.admin.rows("alarms", "open=true").await?.is_empty());
    let path = format!("/numbers/{}", webhook::NUMBER);
    let standing = json!({"summary": "Meta has said nothing against it.", "quality_low": false, "alerted": false,
        "locked": false, "restricted_until": null});
    assert_eq!(stage.admin.get(&path).await?["standing"], standing);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restricted_account_sends_no_campaign_and_still_answers() -> anyhow::Result<()> {
    let stage = Stage::set(|setup| setup).await?;
    let conversation = stage.meets(CUSTOMER).await?;
    let word = |extra: &Value| webhook::body(&[json!({"field": "account_update", "value": extra})]);
    let restriction = json!([{
        "restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING",
        "expiration": webhook::now_s() + 3600,
    }]);
    // (Meta's words, whether a campaign leaves afterwards)
    let words = [
        (
            json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": restriction}),
            false,
        ),
        (
            json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": []}),
            true,
        ),
        (
            json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}),
            false,
        ),
        (
            json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}),
            true,
        ),
    ];
    let mut sent = 0;
    for (said, leaves) in words {
        stage.meta.deliver(&word(&said)).await?;
        stage.admin.intake_done(PATIENCE).await?;
        let (status, answer) = stage.says(conversation, &campaign()).await?;
        if leaves {
            assert_eq!(status, 202, "{said}: {answer}");
            sent += 1;
        } else {
            let code = &answer["error"]["meta_code"];
            assert_eq!((status, code), (409, &json!(131_031)), "{said}: {answer}");
        }
        let (status, _) = stage.says(conversation, &text("we are here")).await?;
        assert_eq!(status, 202, "{said}");
        sent += 1;
        stage.sim.wait_sent(sent, PATIENCE).await?;
        let alarms = stage.admin.rows("alarms", "open=true").await?;
        let names: Vec<_> = alarms.iter().map(|alarm| &alarm["name"]).collect();
        let open = if leaves {
            vec![]
        } else {
            vec!["account-restricted"]
        };
        assert_eq!(names, open, "{said}");
    }
    stage.gateway.end().await
}

/// Meta denies something for what the business has sent before: no more campaigns before somebody has looked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaigns_wait_for_a_critical_alert_until_it_is_over() -> anyhow::Result<()> {
    let stage = Stage::set(|setup| setup).await?;
    let conversation = stage.meets(CUSTOMER).await?;
    let alert = |severity: &str, status: &str| {
        let value = json!({"entity_type": "BUSINESS", "entity_id": "506914307656634", "alert_info": {
            "alert_severity": severity, "alert_status": status, "alert_description": "Limits cannot be increased.",
            "alert_type": "INCREASED_CAPABILITIES_ELIGIBILITY_FAILED"}});
        webhook::body(&[json!({"field": "account_alerts", "value": value})])
    };
    stage.meta.deliver(&alert("CRITICAL", "ACTIVE")).await?;
    let told = stage
        .admin
        .row("alarms", "it is told", PATIENCE, |alarm| {
            alarm["name"] == "account-alert-critical"
        })
        .await?;
    assert!(
        told["detail"].to_string().contains("eligibility_failed"),
        "{told}"
    );
    stage.says(conversation, &campaign()).await?;
    stage
        .admin
        .row("outbox", "it waits", PATIENCE, |row| {
            row["cause"] == "account-alert"
        })
        .await?;
    stage.says(conversation, &text("yes, in blue")).await?;
    let sent = stage.sim.wait_sent(1, PATIENCE).await?;
    assert_eq!(sent[0].body["text"]["body"], "yes, in blue");
    stage.meta.deliver(&alert("CRITICAL", "NONE")).await?;
    let sent = stage.sim.wait_sent(2, PATIENCE).await?;
    assert_eq!(sent[1].body["type"], "template");
    assert!(stage.admin.rows("alarms", "open=true").await?.is_empty());
    stage.gateway.end().await
}

/// It says what Meta charges. What may be sent is the window's to say, and that stays a day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_through_an_advertisement_and_was_answered_costs_nothing_for_three_days()
-> anyhow::Result<()> {
    let stage = Stage::set(|setup| setup).await?;
    let mut body = webhook::text(CUSTOMER, "wamid.ad", "is it still there?");
    body["entry"][0]["changes"][0]["value"]["messages"][0]["referral"] = json!({"source_type": "ad", "source_id": "120200000000000", "ctwa_clid": "ARAkLkA8rmlFeiCktEJQ"});
    stage.meta.deliver(&body).await?;
    let conversation = stage.admin.conversation(CUSTOMER, PATIENCE).await?;
    assert_eq!(
        conversation["free_until"],
        Value::Null,
        "nobody has answered"
    );
    let id = conversation["id"].as_i64().unwrap_or_default();
    stage.says(id, &text("Yes.")).await?;
    stage.sim.wait_sent(1, PATIENCE).await?;
    until("messages are free", PATIENCE, || async {
        let conversation = stage.admin.conversation(CUSTOMER, PATIENCE).await?;
        let hours = |field: &str| {
            let time: jiff::Timestamp = conversation[field].as_str()?.parse().ok()?;
            Some((time.as_second() - i64::try_from(webhook::now_s()).ok()?) / 3600)
        };
        let is_so = hours("free_until") == Some(71) && hours("window_until") == Some(23);
        Ok(Seen::when(is_so, (), || conversation.to_string()))
    })
    .await?;
    stage.gateway.end().await
}
