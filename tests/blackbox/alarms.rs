//! Alarms leave: signed, once under one id however often the power is cut, with growing urgency until somebody
//! acknowledges them, and with a word when all is well again.

use std::time::Duration;

use duet_rules::alarm::WebhookKey;
use duet_sim::{Config, Sim, Template};
use duet_tests::mailbox::Mailbox;
use duet_tests::receiver::{Posted, Receiver};
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Meta, Setup, gateway, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const CUSTOMER: &str = "919800000001";
const OWNER: &str = "919700000009";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A gateway that posts alarms there, and tells them again after this many seconds.
fn posting(to: &str, repeat_seconds: u32) -> Setup {
    Setup::default()
        .env("DUET_ALARMS_WEBHOOK_URL", to)
        .env("DUET_ALARMS_WEBHOOK_PRIVATE", "yes")
        .env("DUET_ALARMS_WEBHOOK_SECRET", SECRET)
        .env("DUET_ALARMS_REPEAT_SECONDS", repeat_seconds)
}

/// Makes the number known, and has Meta flag it or take that back.
async fn quality(meta: &Meta, word: &str) -> anyhow::Result<()> {
    let id = format!("wamid.{word}");
    meta.deliver(&webhook::text(CUSTOMER, &id, "hello")).await?;
    let value = json!({"display_phone_number": webhook::DISPLAY, "event": word, "current_limit": "TIER_10K"});
    let change = json!({"field": "phone_number_quality_update", "value": value});
    meta.deliver(&webhook::body(&[change])).await?;
    Ok(())
}

