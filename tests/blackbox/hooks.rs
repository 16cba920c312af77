//! What a plugin's outside system calls is stored, proven and handled once; nobody else gets in, and webhooks go on.

use std::collections::BTreeSet;
use std::time::Duration;

use duet_sim::Sim;
use duet_tests::plugins_file::PluginsFile;
use duet_tests::{Admin, Gateway, Meta, Setup, gateway, until, wait, webhook};
use reqwest::{Client, Method, Response};
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(120);
const ASHA: &str = "919500000001";
const SECRET: &str = "what the desk and the gateway know";
const TOKEN: &str = "what-the-desk-shows/when+it=asks";
/// Every place at which the power may be cut before the caller is answered, and after that.
const BEFORE: [&str; 2] = ["hooks.in_take", "hooks.taken"];
const AFTER: [&str; 2] = ["dispatch.before_finish", "dispatch.in_finish"];

/// An instance of `hooked` with these lines in the tables of its hooks.
fn table(name: &str, tickets: &str, ask: &str, bell: &str) -> String {
    format!(
        "[plugins.{name}]\ncomponent = \"hooked.wasm\"\nfrom = \"beginning\"\n\
         [plugins.{name}.retry]\nattempts = 100\nmax_seconds = 1\n\
         [plugins.{name}.limits]\ncpu_ms_max = 10000\nwall_ms_max = 60000\n\
         [plugins.{name}.messages]\n[plugins.{name}.store]\n\
         [plugins.{name}.hooks.tickets]\nenv = \"DESK_SECRET\"\n{tickets}\n\
         [plugins.{name}.hooks.ask]\nenv = \"DESK_TOKEN\"\n{ask}\n\
         [plugins.{name}.hooks.bell]\nunsigned = true\n{bell}\n"
    )
}

struct Stage {
    sim: Sim,
    gateway: Gateway,
    meta: Meta,
    admin: Admin,
    http: Client,
    /// Of the conversation with Asha.
    talk: i64,
}

impl Stage {
    async fn set(tickets: &str, ask: &str, bell: &str) -> anyhow::Result<Stage> {
        let sim = Sim::start(gateway::open_sim()).await?;
        let file = PluginsFile::default().and("hooked", &table("desk", tickets, ask, bell));
        let setup = Setup::default()
            .graph(sim.url())
            .plugins(file)
            .env("DESK_SECRET", SECRET)
            .env("DESK_TOKEN", TOKEN);
        let gateway = Gateway::start(setup).await?;
        let (meta, admin) = (gateway.meta()?, gateway.admin()?);
        admin.plugins_run(PATIENCE).await?;
        meta.deliver(&webhook::text(ASHA, "wamid.first", "Namaste"))
            .await?;
        let talk = admin.conversation(ASHA, PATIENCE).await?;
        let begun = |row: &Value| row["name"] == "desk" && row["events"]["done"] == 1;
        admin
            .row("plugins", "it has begun", PATIENCE, begun)
            .await?;
        Ok(Stage {
            sim,
            gateway,
            meta,
            admin,
            http: Client::builder()
                .no_proxy()
                // The public listener closes what is idle for 10 s.
                .pool_idle_timeout(Duration::from_secs(5))
                .build()?,
            talk: talk["id"].as_i64().unwrap_or_default(),
        })
    }

    async fn restart(&mut self, failpoint: Option<&str>) -> anyhow::Result<()> {
        let env = failpoint.map(|name| ("DUET_FAILPOINT".to_owned(), format!("{name}:1")));
        let env: Vec<_> = env.into_iter().collect();
        anyhow::ensure!(self.gateway.restart_with(&env).await?, "it comes up");
        (self.meta, self.admin) = (self.gateway.meta()?, self.gateway.admin()?);
        self.admin.plugins_run(PATIENCE).await?;
        Ok(())
    }

    fn url(&self, path: &str) -> anyhow::Result<String> {
        Ok(format!("{}/hooks/desk/{path}", self.gateway.url()?))
    }

    /// Calls `tickets`, signed at this time.
    async fn ticket_at(&self, body: &Value, seconds: u64) -> anyhow::Result<Response> {
        let body = body.to_string();
        let request = self.http.post(self.url("tickets/7?a=1")?);
        let request = request
            .header(
                "x-desk-signature",
                format!("v0={}", signature(seconds, &body)),
            )
            .header("x-desk-time", seconds.to_string())
            .header("x-desk-note", format!("it is {SECRET}"));
        Ok(request.body(body).send().await?)
    }

