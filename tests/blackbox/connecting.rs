//! Connecting a number that stays in the app: looked at before anything is changed, each thing asked for once, cut off
//! anywhere and gone on with, and a word for whatever Meta makes of it.
#![allow(
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::time::Duration;

use duet_sim::play::Signup;
use duet_sim::{Config, Deed, HistoryPlan, Mood, Sim, Trouble};
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Setup, gateway};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(30);
/// The app that every sim has.
const APP: &str = "1234567890123456";

/// A business that has just ended the signup, at a Meta of this kind.
struct Scene {
    sim: Sim,
    gateway: Gateway,
    waba: String,
    number: String,
}

impl Scene {
    async fn new(config: Config) -> anyhow::Result<Scene> {
        Scene::with(config, &[]).await
    }

    async fn with(config: Config, env: &[(&str, &str)]) -> anyhow::Result<Scene> {
        let sim = Sim::start(config).await?;
        let setup = Setup::default().graph(sim.url());
        let setup = setup.env("DUET_SIGNUP_APP_ID", APP);
        let setup = env
            .iter()
            .fold(setup, |setup, (name, value)| setup.env(name, value));
        let gateway = Gateway::start(setup).await?;
        sim.set_webhook(gateway.webhook()?);
        let signed = sim.signs_up(&Signup::default())?;
        let word = |pointer: &str| {
            let word = signed.pointer(pointer).and_then(Value::as_str);
            word.unwrap_or_default().to_owned()
        };
        Ok(Scene {
            waba: word("/session/data/waba_id"),
            number: word("/number"),
            sim,
            gateway,
        })
    }

    fn admin(&self) -> anyhow::Result<Admin> {
        self.gateway.admin()
    }

    async fn add(&self, more: Value) -> anyhow::Result<(u16, Value)> {
        let mut body = json!({"waba": self.waba});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        self.admin()?
            .call(Method::POST, "/numbers", Some(&body))
            .await
    }

    async fn connected(&self) -> anyhow::Result<()> {
        let admin = self.admin()?;
        let done = |row: &Value| row["step"] == "done";
        admin
            .row("connections", "all steps are taken", PATIENCE, done)
            .await?;
        Ok(())
    }

    /// The number, once it is as wanted.
    async fn number(&self, what: &str, is: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let (admin, path) = (self.admin()?, format!("/numbers/{}", self.number));
        until(what, PATIENCE, || async {
            let number = admin.get(&path).await?;
            let seen = number.to_string();
            Ok(Seen::when(is(&number), number, || seen))
        })
        .await
    }

    async fn sync(&self, body: Value) -> anyhow::Result<(u16, Value)> {
        let path = format!("/numbers/{}/sync", self.number);
        self.admin()?.call(Method::POST, &path, Some(&body)).await
    }

    /// How often a kind was asked for at Meta's.
    fn asked(&self, sync_type: &str) -> usize {
        let requests = self.sim.requests();
        let of_type = requests
            .iter()
            .filter(|request| request.body["sync_type"] == sync_type);
        of_type.count()
    }

    /// What damages a number that is in the app was never called.
    fn unharmed(&self) {
        for request in self.sim.requests() {
            assert!(!request.path.contains("register"), "{request:?}");
        }
    }

