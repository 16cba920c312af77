//! Never two voices: a person answers from the phone, and whatever a plugin has said, says or is about to say
//! in that conversation stays unsaid.

use std::time::Duration;

use duet_sim::{Config, Sim, StatusDelays, Trouble};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::tries::wait_tries;
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Meta, Setup, gateway, process, webhook};
use rand::Rng;
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const CUSTOMER: &str = "919800000001";
/// Whom nobody takes over: the gateway is not just silent.
const OTHER: &str = "919800000002";

struct Stage {
    sim: Sim,
    gateway: Gateway,
    meta: Meta,
    admin: Admin,
}

impl Stage {
    async fn set(spin_ms: u64) -> anyhow::Result<Stage> {
        let sim = Sim::start(Config {
            statuses: StatusDelays::sent(20),
            ..gateway::open_sim()
        })
        .await?;
        let setup = Setup::default()
            .graph(sim.url())
            .plugins(PluginsFile::probe("bot", spin_ms));
        let gateway = Gateway::start(setup).await?;
        sim.set_webhook(gateway.webhook()?);
        let (meta, admin) = (gateway.meta()?, gateway.admin()?);
        admin.plugins_run(PATIENCE).await?;
        Ok(Stage {
            sim,
            gateway,
            meta,
            admin,
        })
    }

    async fn plugin_has_done(&self, events: u64) -> anyhow::Result<()> {
        self.admin
            .row(
                "plugins",
                "the plugin has done its events",
                PATIENCE,
                |row| row["events"]["done"] == json!(events),
            )
            .await?;
        Ok(())
    }

    async fn nothing_waits(&self) -> anyhow::Result<()> {
        for state in ["pending", "sending", "unknown"] {
            self.admin
                .count("outbox", &format!("state={state}"), 0, PATIENCE)
                .await?;
        }
        Ok(())
    }

    /// Who got something, in order.
    fn voices(&self) -> Vec<String> {
        self.sim.sent().into_iter().map(|sent| sent.to).collect()
    }

    /// A person has it until it is given back; then the bot answers the next message and nothing older.
    async fn the_bot_speaks_again_after_hand_back(self) -> anyhow::Result<()> {
        let conversation = self.admin.conversation(CUSTOMER, PATIENCE).await?;
        assert_eq!(conversation["handling"], "person");
        let before = self.sim.sent_total();
        self.meta
            .deliver(&webhook::text(CUSTOMER, "wamid.still", "are you there?"))
            .await?;
        self.meta
            .deliver(&webhook::text(OTHER, "wamid.other", "and for me?"))
            .await?;
        self.sim.wait_sent(before + 1, PATIENCE).await?;
        self.admin.intake_done(PATIENCE).await?;
        self.nothing_waits().await?;
        assert_eq!(
            self.voices().last().map(String::as_str),
            Some(OTHER),
            "the other conversation goes on"
        );

        let path = format!("/conversations/{}/handling", conversation["id"]);
        let now = self
            .admin
            .post(&path, &json!({"handling": "automation"}))
            .await?;
        assert_eq!(now["handling"], "automation");
        self.meta
            .deliver(&webhook::text(CUSTOMER, "wamid.again", "and now?"))
            .await?;
        let sent = self.sim.wait_sent(before + 2, PATIENCE).await?;
        let last = &sent[sent.len() - 1];
        assert_eq!(last.to, CUSTOMER);
        let events = self.admin.rows("events", "kind=message.text").await?;
        let again = events
            .iter()
            .find(|event| event["body"]["id"] == "wamid.again")
            .map(|event| event["id"].clone());
        let text = last.body["text"]["body"].as_str().unwrap_or_default();
        assert_eq!(
            text.split(' ').nth(2).map(Into::into),
            again,
            "it answers the new message: {text}"
        );
        assert_eq!(
            self.admin.rows("dead-letters", "").await?,
            Vec::<Value>::new()
        );
        self.gateway.end().await
    }
}

