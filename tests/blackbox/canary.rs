//! A canary: another version of a plugin has a share of the conversations, over the same store. What it cannot do the live
//! version does, and one command goes on or back.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use duet_rules::canary::has;
use duet_sim::Sim;
use duet_tests::plugins_file::{PluginsFile, guest_file, replace, with_words};
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);
/// Of 50 %, some of their conversations are the canary's and some are not.
const CUSTOMERS: usize = 6;

struct Stage {
    sim: Sim,
    gateway: Gateway,
    admin: Admin,
    said: u64,
}

impl Stage {
    async fn set(plugins: PluginsFile) -> anyhow::Result<Stage> {
        let sim = Sim::start(gateway::open_sim()).await?;
        let setup = Setup::default().graph(sim.url()).plugins(plugins);
        let gateway = Gateway::start(setup).await?;
        let admin = gateway.admin()?;
        admin.plugins_run(PATIENCE).await?;
        Ok(Stage {
            sim,
            gateway,
            admin,
            said: 0,
        })
    }

    /// A message of a customer's; the answer is the plugin's.
    async fn say(&mut self, customer: usize, text: &str) -> anyhow::Result<String> {
        self.said += 1;
        let id = format!("wamid.canary.{}", self.said);
        let text = webhook::text(&phone(customer), &id, text);
        self.gateway.meta()?.deliver(&text).await?;
        let sent = self.sim.wait_sent(self.said, PATIENCE).await?;
        assert_eq!(u64::try_from(sent.len())?, self.said, "one answer to each");
        let last = sent.last().context("an answer")?;
        assert_eq!(last.to, phone(customer));
        let body = last.body["text"]["body"].as_str();
        Ok(body.context("a text")?.to_owned())
    }

    /// Each customer writes; the first word of the answer is the version's, and the count goes on whoever counts.
    async fn all_say(
        &mut self,
        count: u32,
        version: impl Fn(bool) -> &'static str,
    ) -> anyhow::Result<()> {
        for customer in 0..CUSTOMERS {
            let answer = self.say(customer, "hello").await?;
            let words: Vec<&str> = answer.split(' ').collect();
            let wanted = version(self.is_canary(customer).await?);
            assert_eq!(words[0], wanted, "customer {customer}: {answer}");
            assert_eq!(words[3], count.to_string(), "customer {customer}: {answer}");
        }
        Ok(())
    }

    /// Whether the customer's conversation is among half of them.
    async fn is_canary(&self, customer: usize) -> anyhow::Result<bool> {
        let conversation = self.admin.conversation(&phone(customer), PATIENCE).await?;
        let id = conversation["id"].as_i64().context("an id")?;
        Ok(has("probe", 50, id))
    }

    fn next(&self) -> PathBuf {
        self.gateway.folder().join("next.wasm")
    }

    /// The plugin's row once its canary fits.
    async fn canary(&self, what: &str, fits: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let fits = |row: &Value| fits(&row["canary"]);
        self.admin.row("plugins", what, PATIENCE, fits).await
    }

    async fn canary_is(&self, state: &str) -> anyhow::Result<Value> {
        let is = |canary: &Value| canary["state"] == state;
        self.canary(&format!("it is {state}"), is).await
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        self.gateway.stop().await?;
        self.gateway.restart().await?;
        self.admin = self.gateway.admin()?;
        self.admin.plugins_run(PATIENCE).await?;
        Ok(())
    }
}

fn phone(customer: usize) -> String {
    format!("9198000000{customer:02}")
}

fn probe() -> anyhow::Result<Vec<u8>> {
    Ok(std::fs::read(guest_file("probe")?)?)
}

/// The probe with another first word in its replies.
fn probe_saying(word: &[u8; 6]) -> anyhow::Result<Vec<u8>> {
    with_words(&probe()?, b"probe ", word)
}

