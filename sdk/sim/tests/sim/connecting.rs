//! What a gateway needs to connect a number: Embedded Signup's code, the token, the number, the subscription, the
//! syncs; and the record of delivered statuses.

use std::time::Duration;

use duet_sim::Config;
use duet_sim::play::Signup;
use serde_json::{Value, json};

use crate::scene::{ASHA, NUMBER, PATIENCE, Scene, quick, text_to};
use crate::shape::{assert_same, example};

const APP: &str = "1234567890123456";

async fn exchange(scene: &Scene, secret: &str, code: &str) -> (u16, Value) {
    let path =
        format!("v23.0/oauth/access_token?client_id={APP}&client_secret={secret}&code={code}");
    let answer = scene.http.get(scene.url(&path)).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_code_becomes_a_token_once_and_within_30_seconds() {
    let scene = Scene::new(quick()).await;
    let code = async || {
        scene.play("signup", json!({})).await["code"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = code().await;
    let said = |(status, answer): (u16, Value)| {
        let error = &answer["error"];
        assert_eq!(error["type"], "OAuthException", "{answer}");
        (
            status,
            error["code"].as_u64().unwrap(),
            error["message"].as_str().unwrap().to_owned(),
        )
    };
    let wrong = said(exchange(&scene, "guess", &first).await);
    assert_eq!((wrong.0, wrong.1), (400, 1));
    let token = exchange(&scene, "sim-app-secret", &first).await;
    assert_eq!(
        token,
        (
            200,
            json!({"access_token": "sim-token", "token_type": "bearer"})
        )
    );
    let again = said(exchange(&scene, "sim-app-secret", &first).await);
    assert_eq!(
        again,
        (
            400,
            100,
            "This authorization code has been used.".to_owned()
        )
    );
    let second = code().await;
    scene.sim.advance(Duration::from_secs(31));
    let late = said(exchange(&scene, "sim-app-secret", &second).await);
    assert_eq!(
        late,
        (400, 100, "This authorization code has expired.".to_owned())
    );
    assert_eq!(
        said(exchange(&scene, "sim-app-secret", "made-up").await).0,
        400
    );

    let (lines, _) = scene.sim.transcript(0, Duration::ZERO).await;
    assert!(
        lines
            .iter()
            .all(|line| !format!("{line:?}").contains("sim-app-secret"))
    );
}

#[tokio::test]
async fn a_token_says_what_it_may_do() {
    let scene = Scene::new(quick()).await;
    let path = |token: &str| format!("debug_token?input_token={token}");
    let (status, answer) = scene.get(&path("sim-token")).await;
    let data = &answer["data"];
    assert_eq!(
        (status, &data["is_valid"], &data["app_id"]),
        (200, &json!(true), &json!(APP))
    );
    let granular = &data["granular_scopes"][0];
    let expected =
        json!({"scope": "whatsapp_business_management", "target_ids": [crate::scene::WABA]});
    assert_eq!(granular, &expected);

    let app = format!("{}&access_token={APP}%7Csim-app-secret", path("stolen"));
    let answer = scene.http.get(scene.url(&app)).send().await.unwrap();
    let data = answer.json::<Value>().await.unwrap()["data"].clone();
    assert_eq!(
        (&data["is_valid"], &data["error"]["code"]),
        (&json!(false), &json!(190))
    );
    let bare = scene
        .http
        .get(scene.url(&path("sim-token")))
        .send()
        .await
        .unwrap();
    assert_eq!(bare.status(), 401);
}

#[tokio::test]
async fn a_new_number_is_found_subscribed_and_synced() {
    let scene = Scene::new(quick()).await;
    let signed_up = scene
        .play("signup", json!({"name": "Second Tea House"}))
        .await;
    let session = &signed_up["session"];
    assert_eq!(session["event"], "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING");
    assert_eq!(
        session["data"].as_object().unwrap().len(),
        1,
        "the WABA and nothing else"
    );
    let waba = session["data"]["waba_id"].as_str().unwrap();
    let (_, numbers) = scene.get(&format!("{waba}/phone_numbers")).await;
    let number = numbers["data"][0]["id"].as_str().unwrap();
    assert_eq!(
        (number, &numbers["data"][0]["verified_name"]),
        (
            signed_up["number"].as_str().unwrap(),
            &json!("Second Tea House")
        )
    );
    let (_, on_app) = scene
        .get(&format!("{number}?fields=is_on_biz_app,platform_type"))
        .await;
    assert_eq!(
        (&on_app["is_on_biz_app"], &on_app["platform_type"]),
        (&json!(true), &json!("CLOUD_API"))
    );

    let write = json!({"number": number, "from": ASHA, "text": "Hello"});
    scene.play("customer", write.clone()).await;
    assert!(scene.changes().await.is_empty(), "nobody is subscribed");
    let subscribed = scene
        .post(&format!("{waba}/subscribed_apps"), json!({}))
        .await;
    assert_eq!(subscribed, (200, json!({"success": true})));
    scene.play("customer", write).await;
    let (_, value) = scene.changes().await.remove(0);
    assert_eq!(value["metadata"]["phone_number_id"], number);

    let sync = async |kind: &str| {
        let body = json!({"messaging_product": "whatsapp", "sync_type": kind});
        let (status, answer) = scene.post(&format!("{number}/smb_app_data"), body).await;
        (status, answer["error"]["code"].as_u64())
    };
    assert_eq!(sync("history").await, (200, None));
    assert_eq!(sync("history").await, (400, Some(2_593_107)));
    scene.sim.advance(Duration::from_secs(25 * 60 * 60));
    assert_eq!(sync("smb_app_state_sync").await, (400, Some(2_593_108)));
    let again = Signup {
        id: Some(number.to_owned()),
        ..Signup::default()
    };
    assert_eq!(
        scene.sim.signs_up(&again).unwrap()["session"]["data"]["waba_id"],
        waba
    );
    assert_eq!(
        sync("smb_app_state_sync").await,
        (200, None),
        "a day of its own"
    );
}

#[tokio::test]
async fn message_history_tells_which_statuses_were_delivered() {
    let scene = Scene::new(Config {
        open_window: true,
        ..quick()
    })
    .await;
    let (_, answer) = scene.send(text_to(ASHA, "one")).await;
    let first = answer["messages"][0]["id"].as_str().unwrap();
    scene.sim.wait_quiet(PATIENCE).await.unwrap();
    let history = format!("{NUMBER}/message_history");
    let fields = "id,message_id,events{delivery_status,timestamp,webhook_update_state";
    let (_, one) = scene
        .get(&format!("{history}?message_id={first}&fields={fields}}}"))
        .await;
    assert_same(
        &example("GET__Phone-Number-ID__message_history__200__filtered_by_message_id"),
        &one,
        &[],
    );
    let words = |entry: &Value, name: &str| -> Vec<String> {
        let events = entry["events"]["data"].as_array().unwrap();
        events
            .iter()
            .map(|event| event[name].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        words(&one["data"][0], "delivery_status"),
        ["SENT", "DELIVERED", "READ"]
    );
    assert_eq!(
        words(&one["data"][0], "webhook_update_state"),
        ["DELIVERED"; 3]
    );

    scene.sim.set_webhook("http://127.0.0.1:9/webhook");
    scene.send(text_to(ASHA, "two")).await;
    scene.sim.wait_deliveries(6, PATIENCE).await.unwrap();
    let all = format!("{history}?limit=1&fields={fields},application,webhook_uri}}");
    let (_, page) = scene.get(&all).await;
    assert_same(
        &example("GET__Phone-Number-ID__message_history__200__message_history_with_events"),
        &page,
        &[],
    );
    let newest = &page["data"][0];
    assert!(
        words(newest, "webhook_update_state").contains(&"RETRYING".to_owned()),
        "{newest}"
    );
    assert_eq!(
        words(newest, "webhook_uri")[0],
        "http://127.0.0.1:9/webhook"
    );
    let next = page["paging"]["next"]
        .as_str()
        .unwrap()
        .strip_prefix(scene.sim.url())
        .unwrap()
        .to_owned();
    let (_, older) = scene.get(&next[1..]).await;
    assert_eq!(
        (&older["data"][0]["message_id"], older["paging"].get("next")),
        (&json!(first), None)
    );
    assert!(
        older["data"][0].get("events").is_none(),
        "only when asked for"
    );

    let id = one["data"][0]["id"].as_str().unwrap();
    let (_, events) = scene.get(&format!("{id}/events?limit=2")).await;
    assert_same(
        &example("GET__Message-History-ID__events__200__message_history_events"),
        &events,
        &[],
    );
    let refusals = [
        (
            "GET__Phone-Number-ID__message_history__400__example",
            format!("{history}?message_id=7"),
            400,
        ),
        (
            "GET__Phone-Number-ID__message_history__422__example",
            format!("{history}?message_id=wamid.x"),
            422,
        ),
        (
            "GET__Message-History-ID__events__404__example",
            "77/events".to_owned(),
            404,
        ),
    ];
    for (name, path, expected) in refusals {
        let (status, answer) = scene.get(&path).await;
        assert_eq!(status, expected, "{name}: {answer}");
        assert_same(&example(name), &answer, &[]);
        let pick = |body: &Value| {
            [
                body["error"]["code"].clone(),
                body["error"]["message"].clone(),
            ]
        };
        assert_eq!(pick(&answer), pick(&example(name)));
    }
}
