//! Calls of plugins: they go where the grant lets them go, secrets arrive and never come back, and what somebody wrote
//! is text.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use duet_sim::Sim;
use duet_tests::outside::{Called, Outside, Reply};
use duet_tests::plugins_file::{PluginsFile, guest_file, replace};
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use ring::hmac;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);
const ASHA: &str = "919800000001";
const TOKEN: &str = "tok/en \"to\" hide";
const OTHER: &str = "of-another-host";
/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";
const MASKED: &str = "[secret]";

/// `caller`, which may call these hosts; its secrets go to the first of them.
fn caller(hosts: &[&str], limits: &str) -> PluginsFile {
    let to = hosts.first().copied().unwrap_or_default();
    let to = to.rsplit(' ').next().unwrap_or_default();
    let table = format!(
        "[plugins.caller]\ncomponent = \"caller.wasm\"\nfrom = \"beginning\"\n\
         [plugins.caller.retry]\nattempts = 2\nfirst_seconds = 1\nmax_seconds = 1\n\
         [plugins.caller.limits]\nwall_ms_max = 120000\ncpu_ms_max = 10000\n{limits}\n\
         [plugins.caller.messages]\nspeak = [\"automation\"]\n[plugins.caller.store]\n\
         [plugins.caller.http]\nallow = {hosts:?}\nprivate = true\n\
         [plugins.caller.http.secrets.token]\nenv = \"CALLERS_TOKEN\"\nhosts = [{to:?}]\n\
         [plugins.caller.http.secrets.other]\nfile = \"secrets/other\"\nhosts = [{to:?}]\n"
    );
    PluginsFile::default().and("caller", &table)
}

struct Stage {
    sim: Sim,
    gateway: Gateway,
    admin: Admin,
    /// Messages sent so far.
    sent: u64,
}

impl Stage {
    /// The gateway watches the folder of the secrets like the others.
    async fn set(plugins: PluginsFile) -> anyhow::Result<Stage> {
        let sim = Sim::start(gateway::open_sim()).await?;
        let setup = Setup::default()
            .graph(sim.url())
            .env("CALLERS_TOKEN", TOKEN)
            // Nobody listens there: whoever took it would get no answer.
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("DUET_LOG_LEVEL", "trace");
        let mut gateway = Gateway::start(setup).await?;
        write_secret(gateway.folder(), OTHER)?;
        gateway.change_plugins(plugins)?;
        let admin = gateway.admin()?;
        admin.post("/plugins/reload", &json!({})).await?;
        admin.plugins_run(PATIENCE).await?;
        Ok(Stage {
            sim,
            gateway,
            admin,
            sent: 0,
        })
    }

    async fn say(&mut self, steps: &Value) -> anyhow::Result<()> {
        self.sent += 1;
        let id = format!("wamid.call.{}", self.sent);
        let text = webhook::text(ASHA, &id, &steps.to_string());
        self.gateway.meta()?.deliver(&text).await
    }

    /// What these calls have brought, one after the other or all at once.
    async fn answers(&mut self, steps: Value) -> anyhow::Result<Vec<Value>> {
        let mut steps = steps.as_array().cloned().unwrap_or_default();
        steps.push(json!({"tell": true}));
        self.say(&steps.into()).await?;
        let sent = self.sim.wait_sent(self.sent, PATIENCE).await?;
        let last = sent.last().context("a reply")?;
        let text = last.body.pointer("/text/body").and_then(Value::as_str);
        Ok(serde_json::from_str(text.context("a text")?)?)
    }

    async fn answer(&mut self, call: Value) -> anyhow::Result<Value> {
        let mut answers = self.answers(json!([{ "call": call }])).await?;
        answers.pop().context("an answer")
    }
}

fn write_secret(folder: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder.join("secrets"))?;
    replace(&folder.join("secrets").join("other"), text.as_bytes())
}

fn get(url: &str) -> Value {
    json!({"method": "GET", "url": url})
}

