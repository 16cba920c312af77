//! What Meta refuses, and with which code.

use std::time::Duration;

use duet_sim::Config;
use serde_json::{Value, json};

use crate::scene::{ASHA, NUMBER, Scene, quick, text_to};

fn with(change: Value) -> Value {
    let mut body = text_to(ASHA, "Hi");
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            body.as_object_mut().unwrap().remove(name);
        } else {
            body[name] = value.clone();
        }
    }
    body
}

fn template(name: &str, parameters: usize) -> Value {
    let parameters: Vec<_> = (0..parameters)
        .map(|n| json!({"type": "text", "text": n.to_string()}))
        .collect();
    let components = json!([{"type": "body", "parameters": parameters}]);
    with(
        json!({"type": "template", "template": {"name": name, "language": {"code": "en_US"}, "components": components}}),
    )
}

#[tokio::test]
async fn a_wrong_body_gets_metas_code() {
    let scene = Scene::new(quick()).await;
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    let cases = [
        (with(json!({"messaging_product": null})), 100),
        (with(json!({"to": null})), 100),
        (with(json!({"to": "asha"})), 131_009),
        (with(json!({"to": "912255500100"})), 131_021),
        (with(json!({"text": null})), 131_008),
        (with(json!({"text": {"body": ""}})), 131_008),
        (with(json!({"text": {"body": 7}})), 131_009),
        (with(json!({"text": {"body": "x".repeat(4097)}})), 100),
        (with(json!({"type": "poll"})), 131_051),
        (
            with(json!({"type": "image", "image": {"id": "1"}})),
            131_009,
        ),
        (with(json!({"type": "image", "image": {}})), 131_008),
        (
            with(json!({"type": "location", "location": {"latitude": 91, "longitude": 0}})),
            131_009,
        ),
        (
            with(
                json!({"type": "interactive", "interactive": {"type": "button", "action": {"buttons": []}, "body": {"text": "?"}}}),
            ),
            131_009,
        ),
        (
            with(json!({"biz_opaque_callback_data": "x".repeat(513)})),
            100,
        ),
        (template("no_such", 0), 132_001),
        (template("order_update", 1), 132_000),
    ];
    for (body, code) in cases {
        let (_, answer) = scene.send(body.clone()).await;
        assert_eq!(answer["error"]["code"], code, "{body}: {answer}");
    }
    assert_eq!(
        scene.sim.sent_total(),
        0,
        "nothing refused may count as sent"
    );
    assert_eq!(scene.send(template("order_update", 2)).await.0, 200);
}

#[tokio::test]
async fn the_window_closes_after_24_hours_and_only_a_customer_opens_it() {
    let scene = Scene::new(quick()).await;
    assert_eq!(
        scene.send(text_to(ASHA, "?")).await.1["error"]["code"],
        131_047
    );
    scene.sim.phone_replies(ASHA, "From the app").await.unwrap();
    assert_eq!(
        scene.send(text_to(ASHA, "?")).await.1["error"]["code"],
        131_047
    );
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    assert_eq!(scene.send(text_to(ASHA, "!")).await.0, 200);
    scene.sim.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(
        scene.send(text_to(ASHA, "?")).await.1["error"]["code"],
        131_047
    );
    assert_eq!(
        scene.send(template("hello_world", 0)).await.0,
        200,
        "templates need no window"
    );
}

#[tokio::test]
async fn whoever_stopped_marketing_gets_only_the_rest() {
    let scene = Scene::new(quick()).await;
    scene
        .play("customer", json!({"from": ASHA, "preference": "stop"}))
        .await;
    assert_eq!(
        scene.send(template("spring_tea", 1)).await.1["error"]["code"],
        131_050
    );
    assert_eq!(scene.send(template("order_update", 2)).await.0, 200);
    scene
        .play("customer", json!({"from": ASHA, "preference": "resume"}))
        .await;
    assert_eq!(scene.send(template("spring_tea", 1)).await.0, 200);
}

#[tokio::test]
async fn a_user_id_in_to_is_answered_and_swallowed() {
    let scene = Scene::new(quick()).await;
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    let (_, hello) = scene.changes().await.remove(0);
    let user_id = hello["messages"][0]["from_user_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(scene.send(text_to(&user_id, "lost")).await.0, 200);
    assert_eq!(scene.sim.sent_total(), 0);
    assert_eq!(scene.sim.requests().last().unwrap().outcome, "swallowed");

    let (status, answer) = scene
        .send(with(json!({"to": null, "recipient": user_id})))
        .await;
    assert_eq!(
        (status, &answer["contacts"]),
        (200, &json!([{"input": user_id, "user_id": user_id}]))
    );
    assert_eq!(scene.sim.sent()[0].to, ASHA);
}

#[tokio::test]
async fn rate_limits_strike_when_switched_on() {
    let scene = Scene::new(Config {
        open_window: true,
        ..quick()
    })
    .await;
    scene.play("mood", json!({"rate_limits": true})).await;
    let mut codes = Vec::new();
    for n in 0..60 {
        codes.push(
            scene.send(text_to(&format!("9198000{n:05}"), "Hi")).await.1["error"]["code"].as_u64(),
        );
    }
    assert!(codes[..20].iter().all(Option::is_none), "{codes:?}");
    assert!(codes.contains(&Some(130_429)), "{codes:?}");
}

#[tokio::test]
async fn media_ids_and_urls_die_in_time() {
    let scene = Scene::new(quick()).await;
    let id = scene.sim.add_media("image/png", &b"picture"[..]);
    let (_, described) = scene.get(&id).await;
    let url = described["url"].as_str().unwrap();
    let fetch = |token: Option<&'static str>| {
        let request = scene.http.get(url);
        token
            .map_or(scene.http.get(url), |token| request.bearer_auth(token))
            .send()
    };
    assert_eq!(fetch(None).await.unwrap().status(), 401);
    let file = fetch(Some("sim-token")).await.unwrap();
    assert_eq!(file.headers()["content-type"], "image/png");
    assert_eq!(&file.bytes().await.unwrap()[..], b"picture");
    scene
        .play(
            "mood",
            json!({"troubles": [{"do": "fail", "code": 131_000, "on": "download", "times": 1}]}),
        )
        .await;
    assert_eq!(fetch(Some("sim-token")).await.unwrap().status(), 500);
    scene.sim.advance(Duration::from_secs(5 * 60));
    assert_eq!(fetch(Some("sim-token")).await.unwrap().status(), 404);
    assert_eq!(scene.get(&id).await.0, 200, "the id outlives its URL");
    scene.sim.advance(Duration::from_secs(7 * 24 * 60 * 60));
    assert_eq!(scene.get(&id).await.1["error"]["code"], 100);
}

#[tokio::test]
async fn register_is_answered_and_remembered() {
    let scene = Scene::new(quick()).await;
    let answer = scene
        .post(
            &format!("v23.0/{NUMBER}/register"),
            json!({"messaging_product": "whatsapp", "pin": "123456"}),
        )
        .await;
    assert_eq!(answer, (200, json!({"success": true})));
    assert_eq!(scene.sim.state()["numbers"][0]["register_calls"], 1);
}