fn echo() -> Value {
    webhook::echo(CUSTOMER, "wamid.echo", "A person here. Yes, until nine.")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_before_the_plugin_ran() -> anyhow::Result<()> {
    let stage = Stage::set(0).await?;
    // In one body, so that the echo is stored before any plugin can have seen the text.
    let text = webhook::texts(CUSTOMER, "Asha", &[("wamid.first", "is it open?")]);
    stage.meta.deliver(&webhook::body(&[text, echo()])).await?;
    stage.plugin_has_done(1).await?;
    stage.nothing_waits().await?;
    assert_eq!(stage.voices(), Vec::<String>::new());
    stage.the_bot_speaks_again_after_hand_back().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_while_the_plugin_computes() -> anyhow::Result<()> {
    let stage = Stage::set(5000).await?;
    let pid = stage.gateway.pid()?;
    let before = process::user_ms(pid)?;
    stage
        .meta
        .deliver(&webhook::text(CUSTOMER, "wamid.first", "is it open?"))
        .await?;
    // Nothing else in the gateway computes so long.
    until("the plugin computes", PATIENCE, || async {
        let ms = process::user_ms(pid)? - before;
        Ok(Seen::when(ms > 500, (), || format!("{ms} ms of work")))
    })
    .await?;
    assert_eq!(
        stage.admin.rows("plugins", "").await?[0]["events"]["done"],
        0,
        "it has not come to an end"
    );
    stage.meta.deliver(&webhook::body(&[echo()])).await?;
    stage.plugin_has_done(1).await?;
    stage.nothing_waits().await?;
    assert_eq!(stage.voices(), Vec::<String>::new());
    stage.the_bot_speaks_again_after_hand_back().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_while_replies_wait_in_the_outbox() -> anyhow::Result<()> {
    let stage = Stage::set(0).await?;
    // Meta's own words for "later": the first reply is tried again, the second waits behind it.
    stage.sim.add_trouble(Trouble {
        code: 130_429,
        to: Some(CUSTOMER.into()),
        ..Trouble::default()
    });
    stage
        .meta
        .deliver(&webhook::text(CUSTOMER, "wamid.first", "is it open?"))
        .await?;
    stage
        .meta
        .deliver(&webhook::text(CUSTOMER, "wamid.second", "hello?"))
        .await?;
    wait_tries(&stage.sim, 1, PATIENCE).await?;
    stage
        .admin
        .count("outbox", "state=pending", 2, PATIENCE)
        .await?;
    stage.meta.deliver(&webhook::body(&[echo()])).await?;
    stage.sim.set_mood(duet_sim::Mood::default());
    let cancelled = stage
        .admin
        .count("outbox", "state=cancelled", 2, PATIENCE)
        .await?;
    for row in cancelled {
        assert_eq!(row["cause"], "person-has-conversation", "{row}");
    }
    stage.nothing_waits().await?;
    assert_eq!(stage.voices(), Vec::<String>::new());
    stage.the_bot_speaks_again_after_hand_back().await
}

/// The echo comes at any moment of a reply's way, in many conversations at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_at_any_moment() -> anyhow::Result<()> {
    const CONVERSATIONS: usize = 150;
    let stage = Stage::set(1).await?;
    let mut races = tokio::task::JoinSet::new();
    for number in 0..CONVERSATIONS {
        let meta = stage.meta.clone();
        let moment = Duration::from_millis(rand::rng().random_range(0..40));
        races.spawn(async move {
            let customer = format!("9199{number:08}");
            meta.deliver(&webhook::text(
                &customer,
                &format!("wamid.t{number}"),
                "is it open?",
            ))
            .await?;
            tokio::time::sleep(moment).await;
            meta.deliver(&webhook::body(&[webhook::echo(
                &customer,
                &format!("wamid.e{number}"),
                "Yes.",
            )]))
            .await?;
            anyhow::Ok((customer, jiff::Timestamp::now()))
        });
    }
    let mut echoed = std::collections::HashMap::new();
    while let Some(race) = races.join_next().await {
        let (customer, at) = race??;
        echoed.insert(customer, at);
    }
    stage.plugin_has_done(u64::try_from(CONVERSATIONS)?).await?;
    stage.nothing_waits().await?;
    let rows = stage.admin.rows("outbox", "").await?;
    let customers: std::collections::HashMap<i64, String> = stage
        .admin
        .rows("conversations", "")
        .await?
        .into_iter()
        .filter_map(|row| {
            Some((
                row["id"].as_i64()?,
                row["contact"]["wa_id"].as_str()?.to_owned(),
            ))
        })
        .collect();
    let mut crossed = 0;
    for row in rows.iter().filter(|row| row["state"] == "sent") {
        let customer = &customers[&row["conversation"].as_i64().unwrap_or_default()];
        let begun: jiff::Timestamp = row["sending_at"].as_str().unwrap_or_default().parse()?;
        // Begun after the echo was answered 200: the gate must have seen it.
        assert!(
            begun <= echoed[customer],
            "a second voice in {customer}: {row}"
        );
        crossed += 1;
    }
    println!(
        "measured: {CONVERSATIONS} conversations: {crossed} replies were out before the echo, the others stayed unsaid"
    );
    assert_eq!(usize::try_from(stage.sim.sent_total())?, crossed);
    stage.gateway.end().await
}

/// Two answering plugins, a person on the phone, and an owner who has said what holds for the number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_has_its_own_hours_and_plugins_that_speak_beside_a_person() -> anyhow::Result<()> {
    let stage = Stage::set(0).await?;
    let path = format!("/numbers/{}/handling", webhook::NUMBER);
    stage.meta.deliver(&webhook::body(&[echo()])).await?;
    let conversation = stage.admin.conversation(CUSTOMER, PATIENCE).await?;
    assert_eq!(conversation["handling"], "person");

    let (status, refused) = stage
        .admin
        .call(
            Method::PUT,
            &path,
            Some(&json!({"open": "mon-fri 9-18", "time_zone": "UTC"})),
        )
        .await?;
    assert_eq!(status, 400);
    let told = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(
        told.starts_with("open: ") && told.contains("09:00-18:00"),
        "{told}"
    );
    // Not today.
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .weekday();
    let day = if today == jiff::civil::Weekday::Wednesday {
        "sat"
    } else {
        "wed"
    };
    let open = format!("open={day} 12:00-13:00");
    let closed = [
        "set",
        webhook::NUMBER,
        &open,
        "time_zone=UTC",
        "grace-minutes=0",
        "speaking=probe",
    ];
    let (ended, said) = stage
        .gateway
        .duet(&[&["number"][..], &closed].concat())
        .await?;
    assert!(
        ended.success() && said.contains("(UTC) for 0 minutes"),
        "{said}"
    );
    let now = stage.admin.get(&path).await?;
    assert_eq!(
        (&now["speaking"], &now["usual_person_hours"]),
        (&json!(["probe"]), &json!(12))
    );

    // The person still has it, and the one plugin that may speak beside does.
    let text = webhook::text(CUSTOMER, "wamid.first", "where is my order?");
    stage.meta.deliver(&text).await?;
    stage.sim.wait_sent(1, PATIENCE).await?;
    let (ended, said) = stage
        .gateway
        .duet(&["number", "set", webhook::NUMBER, "speaking="])
        .await?;
    assert!(ended.success(), "{said}");
    let text = webhook::text(CUSTOMER, "wamid.second", "and now?");
    stage.meta.deliver(&text).await?;
    stage.admin.intake_done(PATIENCE).await?;
    stage.plugin_has_done(2).await?;
    stage.nothing_waits().await?;
    assert_eq!(stage.sim.sent_total(), 1);

    // Outside of the hours a new takeover is over at once, and the story tells all of it.
    let handling = format!("/conversations/{}/handling", conversation["id"]);
    stage
        .admin
        .post(&handling, &json!({"handling": "automation"}))
        .await?;
    stage
        .meta
        .deliver(&webhook::body(&[webhook::echo(
            CUSTOMER,
            "wamid.late",
            "Good night.",
        )]))
        .await?;
    stage.admin.intake_done(PATIENCE).await?;
    let text = webhook::text(CUSTOMER, "wamid.third", "hello?");
    stage.meta.deliver(&text).await?;
    stage.sim.wait_sent(2, PATIENCE).await?;
    let story = stage.admin.get(&handling).await?;
    let causes: Vec<_> = story["changes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|change| change["cause"].clone())
        .collect();
    assert_eq!(causes, ["echo", "api", "echo", "time"], "{story}");
    stage.gateway.end().await
}