/// Answers with everything that came.
fn echo(called: &Called) -> Reply {
    let path = called.path.split('?').next().unwrap_or_default();
    match path {
        "/away" => Reply::new(302, "").header("location", "/away-there"),
        "/long" => Reply::new(200, vec![b'x'; 70_000]),
        "/zipped" => Reply::new(200, "x").header("content-encoding", "gzip"),
        _ => Reply::new(200, called.echo().to_string()).header("x-path", &called.path),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_where_the_grant_lets_them_go() -> anyhow::Result<()> {
    let (allowed, other) = (Outside::start(echo).await?, Outside::start(echo).await?);
    let reads = Outside::start(echo).await?;
    let only_get = format!("GET {}", reads.url());
    let plugins = caller(
        &[allowed.url(), &only_get, NOBODY],
        "http_response_bytes_max = \"64KiB\"",
    );
    let mut stage = Stage::set(plugins).await?;
    let (url, at) = (allowed.url(), |path: &str| {
        format!("{}{path}", allowed.url())
    });
    let port = url.rsplit(':').next().context("a port")?;

    let answer = stage.answer(get(&at("/here?a=b"))).await?;
    assert_eq!(answer["status"], 200, "{answer}");
    let answer = stage
        .answer(get(&format!("http://2130706433:{port}/there")))
        .await?;
    assert_eq!(answer["status"], 200, "{answer}");
    let away = stage.answer(get(&at("/away"))).await?;
    assert_eq!(away["status"], 302, "{away}");
    let told: Vec<_> = allowed
        .called()
        .iter()
        .map(|called| called.path.clone())
        .collect();
    assert_eq!(
        told,
        ["/here?a=b", "/there", "/away"],
        "no redirect was followed"
    );

    for (url, code) in [
        (other.url().to_owned(), "not-granted"),
        (format!("https://127.0.0.1:{port}/"), "not-granted"),
        (format!("http://localhost:{port}/"), "not-granted"),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), "not-granted"),
        (format!("http://127.0.0.1:{port}@example.com/"), "invalid"),
        (format!("http://example.com\\@127.0.0.1:{port}/"), "invalid"),
        (format!("http://user@127.0.0.1:{port}/"), "invalid"),
        ("file:///etc/passwd".to_owned(), "invalid"),
        (NOBODY.to_owned(), "unreachable"),
        (at("/long"), "answer-too-long"),
        (at("/zipped"), "answer-encoded"),
    ] {
        let answer = stage.answer(get(&url)).await?;
        assert_eq!(answer["error"], code, "{url}: {answer}");
    }
    let post = json!({"method": "POST", "url": reads.url()});
    let answer = stage.answer(post).await?;
    assert_eq!(answer["error"], "not-granted", "{answer}");
    let host = json!({"method": "GET", "url": url, "headers": [["Host", "example.com"]]});
    let answer = stage.answer(host).await?;
    assert_eq!(answer["error"], "invalid", "{answer}");
    assert_eq!((other.called().len(), reads.called().len()), (0, 0));
    let answer = stage.answer(get(reads.url())).await?;
    assert_eq!(answer["status"], 200, "{answer}");

    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_arrive_in_their_places_and_never_come_back() -> anyhow::Result<()> {
    let (outside, elsewhere) = (Outside::start(echo).await?, Outside::start(echo).await?);
    let hosts = [outside.url(), elsewhere.url()];
    let mut stage = Stage::set(caller(&hosts, "")).await?;
    let basic = |pair: String| format!("Basic {}", STANDARD.encode(pair));
    let key = hmac::Key::new(hmac::HMAC_SHA256, TOKEN.as_bytes());
    let signed = hex::encode(hmac::sign(&key, b"{}"));
    let in_json = json!({ "deep": { "key": TOKEN } }).to_string();
    let encoded = "key=tok%2Fen+%22to%22+hide";
    let cases: [(Value, &str, String); 7] = [
        (
            json!({"header": ["authorization", "Bearer ", "token"]}),
            "authorization",
            format!("Bearer {TOKEN}"),
        ),
        (
            json!({"basic": ["me", "token"]}),
            "authorization",
            basic(format!("me:{TOKEN}")),
        ),
        (
            json!({"basic-user": "token"}),
            "authorization",
            basic(format!("{TOKEN}:")),
        ),
        (
            json!({"query": ["key", "token"]}),
            "path",
            format!("/?{encoded}"),
        ),
        (json!({"json": ["/deep/key", "token"]}), "body", in_json),
        (
            json!({"form": ["key", "token"]}),
            "body",
            format!("{{}}&{encoded}"),
        ),
        (
            json!({"sign": ["x-signature", "sha256=", "token"]}),
            "x-signature",
            format!("sha256={signed}"),
        ),
    ];
    let count = cases.len();
    for (place, at, expect) in cases {
        let body = if at == "body" && place.get("json").is_some() {
            r#"{"deep":{}}"#
        } else {
            "{}"
        };
        let call = json!({"method": "POST", "url": outside.url(), "body": body, "places": [place]});
        let answer = stage.answer(call).await?;
        assert_eq!(answer["status"], 200, "{place}: {answer}");
        let called = outside.called().pop().context("a call")?;
        let arrived = match at {
            "path" => &called.path,
            "body" => &called.body,
            header => called.header(header),
        };
        assert_eq!(arrived, expect, "{place}");
        if at != "x-signature" {
            assert!(
                answer["body"].to_string().contains(MASKED),
                "{place}: {answer}"
            );
        }
        if at == "path" {
            assert!(
                answer["headers"].to_string().contains(MASKED),
                "{place}: {answer}"
            );
        }
    }
    let timed = json!({"sign-timed": ["x-signature", "v0=", "x-time", "v0:", ":", "token"]});
    let call = json!({"method": "POST", "url": outside.url(), "body": "a", "places": [timed]});
    stage.answer(call).await?;
    let called = outside.called().pop().context("a call")?;
    let over = format!("v0:{}:a", called.header("x-time"));
    let expect = STANDARD.encode(hmac::sign(&key, over.as_bytes()));
    assert_eq!(called.header("x-signature"), format!("v0={expect}"));

    // Not to another host, however it is asked for.
    let place = json!({"basic-user": "token"});
    let call = json!({"method": "GET", "url": elsewhere.url(), "places": [place]});
    let answer = stage.answer(call).await?;
    assert_eq!(answer["error"], "not-granted", "{answer}");
    let call =
        json!({"method": "GET", "url": outside.url(), "places": [{"basic-user": "nobody's"}]});
    assert_eq!(stage.answer(call).await?["error"], "not-granted");
    assert_eq!(
        (outside.called().len(), elsewhere.called().len()),
        (count + 1, 0)
    );

    // A host that does not read it would take it for the next plugin's request.
    let call = json!({"method": "GET", "url": outside.url(), "body": "POST / HTTP/1.1"});
    assert_eq!(stage.answer(call).await?["error"], "invalid");
    let places = vec![json!({"header": ["x-token", "", "token"]}); 9];
    let call = json!({"method": "POST", "url": outside.url(), "places": places});
    assert_eq!(stage.answer(call).await?["error"], "invalid");
    assert_eq!(outside.called().len(), count + 1);

    // What a customer wrote is text, whatever it looks like.
    let text = "{{secret:token}} ${token} {token} $CALLERS_TOKEN";
    let call = json!({"method": "POST", "url": elsewhere.url(), "body": text, "headers": [["x-text", text]]});
    let answer = stage.answer(call).await?;
    assert_eq!(answer["status"], 200, "{answer}");
    let called = elsewhere.called().pop().context("a call")?;
    assert_eq!(
        (called.body.as_str(), called.header("x-text")),
        (text, text)
    );

    stage.gateway.stop().await?;
    let log = stage.gateway.log();
    assert!(!shows_a_secret(log.as_bytes()), "the log shows a secret");
    assert!(log.contains("failed: not-granted"), "{log}");
    for file in std::fs::read_dir(stage.gateway.data())? {
        let path = file?.path();
        if path.is_file() {
            let shown = shows_a_secret(&std::fs::read(&path)?);
            assert!(!shown, "{} shows a secret", path.display());
        }
    }
    stage.gateway.end().await
}

fn shows_a_secret(bytes: &[u8]) -> bool {
    let quoted = json!(TOKEN).to_string();
    [TOKEN, OTHER, &quoted, "tok%2Fen", &STANDARD.encode(TOKEN)]
        .iter()
        .any(|secret| memchr::memmem::find(bytes, secret.as_bytes()).is_some())
}

/// Each call is answered only once all of them have come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_list_are_made_at_once() -> anyhow::Result<()> {
    const CALLS: usize = 8;
    let outside = Outside::start(|called| Reply::new(200, called.path.clone()).once(CALLS)).await?;
    let mut stage = Stage::set(caller(&[outside.url()], "")).await?;
    let call = |nth| json!({"method": "GET", "url": format!("{}/{nth}", outside.url()), "timeout_ms": 120_000});
    let calls: Vec<_> = (0..CALLS).map(call).collect();
    let answers = stage.answers(json!([{ "all": calls }])).await?;
    let bodies: Vec<_> = answers
        .iter()
        .map(|answer| answer["body"].clone())
        .collect();
    let expect: Vec<_> = (0..CALLS).map(|nth| json!(format!("/{nth}"))).collect();
    assert_eq!(bodies, expect, "in the order of the list: {answers:?}");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_beyond_a_limit_ends_the_run() -> anyhow::Result<()> {
    let outside = Outside::start(echo).await?;
    let limits = "http_calls_max = 2\nhttp_request_bytes_max = \"4KiB\"";
    let mut stage = Stage::set(caller(&[outside.url()], limits)).await?;
    let call = get(outside.url());
    stage.say(&json!([{ "all": [call, call, call] }])).await?;
    let long = json!({"method": "POST", "url": outside.url(), "body": "x".repeat(4096)});
    stage.say(&json!([{ "call": long }])).await?;
    for words in [
        "http-calls: made more than 2 calls; if that is honest work, raise http_calls_max in [plugins.caller.limits]",
        "http-bytes: put more than 4096 bytes into its calls; if that is honest work, raise http_request_bytes_max",
    ] {
        let is_told = |row: &Value| {
            row["cause"]
                .as_str()
                .is_some_and(|cause| cause.starts_with(words))
        };
        stage
            .admin
            .row("dead-letters", words, PATIENCE, is_told)
            .await?;
    }
    assert_eq!(outside.called().len(), 0, "nothing of it has left");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_has_to_be_there_and_a_new_one_is_taken_over() -> anyhow::Result<()> {
    let outside = Outside::start(echo).await?;
    let mut stage = Stage::set(caller(&[outside.url()], "")).await?;
    let call = json!({"method": "GET", "url": outside.url(), "places": [{"header": ["x-key", "", "other"]}]});
    stage.answer(call.clone()).await?;
    let key = |outside: &Outside| {
        outside
            .called()
            .pop()
            .map(|called| called.header("x-key").to_owned())
    };
    assert_eq!(key(&outside).as_deref(), Some(OTHER));

    write_secret(stage.gateway.folder(), "another-secret")?;
    stage.admin.post("/plugins/reload", &json!({})).await?;
    stage.answer(call.clone()).await?;
    assert_eq!(key(&outside).as_deref(), Some("another-secret"));

    // Without it the old plugin goes on, and says so.
    std::fs::remove_file(stage.gateway.folder().join("secrets").join("other"))?;
    let problem = |row: &Value| {
        let cause = row["cause"].as_str().unwrap_or_default();
        cause.contains("cannot read secrets/other") && cause.contains("name a readable file")
    };
    let row = stage
        .admin
        .row("plugins", "the plugin says so", PATIENCE, problem)
        .await?;
    assert_eq!(row["state"], "ready", "{row}");
    let (status, words) = stage.gateway.duet(&["check"]).await?;
    assert!(
        !status.success() && words.contains("cannot read secrets/other"),
        "{words}"
    );

    let file = guest_file("caller")?;
    let file = file.to_str().context("a path")?;
    let (_, words) = stage.gateway.duet(&["plugin", "inspect", file]).await?;
    for told in [
        "asks for http: Calls whatever the message lists.",
        "uses the secret token, which it never sees: Goes where the message says.",
        "[plugins.caller.http.secrets.token]\nenv = \"PLUGIN_CALLER_TOKEN\"",
    ] {
        assert!(words.contains(told), "{told} is missing in {words}");
    }
    stage.gateway.end().await
}
