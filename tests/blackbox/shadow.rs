//! Another version of a plugin over the last events: it sees what was seen then, and nothing that it does is done.

use std::time::Duration;

use anyhow::Context;
use duet_sim::Sim;
use duet_tests::outside::{Outside, Reply};
use duet_tests::plugins_file::{PluginsFile, guest_file, replace, with_words};
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);
const ASHA: &str = "919800000001";

struct Stage {
    sim: Sim,
    gateway: Gateway,
    admin: Admin,
    said: u32,
}

impl Stage {
    async fn set(plugins: PluginsFile) -> anyhow::Result<Stage> {
        let sim = Sim::start(gateway::open_sim()).await?;
        let setup = Setup::default().graph(sim.url()).plugins(plugins);
        let gateway = Gateway::start(setup.env("CALLERS_TOKEN", "not to be seen")).await?;
        let admin = gateway.admin()?;
        admin.plugins_run(PATIENCE).await?;
        Ok(Stage {
            sim,
            gateway,
            admin,
            said: 0,
        })
    }

    /// A message, with which the plugin is done when this returns.
    async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.said += 1;
        let id = format!("wamid.shadow.{}", self.said);
        let text = webhook::text(ASHA, &id, text);
        self.gateway.meta()?.deliver(&text).await?;
        let said = self.said;
        let done = |row: &Value| row["events"]["done"] == said && row["events"]["depth"] == 0;
        self.admin
            .row("plugins", "it is done", PATIENCE, done)
            .await?;
        Ok(())
    }

    /// Exit with success, and what was said as JSON.
    async fn replay(&self, more: &[&str]) -> anyhow::Result<(bool, Value)> {
        let arguments = [["plugin", "replay", "--json"].as_slice(), more].concat();
        let (ended, told) = self.gateway.duet(&arguments).await?;
        let told = serde_json::from_str(&told).with_context(|| told.clone())?;
        Ok((ended.success(), told))
    }

    /// Asks until the file as it is now has been taken over, so that the answer fits.
    async fn replay_until(
        &self,
        name: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let path = format!("/plugins/{name}/replay");
        until("the replay fits", PATIENCE, || async {
            let (_, told) = self.admin.call(Method::POST, &path, None).await?;
            Ok(Seen::when(fits(&told), told.clone(), || told.to_string()))
        })
        .await
    }

    /// Waits for the plugin's row.
    async fn row(&self, what: &str, fits: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        self.admin.row("plugins", what, PATIENCE, fits).await
    }
}

/// The probe with other first bytes in its replies.
fn probe_saying(other: &[u8; 6]) -> anyhow::Result<Vec<u8>> {
    with_words(&std::fs::read(guest_file("probe")?)?, b"probe ", other)
}

fn count<'a>(told: &'a Value, keys: [&str; 4]) -> [&'a Value; 4] {
    keys.map(|key| &told[key])
}

