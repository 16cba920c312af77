//! Access tokens that the host gets for plugins: got when one is needed, renewed once for all, kept across a power cut
//! where they rotate, and shown by nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use duet_sim::Sim;
use duet_tests::outside::{Called, Outside, Reply};
use duet_tests::plugins_file::{PluginsFile, replace};
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);
const ASHA: &str = "919800000001";
const CLIENT_SECRET: &str = "client-secret";
const FIRST: &str = "refresh-token-first";
/// Parts of every token and of what they are got with.
const SECRETS: [&str; 3] = [CLIENT_SECRET, "refresh-token", "access-token"];

/// A token URL, and a system that takes its newest token alone.
#[derive(Clone)]
struct Provider(Arc<Mutex<State>>);

struct State {
    /// What it was asked for tokens with.
    asked: Vec<Vec<(String, String)>>,
    expires_s: u64,
    /// Whether a refresh token is another one after each use.
    rotates: bool,
    /// Any of these is good; of several, the last one from the next call of the system on.
    refresh: Vec<String>,
    access: Option<String>,
    /// In place of a token.
    refusal: Option<(u16, Value)>,
    /// Whether the system takes no token at all.
    closed: bool,
}

impl Provider {
    fn new() -> Provider {
        Provider(Arc::new(Mutex::new(State {
            asked: Vec::new(),
            expires_s: 3600,
            rotates: false,
            refresh: vec![FIRST.to_owned()],
            access: None,
            refusal: None,
            closed: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it was asked for a token.
    fn asked(&self) -> usize {
        self.state().asked.len()
    }

    /// What it was asked with last.
    fn field(&self, name: &str) -> Option<String> {
        let state = self.state();
        let mut fields = state.asked.last()?.iter();
        let (_, value) = fields.find(|(key, _)| key == name)?;
        Some(value.clone())
    }

    /// The token is good no longer.
    fn revoke(&self) {
        self.state().access = None;
    }

    fn answer(&self, called: &Called) -> Reply {
        let mut state = self.state();
        match called.path.as_str() {
            "/token" => state.grant(called),
            "/all" => Reply::new(200, state.every_token()),
            _ => state.serve(called),
        }
    }
}

impl State {
    fn grant(&mut self, called: &Called) -> Reply {
        let form = form(&called.body);
        let shown = form.iter().find(|(key, _)| key == "refresh_token");
        let shown = shown.map(|(_, token)| token.clone()).unwrap_or_default();
        self.asked.push(form);
        if let Some((status, body)) = &self.refusal {
            return Reply::new(*status, body.to_string());
        }
        if !self.refresh.contains(&shown) {
            return Reply::new(400, json!({"error": "invalid_grant"}).to_string());
        }
        let nth = self.asked.len();
        let access = format!("access-token-{nth}");
        let mut answer = json!({"access_token": access, "expires_in": self.expires_s});
        self.access = Some(access);
        if self.rotates {
            let next = format!("refresh-token-{nth}");
            answer["refresh_token"] = json!(next);
            self.refresh = vec![shown, next];
        }
        Reply::new(200, answer.to_string())
    }

    /// Says what has come, as careless systems do.
    fn serve(&mut self, called: &Called) -> Reply {
        let shown = called.header("authorization").strip_prefix("Bearer ");
        let good = shown.is_some() && shown == self.access.as_deref() && !self.closed;
        let status = if good { 200 } else { 401 };
        if good {
            let kept = self.refresh.len().saturating_sub(1);
            self.refresh.drain(..kept);
        }
        match called.path.as_str() {
            "/many" => Reply::new(status, ""),
            _ => Reply::new(status, called.echo().to_string()),
        }
    }

    fn every_token(&self) -> String {
        let all: Vec<_> = (1..=self.asked.len())
            .map(|nth| format!("access-token-{nth}"))
            .collect();
        format!("{} {FIRST} {CLIENT_SECRET}", all.join(" "))
    }
}

fn form(body: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://form/?{body}"));
    let pairs = url.iter().flat_map(reqwest::Url::query_pairs);
    pairs
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect()
}

fn caller(url: &str) -> PluginsFile {
    let table = format!(
        "[plugins.caller]\ncomponent = \"caller.wasm\"\nfrom = \"beginning\"\n\
         [plugins.caller.limits]\nwall_ms_max = 120000\ncpu_ms_max = 10000\nhttp_calls_max = 100\n\
         [plugins.caller.messages]\nspeak = [\"automation\"]\n[plugins.caller.store]\n\
         [plugins.caller.http]\nallow = [{url:?}]\nprivate = true\n\
         [plugins.caller.http.secrets.other]\nenv = \"CALLERS_TOKEN\"\nhosts = [{url:?}]\n\
         [plugins.caller.http.secrets.token]\nhosts = [{url:?}]\n\
         [plugins.caller.http.secrets.token.oauth]\ntoken_url = \"{url}/token\"\nclient_id = \"the-client\"\n\
         scope = \"read write\"\nclient_secret = {{ env = \"CALLERS_CLIENT\" }}\n\
         refresh_token = {{ file = \"secrets/refresh\" }}\n"
    );
    PluginsFile::default().and("caller", &table)
}

struct Stage {
    sim: Sim,
    provider: Provider,
    outside: Outside,
    gateway: Gateway,
    admin: Admin,
    /// Messages sent so far.
    sent: u64,
}

impl Stage {
    async fn set() -> anyhow::Result<Stage> {
        let provider = Provider::new();
        let own = provider.clone();
        let outside = Outside::start(move |called| own.answer(called)).await?;
        let sim = Sim::start(gateway::open_sim()).await?;
        let setup = Setup::default()
            .graph(sim.url())
            .env("CALLERS_TOKEN", "not to be seen")
            .env("CALLERS_CLIENT", CLIENT_SECRET)
            .env("DUET_LOG_LEVEL", "trace");
        let mut gateway = Gateway::start(setup).await?;
        let admin = gateway.admin()?;
        write_refresh_token(&gateway, FIRST)?;
        gateway.change_plugins(caller(outside.url()))?;
        admin.post("/plugins/reload", &json!({})).await?;
        admin.plugins_run(PATIENCE).await?;
        Ok(Stage {
            sim,
            provider,
            outside,
            gateway,
            admin,
            sent: 0,
        })
    }

    async fn restart(&mut self, failpoint: Option<&str>) -> anyhow::Result<()> {
        let env = failpoint.map(|place| ("DUET_FAILPOINT".to_owned(), place.to_owned()));
        let up = self.gateway.restart_with(env.as_slice()).await?;
        anyhow::ensure!(up, "the gateway ended at once");
        self.admin = self.gateway.admin()?;
        self.admin.plugins_run(PATIENCE).await?;
        Ok(())
    }

    fn call(&self, path: &str) -> Value {
        let place = json!({"header": ["authorization", "Bearer ", "token"]});
        json!({"method": "POST", "url": format!("{}{path}", self.outside.url()), "timeout_ms": 120_000, "places": [place]})
    }

    async fn say(&mut self, mut steps: Vec<Value>) -> anyhow::Result<()> {
        self.sent += 1;
        steps.push(json!({"tell": true}));
        let id = format!("wamid.oauth.{}", self.sent);
        let text = webhook::text(ASHA, &id, &json!(steps).to_string());
        self.gateway.meta()?.deliver(&text).await
    }

    /// What the calls of the last message have brought.
    async fn told(&self) -> anyhow::Result<Vec<Value>> {
        let sent = self.sim.wait_sent(self.sent, PATIENCE).await?;
        let last = sent.last().context("a reply")?;
        let text = last.body.pointer("/text/body").and_then(Value::as_str);
        let text = text.context("a text")?;
        anyhow::ensure!(
            !shows_a_secret(text.as_bytes()),
            "an answer shows a token: {text}"
        );
        Ok(serde_json::from_str(text)?)
    }

    async fn answers(&mut self, steps: Vec<Value>) -> anyhow::Result<Vec<Value>> {
        self.say(steps).await?;
        self.told().await
    }

    async fn answer(&mut self) -> anyhow::Result<Value> {
        let call = json!({"call": self.call("/")});
        self.answers(vec![call]).await?.pop().context("an answer")
    }

    /// The status of a call; 0 of one without an answer.
    async fn status(&mut self) -> anyhow::Result<u64> {
        Ok(self.answer().await?["status"].as_u64().unwrap_or_default())
    }

    /// Requests to the system, without those to the token URL.
    fn served(&self) -> usize {
        let called = self.outside.called();
        called
            .iter()
            .filter(|called| called.path != "/token")
            .count()
    }

    async fn cause(&self) -> anyhow::Result<Value> {
        let row = |row: &Value| row["name"] == "caller";
        let row = self
            .admin
            .row("plugins", "the plugin", PATIENCE, row)
            .await?;
        anyhow::ensure!(!shows_a_secret(row.to_string().as_bytes()), "{row}");
        Ok(row["cause"].clone())
    }

    /// Neither log nor disk shows a token.
    async fn end(mut self) -> anyhow::Result<()> {
        self.gateway.stop().await?;
        let log = self.gateway.log();
        anyhow::ensure!(!shows_a_secret(log.as_bytes()), "the log shows a token");
        for file in std::fs::read_dir(self.gateway.data())? {
            let path = file?.path();
            if path.is_file() {
                let shown = shows_a_secret(&std::fs::read(&path)?);
                anyhow::ensure!(!shown, "{} shows a token", path.display());
            }
        }
        self.gateway.end().await
    }
}

fn write_refresh_token(gateway: &Gateway, token: &str) -> anyhow::Result<()> {
    let folder = gateway.folder().join("secrets");
    std::fs::create_dir_all(&folder)?;
    replace(&folder.join("refresh"), token.as_bytes())
}

fn shows_a_secret(bytes: &[u8]) -> bool {
    SECRETS
        .iter()
        .any(|secret| memchr::memmem::find(bytes, secret.as_bytes()).is_some())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_got_at_first_use_and_renewed_when_it_is_good_no_longer() -> anyhow::Result<()> {
    let mut stage = Stage::set().await?;
    let provider = stage.provider.clone();
    assert_eq!(provider.asked(), 0, "nobody has needed one");
    assert_eq!([stage.status().await?, stage.status().await?], [200, 200]);
    assert_eq!((provider.asked(), stage.served()), (1, 2));
    for (name, value) in [
        ("grant_type", "refresh_token"),
        ("refresh_token", FIRST),
        ("client_id", "the-client"),
        ("client_secret", CLIENT_SECRET),
        ("scope", "read write"),
    ] {
        assert_eq!(provider.field(name).as_deref(), Some(value));
    }

    // Refused once: another token, and the same call again under the same key.
    provider.revoke();
    assert_eq!(stage.status().await?, 200);
    assert_eq!((provider.asked(), stage.served()), (2, 4));
    let called = stage.outside.called();
    let keys: Vec<_> = called
        .iter()
        .filter(|called| called.path == "/")
        .map(|called| called.header("idempotency-key"))
        .collect();
    assert!(keys[2] == keys[3] && keys[1] != keys[2], "{keys:?}");

    // Whatever was a token once is masked.
    let call = json!({"call": stage.call("/all")});
    let all = stage.answers(vec![call]).await?;
    assert_eq!(
        all[0]["body"]
            .as_str()
            .map(|body| body.matches("[secret]").count()),
        Some(4),
        "{all:?}"
    );

    // Another one in time, before anybody refuses the old one.
    provider.revoke();
    provider.state().expires_s = 1;
    assert_eq!(stage.status().await?, 200);
    let served = stage.served();
    let mut calls = 0;
    while provider.asked() < 5 {
        assert_eq!(stage.status().await?, 200);
        calls += 1;
    }
    assert_eq!(stage.served(), served + calls, "none was refused");
    assert_eq!(stage.cause().await?, Value::Null);
    stage.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_share_one_renewal_and_one_in_vain_is_not_repeated() -> anyhow::Result<()> {
    const CALLS: usize = 16;
    let mut stage = Stage::set().await?;
    let provider = stage.provider.clone();
    let all = json!({"all": vec![stage.call("/many"); CALLS]});
    for asked in [1, 2] {
        let answers = stage.answers(vec![all.clone()]).await?;
        assert!(
            answers.iter().all(|answer| answer["status"] == 200),
            "{answers:?}"
        );
        assert_eq!((answers.len(), provider.asked()), (CALLS, asked));
        provider.revoke();
    }
    // No token helps: each call is told so, after one more token for all of them.
    provider.state().closed = true;
    let once = json!({"call": stage.call("/many")});
    let answers = stage.answers(vec![all, once.clone(), once]).await?;
    assert!(
        answers.iter().all(|answer| answer["status"] == 401),
        "{answers:?}"
    );
    assert_eq!((answers.len(), provider.asked()), (CALLS + 2, 3));
    stage.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_that_rotates_outlives_a_restart_and_a_power_cut() -> anyhow::Result<()> {
    let mut stage = Stage::set().await?;
    let provider = stage.provider.clone();
    provider.state().rotates = true;
    let shown = |expect: &str| assert_eq!(provider.field("refresh_token").as_deref(), Some(expect));
    assert_eq!(stage.status().await?, 200);
    shown(FIRST);
    provider.revoke();
    assert_eq!(stage.status().await?, 200);
    shown("refresh-token-1");
    stage.gateway.stop().await?;
    stage.restart(None).await?;
    assert_eq!(stage.status().await?, 200);
    shown("refresh-token-2");
    stage.gateway.kill9().await?;
    stage.restart(None).await?;
    assert_eq!(stage.status().await?, 200);
    shown("refresh-token-3");

    // Before the new one is kept, the access token beside it is not used: so the old one is good still. After that, the
    // new one is.
    for (place, expect) in [
        ("token.granted:1", "refresh-token-4"),
        ("token.kept:1", "refresh-token-7"),
    ] {
        stage.gateway.stop().await?;
        stage.restart(Some(place)).await?;
        let (asked, served) = (provider.asked(), stage.served());
        let call = json!({"call": stage.call("/")});
        stage.say(vec![call]).await?;
        assert!(
            stage.gateway.died_within(PATIENCE).await?,
            "it passed {place}"
        );
        assert_eq!(
            (provider.asked(), stage.served()),
            (asked + 1, served),
            "{place}"
        );
        stage.restart(None).await?;
        let told = stage.told().await?;
        assert_eq!(told[0]["status"], 200, "{place}: {told:?}");
        assert_eq!(
            (provider.asked(), stage.served()),
            (asked + 2, served + 1),
            "{place}"
        );
        shown(expect);
    }

    // Another one in the file takes the place of whatever came of the one before.
    let other = "refresh-token-of-another-consent";
    provider.state().refresh = vec![other.to_owned()];
    write_refresh_token(&stage.gateway, other)?;
    stage.admin.post("/plugins/reload", &json!({})).await?;
    assert_eq!(stage.status().await?, 200);
    shown(other);
    stage.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_with_the_remedy_and_not_asked_again_at_once() -> anyhow::Result<()> {
    let mut stage = Stage::set().await?;
    let provider = stage.provider.clone();
    provider.state().refresh = vec!["refresh-token-of-another-consent".to_owned()];
    let (all, once) = (
        json!({"all": vec![stage.call("/many"); 8]}),
        json!({"call": stage.call("/")}),
    );
    let answers = stage
        .answers(vec![once.clone(), all, once.clone(), once])
        .await?;
    assert!(
        answers
            .iter()
            .all(|answer| answer["error"] == "token-refused"),
        "{answers:?}"
    );
    assert_eq!(
        (answers.len(), provider.asked(), stage.served()),
        (11, 1, 0)
    );
    let remedy = "127.0.0.1 gives no token for [plugins.caller.http.secrets.token] (invalid_grant); authorize Duet there \
                  again, put the new refresh token into secrets/refresh";
    assert_eq!(answers[0]["detail"], remedy);
    assert_eq!(stage.cause().await?, remedy);

    // The remedy works without a restart.
    write_refresh_token(&stage.gateway, "refresh-token-of-another-consent")?;
    stage.admin.post("/plugins/reload", &json!({})).await?;
    assert_eq!(stage.status().await?, 200);
    assert_eq!(stage.cause().await?, Value::Null);

    // What the provider cannot do now is not the admin's to mend, and comes right by itself.
    provider.revoke();
    provider.state().refusal = Some((503, json!({})));
    assert_eq!(stage.answer().await?["error"], "token-unavailable");
    assert_eq!(stage.cause().await?, Value::Null);
    provider.state().refusal = None;
    let mut answers = 0;
    while stage.status().await? != 200 {
        answers += 1;
        assert!(answers < 1000, "it never came right");
    }

    // Some providers refuse with a 200.
    provider.revoke();
    provider.state().refusal = Some((200, json!({"error": "invalid_code"})));
    assert_eq!(stage.answer().await?["error"], "token-refused");
    until("the cause is told", PATIENCE, || async {
        let cause = stage.cause().await?.to_string();
        Ok(Seen::when(cause.contains("(invalid_code)"), (), || cause))
    })
    .await?;
    stage.end().await
}