    async fn ticket(&self, id: &str) -> anyhow::Result<u16> {
        let body = json!({"id": id, "conversation": self.talk, "text": "a ticket"});
        Ok(self
            .ticket_at(&body, webhook::now_s())
            .await?
            .status()
            .as_u16())
    }

    async fn ask(&self, id: &str, body: &str) -> anyhow::Result<Response> {
        let request = self.http.put(self.url("ask")?).bearer_auth(TOKEN);
        let request = request.header("x-request-id", id).body(body.to_owned());
        Ok(request.send().await?)
    }

    async fn ring(&self) -> anyhow::Result<Response> {
        Ok(self.http.get(self.url("bell")?).send().await?)
    }

    /// Waits until so many were sent, and gives what they say.
    async fn said(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let sent = self.sim.wait_sent(u64::try_from(count)?, PATIENCE).await?;
        let text = |body: &Value| body["text"]["body"].as_str().unwrap_or_default().to_owned();
        Ok(sent.iter().map(|sent| text(&sent.body)).collect())
    }

    async fn events(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        self.admin.rows("events", &format!("kind={kind}")).await
    }
}

/// Waits until a call is answered with this status.
async fn becomes<A>(what: &str, status: u16, mut call: impl FnMut() -> A) -> anyhow::Result<()>
where
    A: Future<Output = anyhow::Result<Response>>,
{
    until(what, PATIENCE, || {
        let answer = call();
        async move {
            let seen = answer.await?.status().as_u16();
            Ok(wait::Seen::when(seen == status, (), || seen.to_string()))
        }
    })
    .await
}

