//! Calls of plugins when the power is cut, when an attempt fails and when a commit conflicts: what was answered is not
//! asked again, and what was on its way is repeated under the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use duet_sim::Sim;
use duet_tests::outside::{Called, Outside, Reply};
use duet_tests::plugins_file::{PluginsFile, guest_file, replace, with_custom_section};
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);
const ASHA: &str = "919800000001";
const BALA: &str = "919800000002";

/// A system that honours keys: it applies each once, and says so again when it is asked again.
#[derive(Clone, Default)]
struct Applied(Arc<Mutex<BTreeMap<String, usize>>>);

impl Applied {
    fn answer(&self, called: &Called) -> Reply {
        let mut applied = lock(&self.0);
        let next = applied.len();
        let key = called.header("idempotency-key").to_owned();
        let nth = *applied.entry(key).or_insert(next);
        Reply::new(201, format!("applied as {nth}"))
    }

    fn count(&self) -> usize {
        lock(&self.0).len()
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn caller(outside: &Outside, more: &str) -> PluginsFile {
    let url = outside.url();
    let table = format!(
        "[plugins.caller]\ncomponent = \"caller.wasm\"\nfrom = \"beginning\"\n{more}\n\
         [plugins.caller.limits]\nwall_ms_max = 120000\ncpu_ms_max = 10000\n\
         [plugins.caller.messages]\nspeak = [\"automation\"]\n[plugins.caller.store]\n\
         [plugins.caller.http]\nallow = [{url:?}]\nprivate = true\n\
         [plugins.caller.http.secrets.token]\nenv = \"CALLERS_TOKEN\"\nhosts = [{url:?}]\n\
         [plugins.caller.http.secrets.other]\nenv = \"CALLERS_TOKEN\"\nhosts = [{url:?}]\n"
    );
    PluginsFile::default().and("caller", &table)
}

struct Stage {
    sim: Sim,
    gateway: Gateway,
    admin: Admin,
}

impl Stage {
    async fn set(plugins: PluginsFile) -> anyhow::Result<Stage> {
        let sim = Sim::start(gateway::open_sim()).await?;
        let setup = Setup::default()
            .graph(sim.url())
            .plugins(plugins)
            .env("CALLERS_TOKEN", "not to be seen");
        let gateway = Gateway::start(setup).await?;
        let admin = gateway.admin()?;
        admin.plugins_run(PATIENCE).await?;
        Ok(Stage {
            sim,
            gateway,
            admin,
        })
    }

    async fn restart(&mut self, failpoint: Option<&str>) -> anyhow::Result<()> {
        let env = failpoint.map(|place| ("DUET_FAILPOINT".to_owned(), place.to_owned()));
        let up = self.gateway.restart_with(env.as_slice()).await?;
        anyhow::ensure!(up, "the gateway ended at once");
        self.admin = self.gateway.admin()?;
        Ok(())
    }

    async fn say(&self, from: &str, id: &str, steps: &Value) -> anyhow::Result<()> {
        let text = webhook::text(from, &format!("wamid.{id}"), &steps.to_string());
        self.gateway.meta()?.deliver(&text).await
    }

    /// Cuts the power there while the message is handled, and starts again.
    async fn cut(&mut self, place: &str, steps: &Value) -> anyhow::Result<()> {
        self.gateway.stop().await?;
        self.restart(Some(place)).await?;
        self.say(ASHA, place, steps).await?;
        let died = self.gateway.died_within(PATIENCE).await?;
        anyhow::ensure!(died, "it passed {place}");
        Ok(())
    }

    /// How often this text was sent.
    fn copies(&self, text: &str) -> usize {
        let said = |sent: &&duet_sim::Sent| sent.body.pointer("/text/body") == Some(&json!(text));
        self.sim.sent().iter().filter(said).count()
    }

    async fn sent(&self, text: &str) -> anyhow::Result<()> {
        until(&format!("{text:?} is sent"), PATIENCE, || async {
            Ok(Seen::when(self.copies(text) > 0, (), || {
                format!("{:?}", self.sim.sent())
            }))
        })
        .await
    }
}

fn post(outside: &Outside, path: &str) -> Value {
    json!({"method": "POST", "url": format!("{}{path}", outside.url()), "body": "at ", "stamp": true})
}

/// Two store writes, three calls and two sends. The calls tell the time: after a crash they are known again only when it
/// is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_is_cut_at_each_step_and_everything_is_applied_once() -> anyhow::Result<()> {
    let applied = Applied::default();
    let sink = applied.clone();
    let outside = Outside::start(move |called| sink.answer(called)).await?;
    let mut stage = Stage::set(caller(&outside, "")).await?;
    // (place, calls that it takes in the end)
    let places = [
        ("journal.before_call:1", 3),
        ("journal.before_call:2", 3),
        ("journal.before_call:3", 3),
        ("journal.answered_before_commit:1", 4),
        ("journal.answered_before_commit:2", 4),
        ("journal.answered_before_commit:3", 4),
        ("journal.answer_kept:1", 3),
        ("journal.answer_kept:2", 3),
        ("journal.answer_kept:3", 3),
        ("dispatch.before_finish:1", 3),
        ("dispatch.in_finish:1", 3),
        ("dispatch.finished:1", 3),
    ];
    for (nth, (place, calls)) in places.iter().enumerate() {
        let (first, last) = (format!("first of {place}"), format!("last of {place}"));
        let steps = json!([
            {"set": ["place", place]},
            {"call": post(&outside, "/1")},
            {"say": first},
            {"call": post(&outside, "/2")},
            {"add": "events"},
            {"call": post(&outside, "/3")},
            {"say": last},
            {"show": "events"},
        ]);
        let (before, applied_before) = (outside.called().len(), applied.count());
        stage.cut(place, &steps).await?;
        stage.restart(None).await?;
        stage.sent(&format!("events: {}", nth + 1)).await?;
        for text in [&first, &last] {
            assert_eq!(stage.copies(text), 1, "{place}: {text}");
        }
        assert_eq!(outside.called().len() - before, *calls, "{place}: calls");
        assert_eq!(applied.count() - applied_before, 3, "{place}: applied");
    }
    assert!(!stage.gateway.log().contains("goes on live"));
    stage.gateway.end().await
}

/// Of calls that were made at once some were answered when the power was cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_made_at_once_are_each_known_again() -> anyhow::Result<()> {
    let applied = Applied::default();
    let sink = applied.clone();
    let outside = Outside::start(move |called| sink.answer(called)).await?;
    let mut stage = Stage::set(caller(&outside, "")).await?;
    let all: Vec<_> = (0..4)
        .map(|nth| post(&outside, &format!("/{nth}")))
        .collect();
    // Twice the same is twice.
    let all = [all.clone(), all].concat();
    let steps = json!([{ "all": all }, {"say": "all of them"}]);
    stage.cut("journal.answer_kept:3", &steps).await?;
    stage.restart(None).await?;
    stage.sent("all of them").await?;
    assert_eq!(applied.count(), 8);
    // Three answers were kept, so at most five of the eight were made again.
    let calls = outside.called().len();
    assert!((8..=13).contains(&calls), "{calls} calls");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_attempt_answers_a_503_with_a_new_call_and_repeats_no_change() -> anyhow::Result<()>
{
    let busy = Mutex::new(true);
    let outside = Outside::start(move |called| {
        let first = || std::mem::take(&mut *lock(&busy));
        match called.path.as_str() {
            "/busy" if first() => Reply::new(503, "later"),
            _ => Reply::new(201, "done"),
        }
    })
    .await?;
    let stage = Stage::set(caller(&outside, "")).await?;
    let call = |method: &str, path: &str| json!({"call": {"method": method, "url": format!("{}{path}", outside.url()), "body": "x"}});
    let get = json!({"call": {"method": "GET", "url": format!("{}/look", outside.url())}});
    let steps = json!([call("POST", "/order"), get, call("POST", "/busy"), {"want": 201}, call("PUT", "/end"), {"say": "done"}]);
    stage.say(ASHA, "order", &steps).await?;
    stage.sent("done").await?;
    let called = outside.called();
    let paths: Vec<_> = called.iter().map(|called| called.path.as_str()).collect();
    assert_eq!(
        paths,
        ["/order", "/look", "/busy", "/look", "/busy", "/end"]
    );
    let keys: Vec<_> = called
        .iter()
        .map(|called| called.header("idempotency-key"))
        .collect();
    assert_eq!(keys[2], keys[4], "the same call");
    assert_eq!((keys[1], keys[3]), ("", ""), "what only asks needs none");
    let different: BTreeSet<_> = [keys[0], keys[2], keys[5]].into();
    assert!(different.len() == 3 && !different.contains(""), "{keys:?}");
    let row = stage
        .admin
        .row("plugins", "it is done", PATIENCE, |row| {
            row["events"]["done"] == 1
        })
        .await?;
    assert_eq!(row["events"]["retried"], 1, "{row}");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authors_own_key_holds_when_the_words_differ() -> anyhow::Result<()> {
    let outside = Outside::start(|called| {
        let own = called.header("idempotency-key") == "by hand";
        Reply::new(if own { 200 } else { 503 }, "")
    })
    .await?;
    let stage = Stage::set(caller(
        &outside,
        "[plugins.caller.retry]\nattempts = 3\nfirst_seconds = 1\nmax_seconds = 1",
    ))
    .await?;
    let own = json!({"method": "POST", "url": outside.url(), "stamp": true, "key": "order 7"});
    let by_hand = json!({"method": "POST", "url": outside.url(), "headers": [["Idempotency-Key", "by hand"]]});
    stage
        .say(
            ASHA,
            "own",
            &json!([{"call": by_hand}, {"call": own}, {"want": 200}]),
        )
        .await?;
    stage.admin.count("dead-letters", "", 1, PATIENCE).await?;
    let called = outside.called();
    let keys: Vec<_> = called
        .iter()
        .map(|called| called.header("idempotency-key"))
        .collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert_eq!(keys[0], "by hand");
    assert!(
        keys[1] != "order 7" && keys[1] == keys[2] && keys[2] == keys[3],
        "{keys:?}"
    );
    let bodies: BTreeSet<_> = called.iter().map(|called| &called.body).collect();
    assert_eq!(bodies.len(), 4, "each attempt has its own time: {bodies:?}");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_component_goes_on_live_and_says_so() -> anyhow::Result<()> {
    let outside = Outside::start(|_| Reply::new(200, "")).await?;
    let mut stage = Stage::set(caller(&outside, "")).await?;
    let call = json!({"method": "POST", "url": outside.url(), "body": "x"});
    let steps = json!([{"call": call}, {"say": "done"}]);
    stage.cut("journal.answer_kept:1", &steps).await?;
    let other = with_custom_section(&std::fs::read(guest_file("caller")?)?, "another");
    replace(&stage.gateway.folder().join("caller.wasm"), &other)?;
    stage.restart(None).await?;
    stage.sent("done").await?;
    let called = outside.called();
    let keys: Vec<_> = called
        .iter()
        .map(|called| called.header("idempotency-key"))
        .collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
    assert!(stage.gateway.log().contains("goes on live"));
    stage.gateway.end().await
}

/// It goes by how long it has computed, so that its second run asks for something that its first one did not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_run_that_asks_for_something_else_goes_on_live_and_says_so() -> anyhow::Result<()>
{
    let outside = Outside::start(|_| Reply::new(200, "")).await?;
    let mut stage = Stage::set(caller(&outside, "")).await?;
    let call = |path: &str, chance: bool| json!({"call": {"method": "POST", "url": format!("{}{path}", outside.url()), "chance": chance}});
    let steps = json!([call("/same", false), call("/other", true), {"add": "runs"}, {"say": "done"}, {"show": "runs"}]);
    stage.cut("journal.answer_kept:2", &steps).await?;
    stage.restart(None).await?;
    stage.sent("runs: 1").await?;
    assert_eq!(stage.copies("done"), 1);
    let called = outside.called();
    let paths: Vec<_> = called.iter().map(|called| called.path.as_str()).collect();
    assert_eq!(paths, ["/same", "/other", "/other"]);
    let keys: BTreeSet<_> = called
        .iter()
        .map(|called| called.header("idempotency-key"))
        .collect();
    assert!(keys.len() == 3 && !keys.contains(""), "{keys:?}");
    let log = stage.gateway.log();
    let told: Vec<_> = log
        .lines()
        .filter(|line| line.contains("goes on live"))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let row = stage
        .admin
        .row("plugins", "it is done", PATIENCE, |row| {
            row["events"]["done"] == 1
        })
        .await?;
    assert_eq!(
        (&row["state"], &row["events"]["faults"]),
        (&json!("ready"), &json!(0)),
        "{row}"
    );
    // Another conversation is none of it.
    stage
        .say(BALA, "bala", &json!([{"add": "runs"}, {"show": "runs"}]))
        .await?;
    stage.sent("runs: 2").await?;
    stage.gateway.end().await
}

/// Both runs have read the counter when the calls are answered; one of them has to run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_repeats_the_run_and_not_its_calls() -> anyhow::Result<()> {
    let outside = Outside::start(|_| Reply::new(200, "").once(2)).await?;
    let stage = Stage::set(caller(&outside, "")).await?;
    let call =
        json!({"method": "POST", "url": outside.url(), "stamp": true, "timeout_ms": 120_000});
    let steps = json!([{"add": "count"}, {"call": call}, {"show": "count"}]);
    stage.say(ASHA, "asha", &steps).await?;
    stage.say(BALA, "bala", &steps).await?;
    stage.sent("count: 1").await?;
    stage.sent("count: 2").await?;
    assert_eq!(outside.called().len(), 2);
    stage.gateway.end().await
}

/// What a canary could not do is the same attempt of another component.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_canary_had_called_is_called_again_under_the_same_keys() -> anyhow::Result<()> {
    let busy = Mutex::new(true);
    let outside = Outside::start(move |called| {
        let first = || std::mem::take(&mut *lock(&busy));
        match called.path.as_str() {
            "/busy" if first() => Reply::new(503, "later"),
            _ => Reply::new(201, "done"),
        }
    })
    .await?;
    let once = "[plugins.caller.retry]\nattempts = 1";
    let mut stage = Stage::set(caller(&outside, once)).await?;
    let next = with_custom_section(&std::fs::read(guest_file("caller")?)?, "another");
    std::fs::write(stage.gateway.folder().join("next.wasm"), next)?;
    let canary = "[plugins.caller.canary]\ncomponent = \"next.wasm\"\npercent = 100";
    stage
        .gateway
        .change_plugins(caller(&outside, &format!("{once}\n{canary}")))?;
    let runs = |row: &Value| row["canary"]["state"] == "running";
    stage
        .admin
        .row("plugins", "it runs", PATIENCE, runs)
        .await?;

    let call = |path: &str| json!({"call": {"method": "POST", "url": format!("{}{path}", outside.url()), "body": "x"}});
    let steps = json!([call("/order"), call("/busy"), {"want": 201}, {"say": "done"}]);
    stage.say(ASHA, "order", &steps).await?;
    stage.sent("done").await?;
    let called = outside.called();
    let seen = |of: fn(&Called) -> &str| called.iter().map(of).collect::<Vec<_>>();
    let paths = seen(|called| called.path.as_str());
    assert_eq!(paths, ["/order", "/busy", "/order", "/busy"]);
    let keys = seen(|called| called.header("idempotency-key"));
    assert_eq!(keys[..2], keys[2..], "the same calls");
    assert_eq!(
        stage.admin.rows("dead-letters", "").await?,
        Vec::<Value>::new()
    );
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_call_has_brought_goes_with_its_contact() -> anyhow::Result<()> {
    const TOLD: &str = "told in confidence";
    let outside = Outside::start(|called| match called.path.as_str() {
        "/tell" => Reply::new(200, json!(TOLD).to_string()),
        _ => Reply::new(503, ""),
    })
    .await?;
    // It waits for another attempt all the while.
    let waits = "[plugins.caller.retry]\nattempts = 2\nfirst_seconds = 3600\nmax_seconds = 3600";
    let mut stage = Stage::set(caller(&outside, waits)).await?;
    let call =
        |path: &str| json!({"call": {"method": "POST", "url": format!("{}{path}", outside.url())}});
    let steps = json!([call("/tell"), call("/busy"), {"want": 200}]);
    stage.say(ASHA, "asha", &steps).await?;
    let retried = |row: &Value| row["events"]["retried"] == 1;
    stage
        .admin
        .row("plugins", "it waits", PATIENCE, retried)
        .await?;
    let contact = stage.admin.conversation(ASHA, PATIENCE).await?["contact"]["id"].clone();
    let export = stage
        .admin
        .get(&format!("/contacts/{contact}/export"))
        .await?;
    assert!(
        export["journal"].to_string().contains(TOLD),
        "{}",
        export["journal"]
    );
    stage.admin.delete(&format!("/contacts/{contact}")).await?;
    stage.gateway.stop().await?;
    for file in std::fs::read_dir(stage.gateway.data())? {
        let path = file?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path)?;
            let found = memchr::memmem::find(&bytes, TOLD.as_bytes());
            assert_eq!(found, None, "{}", path.display());
        }
    }
    stage.gateway.end().await.context("the end")
}