const COUNTS: [&str; 4] = ["same", "differs", "faults", "skipped"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_tells_what_another_version_would_do_and_does_nothing() -> anyhow::Result<()> {
    let mut stage = Stage::set(PluginsFile::probe("first", 0)).await?;
    for _ in 0..3 {
        stage.say("hello").await?;
    }
    stage.sim.wait_sent(3, PATIENCE).await?;
    let (well, told) = stage.replay(&["probe"]).await?;
    assert!(well, "{told:#}");
    assert_eq!(count(&told, COUNTS), [3, 0, 0, 0], "{told:#}");
    assert_eq!(told["runs"][0]["was"], "done");

    let other = stage.gateway.folder().join("other.wasm");
    std::fs::write(&other, probe_saying(b"b0001 ")?)?;
    let other = other.display().to_string();
    let (well, told) = stage.replay(&["probe", "--component", &other]).await?;
    assert!(!well, "{told:#}");
    assert_eq!(count(&told, COUNTS), [0, 3, 0, 0], "{told:#}");
    for (nth, run) in told["runs"].as_array().context("runs")?.iter().enumerate() {
        let [differs] = run["differs"].as_array().context("differs")?.as_slice() else {
            anyhow::bail!("one thing differs: {run:#}")
        };
        let differs = differs.as_str().context("words")?;
        let is = format!(
            "is \"b0001 first {} {} ",
            run["event"].as_str().context("id")?,
            nth + 1
        );
        assert!(differs.starts_with("send to conversation "), "{differs}");
        assert!(differs.contains(&is), "{is} in {differs}");
        assert_eq!(run["unmatched"], json!([]));
    }
    let seq = told["runs"][1]["seq"].to_string();
    let (_, told) = stage.replay(&["probe", "--event", &seq]).await?;
    assert_eq!(told["runs"].as_array().map(Vec::len), Some(1), "{told:#}");
    let (_, told) = stage.replay(&["probe", "--last", "2"]).await?;
    assert_eq!(told["runs"].as_array().map(Vec::len), Some(2), "{told:#}");
    assert_eq!(told["runs"][0]["seq"].to_string(), seq, "{told:#}");
    let arguments = ["plugin", "replay", "probe", "--component", &other];
    let (_, words) = stage.gateway.duet(&arguments).await?;
    assert!(
        words.contains("0 the same, 3 otherwise, 0 faulted, 0 skipped"),
        "{words}"
    );

    // Neither a send nor a count came of it.
    stage.say("hello").await?;
    let sent = stage.sim.wait_sent(4, PATIENCE).await?;
    assert_eq!(sent.len(), 4);
    let last = sent.last().context("a send")?.body["text"]["body"].clone();
    assert!(last.to_string().contains(" 4 "), "{last}");
    let (status, refused) = stage
        .admin
        .call(Method::POST, "/plugins/other/replay", None)
        .await?;
    assert_eq!(status, 404, "{refused}");
    let (ended, words) = stage.gateway.duet(&["plugin", "replay", "other"]).await?;
    assert!(
        !ended.success() && words.contains("no such plugin"),
        "{words}"
    );
    stage.gateway.end().await
}

fn caller(allow: &str, url: &str) -> PluginsFile {
    let table = format!(
        "[plugins.caller]\ncomponent = \"caller.wasm\"\nfrom = \"beginning\"\n\
         [plugins.caller.limits]\nwall_ms_max = 120000\ncpu_ms_max = 10000\n\
         [plugins.caller.messages]\nspeak = [\"automation\"]\n[plugins.caller.store]\n\
         [plugins.caller.http]\nallow = [{allow:?}]\nprivate = true\n\
         [plugins.caller.http.secrets.token]\nenv = \"CALLERS_TOKEN\"\nhosts = [{url:?}]\n\
         [plugins.caller.http.secrets.other]\nenv = \"CALLERS_TOKEN\"\nhosts = [{url:?}]\n"
    );
    PluginsFile::default().and("caller", &table)
}

/// What was answered then is answered again, and what was not called then is not called now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_calls_nobody() -> anyhow::Result<()> {
    let outside = Outside::start(|called| Reply::new(200, called.echo().to_string())).await?;
    let url = outside.url();
    // Posts are not granted yet.
    let mut stage = Stage::set(caller(&format!("PUT {url}"), url)).await?;
    let call = |method: &str| json!({"method": method, "url": url, "stamp": true, "body": "at "});
    let twice = json!([{"call": call("PUT")}, {"call": call("PUT")}, {"tell": true}]);
    stage.say(&twice.to_string()).await?;
    let post = json!([{"call": call("POST")}, {"tell": true}]);
    stage.say(&post.to_string()).await?;
    assert_eq!(outside.called().len(), 2);
    let (well, told) = stage.replay(&["caller"]).await?;
    assert!(well, "{told:#}");
    assert_eq!(count(&told, COUNTS), [2, 0, 0, 0], "{told:#}");

    stage.gateway.change_plugins(caller(url, url))?;
    let told = stage
        .replay_until("caller", |told| told["differs"] == 1)
        .await?;
    assert_eq!(count(&told, COUNTS), [1, 1, 0, 0], "{told:#}");
    let run = &told["runs"][1];
    let unmatched = run["unmatched"][0].as_str().unwrap_or_default();
    assert!(unmatched.starts_with(&format!("POST {url}")), "{run:#}");
    assert!(
        run["differs"][0].to_string().contains("not-recorded"),
        "{run:#}"
    );
    assert_eq!(outside.called().len(), 2, "nothing was called");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_told_and_so_many_runs_are_kept_as_the_file_says() -> anyhow::Result<()> {
    let with = |more: &str, effects_max: u32| {
        let table = format!(
            "[plugins.probe]\ncomponent = \"probe.wasm\"\nfrom = \"beginning\"\n{more}\n\
             [plugins.probe.limits]\ncpu_ms_max = 10000\nwall_ms_max = 60000\neffects_max = {effects_max}\n\
             [plugins.probe.messages]\n[plugins.probe.store]\n"
        );
        PluginsFile::default().and("probe", &table)
    };
    let mut stage = Stage::set(with("runs_kept = 2", 100)).await?;
    for _ in 0..3 {
        stage.say("hello").await?;
    }
    let (_, told) = stage.replay(&["probe"]).await?;
    assert_eq!(count(&told, COUNTS), [2, 0, 0, 0], "{told:#}");
    stage.gateway.change_plugins(with("runs_kept = 2", 1))?;
    let told = stage
        .replay_until("probe", |told| told["faults"] == 2)
        .await?;
    let differs = told["runs"][0]["differs"].to_string();
    assert!(differs.contains("effects_max"), "{told:#}");
    stage.gateway.change_plugins(with("runs_kept = 0", 100))?;
    until("no run is kept", PATIENCE, || async {
        let path = "/plugins/probe/replay";
        let (status, told) = stage.admin.call(Method::POST, path, None).await?;
        Ok(Seen::when(status == 409, (), || told.to_string()))
    })
    .await?;
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_was_answered_goes_with_its_contact() -> anyhow::Result<()> {
    const TOLD: &str = "told in confidence";
    let outside = Outside::start(|_| Reply::new(200, TOLD)).await?;
    let url = outside.url();
    let mut stage = Stage::set(caller(url, url)).await?;
    let steps = json!([{"call": {"method": "GET", "url": url}}]);
    stage.say(&steps.to_string()).await?;
    let contact = stage.admin.conversation(ASHA, PATIENCE).await?["contact"]["id"].clone();
    let export = stage
        .admin
        .get(&format!("/contacts/{contact}/export"))
        .await?;
    assert!(
        export["runs"].to_string().contains(TOLD),
        "{}",
        export["runs"]
    );
    stage.admin.delete(&format!("/contacts/{contact}")).await?;
    stage.gateway.stop().await?;
    for file in std::fs::read_dir(stage.gateway.data())? {
        let path = file?.path();
        if path.is_file() {
            let found = memchr::memmem::find(&std::fs::read(&path)?, TOLD.as_bytes());
            assert_eq!(found, None, "{}", path.display());
        }
    }
    stage.gateway.end().await
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

/// What faults on an event that was handled before does not take over, also not by a restart; what only differs does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_takes_over_only_when_its_shadow_faults_on_nothing() -> anyhow::Result<()> {
    let table = PluginsFile::probe_table("probe", "first", 0);
    let table = table.replacen("\n", "\npromote = \"shadow\"\n", 1);
    let mut stage = Stage::set(PluginsFile::default().and("probe", &table)).await?;
    for _ in 0..3 {
        stage.say("hello").await?;
    }
    let file = stage.gateway.folder().join("probe.wasm");
    let second = probe_saying(b"b0002 ")?;
    replace(&file, &second)?;
    let live = digest(&second);
    let row = stage
        .row("it takes over", |row| row["digest"] == live.as_str())
        .await?;
    assert_eq!(count(&row["shadow"], COUNTS), [0, 3, 0, 0], "{row:#}");
    assert_eq!(row["shadow"]["digest"], live.as_str());

    // No text: the host traps it.
    let broken = probe_saying(b"\xff\xff\xff\xff\xff ")?;
    replace(&file, &broken)?;
    let row = stage
        .row("it says why not", |row| row["cause"].is_string())
        .await?;
    assert_eq!(
        (&row["state"], &row["digest"]),
        (&json!("ready"), &json!(live))
    );
    assert_eq!(count(&row["shadow"], COUNTS), [0, 0, 3, 0], "{row:#}");
    let cause = row["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("plugins.toml:2: "), "{cause}");
    assert!(cause.contains("faulted on 3 of its kept runs"), "{cause}");
    stage.say("hello").await?;
    let sent = stage.sim.wait_sent(4, PATIENCE).await?;
    let last = sent.last().context("a send")?.body["text"]["body"].clone();
    assert!(last.to_string().starts_with("\"b0002 first "), "{last}");
    for arguments in [
        ["plugin", "list"].as_slice(),
        &["plugin", "inspect", "probe"],
    ] {
        let (ended, told) = stage.gateway.duet(arguments).await?;
        let shadow = "0 the same, 0 otherwise, 3 faulted, 0 skipped: it did not take over";
        assert!(ended.success() && told.contains(shadow), "{told}");
    }

    // The one that is live has nothing to prove.
    replace(&file, &second)?;
    stage
        .row("all is well again", |row| row["cause"].is_null())
        .await?;
    replace(&file, &broken)?;
    stage
        .row("it says why not", |row| row["cause"].is_string())
        .await?;

    stage.gateway.stop().await?;
    stage.gateway.restart().await?;
    stage.admin = stage.gateway.admin()?;
    let row = stage
        .row("the old one goes on", |row| row["cause"].is_string())
        .await?;
    assert_eq!(
        (&row["state"], &row["digest"]),
        (&json!("ready"), &json!(live))
    );
    let cause = row["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("faulted on 4 of its kept runs"), "{cause}");
    let text = webhook::text(ASHA, "wamid.shadow.later", "hello");
    stage.gateway.meta()?.deliver(&text).await?;
    let sent = stage.sim.wait_sent(5, PATIENCE).await?;
    let last = sent.last().context("a send")?.body["text"]["body"].clone();
    assert!(last.to_string().starts_with("\"b0002 first "), "{last}");
    stage.gateway.end().await
}

/// One command puts the version before back, as often as one likes, also after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_before_comes_back() -> anyhow::Result<()> {
    let mut stage = Stage::set(PluginsFile::probe("first", 0)).await?;
    let file = stage.gateway.folder().join("probe.wasm");
    let first = std::fs::read(&file)?;
    let (ended, told) = stage.gateway.duet(&["plugin", "rollback", "probe"]).await?;
    assert!(
        !ended.success() && told.contains("no version before"),
        "{told}"
    );

    let second = probe_saying(b"b0002 ")?;
    replace(&file, &second)?;
    let live = digest(&second);
    stage
        .row("it is live", |row| row["digest"] == live.as_str())
        .await?;
    stage.gateway.stop().await?;
    stage.gateway.restart().await?;
    stage.admin = stage.gateway.admin()?;
    stage.admin.plugins_run(PATIENCE).await?;
    for (wanted, says) in [(&first, "probe first"), (&second, "b0002 first")] {
        let (ended, told) = stage.gateway.duet(&["plugin", "rollback", "probe"]).await?;
        assert!(ended.success(), "{told}");
        assert!(told.contains("probe runs it"), "{told}");
        assert_eq!(&std::fs::read(&file)?, wanted);
        stage.say("hello").await?;
        let sent = stage.sim.wait_sent(stage.said.into(), PATIENCE).await?;
        let last = sent.last().context("a send")?.body["text"]["body"].clone();
        assert!(
            last.to_string().starts_with(&format!("\"{says} ")),
            "{last}"
        );
    }

    // What never ran is no version: it goes back to the one that runs.
    replace(&file, b"no component")?;
    stage
        .row("it says why not", |row| row["cause"].is_string())
        .await?;
    let back = stage
        .admin
        .post("/plugins/probe/rollback", &Value::Null)
        .await?;
    assert_eq!(
        (&back["live"], &back["digest"]),
        (&json!(true), &json!(live))
    );
    assert_eq!(std::fs::read(&file)?, second);
    let (status, _) = stage
        .admin
        .call(Method::POST, "/plugins/other/rollback", None)
        .await?;
    assert_eq!(status, 404);
    stage.gateway.end().await
}
