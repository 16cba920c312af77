//! Every answer of the sim has the shape of Meta's own example, and Meta's own requests are accepted.

use std::path::Path;

use serde_json::{Value, json};

use crate::scene::{ASHA, NUMBER, Scene, WABA, quick, text_to};
use crate::shape::{assert_same, example};

#[tokio::test]
async fn successes_have_the_shape_of_metas_examples() {
    let scene = Scene::new(quick()).await;
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    let (_, media) = scene.upload("audio/ogg", b"tone").await;
    let media = media["id"].as_str().unwrap().to_owned();
    let callback = json!({"override_callback_uri": scene.webhook, "verify_token": "let me in"});
    let template =
        json!({"name": "new_tea", "language": "en_US", "category": "UTILITY", "components": []});
    let block = json!({"messaging_product": "whatsapp", "block_users": [{"user": "+16505551234"}]});
    let unneeded = ["/calling/ip_addresses", "/calling/video"];
    let listed = [
        "/data/0/code_verification_status",
        "/data/0/platform_type",
        "/paging",
    ];
    let template_parts = [
        "/data/0/previous_category",
        "/data/0/components/0/format",
        "/data/0/components/0/example",
    ];

    let cases: Vec<(&str, (u16, Value), &[&str])> = vec![
        ("POST__Phone-Number-ID__messages__200__Example_response", scene.send(text_to(ASHA, "Hi")).await, &[]),
        ("POST__Phone-Number-ID__media__200__Upload_Audio_JSON", scene.upload("audio/ogg", b"tone").await, &[]),
        ("GET__Media-ID__200__Retrieve_Media_URL", scene.get(&media).await, &[]),
        ("GET__Phone-Number-ID__200__default_response", scene.get(&format!("{NUMBER}?fields=display_phone_number,verified_name,quality_rating")).await, &[]),
        (
            "GET__Phone-Number-ID__200__comprehensive_response",
            scene.get(&format!("v23.0/{NUMBER}?fields=display_phone_number,verified_name,quality_rating,name_status,code_verification_status")).await,
            &[],
        ),
        ("GET__Phone-Number-ID__settings__200__Basic_settings_response", scene.get(&format!("{NUMBER}/settings")).await, &unneeded),
        ("GET__WABA-ID__200__basic_account", scene.get(WABA).await, &[]),
        ("GET__WABA-ID__phone_numbers__200__single_phone_number", scene.get(&format!("{WABA}/phone_numbers")).await, &listed),
        ("GET__WABA-ID__message_templates__200__Example_response", scene.get(&format!("{WABA}/message_templates")).await, &template_parts),
        ("POST__WABA-ID__message_templates__200__Example_response", scene.post(&format!("{WABA}/message_templates"), template).await, &[]),
        ("GET__WABA-ID__subscribed_apps__200__multiple_subscriptions", scene.get(&format!("{WABA}/subscribed_apps")).await, &[]),
        ("POST__WABA-ID__subscribed_apps__200__custom_callback_success", scene.post(&format!("{WABA}/subscribed_apps"), callback).await, &[]),
        ("POST__Phone-Number-ID__block_users__200__Block_user_s_", scene.post(&format!("{NUMBER}/block_users"), block).await, &[]),
    ];
    for (name, (status, answer), but) in cases {
        assert_eq!(status, 200, "{name}: {answer}");
        assert_same(&example(name), &answer, but);
    }
}

#[tokio::test]
async fn failures_have_the_shape_of_metas_examples() {
    let scene = Scene::new(quick()).await;
    let bare = |request: reqwest::RequestBuilder| async move {
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let missing = bare(scene.http.get(scene.url(NUMBER))).await;
    scene.play("mood", json!({"token_expired": true})).await;
    let expired = scene.get(NUMBER).await;
    scene.play("mood", json!({"token_expired": null})).await;
    let bad_callback = json!({"override_callback_uri": "nowhere", "verify_token": "x"});
    // Nobody listens there: the port was free a moment ago and the handshake needs an answer.
    let dead_callback =
        json!({"override_callback_uri": "http://127.0.0.1:9/webhook", "verify_token": "x"});
    let first = scene.delete(&format!("{WABA}/subscribed_apps")).await;
    assert_eq!(first, (200, json!({"success": true})));

    let cases: Vec<(&str, (u16, Value), u16, u64)> = vec![
        (
            "GET__Phone-Number-ID__401__missing_token",
            missing,
            401,
            190,
        ),
        (
            "GET__Phone-Number-ID__401__expired_token",
            expired,
            401,
            190,
        ),
        (
            "GET__Phone-Number-ID__400__invalid_fields",
            scene.get(&format!("{NUMBER}?fields=shoe_size")).await,
            400,
            100,
        ),
        (
            "GET__Phone-Number-ID__400__invalid_phone_id",
            scene.get("abc").await,
            400,
            100,
        ),
        (
            "GET__Phone-Number-ID__400__invalid_version",
            scene.get(&format!("vX/{NUMBER}")).await,
            400,
            100,
        ),
        (
            "POST__Phone-Number-ID__deregister__400__smb_account_error",
            scene.post(&format!("{NUMBER}/deregister"), json!({})).await,
            400,
            100,
        ),
        (
            "DELETE__WABA-ID__subscribed_apps__404__example",
            scene.delete(&format!("{WABA}/subscribed_apps")).await,
            404,
            803,
        ),
        (
            "POST__WABA-ID__subscribed_apps__400__example",
            scene
                .post(&format!("{WABA}/subscribed_apps"), bad_callback)
                .await,
            400,
            100,
        ),
        (
            "POST__WABA-ID__subscribed_apps__422__example",
            scene
                .post(&format!("{WABA}/subscribed_apps"), dead_callback)
                .await,
            422,
            100,
        ),
    ];
    for (name, (status, answer), expected, code) in cases {
        assert_eq!(
            (status, answer["error"]["code"].as_u64()),
            (expected, Some(code)),
            "{name}: {answer}"
        );
        assert_same(&example(name), &answer, &[]);
    }
    let (_, refused) = scene.send(text_to(ASHA, "Hi")).await;
    let documented = json!({"error": {
        "message": "(#131047) Re-engagement message", "type": "OAuthException", "code": 131_047, "fbtrace_id": "A",
        "error_data": {"messaging_product": "whatsapp", "details": "why"},
    }});
    assert_same(&documented, &refused, &[]);
    assert_eq!(refused["error"]["message"], documented["error"]["message"]);
}

#[tokio::test]
async fn metas_own_requests_are_accepted() {
    let scene = Scene::new(quick()).await;
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    let (_, media) = scene.upload("image/jpeg", b"picture").await;
    let media = media["id"].as_str().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graph-api/requests");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replace("http(s)", "https")
            .replace("<https", "https");
        let mut body: Value = serde_json::from_str(&text).unwrap();
        if body.get("to").is_some() {
            body["to"] = json!(ASHA);
        }
        for kind in ["image", "video", "audio", "document", "sticker"] {
            if let Some(id) = body.pointer_mut(&format!("/{kind}/id")) {
                *id = json!(media);
            }
        }
        let (status, answer) = scene.send(body.clone()).await;
        let code = answer["error"]["code"].as_u64();
        let expected = match &body["type"] {
            kind if kind == "template" && body["template"]["name"] != "hello_world" => {
                (404, Some(132_001))
            }
            // One example is a list without a type, which means text.
            Value::Null if body.get("interactive").is_some() => (400, Some(131_008)),
            _ => (200, None),
        };
        assert_eq!((status, code), expected, "{}: {answer}", path.display());
        seen += 1;
    }
    assert!(seen > 40, "{seen} examples");
}
