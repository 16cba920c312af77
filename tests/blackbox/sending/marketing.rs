//! Who gets no campaign, and which templates Meta would not take.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_who_said_stop_gets_no_campaign() -> anyhow::Result<()> {
    let stage = Stage::set(|setup| {
        setup
            .env("DUET_SENDING_OPT_OUT_WORDS", "stop, no more")
            .env("DUET_SENDING_OPT_IN_WORDS", "start")
    })
    .await?;
    let conversation = stage.meets(CUSTOMER).await?;
    // (what the customer writes, how many seconds ago, whether a campaign leaves afterwards)
    let words = [
        ("please stop that", 60, true),
        (" No More ", 50, false),
        ("start", 55, false),
        ("START", 40, true),
        ("stop", 30, false),
        // Nobody knows which of them came first: it is safe to take it for a stop.
        ("start", 30, false),
    ];
    let now_s = webhook::now_s();
    let mut left = 0;
    for (n, (word, ago_s, leaves)) in words.into_iter().enumerate() {
        let mut body = webhook::text(CUSTOMER, &format!("wamid.word.{n}"), word);
        let at = (now_s - ago_s).to_string();
        body["entry"][0]["changes"][0]["value"]["messages"][0]["timestamp"] = json!(at);
        stage.meta.deliver(&body).await?;
        stage.admin.intake_done(PATIENCE).await?;
        let (status, answer) = stage.says(conversation, &campaign()).await?;
        if leaves {
            assert_eq!(status, 202, "{word}: {answer}");
            left += 1;
        } else {
            let code = &answer["error"]["meta_code"];
            assert_eq!((status, code), (409, &json!(131_050)), "{word}: {answer}");
        }
        stage.sim.wait_sent(left, PATIENCE).await?;
    }
    let (status, answer) = stage
        .says(conversation, &text("your order is ready"))
        .await?;
    assert_eq!(status, 202, "an answer is no campaign: {answer}");
    stage.sim.wait_sent(left + 1, PATIENCE).await?;
    assert_eq!(stage.refused(), Vec::<u32>::new());
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_says_of_a_customer_keeps_later_campaigns_away() -> anyhow::Result<()> {
    let stage = Stage::set(|setup| setup).await?;
    // (customer, code, whether Meta takes it first and fails it later)
    let cases = [
        ("919800000011", 131_050, false),
        ("919800000012", 131_050, true),
        ("919800000013", 131_049, false),
        ("919800000014", 131_049, true),
    ];
    for (customer, code, later) in cases {
        let conversation = stage.meets(customer).await?;
        stage.sim.add_trouble(Trouble {
            deed: if later { Deed::FailLater } else { Deed::Fail },
            code,
            to: Some(customer.into()),
            times: Some(1),
            ..Trouble::default()
        });
        stage.says(conversation, &campaign()).await?;
        stage
            .admin
            .row("outbox", "Meta has failed it", PATIENCE, |row| {
                row["conversation"] == conversation && row["state"] == "failed"
            })
            .await?;
        let before = tries(&stage.sim).len();
        let (status, answer) = stage.says(conversation, &campaign()).await?;
        let told = &answer["error"]["meta_code"];
        assert_eq!((status, told), (409, &json!(code)), "{later}: {answer}");
        let sent = stage.sim.sent_total();
        let (status, answer) = stage.says(conversation, &text("hello")).await?;
        assert_eq!(status, 202, "{answer}");
        stage.sim.wait_sent(sent + 1, PATIENCE).await?;
        let after = wait_tries(&stage.sim, before + 1, PATIENCE).await?.len();
        assert_eq!(after, before + 1, "only the answer left");
    }
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_meta_would_not_take_is_refused_here() -> anyhow::Result<()> {
    let stage = Stage::set(|setup| setup).await?;
    let conversation = stage.meets(CUSTOMER).await?;
    stage.template_is("hello_world", "APPROVED").await?;
    let (status, _) = stage.says(conversation, &template("hello_world")).await?;
    assert_eq!(status, 202);
    stage.sim.wait_sent(1, PATIENCE).await?;
    let (status, answer) = stage.says(conversation, &template("never_made")).await?;
    let code = &answer["error"]["meta_code"];
    assert_eq!((status, code), (409, &json!(132_001)), "{answer}");
    // It is made, and nobody tells: the list is read again because somebody has asked for it.
    let made = json!({"name": "never_made", "language": "en_US", "category": "UTILITY"});
    let made = reqwest::Client::new()
        .post(format!(
            "{}/v23.0/{}/message_templates",
            stage.sim.url(),
            webhook::WABA
        ))
        .bearer_auth(gateway::ACCESS_TOKEN)
        .json(&made)
        .send()
        .await?;
    assert!(made.status().is_success());
    stage.template_is("never_made", "PENDING").await?;
    // Meta's webhook counts at once, though the list still says otherwise; so the list is not to be read again.
    stage.sim.set_mood(Mood {
        token_expired: true,
        ..Mood::default()
    });
    for (event, code) in [
        ("PAUSED", 132_015),
        ("DISABLED", 132_016),
        ("REJECTED", 132_001),
    ] {
        let word = template_word(
            "message_template_status_update",
            "hello_world",
            &json!({"event": event, "reason": "NONE"}),
        );
        stage.meta.deliver(&word).await?;
        stage.template_is("hello_world", event).await?;
        let (status, answer) = stage.says(conversation, &template("hello_world")).await?;
        let told = &answer["error"]["meta_code"];
        assert_eq!((status, told), (409, &json!(code)), "{event}: {answer}");
    }
    assert_eq!(stage.sim.sent_total(), 1, "Meta was not asked");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_utility_template_reaches_somebody_who_said_stop() -> anyhow::Result<()> {
    let stage = Stage::set(|setup| setup.env("DUET_SENDING_OPT_OUT_WORDS", "stop")).await?;
    let conversation = stage.meets(CUSTOMER).await?;
    stage.template_is("hello_world", "APPROVED").await?;
    let stop = webhook::text(CUSTOMER, "wamid.stop", "Stop");
    stage.meta.deliver(&stop).await?;
    stage.admin.intake_done(PATIENCE).await?;
    let (status, answer) = stage.says(conversation, &template("hello_world")).await?;
    assert_eq!(status, 202, "{answer}");
    let (status, _) = stage.says(conversation, &campaign()).await?;
    assert_eq!(status, 409);
    // Meta makes a marketing template of it.
    let word = template_word(
        "template_category_update",
        "hello_world",
        &json!({"new_category": "MARKETING", "previous_category": "UTILITY"}),
    );
    stage.sim.set_mood(Mood {
        token_expired: true,
        ..Mood::default()
    });
    stage.meta.deliver(&word).await?;
    stage.admin.intake_done(PATIENCE).await?;
    let (status, answer) = stage.says(conversation, &template("hello_world")).await?;
    assert_eq!(status, 409, "{answer}");
    stage.gateway.end().await
}