fn with_canary(more: &str) -> PluginsFile {
    let table = PluginsFile::probe_table("probe", "first", 0);
    let canary = format!("[plugins.probe.canary]\ncomponent = \"next.wasm\"\n{more}\n");
    PluginsFile::default().and("probe", &format!("{table}{canary}"))
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_stays_with_its_version_and_all_share_the_store() -> anyhow::Result<()> {
    let mut stage = Stage::set(PluginsFile::probe("first", 0)).await?;
    stage.all_say(1, |_| "probe").await?;
    let mut shared = 0;
    for customer in 0..CUSTOMERS {
        shared += usize::from(stage.is_canary(customer).await?);
    }
    assert!((1..CUSTOMERS).contains(&shared), "{shared} of all");

    let next = probe_saying(b"b0002 ")?;
    std::fs::write(stage.next(), &next)?;
    stage.gateway.change_plugins(with_canary("percent = 50"))?;
    let row = stage.canary_is("running").await?;
    assert_eq!(row["canary"]["digest"], digest(&next), "{row:#}");
    assert_eq!(row["digest"], digest(&probe()?), "{row:#}");
    let of_half = |canary| if canary { "b0002" } else { "probe" };
    stage.all_say(2, of_half).await?;
    let all_done = |row: &Value| {
        row["events"]["done"] == 2 * CUSTOMERS && row["canary"]["events"]["done"] == shared
    };
    let row = stage
        .admin
        .row("plugins", "all is done", PATIENCE, all_done);
    let row = row.await?;
    assert_eq!(row["canary"]["calls"]["count"], shared, "{row:#}");
    for arguments in [["list"].as_slice(), &["top", "--once"]] {
        let arguments = [["plugin"].as_slice(), arguments].concat();
        let (ended, told) = stage.gateway.duet(&arguments).await?;
        assert!(ended.success() && told.contains("canary"), "{told}");
    }

    stage.restart().await?;
    stage.canary_is("running").await?;
    stage.all_say(3, of_half).await?;
    stage.gateway.change_plugins(with_canary("percent = 100"))?;
    stage
        .canary("it has all", |canary| canary["percent"] == 100)
        .await?;
    stage.all_say(4, |_| "b0002").await?;
    stage
        .gateway
        .change_plugins(PluginsFile::probe("first", 0))?;
    stage.canary("there is none", Value::is_null).await?;
    stage.all_say(5, |_| "probe").await?;
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_does_not_fit_is_refused_and_the_live_version_goes_on() -> anyhow::Result<()>
{
    let mut stage = Stage::set(PluginsFile::probe("first", 0)).await?;
    let end = b" and replies with the count. For tests.\"";
    let other = with_words(&probe_saying(b"b0002 ")?, end, b"\", \"store_schema\": 2")?;
    std::fs::write(stage.next(), &other)?;
    stage.gateway.change_plugins(with_canary("percent = 100"))?;
    let row = stage.canary_is("refused").await?;
    assert_eq!(
        (&row["state"], &row["cause"]),
        (&json!("ready"), &Value::Null)
    );
    let cause = row["canary"]["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("plugins.toml:16: "), "{cause}");
    for words in [
        "by schema 2",
        "by schema 1",
        "duet plugin replay probe --component next.wasm",
    ] {
        assert!(cause.contains(words), "{words} in {cause}");
    }
    let (ended, told) = stage.gateway.duet(&["check"]).await?;
    assert!(!ended.success() && told.contains("by schema 2"), "{told}");
    assert!(stage.say(0, "hello").await?.starts_with("probe "));
    let promote = stage
        .admin
        .call(Method::POST, "/plugins/probe/promote", None);
    let (status, told) = promote.await?;
    assert_eq!(status, 409, "{told}");
    assert!(told.to_string().contains("by schema 2"), "{told}");

    replace(&stage.next(), &probe_saying(b"b0002 ")?)?;
    stage.canary_is("running").await?;
    assert!(stage.say(0, "hello").await?.starts_with("b0002 "));
    // Half of a file changes nothing.
    replace(&stage.next(), b"no component")?;
    let told = |canary: &Value| canary["cause"].is_string();
    let row = stage.canary("it says why", told).await?;
    assert_eq!(row["canary"]["state"], "running", "{row:#}");
    assert_eq!(row["cause"], Value::Null, "{row:#}");
    assert!(stage.say(0, "hello").await?.starts_with("b0002 "));
    stage.gateway.end().await
}

/// It faults, rejects and gives up; each of these events is answered all the same, at its only attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_canary_cannot_do_the_live_version_does_and_then_it_is_withdrawn()
-> anyhow::Result<()> {
    // What the one needs and the other does not is granted while both are there.
    let grants = "[plugins.probe.conversations]\n[plugins.probe.contacts]\n[plugins.probe.retry]\nattempts = 1\n";
    let mut stage = Stage::set(PluginsFile::probe("first", 0)).await?;
    std::fs::copy(guest_file("misbehave")?, stage.next())?;
    let canary = with_canary(&format!("percent = 100\nevents = 3\n{grants}"));
    stage.gateway.change_plugins(canary.clone())?;
    stage.canary_is("running").await?;
    assert_eq!(stage.say(0, "well").await?, "well");
    for (customer, text) in ["recurse", "reject"].into_iter().enumerate() {
        assert!(
            stage.say(customer, text).await?.starts_with("probe "),
            "{text}"
        );
    }
    stage.canary_is("running").await?;
    assert!(stage.say(2, "retry").await?.starts_with("probe "));
    let row = stage.canary_is("withdrawn").await?;
    let events = &row["canary"]["events"];
    assert_eq!(
        (&events["left"], &events["done"]),
        (&json!(3), &json!(1)),
        "{row:#}"
    );
    assert_eq!(events["faults"], 1, "{row:#}");
    assert_eq!(
        (&row["state"], &row["events"]["dead"]),
        (&json!("ready"), &json!(0))
    );
    let cause = row["canary"]["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("did 3 of its events"), "{cause}");
    assert!(stage.say(0, "well").await?.starts_with("probe "));
    assert_eq!(
        stage.admin.rows("dead-letters", "").await?,
        Vec::<Value>::new()
    );
    assert!(stage.gateway.log().contains("a canary is withdrawn"));

    stage.restart().await?;
    stage.canary_is("withdrawn").await?;
    assert!(stage.say(0, "well").await?.starts_with("probe "));
    replace(&stage.next(), &probe_saying(b"b0002 ")?)?;
    stage.canary_is("running").await?;
    assert!(stage.say(0, "well").await?.starts_with("b0002 "));
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_goes_on_and_one_goes_back() -> anyhow::Result<()> {
    let mut stage = Stage::set(PluginsFile::probe("first", 0)).await?;
    let file = stage.gateway.folder().join("probe.wasm");
    let (first, second) = (probe()?, probe_saying(b"b0002 ")?);
    std::fs::write(stage.next(), &second)?;
    stage.gateway.change_plugins(with_canary("percent = 100"))?;
    stage.canary_is("running").await?;
    let (ended, told) = stage.gateway.duet(&["plugin", "promote", "probe"]).await?;
    assert!(ended.success() && told.contains("probe runs it"), "{told}");
    assert_eq!(std::fs::read(&file)?, second);
    let row = stage.canary_is("same").await?;
    assert_eq!(row["digest"], digest(&second), "{row:#}");
    assert!(stage.say(0, "hello").await?.starts_with("b0002 "));
    let (ended, told) = stage.gateway.duet(&["plugin", "promote", "probe"]).await?;
    assert!(
        !ended.success() && told.contains("live one already"),
        "{told}"
    );

    // What was promoted and is rolled back has no share either.
    let (ended, told) = stage.gateway.duet(&["plugin", "rollback", "probe"]).await?;
    assert!(
        ended.success() && told.contains("no canary any more"),
        "{told}"
    );
    assert_eq!(std::fs::read(&file)?, first);
    stage.canary_is("withdrawn").await?;
    assert!(stage.say(0, "hello").await?.starts_with("probe "));

    replace(&stage.next(), &probe_saying(b"b0003 ")?)?;
    stage.canary_is("running").await?;
    assert!(stage.say(0, "hello").await?.starts_with("b0003 "));
    let (ended, told) = stage.gateway.duet(&["plugin", "rollback", "probe"]).await?;
    assert!(
        ended.success() && told.contains("no file was changed"),
        "{told}"
    );
    assert_eq!(std::fs::read(&file)?, first);
    assert!(stage.say(0, "hello").await?.starts_with("probe "));
    stage.restart().await?;
    let row = stage.canary_is("withdrawn").await?;
    assert_eq!(
        row["canary"]["cause"], "it was rolled back by hand",
        "{row:#}"
    );
    // A word in the tables tries it again.
    stage.gateway.change_plugins(with_canary("percent = 99"))?;
    stage.canary_is("running").await?;
    let (status, _) = stage
        .admin
        .call(Method::POST, "/plugins/other/promote", None)
        .await?;
    assert_eq!(status, 404);
    stage.gateway.end().await
}