/// Waits until something was posted that fits, and gives all that came before, and it.
async fn posted(
    receiver: &Receiver,
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> anyhow::Result<Vec<Posted>> {
    until(what, PATIENCE, || async {
        let mut all = receiver.posted();
        let found = all.iter().position(|posted| fits(&body(posted)));
        Ok(match found {
            Some(found) => {
                all.truncate(found + 1);
                Seen::Done(all)
            }
            None => Seen::NotYet(format!("{all:?}")),
        })
    })
    .await
}

fn body(posted: &Posted) -> Value {
    serde_json::from_str(&posted.body).unwrap_or_default()
}

/// A receiver's own check, by the same headers.
fn is_signed(posted: &Posted) -> anyhow::Result<bool> {
    let key = WebhookKey::new(SECRET).map_err(anyhow::Error::msg)?;
    let seconds: i64 = posted.header("webhook-timestamp").parse()?;
    let signed = key.sign(posted.header("webhook-id"), seconds * 1000, &posted.body);
    Ok(signed.signature == posted.header("webhook-signature"))
}

async fn notices(
    admin: &Admin,
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    admin
        .row("alarms", what, PATIENCE, |alarm| fits(&alarm["notices"]))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_is_told_with_growing_urgency_until_it_settles() -> anyhow::Result<()> {
    // The first attempt is refused.
    let receiver = Receiver::start(|number| if number == 0 { 503 } else { 204 }).await?;
    let gateway = Gateway::start(posting(receiver.url(), 1)).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    quality(&meta, "FLAGGED").await?;
    let urgent = posted(&receiver, "it becomes urgent", |body| {
        body["data"]["urgency"] == "urgent"
    });
    let told = urgent.await?;
    for posted in &told {
        assert!(is_signed(posted)?, "{posted:?}");
        assert!(!posted.body.contains(CUSTOMER), "{posted:?}");
    }
    let first = body(&told[0]);
    assert_eq!(
        (&first["type"], &first["data"]["urgency"]),
        (&json!("alarm.raised"), &json!("notice"))
    );
    assert_eq!(
        (&first["data"]["name"], &first["data"]["number"]),
        (&json!("quality-low"), &json!(webhook::NUMBER))
    );
    let last = &body(&told[told.len() - 1]);
    assert_eq!(last["type"], "alarm.repeated");
    quality(&meta, "UNFLAGGED").await?;
    posted(&receiver, "it settles", |body| {
        body["type"] == "alarm.settled"
    })
    .await?;
    notices(&admin, "nothing waits", |notices| {
        let sent = notices
            .as_array()
            .into_iter()
            .flatten()
            .filter(|notice| notice["state"] == "sent");
        sent.count() == notices.as_array().map_or(0, Vec::len)
    })
    .await?;
    let alarm = &admin.rows("alarms", "").await?[0];
    assert_eq!(alarm["settled"], true, "{alarm}");
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_between_the_receivers_yes_and_ours_repeats_the_same_message() -> anyhow::Result<()> {
    let receiver = Receiver::start(|_| 200).await?;
    let setup = posting(receiver.url(), 3600).env("DUET_FAILPOINT", "alarms.left_before_commit:1");
    let mut gateway = Gateway::start(setup).await?;
    quality(&gateway.meta()?, "FLAGGED").await?;
    assert!(
        gateway.died_within(PATIENCE).await?,
        "the failpoint was not reached"
    );
    let none = [("DUET_FAILPOINT".to_owned(), String::new())];
    assert!(gateway.restart_with(&none).await?);
    until("it is told again", PATIENCE, || async {
        let told = receiver.posted().len();
        Ok(Seen::when(told >= 2, (), || format!("{told} times")))
    })
    .await?;
    let told = receiver.posted();
    let same = |posted: &Posted| (posted.header("webhook-id").to_owned(), posted.body.clone());
    assert_eq!(same(&told[0]), same(&told[1]));
    assert!(is_signed(&told[1])?);
    let admin = gateway.admin()?;
    notices(&admin, "it is known to have left", |notices| {
        notices[0]["state"] == "sent"
    })
    .await?;
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_acknowledges_an_alarm_is_left_in_peace() -> anyhow::Result<()> {
    let receiver = Receiver::start(|_| 200).await?;
    let gateway = Gateway::start(posting(receiver.url(), 1)).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    quality(&meta, "FLAGGED").await?;
    posted(&receiver, "it is told", |body| body["data"]["alarm"] == 1).await?;
    admin.post("/alarms/1/acknowledge", &json!({})).await?;
    let before = receiver.posted().len();
    quality(&meta, "FLAGGED").await?;
    // The next one has been told three times: the first would have been by now.
    let next = |body: &Value| body["data"]["alarm"] == 2 && body["data"]["urgency"] == "urgent";
    let told = posted(&receiver, "the next one becomes urgent", next).await?;
    let late = told.iter().skip(before).map(body);
    let late: Vec<_> = late.filter(|body| body["data"]["alarm"] == 1).collect();
    // One may have been on its way.
    assert!(late.len() <= 1, "{late:?}");
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_follows_when_nobody_heeds_the_webhook() -> anyhow::Result<()> {
    let (receiver, mailbox) = (Receiver::start(|_| 500).await?, Mailbox::start().await?);
    let setup = posting(receiver.url(), 1)
        .env("DUET_ALARMS_SMTP_SERVER", mailbox.address())
        .env("DUET_ALARMS_SMTP_SECURITY", "none")
        .env("DUET_ALARMS_SMTP_USER", "duet")
        .env("DUET_ALARMS_SMTP_PASSWORD", "swordfish")
        .env("DUET_ALARMS_MAIL_FROM", "duet@example.com")
        .env("DUET_ALARMS_MAIL_TO", "owner@example.com,admin@example.com");
    let gateway = Gateway::start(setup).await?;
    quality(&gateway.meta()?, "FLAGGED").await?;
    let heard = until("a mail comes", PATIENCE, || async {
        let heard = mailbox.heard();
        let seen = format!("{heard:?}");
        Ok(Seen::when(!heard.mails.is_empty(), heard, || seen))
    })
    .await?;
    // Long lines are folded on their way.
    let mail = &heard.mails[0].replace("=\r\n", "");
    for part in [
        "Subject: Duet still: quality-low of number 106540352242922 (warning)",
        "Message-ID: <duet-",
        "@duet>",
        "/api/v1/alarms/1/acknowledge",
    ] {
        assert!(mail.contains(part), "{part} in {mail}");
    }
    assert!(!mail.contains(CUSTOMER));
    let commands = heard.commands.join("\n");
    for part in [
        "AUTH PLAIN AGR1ZXQAc3dvcmRmaXNo",
        "MAIL FROM:<duet@example.com>",
        "RCPT TO:<owner@example.com>",
        "RCPT TO:<admin@example.com>",
    ] {
        assert!(commands.contains(part), "{part} in {commands}");
    }
    assert!(!gateway.log().contains("swordfish"));
    gateway.end().await
}

/// A server, or somebody on the way, that offers no TLS gets neither password nor mail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_leaves_without_tls() -> anyhow::Result<()> {
    let mailbox = Mailbox::start().await?;
    let mails = |setup: Setup| {
        setup
            .env("DUET_ALARMS_SMTP_SERVER", mailbox.address())
            .env("DUET_ALARMS_SMTP_USER", "duet")
            .env("DUET_ALARMS_SMTP_PASSWORD", "swordfish")
            .env("DUET_ALARMS_MAIL_FROM", "duet@example.com")
            .env("DUET_ALARMS_MAIL_TO", "owner@example.com")
    };
    let gateway = Gateway::start(mails(Setup::default())).await?;
    quality(&gateway.meta()?, "FLAGGED").await?;
    let admin = gateway.admin()?;
    let alarm = notices(&admin, "it is told why", |notices| {
        notices[0]["cause"].is_string()
    })
    .await?;
    assert_eq!(alarm["notices"][0]["state"], "pending", "{alarm}");
    let heard = mailbox.heard();
    let told = heard
        .commands
        .iter()
        .any(|command| command.starts_with("AUTH") || command.starts_with("MAIL"));
    assert!(!told && heard.mails.is_empty(), "{heard:?}");
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_is_told_by_a_template_on_the_phone() -> anyhow::Result<()> {
    let template = Template {
        name: "duty".into(),
        components: vec![
            json!({"type": "BODY", "text": "From the gateway: {{1}}", "example": {"body_text": [["x"]]}}),
        ],
        ..Template::samples().remove(0)
    };
    let sim = Sim::start(Config {
        templates: vec![template],
        ..gateway::sim()
    })
    .await?;
    let setup = Setup::default()
        .graph(sim.url())
        .env("DUET_ALARMS_TEMPLATE_NUMBER", webhook::NUMBER)
        .env("DUET_ALARMS_TEMPLATE_TO", format!("+{OWNER}"))
        .env("DUET_ALARMS_TEMPLATE_NAME", "duty")
        .env("DUET_ALARMS_TEMPLATE_LANGUAGE", "en_US");
    let gateway = Gateway::start(setup).await?;
    sim.set_webhook(gateway.webhook()?);
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    meta.deliver(&webhook::text(CUSTOMER, "wamid.first", "hello"))
        .await?;
    admin
        .row("templates", "the templates are read", PATIENCE, |row| {
            row["name"] == "duty"
        })
        .await?;
    quality(&meta, "FLAGGED").await?;
    let sent = sim.wait_sent(1, PATIENCE).await?;
    assert_eq!(sent[0].to, OWNER);
    let text = &sent[0].body["template"]["components"][0]["parameters"][0]["text"];
    let text = text.as_str().unwrap_or_default();
    assert!(
        text.starts_with("Duet alarm: quality-low of number"),
        "{text}"
    );
    let alarm = notices(&admin, "it has left", |notices| {
        notices[0]["state"] == "sent"
    })
    .await?;
    assert_eq!(alarm["notices"][0]["channel"], "template", "{alarm}");
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_address_has_to_be_meant() -> anyhow::Result<()> {
    let receiver = Receiver::start(|_| 200).await?;
    let setup = posting(receiver.url(), 1).env("DUET_ALARMS_WEBHOOK_PRIVATE", "no");
    let Err(refused) = Gateway::start(setup).await else {
        anyhow::bail!("it started all the same");
    };
    let refused = format!("{refused:#}");
    assert!(
        refused.contains("alarms.webhook_private = \"yes\""),
        "{refused}"
    );

    // A name that leads here is found out when it is called.
    let by_name = receiver.url().replace("127.0.0.1", "localhost");
    let setup = posting(&by_name, 1).env("DUET_ALARMS_WEBHOOK_PRIVATE", "no");
    let gateway = Gateway::start(setup).await?;
    quality(&gateway.meta()?, "FLAGGED").await?;
    let admin = gateway.admin()?;
    let alarm = notices(&admin, "it is told why", |notices| {
        notices[0]["cause"].is_string()
    })
    .await?;
    let cause = alarm["notices"][0]["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("private address"), "{cause}");
    assert!(receiver.posted().is_empty());
    gateway.end().await
}
