//! The page on which an owner connects a number: nothing but a link is needed, and the link is good for nothing else.

use std::time::Duration;

use anyhow::Context;
use duet_sim::play::Signup;
use duet_sim::{Config, Deed, Sim, Trouble};
use duet_tests::gateway::{self, ACCESS_TOKEN, APP_SECRET};
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Setup};
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
/// The app that every sim has.
const APP: &str = "1234567890123456";
const CONFIG: &str = "778899001122";

/// A gateway for businesses that have no token yet, and its Meta.
struct Scene {
    sim: Sim,
    gateway: Gateway,
}

/// What Meta's window gives the page.
struct Given {
    code: String,
    waba: String,
    number: String,
}

impl Scene {
    async fn new(config: Config) -> anyhow::Result<Scene> {
        let sim = Sim::start(config).await?;
        let setup = Setup::default()
            .graph(sim.url())
            .env("DUET_SIGNUP_APP_ID", APP)
            .env("DUET_SIGNUP_CONFIG_ID", CONFIG)
            // Whatever is done for a business is done under the token that its signup gave.
            .env("DUET_ACCESS_TOKEN", "");
        let gateway = Gateway::start(setup).await?;
        sim.set_webhook(gateway.webhook()?);
        let scene = Scene { sim, gateway };
        for business in ["tea", "rival"] {
            let body = json!({"id": business, "name": format!("The {business} house")});
            scene.admin()?.post("/businesses", &body).await?;
        }
        Ok(scene)
    }

    fn admin(&self) -> anyhow::Result<Admin> {
        self.gateway.admin()
    }

    /// A link for the tea house: its secret.
    async fn link(&self) -> anyhow::Result<String> {
        let made = self
            .admin()?
            .post("/signups", &json!({"business": "tea"}))
            .await?;
        secret(made["url"].as_str().unwrap_or_default())
    }

    fn signs_up(&self) -> anyhow::Result<Given> {
        let given = self.sim.signs_up(&Signup::default())?;
        let word = |pointer: &str| {
            let word = given.pointer(pointer).and_then(Value::as_str);
            word.unwrap_or_default().to_owned()
        };
        Ok(Given {
            code: word("/code"),
            waba: word("/session/data/waba_id"),
            number: word("/number"),
        })
    }

    /// Status, and the words where it did not succeed.
    async fn hand_in(&self, link: &str, body: &Value) -> anyhow::Result<(u16, String)> {
        let path = "/signup/progress";
        let answer = self
            .admin()?
            .with_token(link)
            .visit(Method::POST, path, Some(body))
            .await?;
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let words = told["error"]["message"].as_str().unwrap_or_default();
        Ok((answer.status, words.to_owned()))
    }

    async fn progress(&self, link: &str) -> anyhow::Result<(u16, Value)> {
        let path = "/signup/progress";
        let answer = self
            .admin()?
            .with_token(link)
            .visit(Method::GET, path, None)
            .await?;
        Ok((answer.status, serde_json::from_slice(&answer.body)?))
    }

    /// What the page shows once nothing more will come.
    async fn over(&self, link: &str) -> anyhow::Result<Value> {
        until("all has come", PATIENCE, || async {
            let (_, seen) = self.progress(link).await?;
            let text = seen.to_string();
            Ok(Seen::when(seen["over"] == true, seen, || text))
        })
        .await
    }

    async fn accounts(&self, business: &str) -> anyhow::Result<Value> {
        let all = self.admin()?.rows("businesses", "").await?;
        let found = all.into_iter().find(|row| row["id"] == business);
        Ok(found.context("the business")?["accounts"].clone())
    }
}

