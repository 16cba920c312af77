//! Sending without harm: what Meta would refuse or punish is held or refused here, and Meta never sees it.

use std::time::Duration;

use duet_sim::{Config, Deed, Mood, Number, Sim, StatusDelays, Trouble};
use duet_tests::tries::{tries, wait_tries};
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Meta, Setup, gateway, webhook};
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const CUSTOMER: &str = "919800000001";
/// A second number of the same business, in an account of its own.
const OTHER_NUMBER: &str = "106540352242923";
const OTHER_WABA: &str = "102290129340399";

/// A gateway without plugins, and a Meta that refuses what is too fast.
struct Stage {
    sim: Sim,
    gateway: Gateway,
    meta: Meta,
    admin: Admin,
}

impl Stage {
    async fn set(change: impl FnOnce(Setup) -> Setup) -> anyhow::Result<Stage> {
        let sim = Sim::start(Config {
            numbers: vec![
                Number::default(),
                Number {
                    id: OTHER_NUMBER.into(),
                    digits: "912255500101".into(),
                    waba: OTHER_WABA.into(),
                    ..Number::default()
                },
            ],
            open_window: true,
            statuses: StatusDelays {
                sent_ms: None,
                delivered_ms: None,
                read_ms: None,
            },
            mood: Mood {
                rate_limits: true,
                ..Mood::default()
            },
            ..gateway::sim()
        })
        .await?;
        let gateway = Gateway::start(change(Setup::default().graph(sim.url()))).await?;
        sim.set_webhook(gateway.webhook()?);
        let (meta, admin) = (gateway.meta()?, gateway.admin()?);
        Ok(Stage {
            sim,
            gateway,
            meta,
            admin,
        })
    }

    /// The conversation with a customer who has just written.
    async fn meets(&self, customer: &str) -> anyhow::Result<i64> {
        let id = format!("wamid.hello.{customer}");
        self.meta
            .deliver(&webhook::text(customer, &id, "hello"))
            .await?;
        let conversation = self.admin.conversation(customer, PATIENCE).await?;
        Ok(conversation["id"].as_i64().unwrap_or_default())
    }

    async fn says(&self, conversation: i64, message: &Value) -> anyhow::Result<(u16, Value)> {
        let path = format!("/conversations/{conversation}/messages");
        self.admin.call(Method::POST, &path, Some(message)).await
    }

    /// Codes with which Meta has refused something.
    fn refused(&self) -> Vec<u32> {
        let requests = self.sim.requests();
        requests.iter().filter_map(|request| request.code).collect()
    }

    /// Waits until this template is so.
    async fn template_is(&self, name: &str, status: &str) -> anyhow::Result<()> {
        let what = format!("{name} is {status}");
        let path = format!("waba={}", webhook::WABA);
        until(&what, PATIENCE, || async {
            let rows = self.admin.rows("templates", &path).await?;
            let is = rows
                .iter()
                .any(|row| row["name"] == name && row["status"] == status);
            Ok(Seen::when(is, (), || json!(rows).to_string()))
        })
        .await
    }

    /// What the customer got, in order.
    fn texts(&self) -> Vec<String> {
        let text = |sent: &duet_sim::Sent| sent.body["text"]["body"].as_str().map(str::to_owned);
        self.sim.sent().iter().filter_map(text).collect()
    }
}

fn text(body: &str) -> Value {
    json!({"type": "text", "text": {"body": body}})
}

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

fn campaign() -> Value {
    let components = json!([{"type": "body", "parameters": [{"type": "text", "text": "Asha"}]}]);
    json!({"type": "template", "template": {"name": "spring_tea", "language": {"code": "en_US"}, "components": components}})
}

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
    ];
    let mut left = 0;
    for (n, (word, ago_s, leaves)) in words.into_iter().enumerate() {
        let mut body = webhook::text(CUSTOMER, &format!("wamid.word.{n}"), word);
        let at = (webhook::now_s() - ago_s).to_string();
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

fn template(name: &str) -> Value {
    json!({"type": "template", "template": {"name": name, "language": {"code": "en_US"}}})
}

/// Meta's word about a template, as a webhook.
fn template_word(field: &str, name: &str, value: &Value) -> Value {
    let mut value = value.clone();
    value["message_template_id"] = json!(1_192_339_204_654_487_u64);
    value["message_template_name"] = json!(name);
    value["message_template_language"] = json!("en_US");
    webhook::body(&[json!({"field": field, "value": value})])
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
