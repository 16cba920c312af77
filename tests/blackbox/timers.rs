//! What a plugin has asked to be called for comes once, in order, wherever the power is cut, and never against a person
//! who has the conversation.

use std::time::{Duration, Instant};

use duet_sim::Sim;
use duet_tests::plugins_file::PluginsFile;
use duet_tests::{Admin, Gateway, Meta, Setup, gateway, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
const ASHA: &str = "919500000001";
const HOUR_MS: u64 = 3_600_000;
/// Every place at which the power may be cut between "due" and "event".
const FAILPOINTS: [&str; 3] = ["timers.due", "timers.in_fire", "timers.fired"];

/// An instance of `errands` with these lines of its own.
fn clerk(name: &str, lines: &str) -> String {
    format!(
        "[plugins.{name}]\ncomponent = \"errands.wasm\"\nfrom = \"beginning\"\n{lines}\n\
         [plugins.{name}.retry]\nattempts = 1\n\
         [plugins.{name}.messages]\nspeak = [\"automation\"]\n[plugins.{name}.store]\n\
         [plugins.{name}.timers]\nmax = 3\n"
    )
}

fn plugins(tables: &[String]) -> PluginsFile {
    let with = |file: PluginsFile, table: &String| file.and("errands", table);
    tables.iter().fold(PluginsFile::default(), with)
}

struct Stage {
    sim: Sim,
    gateway: Gateway,
    meta: Meta,
    admin: Admin,
    said: usize,
    replies: usize,
}

impl Stage {
    async fn set(tables: &[String]) -> anyhow::Result<Stage> {
        let sim = Sim::start(gateway::open_sim()).await?;
        let setup = Setup::default().graph(sim.url()).plugins(plugins(tables));
        let gateway = Gateway::start(setup).await?;
        let (meta, admin) = (gateway.meta()?, gateway.admin()?);
        admin.plugins_run(PATIENCE).await?;
        Ok(Stage {
            sim,
            gateway,
            meta,
            admin,
            said: 0,
            replies: 0,
        })
    }

    /// It runs again, on other addresses.
    fn found(&mut self) -> anyhow::Result<()> {
        (self.meta, self.admin) = (self.gateway.meta()?, self.gateway.admin()?);
        Ok(())
    }

    async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.said += 1;
        let id = format!("wamid.{}", self.said);
        self.meta.deliver(&webhook::text(ASHA, &id, text)).await
    }

    async fn echo(&mut self) -> anyhow::Result<()> {
        self.said += 1;
        let echo = webhook::echo(ASHA, &format!("wamid.{}", self.said), "I am here");
        self.meta.deliver(&webhook::body(&[echo])).await
    }

    async fn plugin(
        &self,
        name: &str,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let admin = &self.admin;
        let found = admin.row("plugins", what, PATIENCE, |row| {
            row["name"] == name && fits(row)
        });
        found.await
    }

    /// Waits until a plugin has done so many events since the start of the process.
    async fn done(&self, name: &str, events: u64) -> anyhow::Result<()> {
        let what = format!("{name} has done {events} events");
        let done = |row: &Value| row["events"]["done"] == json!(events);
        self.plugin(name, &what, done).await.map(drop)
    }

    /// Waits until so many were sent, and gives what they say.
    async fn sent(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let sent = self.sim.wait_sent(u64::try_from(count)?, PATIENCE).await?;
        let text = |body: &Value| body["text"]["body"].as_str().unwrap_or_default().to_owned();
        Ok(sent.iter().map(|sent| text(&sent.body)).collect())
    }

    /// What the plugin says of how often a schedule has called it.
    async fn called(&mut self, schedule: &str) -> anyhow::Result<String> {
        self.say(&format!("called {schedule}")).await?;
        self.replies += 1;
        let sent = self.sent(self.replies).await?;
        Ok(sent.last().cloned().unwrap_or_default())
    }

    async fn fired(&self) -> anyhow::Result<Vec<Value>> {
        self.admin.rows("events", "kind=timer.fired").await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_fires_once_wherever_the_power_is_cut() -> anyhow::Result<()> {
    let mut stage = Stage::set(&[clerk("clerk", "")]).await?;
    let mut woken = Vec::new();
    for failpoint in FAILPOINTS {
        let name = failpoint.replace('.', "-");
        stage.gateway.stop().await?;
        let env = [("DUET_FAILPOINT".to_owned(), format!("{failpoint}:1"))];
        assert!(stage.gateway.restart_with(&env).await?, "it comes up");
        stage.found()?;
        stage.say(&format!("wake {name} 0")).await?;
        assert!(
            stage.gateway.died_within(PATIENCE).await?,
            "{failpoint} is passed when a timer is due"
        );
        stage.gateway.restart().await?;
        stage.found()?;
        woken.push(format!("woken {name}"));
        assert_eq!(stage.sent(woken.len()).await?, woken);
        let plugin = stage.plugin("clerk", "none is left", |row| row["timers"] == 0);
        plugin.await?;
        assert_eq!(stage.fired().await?.len(), woken.len(), "{failpoint}");
    }
    // And when nobody cuts anything: one that is set for later outlives kill and start.
    stage.say(&format!("wake later {HOUR_MS}")).await?;
    stage
        .plugin("clerk", "it is set", |row| row["timers"] == 1)
        .await?;
    stage.gateway.kill9().await?;
    stage.gateway.restart().await?;
    stage.found()?;
    stage
        .plugin("clerk", "it is still set", |row| row["timers"] == 1)
        .await?;
    let (status, told) = stage.gateway.duet(&["plugin", "list"]).await?;
    assert!(status.success() && told.contains("1 timers set"), "{told}");
    stage.say("wake later 0").await?;
    woken.push("woken later".into());
    assert_eq!(stage.sent(woken.len()).await?, woken);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_has_set_it_is_woken_in_the_lane_that_was_asked_for() -> anyhow::Result<()> {
    // The other one wants nothing that comes, of a number that does not talk.
    let other = "events = [\"message.image\"]\nnumbers = [\"1\"]";
    let mut stage = Stage::set(&[clerk("other", other), clerk("clerk", "")]).await?;
    for errand in [
        format!("wake changed {HOUR_MS}").as_str(),
        "wake changed 0",
        format!("wake forgotten {HOUR_MS}").as_str(),
        "forget forgotten",
    ] {
        stage.say(errand).await?;
    }
    assert_eq!(stage.sent(1).await?, ["woken changed"]);
    stage.say("wake-alone tidy 0").await?;
    let sent = stage.sent(2).await?;
    assert_eq!(sent, ["woken changed", "woken tidy alone"]);
    stage.done("clerk", 7).await?;
    let talk = stage.admin.conversation(ASHA, PATIENCE).await?;
    let fired = stage.fired().await?;
    let seen = |event: &Value| {
        json!([
            event["plugin"],
            event["conversation"],
            event["contact"],
            event["number"],
            event["body"]["name"],
            event["body"]["payload"],
        ])
    };
    let (id, contact) = (&talk["id"], &talk["contact"]["id"]);
    assert_eq!(
        fired.iter().map(seen).collect::<Vec<_>>(),
        [
            json!(["clerk", id, contact, webhook::NUMBER, "changed", ""]),
            json!(["clerk", null, contact, null, "tidy", id.to_string()]),
        ]
    );
    let other = stage.plugin("other", "it runs", |row| row["state"] == "ready");
    assert_eq!(other.await?["events"]["done"], 0, "the others' are not its");

    // Three at once, and a name that is none.
    for name in ["a", "b", "c", "d", &"n".repeat(129)] {
        stage.say(&format!("wake {name} {HOUR_MS}")).await?;
    }
    let letters = stage.admin.count("dead-letters", "", 2, PATIENCE).await?;
    let causes: Vec<_> = letters
        .iter()
        .map(|letter| letter["cause"].to_string())
        .collect();
    assert!(causes[0].contains("timers.max = 3"), "{causes:?}");
    assert!(causes[1].contains("1 to 128 bytes"), "{causes:?}");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_says_nothing_while_a_person_has_the_conversation() -> anyhow::Result<()> {
    let mut stage = Stage::set(&[clerk("clerk", "")]).await?;
    stage.say("wake before 0").await?;
    assert_eq!(stage.sent(1).await?, ["woken before"]);
    stage.echo().await?;
    stage.say("wake beside 0").await?;
    stage.done("clerk", 4).await?;
    assert_eq!(stage.admin.rows("outbox", "").await?.len(), 1);
    let talk = stage.admin.conversation(ASHA, PATIENCE).await?;
    assert_eq!(talk["handling"], "person");
    let path = format!("/conversations/{}/handling", talk["id"]);
    let back = json!({"handling": "automation"});
    stage.admin.post(&path, &back).await?;
    stage.say("wake after 0").await?;
    assert_eq!(stage.sent(2).await?, ["woken before", "woken after"]);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_was_off_is_woken_when_it_is_back() -> anyhow::Result<()> {
    let both = |enabled: bool| {
        [
            clerk("clerk", ""),
            clerk("other", &format!("enabled = {enabled}")),
        ]
    };
    let mut stage = Stage::set(&both(true)).await?;
    stage.say(&format!("wake me {HOUR_MS}")).await?;
    for name in ["clerk", "other"] {
        stage
            .plugin(name, "it is set", |row| row["timers"] == 1)
            .await?;
    }
    stage.gateway.stop().await?;
    let file = rusqlite::Connection::open(stage.gateway.data().join("duet.db"))?;
    file.execute("UPDATE timers SET at_ms = 1", [])?;
    drop(file);
    stage.gateway.change_plugins(plugins(&both(false)))?;
    stage.gateway.restart().await?;
    stage.found()?;
    assert_eq!(stage.sent(1).await?, ["woken me"]);
    let row = stage.plugin("other", "it is off", |row| row["state"] == "disabled");
    assert_eq!(row.await?["timers"], 1);
    let fired = stage.fired().await?;
    assert_eq!((fired.len(), &fired[0]["plugin"]), (1, &json!("clerk")));

    stage.gateway.change_plugins(plugins(&both(true)))?;
    assert_eq!(stage.sent(2).await?, ["woken me"; 2]);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_calls_its_plugin_at_each_tick_and_once_after_a_break() -> anyhow::Result<()> {
    let every = "every = { often = \"10s\", rarely = \"300d\" }";
    let mut stage = Stage::set(&[clerk("clerk", every)]).await?;
    let often = |row: &Value| row["kind"] == "schedule.often";
    let tick = stage.admin.row("events", "a tick", PATIENCE, often).await?;
    let seen = ["plugin", "conversation", "contact", "number"].map(|key| &tick[key]);
    assert_eq!(json!(seen), json!(["clerk", null, null, null]));
    assert_eq!(tick["body"]["name"], "often");
    let at_ms = tick["body"]["at_ms"].as_i64();
    assert!(at_ms.is_some_and(|at_ms| at_ms % 10_000 == 0), "{tick}");
    assert_eq!(stage.called("rarely").await?, "called 0 times");

    stage.gateway.stop().await?;
    let file = rusqlite::Connection::open(stage.gateway.data().join("duet.db"))?;
    let missed = "UPDATE schedules SET last_ms = 1 WHERE name = 'rarely'";
    assert_eq!(file.execute(missed, [])?, 1);
    drop(file);
    stage.gateway.restart().await?;
    stage.found()?;
    let rarely = |row: &Value| row["kind"] == "schedule.rarely";
    let one = stage
        .admin
        .row("events", "what was missed", PATIENCE, rarely);
    one.await?;
    // In another lane than the tick.
    let began = Instant::now();
    while stage.called("rarely").await? != "called 1 times" {
        assert!(began.elapsed() < PATIENCE, "it is never called");
    }
    stage.gateway.kill9().await?;
    stage.gateway.restart().await?;
    stage.found()?;
    // What is due is an event before the worker looks at any other.
    assert_eq!(stage.called("rarely").await?, "called 1 times");
    let rows = stage.admin.rows("events", "kind=schedule.rarely").await?;
    assert_eq!(rows.len(), 1);
    stage.gateway.end().await
}