fn secret(url: &str) -> anyhow::Result<String> {
    let (page, secret) = url
        .trim()
        .split_once('#')
        .context("a secret behind the #")?;
    anyhow::ensure!(page.ends_with("/signup") && secret.len() > 40, "{url}");
    Ok(secret.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_connects_a_number_with_nothing_but_a_link() -> anyhow::Result<()> {
    let scene = Scene::new(gateway::sim()).await?;
    let asked = ["number", "add", "--signup", "--business", "tea"];
    let (ended, words) = scene.gateway.duet(&asked).await?;
    assert!(ended.success() && words.contains("once, until"), "{words}");
    let link = secret(words.lines().next().unwrap_or_default())?;

    let page = scene.admin()?.visit(Method::GET, "/signup", None).await?;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self' https://connect.facebook.net;",
        "style-src 'self';",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (header, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "strict-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.header(header), value, "{header}");
    }

    let (status, seen) = scene.progress(&link).await?;
    assert_eq!((status, &seen["stage"]), (200, &json!("open")), "{seen}");
    assert_eq!(seen["business"], "The tea house");
    let setup = &seen["setup"];
    assert_eq!(
        (&setup["app_id"], &setup["config_id"]),
        (&json!(APP), &json!(CONFIG))
    );
    assert_eq!(
        setup["extras"]["featureType"],
        "whatsapp_business_app_onboarding"
    );

    let given = scene.signs_up()?;
    let body = json!({"code": given.code, "waba": given.waba});
    let (status, words) = scene.hand_in(&link, &body).await?;
    assert_eq!(status, 204, "{words}");
    let seen = scene.over(&link).await?;
    let marks: Vec<_> = seen["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| &step["mark"])
        .collect();
    assert_eq!(marks, ["done", "done", "done"], "{seen}");
    assert!(
        seen["phone"]
            .as_str()
            .is_some_and(|phone| phone.starts_with("91")),
        "{seen}"
    );
    assert_eq!(seen["setup"], Value::Null, "{seen}");

    let number = scene
        .admin()?
        .get(&format!("/numbers/{}", given.number))
        .await?;
    assert_eq!(
        (&number["business"], &number["state"]),
        (&json!("tea"), &json!("live")),
        "{number}"
    );
    assert_eq!(number["history"]["state"], "complete", "{number}");
    let edges: Vec<_> = scene
        .sim
        .requests()
        .into_iter()
        .filter(|request| request.method == "POST")
        .collect();
    let edges: Vec<_> = edges
        .iter()
        .filter_map(|request| request.path.rsplit('/').next())
        .collect();
    assert_eq!(edges, ["subscribed_apps", "smb_app_data", "smb_app_data"]);

    let again = scene.signs_up()?;
    let (status, words) = scene
        .hand_in(&link, &json!({"code": again.code, "waba": again.waba}))
        .await?;
    assert!(
        status == 409 && words.contains("has been used"),
        "{status} {words}"
    );
    let log = scene.gateway.log();
    for told in [given.code.as_str(), &link, ACCESS_TOKEN, APP_SECRET] {
        assert!(!log.contains(told), "the log tells {told}");
    }
    for file in ["duet.db", "duet.db-wal"] {
        let bytes = std::fs::read(scene.gateway.data().join(file))?;
        let text = String::from_utf8_lossy(&bytes);
        for told in [ACCESS_TOKEN, &link] {
            assert!(!text.contains(told), "{file} holds {told}");
        }
    }
    scene.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_told_with_what_to_do_and_the_link_is_good_until_it_succeeds()
-> anyhow::Result<()> {
    let scene = Scene::new(gateway::sim()).await?;
    let link = scene.link().await?;
    let fails = async |body: Value, expected: u16, part: &str| -> anyhow::Result<()> {
        let (status, words) = scene.hand_in(&link, &body).await?;
        anyhow::ensure!(
            status == expected && words.contains(part),
            "{body}: {status} {words}"
        );
        Ok(())
    };
    fails(json!({"code": "two words"}), 400, "start anew").await?;
    fails(json!({"code": "c", "waba": "../me"}), 400, "start anew").await?;
    for stranger in ["signup_guessed", gateway::ADMIN_TOKEN] {
        let (status, words) = scene.hand_in(stranger, &json!({"code": "c"})).await?;
        assert!(
            status == 404 && words.contains("ask for a new one"),
            "{status} {words}"
        );
        assert_eq!(scene.progress(stranger).await?.0, 404);
    }
    // A link is no token of the API.
    assert_eq!(
        scene
            .admin()?
            .with_token(&link)
            .call(Method::GET, "/numbers", None)
            .await?
            .0,
        401
    );

    let late = scene.signs_up()?;
    scene.sim.advance(Duration::from_secs(31));
    fails(
        json!({"code": late.code, "waba": late.waba}),
        409,
        "30 seconds; start again",
    )
    .await?;
    let (_, seen) = scene.progress(&link).await?;
    assert_eq!(seen["stage"], "open", "{seen}");
    assert!(seen["failed"].to_string().contains("30 seconds"), "{seen}");

    let lost = scene.signs_up()?;
    scene.sim.add_trouble(Trouble {
        deed: Deed::Lost,
        times: Some(1),
        on: "access_token".into(),
        ..Trouble::default()
    });
    fails(
        json!({"code": lost.code, "waba": lost.waba}),
        409,
        "answer was lost",
    )
    .await?;
    fails(
        json!({"code": lost.code, "waba": lost.waba}),
        409,
        "start again",
    )
    .await?;

    let foreign = scene.signs_up()?;
    fails(
        json!({"code": foreign.code, "waba": "55"}),
        409,
        "not for this WhatsApp account",
    )
    .await?;
    assert_eq!(scene.accounts("tea").await?, 0, "nothing was kept");

    let good = scene.signs_up()?;
    let body = json!({"code": good.code, "waba": good.waba});
    let (status, words) = scene.hand_in(&link, &body).await?;
    assert_eq!(status, 204, "{words}");
    fails(body, 409, "has been used").await?;
    assert_eq!(scene.accounts("tea").await?, 1);
    scene.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_another_business_stays_there_and_nothing_of_it_is_told() -> anyhow::Result<()>
{
    let scene = Scene::new(gateway::sim()).await?;
    let given = scene.signs_up()?;
    let path = format!("/businesses/rival/accounts/{}", given.waba);
    assert_eq!(scene.admin()?.call(Method::PUT, &path, None).await?.0, 204);
    let link = scene.link().await?;
    let body = json!({"code": given.code, "waba": given.waba});
    let (status, words) = scene.hand_in(&link, &body).await?;
    assert!(
        status == 409 && words.contains("somebody else"),
        "{status} {words}"
    );
    assert!(!words.contains("rival"), "{words}");
    assert_eq!(scene.accounts("rival").await?, 1);
    assert_eq!(scene.accounts("tea").await?, 0);
    assert!(
        scene
            .sim
            .requests()
            .iter()
            .all(|request| request.method == "GET")
    );
    let connections = scene.admin()?.get("/connections").await?;
    assert_eq!(connections["connections"], json!([]));
    scene.gateway.end().await
}

/// Each token would be kept for the accounts that were there when it was looked at, and the last one serves all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_owners_of_a_business_one_is_looked_at_after_the_other() -> anyhow::Result<()> {
    let mut config = gateway::sim();
    config.mood.latency_ms = 100;
    let scene = Scene::new(config).await?;
    let (one, other) = (scene.link().await?, scene.link().await?);
    let (first, second) = (scene.signs_up()?, scene.signs_up()?);
    let seen = scene.sim.requests().len();
    let body = |given: &Given| json!({"code": given.code, "waba": given.waba});
    let (first, second) = (body(&first), body(&second));
    let (first, second) =
        tokio::try_join!(scene.hand_in(&one, &first), scene.hand_in(&other, &second))?;
    assert_eq!((first.0, second.0), (204, 204), "{first:?} {second:?}");
    assert_eq!(scene.accounts("tea").await?, 2);
    let requests = scene.sim.requests().split_off(seen);
    let mut edges = requests.iter().map(|request| {
        let path = request.path.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    });
    assert!(edges.any(|edge| edge == "debug_token"));
    let next = edges.find(|edge| ["debug_token", "phone_numbers"].contains(edge));
    assert_eq!(next, Some("phone_numbers"), "both were looked at at once");
    scene.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_whose_accounts_meta_does_not_name_has_to_show_those_of_the_business()
-> anyhow::Result<()> {
    let mut config = gateway::sim();
    config.token_names_accounts = false;
    let scene = Scene::new(config).await?;
    let path = "/businesses/tea/accounts/55";
    assert_eq!(scene.admin()?.call(Method::PUT, path, None).await?.0, 204);
    let link = scene.link().await?;
    let given = scene.signs_up()?;
    let body = json!({"code": given.code, "waba": given.waba});
    let (status, words) = scene.hand_in(&link, &body).await?;
    assert!(
        status == 409 && words.contains("leaves out another account"),
        "{status} {words}"
    );
    assert_eq!(scene.accounts("tea").await?, 1, "nothing was kept");

    // A Meta that is busy at the look for the other account says nothing about it, and it is not the owner's fault.
    for deed in [Deed::Fail, Deed::LostBeforeAccept].repeat(3) {
        let given = scene.signs_up()?;
        scene.sim.add_trouble(Trouble {
            deed,
            code: 80007,
            every: Some(2),
            times: Some(1),
            on: "phone_numbers".into(),
            ..Trouble::default()
        });
        let body = json!({"code": given.code, "waba": given.waba});
        let (status, words) = scene.hand_in(&link, &body).await?;
        assert!(
            status == 503 && words.contains("start again in a few minutes"),
            "{status} {words}"
        );
    }
    let (_, shown) = scene.progress(&link).await?;
    assert_eq!(shown["stage"], "open", "{shown}");

    assert_eq!(
        scene.admin()?.call(Method::DELETE, path, None).await?.0,
        204
    );
    for link in [link, scene.link().await?] {
        let given = scene.signs_up()?;
        let body = json!({"code": given.code, "waba": given.waba});
        let (status, words) = scene.hand_in(&link, &body).await?;
        assert_eq!(status, 204, "{words}");
    }
    assert_eq!(scene.accounts("tea").await?, 2);
    scene.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_a_number_is_told_to_the_owner_in_a_plain_sentence_and_to_the_admin_as_it_is()
-> anyhow::Result<()> {
    let mut config = gateway::sim();
    let number = config.numbers.first_mut().context("a number")?;
    number.coexistence = false;
    let known = Signup {
        id: Some(number.id.clone()),
        ..Signup::default()
    };
    let waba = number.waba.clone();
    let scene = Scene::new(config).await?;
    let link = scene.link().await?;
    let given = scene.sim.signs_up(&known)?;
    let body = json!({"code": given["code"], "waba": waba});
    let (status, words) = scene.hand_in(&link, &body).await?;
    assert_eq!(status, 204, "{words}");
    let cause = "on the Cloud API";
    let fits = |row: &Value| row["cause"].to_string().contains(cause);
    let admin = scene.admin()?;
    admin
        .row("connections", "the admin's cause", PATIENCE, fits)
        .await?;
    let (_, seen) = scene.progress(&link).await?;
    let note = seen["note"].as_str().unwrap_or_default();
    assert!(note.contains("tried again by itself"), "{seen}");
    assert!(note.contains("tell those who sent you the link"), "{seen}");
    assert!(!seen.to_string().contains(cause), "{seen}");
    assert_eq!(seen["over"], false, "{seen}");
    scene.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_owner_is_sent_to_a_signup_that_could_bring_nothing() -> anyhow::Result<()> {
    let mut config = gateway::sim();
    config.fields.retain(|field| field != "history");
    let scene = Scene::new(config).await?;
    for (business, expected, part) in [
        ("tea", 409, "subscribe to history"),
        ("nobody", 404, "make it first"),
        ("", 400, "one that was made"),
    ] {
        let body = json!({"business": business});
        let (status, told) = scene
            .admin()?
            .call(Method::POST, "/signups", Some(&body))
            .await?;
        let message = told["error"]["message"].as_str().unwrap_or_default();
        assert!(
            status == expected && message.contains(part),
            "{status} {told}"
        );
    }
    scene.gateway.end().await?;

    let gateway = Gateway::start(Setup::default()).await?;
    let asked = ["number", "add", "--signup", "--business", "tea"];
    let (ended, words) = gateway.duet(&asked).await?;
    assert!(
        !ended.success() && words.contains("signup.config_id"),
        "{words}"
    );
    gateway.end().await
}

/// The power is cut once Meta's code is used up: the link is void, as after every restart, and the owner begins anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_cut_the_owner_gets_through_with_a_new_link() -> anyhow::Result<()> {
    for place in ["signup.exchanged:1", "signup.kept:1"] {
        let mut scene = Scene::new(gateway::sim()).await?;
        scene.gateway.stop().await?;
        let cut = [("DUET_FAILPOINT".to_owned(), place.to_owned())];
        assert!(scene.gateway.restart_with(&cut).await?);
        let link = scene.link().await?;
        let given = scene.signs_up()?;
        let body = json!({"code": given.code, "waba": given.waba});
        assert!(scene.hand_in(&link, &body).await.is_err(), "{place}");
        assert!(scene.gateway.died_within(PATIENCE).await?, "{place}");
        scene.gateway.restart().await?;
        scene.sim.set_webhook(scene.gateway.webhook()?);
        assert_eq!(scene.progress(&link).await?.0, 404, "{place}");

        let again = Signup {
            id: Some(given.number.clone()),
            ..Signup::default()
        };
        let again = scene.sim.signs_up(&again)?;
        let link = scene.link().await?;
        let body = json!({"code": again["code"], "waba": given.waba});
        let (status, words) = scene.hand_in(&link, &body).await?;
        assert_eq!(status, 204, "{place}: {words}");
        scene.over(&link).await?;
        let path = format!("/numbers/{}", given.number);
        let number = scene.admin()?.get(&path).await?;
        assert_eq!(number["business"], "tea", "{place}: {number}");
        assert_eq!(number["history"]["state"], "complete", "{place}: {number}");
        scene.gateway.end().await?;
    }
    Ok(())
}
