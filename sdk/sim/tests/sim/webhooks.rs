//! Webhooks as they arrive: signatures, order, retries, batches, statuses.

use duet_sim::play::CustomerMessage;
use duet_sim::{Config, DeliveryRules, Sim, Template};
use serde_json::{Value, json};

use crate::scene::{ASHA, Arrived, NUMBER, PATIENCE, Scene, WABA, quick, text_to};

pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex::encode(ring::hmac::sign(&key, body)))
}

#[tokio::test]
async fn signatures_verify_over_the_raw_bytes_and_only_over_them() {
    let scene = Scene::new(quick()).await;
    scene
        .sim
        .customer_writes(ASHA, "Gr\u{fc}\u{df}e \u{1f375} http://x")
        .await
        .unwrap();
    let body = scene.wait_arrived(1).await.remove(0);
    let given = body.signature.clone().unwrap();
    assert_eq!(given, signature("sim-app-secret", &body.bytes));
    assert!(body.bytes.is_ascii());
    assert!(
        body.bytes
            .windows(12)
            .any(|window| window == br"\ud83c\udf75")
    );
    let again = serde_json::to_vec(&body.json()).unwrap();
    assert_ne!(
        given,
        signature("sim-app-secret", &again),
        "a re-serialised body must not verify"
    );
    assert_eq!(
        body.changes()[0].1["messages"][0]["text"]["body"],
        "Gr\u{fc}\u{df}e \u{1f375} http://x"
    );

    scene
        .play("mood", json!({"webhook": {"wrong_secret": true}}))
        .await;
    scene.sim.customer_writes(ASHA, "Hi").await.unwrap();
    let forged = scene.wait_arrived(2).await.remove(1);
    assert_ne!(
        forged.signature.unwrap(),
        signature("sim-app-secret", &forged.bytes)
    );
}

#[tokio::test]
async fn an_inbound_message_stands_in_metas_envelope() {
    let scene = Scene::new(quick()).await;
    let id = scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    let body = scene.wait_arrived(1).await.remove(0).json();
    let value = &body["entry"][0]["changes"][0]["value"];
    let user_id = value["contacts"][0]["user_id"].as_str().unwrap();
    assert!(user_id.starts_with("IN."), "{user_id}");
    let expected = json!({"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": [{"field": "messages", "value": {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "912255500100", "phone_number_id": NUMBER},
        "contacts": [{"profile": {"name": "Asha"}, "wa_id": ASHA, "user_id": user_id}],
        "messages": [{
            "from": ASHA, "from_user_id": user_id, "id": id, "timestamp": value["messages"][0]["timestamp"],
            "type": "text", "text": {"body": "Hello"},
        }],
    }}]}]});
    assert_eq!(body, expected);
    assert!(
        value["messages"][0]["timestamp"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .is_ok()
    );

    let older = Scene::new(Config {
        user_ids: false,
        ..quick()
    })
    .await;
    older.sim.customer_writes(ASHA, "Hello").await.unwrap();
    assert!(!String::from_utf8_lossy(&older.wait_arrived(1).await[0].bytes).contains("user_id"));
}