fn signature(seconds: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hex::encode(hmac::sign(&key, format!("v0:{seconds}:{body}").as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_reaches_its_plugin_once_in_its_lane_and_without_its_secret() -> anyhow::Result<()> {
    let stage = Stage::set("", "", "").await?;
    for id in ["one", "one", "two", "one"] {
        assert_eq!(stage.ticket(id).await?, 202, "{id}");
    }
    let said = stage.said(2).await?;
    let events = stage.events("hook.tickets").await?;
    assert_eq!(events.len(), 2);
    for (number, (event, said)) in events.iter().zip(&said).enumerate() {
        let told = [&event["plugin"], &event["conversation"], &event["number"]];
        assert_eq!(
            told,
            [&json!("desk"), &json!(stage.talk), &json!(webhook::NUMBER)]
        );
        let saw: Value = match said.split_once(' ') {
            Some((count, saw)) if count == (number + 1).to_string() => serde_json::from_str(saw)?,
            _ => anyhow::bail!("{said}"),
        };
        assert_eq!(saw, event["body"], "the plugin sees what is stored");
        let told = [&saw["method"], &saw["path"], &saw["query"]];
        assert_eq!(told, [&json!("POST"), &json!("/7"), &json!("a=1")]);
        let headers: BTreeSet<_> = saw["headers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|header| (header[0].as_str(), header[1].as_str()))
            .collect();
        assert!(
            headers.contains(&(Some("x-desk-note"), Some("it is [secret]"))),
            "{saw}"
        );
        assert!(
            !headers
                .iter()
                .any(|(name, _)| *name == Some("x-desk-signature")),
            "{saw}"
        );
        let body: Value = serde_json::from_str(saw["body"].as_str().unwrap_or_default())?;
        assert_eq!(body["text"], "a ticket");
    }
    // One that names no conversation, or none that there is, is in the plugin's own lane.
    let odd = json!({"id": "three", "conversation": 4711});
    assert_eq!(stage.ticket_at(&odd, webhook::now_s()).await?.status(), 202);
    assert_eq!(stage.ring().await?.status(), 202);
    assert_eq!(stage.ring().await?.status(), 202);
    let events = [
        stage.events("hook.tickets").await?,
        stage.events("hook.bell").await?,
    ]
    .concat();
    let lanes: Vec<_> = events
        .iter()
        .map(|event| event["conversation"].as_i64())
        .collect();
    assert_eq!(
        lanes,
        [Some(stage.talk), Some(stage.talk), None, None, None]
    );
    let done = |row: &Value| row["name"] == "desk" && row["events"]["done"] == 6;
    stage
        .admin
        .row("plugins", "all is done", PATIENCE, done)
        .await?;
    // An erasure takes what was said in the conversation along.
    let contact = stage.admin.conversation(ASHA, PATIENCE).await?["contact"]["id"].clone();
    let exported = stage
        .admin
        .get(&format!("/contacts/{contact}/export"))
        .await?;
    assert_eq!(
        exported["hooks"].as_array().map(Vec::len),
        Some(2),
        "{exported}"
    );
    stage.admin.delete(&format!("/contacts/{contact}")).await?;
    assert_eq!(stage.events("hook.tickets").await?.len(), 1);
    assert_eq!(stage.ticket("one").await?, 202, "and is no new call");
    assert_eq!(stage.events("hook.tickets").await?.len(), 1);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_known_too_long_or_too_fast_is_told_so() -> anyhow::Result<()> {
    let bell = "per_minute = 1\nbody_bytes_max = \"1KiB\"";
    let stage = Stage::set("body_bytes_max = \"1KiB\"", "", bell).await?;
    let now = webhook::now_s();
    let ticket = json!({"id": "one"});
    for seconds in [now - 3600, now + 3600] {
        assert_eq!(
            stage.ticket_at(&ticket, seconds).await?.status(),
            401,
            "{seconds}"
        );
    }
    let base = stage.gateway.url()?;
    let post = |path: &str| stage.http.post(format!("{base}{path}"));
    let forged = post("/hooks/desk/tickets")
        .header("x-desk-signature", format!("v0={}", signature(now, "{}")))
        .header("x-desk-time", now.to_string());
    assert_eq!(forged.body("{} ").send().await?.status(), 401);
    assert_eq!(
        post("/hooks/desk/tickets")
            .body("{}")
            .send()
            .await?
            .status(),
        401
    );
    assert_eq!(
        post("/hooks/desk/ask")
            .bearer_auth("other")
            .send()
            .await?
            .status(),
        401
    );
    let mut unknown = Vec::new();
    for path in [
        "/hooks/nobody/tickets",
        "/hooks/desk/nothing",
        "/hooks/desk",
        "/hooks/desk/",
        "/hooks/",
    ] {
        let answer = post(path).send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        unknown.push((
            status,
            headers["content-type"].clone(),
            answer.bytes().await?,
        ));
    }
    assert_eq!(unknown[0].0, 404);
    assert!(
        unknown.windows(2).all(|two| two[0] == two[1]),
        "{unknown:?}"
    );
    let keyless = json!({"text": "which one?"});
    assert_eq!(stage.ticket_at(&keyless, now).await?.status(), 400);
    let options = stage.http.request(Method::OPTIONS, stage.url("bell")?);
    assert_eq!(options.send().await?.status(), 405);
    let long = json!({"id": "x".repeat(2048)});
    assert_eq!(stage.ticket_at(&long, now).await?.status(), 413);
    let long = post("/hooks/desk/bell").body("x".repeat(2048));
    assert_eq!(long.send().await?.status(), 413);
    assert_eq!(stage.ring().await?.status(), 202);
    let fast = stage.ring().await?;
    let again: u64 = fast.headers()["retry-after"].to_str()?.parse()?;
    assert_eq!(
        (fast.status().as_u16(), (1..=60).contains(&again)),
        (429, true)
    );
    let events = stage.admin.rows("events", "").await?;
    let hooks = events.iter().filter(|event| {
        event["kind"]
            .as_str()
            .is_some_and(|kind| kind.starts_with("hook."))
    });
    assert_eq!(hooks.count(), 1, "{events:?}");
    let metrics = stage.admin.visit(Method::GET, "/metrics", None).await?;
    let metrics = String::from_utf8(metrics.body)?;
    for line in [
        "duet_hook_calls_total{plugin=\"\",outcome=\"unknown\"} 5",
        "duet_hook_calls_total{plugin=\"desk\",outcome=\"unproven\"} 5",
        "duet_hook_calls_total{plugin=\"desk\",outcome=\"stored\"} 1",
        "duet_hook_calls_total{plugin=\"desk\",outcome=\"too_fast\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!stage.gateway.log().contains(TOKEN) && !stage.gateway.log().contains(SECRET));
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_power_is_cut_a_call_is_handled_once() -> anyhow::Result<()> {
    let mut stage = Stage::set("", "answer_seconds = 60", "").await?;
    let mut said = 0;
    for failpoint in BEFORE {
        stage.gateway.stop().await?;
        stage.restart(Some(failpoint)).await?;
        assert!(
            stage.ticket(failpoint).await.is_err(),
            "{failpoint}: nobody was answered"
        );
        assert!(stage.gateway.died_within(PATIENCE).await?, "{failpoint}");
        stage.restart(None).await?;
        // The caller does not know, so it comes again.
        assert_eq!(stage.ticket(failpoint).await?, 202);
        said += 1;
        assert_eq!(stage.said(said).await?.len(), said, "{failpoint}");
    }
    for failpoint in AFTER {
        stage.gateway.stop().await?;
        stage.restart(Some(failpoint)).await?;
        // Whether the answer is out before the plugin is done is anybody's guess: the power goes while it is at work.
        let answered = stage.ticket(failpoint).await;
        assert!(stage.gateway.died_within(PATIENCE).await?, "{failpoint}");
        stage.restart(None).await?;
        if answered.is_err() {
            assert_eq!(stage.ticket(failpoint).await?, 202);
        }
        said += 1;
        assert_eq!(stage.said(said).await?.len(), said, "{failpoint}");
    }
    let texts = stage.said(said).await?;
    let counts: Vec<_> = texts
        .iter()
        .filter_map(|text| text.split(' ').next())
        .collect();
    assert_eq!(counts, ["1", "2", "3", "4"]);
    // The power is cut as soon as it is answered; the question comes after it in the same lane.
    let alone = json!({"id": "killed"});
    let answered = stage.ticket_at(&alone, webhook::now_s()).await?;
    assert_eq!(answered.status(), 202);
    stage.gateway.kill9().await?;
    stage.restart(None).await?;
    let told: Value = stage.ask("tickets", "how many?").await?.json().await?;
    assert_eq!(told["tickets"], 5);
    assert_eq!(stage.events("hook.tickets").await?.len(), 5);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_by_the_plugin_and_a_repetition_as_before() -> anyhow::Result<()> {
    let mut stage = Stage::set("", "answer_seconds = 60", "").await?;
    let first = stage.ask("one", "what now?").await?;
    assert_eq!(first.status(), 201);
    assert_eq!(first.headers()["content-type"], "application/json");
    let text = first.text().await?;
    let told: Value = serde_json::from_str(&text)?;
    assert_eq!(
        (&told["count"], &told["saw"]["body"]),
        (&json!(1), &json!("what now?"))
    );
    assert!(!text.contains(TOKEN), "{text}");
    stage.gateway.kill9().await?;
    stage.restart(None).await?;
    let again = stage.ask("one", "something else").await?;
    assert_eq!((again.status().as_u16(), again.text().await?), (201, text));
    let second: Value = stage.ask("two", "and now?").await?.json().await?;
    assert_eq!(second["count"], 2, "the repetition was no call");

    // The power is cut when the answer is on disk, mostly before the caller has it.
    stage.gateway.stop().await?;
    stage.restart(Some("dispatch.finished")).await?;
    let _ = stage.ask("three", "and?").await;
    assert!(stage.gateway.died_within(PATIENCE).await?);
    stage.restart(None).await?;
    let third: Value = stage.ask("three", "and?").await?.json().await?;
    assert_eq!(third["count"], 3);

    assert_eq!(stage.ask("four", "refuse").await?.status(), 500);
    assert_eq!(stage.ask("four", "refuse").await?.status(), 500);
    let dead = stage.admin.rows("dead-letters", "").await?;
    assert_eq!(dead.len(), 1, "{dead:?}");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_too_long_gets_the_answer_by_asking_again() -> anyhow::Result<()> {
    let stage = Stage::set("", "answer_seconds = 1", "").await?;
    // It cannot answer before the door is open.
    for _ in 0..2 {
        assert_eq!(stage.ask("one", "wait").await?.status(), 504);
    }
    let open = json!({"id": "open", "conversation": stage.talk, "open": true});
    assert_eq!(
        stage.ticket_at(&open, webhook::now_s()).await?.status(),
        202
    );
    becomes("the answer is there", 201, || stage.ask("one", "wait")).await?;
    assert_eq!(stage.events("hook.ask").await?.len(), 1);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_taken_while_hooks_are_flooded() -> anyhow::Result<()> {
    let stage = Stage::set("", "answer_seconds = 60", "per_minute = 60000").await?;
    // All places of the plugin are taken by callers who wait; whoever finds none comes again.
    let url = stage.url("ask")?;
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (http, url) = (stage.http.clone(), url.clone());
        waiting.spawn(async move {
            loop {
                let request = http.put(&url).bearer_auth(TOKEN);
                let request = request.header("x-request-id", number.to_string());
                let _ = request.body("wait").send().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    becomes("the places are taken", 503, || stage.ring()).await?;
    for number in 0..20 {
        let id = format!("wamid.flood.{number}");
        stage
            .meta
            .deliver(&webhook::text(ASHA, &id, "still here"))
            .await?;
    }
    stage
        .admin
        .count("events", "kind=message.text", 21, PATIENCE)
        .await?;
    // Whoever goes away makes room.
    waiting.shutdown().await;
    becomes("there is room", 202, || stage.ring()).await?;
    stage.gateway.end().await
}

/// They show no signature that is one, and their bodies never come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_proves_nothing_takes_nobodys_place() -> anyhow::Result<()> {
    let stage = Stage::set("", "", "").await?;
    let mut slow = Vec::new();
    for number in 0..100 {
        let mut stream = TcpStream::connect(stage.gateway.listen()?).await?;
        let request = "POST /hooks/desk/tickets HTTP/1.1\r\nhost: duet\r\nx-desk-signature: v0=00\r\n\
                       x-desk-time: 1\r\ncontent-length: 1000\r\n\r\n{";
        stream.write_all(request.as_bytes()).await?;
        slow.push(stream);
        assert_eq!(stage.ticket(&format!("genuine {number}")).await?, 202);
    }
    drop(slow);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_is_called_only_as_the_admin_has_said() -> anyhow::Result<()> {
    let mut stage = Stage::set("", "", "").await?;
    let (status, told) = stage
        .gateway
        .duet(&["plugin", "inspect", "hooked.wasm"])
        .await?;
    assert!(status.success(), "{told}");
    for line in [
        "is called at /hooks/<name>/tickets, signed with HMAC-SHA256 and its time in X-Desk-Signature: The desk tells of tickets.",
        "is called at /hooks/<name>/ask, with the secret in Authorization, and answers: The desk asks what to do.",
        "is called at /hooks/<name>/bell, by anybody: Somebody is at the door.",
        "[plugins.hooked.hooks.tickets]\nenv = \"PLUGIN_HOOKED_HOOK_TICKETS\" # or file = \"…\"",
        "[plugins.hooked.hooks.bell]\nunsigned = true # anybody may call it",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    let (_, listed) = stage.gateway.duet(&["plugin", "list"]).await?;
    assert!(
        listed.contains("  called at /hooks/desk/ask, /hooks/desk/bell, /hooks/desk/tickets"),
        "{listed}"
    );

    // Another secret counts as soon as it is saved, and one that is missing changes nothing.
    let file = stage.gateway.folder().join("desk-secret");
    std::fs::write(&file, "another secret of the desk\n")?;
    let changed =
        table("desk", "", "", "").replace("env = \"DESK_TOKEN\"", "file = \"desk-secret\"");
    stage
        .gateway
        .change_plugins(PluginsFile::default().and("hooked", &changed))?;
    becomes("the old secret is one no more", 401, || {
        stage.ask("one", "")
    })
    .await?;
    let missing = changed.replace("[plugins.desk.hooks.bell]\nunsigned = true\n", "");
    stage
        .gateway
        .change_plugins(PluginsFile::default().and("hooked", &missing))?;
    let refused = |row: &Value| {
        row["cause"]
            .as_str()
            .is_some_and(|cause| cause.contains("[plugins.desk.hooks.bell]; add: unsigned = true"))
    };
    stage
        .admin
        .row("plugins", "the change is refused", PATIENCE, refused)
        .await?;
    assert_eq!(stage.ring().await?.status(), 202, "the old one goes on");
    // Off, it is to be called again later; gone, it was never there.
    let off = changed.replace("component", "enabled = false\ncomponent");
    for (text, status) in [(off.as_str(), 503), ("", 404)] {
        let file = match text {
            "" => PluginsFile::default(),
            text => PluginsFile::default().and("hooked", text),
        };
        stage.gateway.change_plugins(file)?;
        becomes("the change is taken", status, || stage.ring()).await?;
    }
    stage.gateway.end().await
}