    async fn end(self) -> anyhow::Result<()> {
        self.unharmed();
        self.gateway.end().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_connected_with_all_it_brings_and_nothing_is_asked_for_twice()
-> anyhow::Result<()> {
    let scene = Scene::new(gateway::sim()).await?;
    let (status, told) = scene.add(json!({"dry_run": true})).await?;
    assert_eq!((status, &told["verdict"]), (200, &json!("ready")), "{told}");
    let findings = told["findings"].as_array().cloned().unwrap_or_default();
    assert!(
        findings.iter().all(|finding| finding["verdict"] == "well"),
        "{told}"
    );
    let changing = |request: &&duet_sim::SeenRequest| request.method != "GET";
    assert_eq!(scene.sim.requests().iter().filter(changing).count(), 0);

    let (status, told) = scene.add(json!({})).await?;
    assert_eq!((status, &told["begun"]), (202, &json!(true)), "{told}");
    scene.connected().await?;
    let number = scene
        .number("all has come", |number| {
            number["history"]["state"] == "complete" && number["contacts"]["state"] == "synced"
        })
        .await?;
    assert_eq!(number["state"], "live", "{number}");
    assert_eq!(number["waba"], scene.waba, "{number}");
    for kind in ["contacts", "history"] {
        assert!(number[kind]["request"]["id"].is_string(), "{number}");
    }
    // The subscription stands before anything is asked for.
    let calls: Vec<_> = scene
        .sim
        .requests()
        .into_iter()
        .filter(|request| changing(&request))
        .collect();
    let edges: Vec<_> = calls
        .iter()
        .filter_map(|request| request.path.rsplit('/').next())
        .collect();
    assert_eq!(edges, ["subscribed_apps", "smb_app_data", "smb_app_data"]);
    let templates = |row: &Value| row["waba"] == scene.waba;
    scene
        .admin()?
        .row("templates", "the templates are read", PATIENCE, templates)
        .await?;

    let (ended, words) = scene.gateway.duet(&["number", "add", &scene.waba]).await?;
    assert!(ended.success() && words.contains("begun"), "{words}");
    scene.connected().await?;
    let (ended, words) = scene
        .gateway
        .duet(&["number", "sync", &scene.number])
        .await?;
    assert!(!ended.success() && words.contains("have come"), "{words}");
    let (status, refused) = scene.sync(json!({})).await?;
    assert_eq!(status, 409, "{refused}");
    assert_eq!(
        (scene.asked("history"), scene.asked("smb_app_state_sync")),
        (1, 1)
    );
    scene.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_is_told_before_anything_is_changed() -> anyhow::Result<()> {
    let mut fields = gateway::sim().fields;
    fields.retain(|field| field != "account_update");
    let scene = Scene::new(Config {
        fields,
        ..gateway::sim()
    })
    .await?;
    let (status, told) = scene.add(json!({})).await?;
    let message = told["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(status, 409, "{told}");
    assert!(message.starts_with("not yet, because"), "{message}");
    assert!(message.contains("subscribe to account_update"), "{message}");
    let (_, told) = scene
        .add(json!({"dry_run": true, "number": "1", "waba": "55"}))
        .await?;
    let problems = told["findings"].as_array().cloned().unwrap_or_default();
    let checks: Vec<_> = problems
        .iter()
        .filter(|finding| finding["verdict"] == "problem")
        .map(|finding| finding["check"].clone())
        .collect();
    assert_eq!(
        checks,
        ["permissions", "account", "subscription", "webhook-fields"],
        "{told}"
    );
    scene.sim.set_mood(Mood {
        token_expired: true,
        ..Mood::default()
    });
    let (_, told) = scene.add(json!({})).await?;
    assert!(
        told.to_string().contains("the access token is not valid"),
        "{told}"
    );
    assert_eq!(scene.add(json!({"waba": "../me"})).await?.0, 400);
    let connections = scene.admin()?.get("/connections").await?;
    assert_eq!(connections["connections"], json!([]));
    assert!(
        scene
            .sim
            .requests()
            .iter()
            .all(|request| request.method == "GET")
    );
    scene.end().await
}

/// Each word of Meta's about a request ends in a state that tells what happened and what is still possible.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_a_request_is_told() -> anyhow::Result<()> {
    let failing = |code: u32, times: Option<u64>| Mood {
        troubles: vec![Trouble {
            deed: Deed::Fail,
            code,
            times,
            on: "smb_app_data".into(),
            ..Trouble::default()
        }],
        ..Mood::default()
    };
    for (mood, state, words) in [
        (failing(2_593_107, None), "spent", "which it gives once"),
        (failing(2_593_108, None), "late", "within 24 hours"),
        (failing(2_593_109, None), "declined", "not to share"),
        (failing(10, None), "refused", "code 10"),
    ] {
        let scene = Scene::new(Config {
            mood,
            ..gateway::sim()
        })
        .await?;
        scene.add(json!({})).await?;
        scene.connected().await?;
        let number = scene
            .number(state, |number| number["history"]["state"] == state)
            .await?;
        assert_eq!(number["state"], "live", "{number}");
        let path = format!("/numbers/{}/history", scene.number);
        let history = scene.admin()?.get(&path).await?;
        let summary = history["summary"].as_str().unwrap_or_default();
        assert!(summary.contains(words), "{summary}");
        // Only what Meta has surely not taken may be asked for without a word of the admin's.
        let (status, _) = scene.sync(json!({"kinds": ["history"]})).await?;
        assert_eq!(status == 200, state == "refused", "{state}");
        scene.end().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_business_that_does_not_share_its_history_is_told() -> anyhow::Result<()> {
    let history = HistoryPlan {
        declined: true,
        ..HistoryPlan::default()
    };
    let scene = Scene::new(Config {
        history,
        ..gateway::sim()
    })
    .await?;
    scene.add(json!({})).await?;
    scene.connected().await?;
    let number = scene
        .number("declined", |number| {
            number["history"]["state"] == "declined" && number["contacts"]["state"] == "synced"
        })
        .await?;
    assert_eq!(number["state"], "live", "{number}");
    scene.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_settled_by_what_comes_and_never_by_asking_again() -> anyhow::Result<()> {
    let lost = |deed: Deed, times: u64| Trouble {
        deed,
        times: Some(times),
        on: "smb_app_data".into(),
        ..Trouble::default()
    };
    let scene = Scene::new(gateway::sim()).await?;
    // Meta has accepted.
    scene.sim.add_trouble(lost(Deed::Lost, 1));
    scene.add(json!({})).await?;
    scene.connected().await?;
    let number = scene
        .number("the contacts have come", |number| {
            number["contacts"]["state"] == "synced" && number["history"]["state"] == "complete"
        })
        .await?;
    assert_eq!(number["contacts"]["request"]["id"], Value::Null);
    scene.end().await?;

    // It never arrived.
    let scene = Scene::new(gateway::sim()).await?;
    scene.sim.add_trouble(lost(Deed::LostBeforeAccept, 2));
    scene.add(json!({})).await?;
    scene.connected().await?;
    let number = scene
        .number("nobody knows", |number| {
            number["history"]["state"] == "unknown"
        })
        .await?;
    assert_eq!(number["state"], "syncing-contacts", "{number}");
    let (status, told) = scene.sync(json!({"kinds": ["history"]})).await?;
    assert_eq!(status, 409, "{told}");
    assert!(
        told.to_string().contains("may have been accepted"),
        "{told}"
    );
    let again = ["number", "sync", &scene.number, "history", "--again"];
    let (ended, words) = scene.gateway.duet(&again).await?;
    assert!(ended.success() && words.contains("asked for"), "{words}");
    scene
        .number("the history has come", |number| {
            number["history"]["state"] == "complete"
        })
        .await?;
    let (_, words) = scene.gateway.duet(&again).await?;
    assert!(words.contains("(Meta refused with code 2593107"), "{words}");
    scene.end().await
}

/// The power is cut at every place of the way; what was begun goes on by itself, and nothing is asked for twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_goes_on_after_a_cut_anywhere() -> anyhow::Result<()> {
    let mut cuts = JoinSet::new();
    for (place, lost) in [
        ("connect.looked_up:1", ""),
        ("connect.stepped:1", ""),
        ("connect.subscribed:1", ""),
        ("connect.stepped:2", ""),
        // Stored and not made: whether it was, nobody can tell afterwards.
        ("connect.asking:1", "contacts"),
        ("connect.asked:1", ""),
        ("connect.stepped:3", ""),
        ("connect.asking:2", "history"),
        ("connect.asked:2", ""),
        ("connect.stepped:4", ""),
    ] {
        cuts.spawn(async move {
            let ended = connecting_is_cut(place, lost).await;
            ended.map_err(|error| error.context(place))
        });
    }
    while let Some(ended) = cuts.join_next().await {
        ended??;
    }
    Ok(())
}

/// `lost`: what was about to be asked for.
async fn connecting_is_cut(place: &'static str, lost: &str) -> anyhow::Result<()> {
    let mut scene = Scene::with(gateway::sim(), &[("DUET_FAILPOINT", place)]).await?;
    scene.add(json!({})).await?;
    anyhow::ensure!(scene.gateway.died_within(PATIENCE).await?, "it goes on");
    scene
        .gateway
        .setup
        .env
        .retain(|(name, _)| name != "DUET_FAILPOINT");
    scene.gateway.restart().await?;
    scene.sim.set_webhook(scene.gateway.webhook()?);
    scene.sim.advance(Duration::from_secs(60));
    scene.connected().await?;
    let is = |number: &Value, kind: &str, state: &str| {
        number[kind]["state"] == if lost == kind { "unknown" } else { state }
    };
    let came =
        |number: &Value| is(number, "contacts", "synced") && is(number, "history", "complete");
    scene
        .number("all that was asked for has come", came)
        .await?;
    for (kind, sync_type) in [("contacts", "smb_app_state_sync"), ("history", "history")] {
        let asked = scene.asked(sync_type);
        anyhow::ensure!(
            asked == usize::from(lost != kind),
            "{kind}: asked {asked} times"
        );
    }
    scene.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_what_is_wrong_and_says_what_to_do() -> anyhow::Result<()> {
    let scene = Scene::new(gateway::sim()).await?;
    scene.add(json!({})).await?;
    scene.connected().await?;
    scene
        .number("all has come", |number| {
            number["history"]["state"] == "complete"
        })
        .await?;
    let (ended, words) = scene.gateway.duet(&["doctor"]).await?;
    assert!(ended.success() && !words.contains("problem"), "{words}");
    for told in [
        "token is valid",
        "all fields",
        "agrees with Meta's",
        "go to",
    ] {
        assert!(words.contains(told), "{told}: {words}");
    }

    scene
        .sim
        .account(duet_sim::play::AccountEvent {
            number: Some(scene.number.clone()),
            event: "PARTNER_REMOVED".into(),
            reason: Some("PRIMARY_INACTIVITY".into()),
            ..duet_sim::play::AccountEvent::default()
        })
        .await?;
    let number = scene
        .number("off", |number| number["state"] == "disconnected")
        .await?;
    let means = number["reason_means"].as_str().unwrap_or_default();
    assert!(means.contains("14 days"), "{number}");
    scene.sim.set_mood(Mood {
        token_expired: true,
        ..Mood::default()
    });
    let (ended, words) = scene.gateway.duet(&["doctor", "--json"]).await?;
    assert!(!ended.success(), "{words}");
    let told: Value = serde_json::from_str(&words)?;
    let findings = told["findings"].as_array().cloned().unwrap_or_default();
    for check in ["token", "state"] {
        let found = findings.iter().find(|finding| finding["check"] == check);
        let found = found.unwrap_or(&Value::Null);
        assert_eq!(found["verdict"], "problem", "{check}: {words}");
        assert!(found["remedy"].is_string(), "{check}: {words}");
    }
    let (ended, words) = scene
        .gateway
        .duet(&["number", "leave", &scene.number])
        .await?;
    assert!(
        ended.success() && words.contains("Business Platform"),
        "{words}"
    );
    scene.end().await
}

/// What an agency's client can do with a token of its own: connect, ask and see, for itself alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_business_looks_after_its_own_numbers_and_no_other() -> anyhow::Result<()> {
    let scene = Scene::new(gateway::sim()).await?;
    let root = scene.admin()?;
    let mut askers = Vec::new();
    for business in ["tea", "rival"] {
        root.post("/businesses", &json!({"id": business})).await?;
        // The sim has one token, which shows every account to whoever has it.
        let access = json!({"token": gateway::ACCESS_TOKEN});
        let path = format!("/businesses/{business}/access");
        let (status, told) = root.call(Method::PUT, &path, Some(&access)).await?;
        assert_eq!(status, 204, "{told}");
        let token = json!({"name": business, "business": business, "scopes": ["read", "operate"]});
        let made = root.post("/tokens", &token).await?;
        askers.push(root.with_token(made["token"].as_str().unwrap_or_default()));
    }
    let (tea, rival) = (&askers[0], &askers[1]);
    let wish = json!({"waba": scene.waba});
    let across = json!({"waba": scene.waba, "business": "rival"});
    let (status, told) = tea.call(Method::POST, "/numbers", Some(&across)).await?;
    assert_eq!(status, 400, "{told}");
    let begun = tea.post("/numbers", &wish).await?;
    assert_eq!(begun["begun"], true, "{begun}");
    scene.connected().await?;
    let came = |number: &Value| number["history"]["state"] == "complete";
    let number = scene.number("all has come", came).await?;
    assert_eq!(number["business"], "tea", "{number}");

    let (status, told) = rival.call(Method::POST, "/numbers", Some(&wish)).await?;
    assert!(
        status == 409 && told.to_string().contains("stays there"),
        "{status} {told}"
    );
    let ledger = format!("/numbers/{}/ledger", scene.number);
    for (asker, connections, status) in [(tea, 1, 200), (rival, 0, 404)] {
        let known = asker.get("/connections").await?;
        let known = known["connections"].as_array().map_or(0, Vec::len);
        assert_eq!(known, connections);
        let (got, told) = asker.call(Method::GET, &ledger, None).await?;
        assert_eq!(got, status, "{told}");
        assert_eq!(
            told["receipts"],
            Value::Null,
            "what is the gateway's: {told}"
        );
        let examined = asker.get("/doctor").await?.to_string();
        assert_eq!(
            examined.contains(&scene.number),
            connections == 1,
            "{examined}"
        );
        assert!(examined.contains("the access token is valid"), "{examined}");
    }
    assert_eq!(tea.get(&ledger).await?["adds_up"], true);
    assert!(root.get(&ledger).await?["receipts"].is_object());
    scene.end().await
}