#[tokio::test]
async fn an_accepted_send_is_followed_by_its_statuses_in_order() {
    let scene = Scene::new(quick()).await;
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    let mut body = text_to(&format!("+{ASHA}"), "Hi");
    body["biz_opaque_callback_data"] = json!("row-7");
    let (_, answer) = scene.send(body).await;
    let statuses = scene.statuses().await;
    let words: Vec<_> = statuses
        .iter()
        .map(|status| status["status"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["sent", "delivered", "read"]);
    for status in &statuses {
        assert_eq!(status["id"], answer["messages"][0]["id"]);
        assert_eq!(
            (&status["recipient_id"], &status["biz_opaque_callback_data"]),
            (&json!(ASHA), &json!("row-7"))
        );
    }
    let pricing = json!({"billable": false, "pricing_model": "PMP", "type": "free_customer_service", "category": "service"});
    assert_eq!(
        (&statuses[0]["pricing"], &statuses[2]["pricing"]),
        (&pricing, &Value::Null)
    );
    let sent = &scene.sim.sent()[0];
    assert_eq!(
        (sent.opaque.as_deref(), sent.to.as_str()),
        (Some("row-7"), ASHA)
    );
}

#[tokio::test]
async fn a_refused_webhook_comes_again_with_the_same_bytes_until_200() {
    let scene = Scene::new(quick()).await;
    scene.answers(&[503, 204, 500]);
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    scene.sim.wait_quiet(PATIENCE).await.unwrap();
    let arrived = scene.arrived();
    assert_eq!(arrived.len(), 4, "only 200 counts as taken");
    assert!(
        arrived
            .iter()
            .all(|body| body.bytes == arrived[0].bytes && body.signature == arrived[0].signature)
    );
    let attempts: Vec<_> = scene
        .sim
        .deliveries()
        .into_iter()
        .map(|delivery| (delivery.attempt, delivery.status, delivery.outcome))
        .collect();
    let expected = [
        (1, Some(503), "retry"),
        (2, Some(204), "retry"),
        (3, Some(500), "retry"),
        (4, Some(200), "delivered"),
    ];
    assert_eq!(attempts, expected);
}

#[tokio::test]
async fn after_the_horizon_a_webhook_is_given_up() {
    let delivery = DeliveryRules {
        horizon_ms: 10,
        retry_first_ms: 4,
        ..DeliveryRules::default()
    };
    let scene = Scene::new(Config {
        delivery,
        ..quick()
    })
    .await;
    scene.answers(&[500; 100]);
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    scene.sim.wait_quiet(PATIENCE).await.unwrap();
    assert_eq!(scene.sim.deliveries().last().unwrap().outcome, "gave_up");
    assert!(scene.arrived().len() < 5);
}

#[tokio::test]
async fn copies_come_although_the_first_was_taken() {
    let scene = Scene::new(quick()).await;
    scene.play("mood", json!({"webhook": {"copies": 3}})).await;
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    scene.sim.wait_quiet(PATIENCE).await.unwrap();
    let arrived = scene.arrived();
    assert_eq!(arrived.len(), 3);
    assert!(arrived.iter().all(|body| body.bytes == arrived[0].bytes));
}

#[tokio::test]
async fn a_conversation_keeps_its_order_until_reordering_is_asked_for() {
    let scene = Scene::new(Config {
        seed: Some(7),
        ..quick()
    })
    .await;
    let texts = |arrived: Vec<Arrived>| -> Vec<u64> {
        let text = |body: &Arrived| {
            body.changes()[0].1["messages"][0]["text"]["body"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        };
        arrived.iter().map(text).collect()
    };
    for n in 0..40 {
        scene
            .sim
            .customer_writes(ASHA, &n.to_string())
            .await
            .unwrap();
    }
    let in_order: Vec<u64> = (0..40).collect();
    assert_eq!(texts(scene.wait_arrived(40).await), in_order);

    scene
        .play("mood", json!({"webhook": {"reorder_ms": 100}}))
        .await;
    for n in 0..40 {
        scene
            .sim
            .customer_writes(ASHA, &n.to_string())
            .await
            .unwrap();
    }
    let crossed = texts(scene.wait_arrived(80).await).split_off(40);
    assert_ne!(crossed, in_order);
    let mut sorted = crossed;
    sorted.sort_unstable();
    assert_eq!(sorted, in_order, "nothing is lost or doubled");
}

#[tokio::test]
async fn batches_and_merged_values_hold_everything_once() {
    for merge in [false, true] {
        let scene = Scene::new(quick()).await;
        scene
            .play(
                "mood",
                json!({"webhook": {"batch_max": 10, "batch_window_ms": 5000, "merge": merge}}),
            )
            .await;
        for n in 0..10 {
            scene
                .sim
                .customer_writes(ASHA, &n.to_string())
                .await
                .unwrap();
        }
        let body = scene.wait_arrived(1).await.remove(0);
        let changes = body.changes();
        assert_eq!(changes.len(), if merge { 1 } else { 10 });
        let messages = changes
            .iter()
            .map(|(_, value)| value["messages"].as_array().unwrap().len())
            .sum::<usize>();
        assert_eq!(messages, 10);
        assert_eq!(changes[0].1["contacts"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn webhooks_wait_for_an_address_and_go_to_an_override() {
    let listener = Scene::new(quick()).await;
    let sim = Sim::start(quick()).await.unwrap();
    sim.customer_writes(ASHA, "early").await.unwrap();
    sim.wait_deliveries(1, PATIENCE).await.unwrap();
    sim.set_webhook(listener.webhook.clone());
    listener.wait_arrived(1).await;

    let other = Scene::new(quick()).await;
    let callback = json!({"override_callback_uri": other.webhook, "verify_token": "let me in"});
    assert_eq!(
        listener
            .post(&format!("{WABA}/subscribed_apps"), callback)
            .await
            .0,
        200
    );
    listener
        .sim
        .customer_writes(ASHA, "elsewhere")
        .await
        .unwrap();
    other.wait_arrived(1).await;
    assert_eq!(
        listener.delete(&format!("{WABA}/subscribed_apps")).await.0,
        200
    );
    listener
        .sim
        .customer_writes(ASHA, "unsubscribed")
        .await
        .unwrap();
    listener.sim.wait_quiet(PATIENCE).await.unwrap();
    assert_eq!((listener.arrived().len(), other.arrived().len()), (1, 1));
}

#[tokio::test]
async fn raw_bytes_and_replays_arrive_unchanged() {
    let scene = Scene::new(quick()).await;
    let odd = b"{\"object\" : \"not for us\"}\n";
    scene.sim.raw_webhook(&odd[..]);
    scene.sim.wait_quiet(PATIENCE).await.unwrap();
    scene.play("replay", json!({"delivery": 1})).await;
    let arrived = scene.wait_arrived(2).await;
    assert!(
        arrived.iter().all(|body| &body.bytes[..] == odd
            && body.signature == Some(signature("sim-app-secret", odd)))
    );
}

#[tokio::test]
async fn media_and_hidden_phones_look_like_metas() {
    let scene = Scene::new(Config {
        templates: Template::samples(),
        ..quick()
    })
    .await;
    let file = scene.sim.add_media("image/jpeg", &b"picture"[..]);
    let message = CustomerMessage {
        from: ASHA.into(),
        media: Some(file.clone()),
        text: Some("menu".into()),
        hide_phone: Some(true),
        ..CustomerMessage::default()
    };
    scene.sim.customer_sends(message).await.unwrap();
    let (_, value) = scene.changes().await.remove(0);
    let message = &value["messages"][0];
    assert_eq!(
        (&message["image"]["id"], &message["image"]["caption"]),
        (&json!(file), &json!("menu"))
    );
    assert!(
        message["image"]["url"]
            .as_str()
            .unwrap()
            .starts_with(scene.sim.url())
    );
    assert_eq!(
        (message.get("from"), value["contacts"][0].get("wa_id")),
        (None, None)
    );
}
