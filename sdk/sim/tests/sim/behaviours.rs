//! The oddities of Meta that a gateway must survive, each switched on over HTTP and seen on the wire.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use duet_rules::webhook::{Part, decode};
use duet_sim::{Config, DeliveryRules, HistoryPlan, Sim};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::scene::{ASHA, NUMBER, PATIENCE, Scene, quick, text_to};

const BUSINESS: &str = "912255500100";

fn words(statuses: &[Value]) -> Vec<&str> {
    statuses
        .iter()
        .map(|status| status["status"].as_str().unwrap())
        .collect()
}

async fn open() -> Scene {
    Scene::new(Config {
        open_window: true,
        ..quick()
    })
    .await
}

#[tokio::test]
async fn an_accepted_send_can_fail_later_with_each_code() {
    for code in [131_026, 131_047, 131_049] {
        let scene = open().await;
        scene
            .play(
                "mood",
                json!({"troubles": [{"do": "fail_later", "code": code}]}),
            )
            .await;
        let (status, answer) = scene.send(text_to(ASHA, "Hi")).await;
        let statuses = scene.statuses().await;
        assert_eq!((status, words(&statuses)), (200, vec!["failed"]));
        assert_eq!(statuses[0]["id"], answer["messages"][0]["id"]);
        let error = &statuses[0]["errors"][0];
        assert_eq!(error["code"], code);
        assert!(error["title"].is_string() && error["error_data"]["details"].is_string());
    }
}

#[tokio::test]
async fn a_word_for_a_status_that_nobody_knows_comes_last() {
    let scene = open().await;
    scene
        .play("mood", json!({"troubles": [{"do": "unknown_status"}]}))
        .await;
    scene.send(text_to(ASHA, "Hi")).await;
    let statuses = scene.statuses().await;
    assert_eq!(words(&statuses), ["sent", "delivered", "read", "in_orbit"]);
}

#[tokio::test]
async fn retries_for_another_app_come_after_a_200_too() {
    let scene = Scene::new(quick()).await;
    scene.play("mood", json!({"webhook": {"resends": 2}})).await;
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    scene.sim.phone_replies(ASHA, "Yes?").await.unwrap();
    scene.sim.wait_quiet(PATIENCE).await.unwrap();
    let arrived = scene.arrived();
    assert_eq!(arrived.len(), 6, "every webhook, whatever its field");
    for body in &arrived {
        let same = arrived.iter().filter(|other| other.bytes == body.bytes);
        assert!(same.clone().all(|other| other.signature == body.signature));
        assert_eq!(same.count(), 3);
    }
    let mut outcomes: Vec<_> = scene
        .sim
        .deliveries()
        .iter()
        .map(|delivery| (delivery.attempt, delivery.status, delivery.outcome))
        .collect();
    outcomes.sort_unstable();
    outcomes.dedup();
    let ok = Some(200);
    assert_eq!(
        outcomes,
        [(1, ok, "delivered"), (2, ok, "copy"), (3, ok, "copy")]
    );
}

#[tokio::test]
async fn entries_fields_and_metadata_can_be_odd() {
    let scene = Scene::new(quick()).await;
    let mood = json!({"webhook": {
        "batch_max": 3, "batch_window_ms": 5000, "entries": true, "unknown_field": true, "without_metadata": true,
    }});
    scene.play("mood", mood).await;
    for n in 0..3 {
        scene
            .sim
            .customer_writes(ASHA, &n.to_string())
            .await
            .unwrap();
    }
    let body = scene.wait_arrived(1).await.remove(0);
    let entries = body.json()["entry"].as_array().unwrap().clone();
    assert_eq!(entries.len(), 4);
    assert!(
        entries
            .iter()
            .all(|entry| entry["changes"].as_array().unwrap().len() == 1)
    );
    let changes = body.changes();
    assert_eq!(changes[3].0, "loyalty_points_update");
    assert!(
        changes
            .iter()
            .all(|(_, value)| value.get("metadata").is_none())
    );
    let kinds: Vec<_> = decode(&body.bytes, Part::All)
        .unwrap()
        .into_iter()
        .map(|element| element.kind)
        .collect();
    assert_eq!(
        kinds,
        ["message.text", "message.text", "message.text", "unknown"]
    );
}

#[tokio::test]
async fn messages_and_statuses_share_a_value() {
    let scene = open().await;
    let mood = json!({"webhook": {"batch_max": 4, "batch_window_ms": 5000, "merge": true}});
    scene.play("mood", mood).await;
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    scene.send(text_to(ASHA, "Hi")).await;
    let changes = scene.wait_arrived(1).await.remove(0).changes();
    let value = &changes[0].1;
    assert_eq!(changes.len(), 1);
    assert_eq!(value["messages"].as_array().unwrap().len(), 1);
    assert_eq!(
        words(value["statuses"].as_array().unwrap()),
        ["sent", "delivered", "read"]
    );
}

/// `(phase, chunk_order, progress)` of every chunk as it arrived.
async fn chunks(plan: HistoryPlan) -> (Scene, Vec<(u64, u64, u64)>) {
    let scene = Scene::new(Config {
        seed: Some(11),
        ..quick()
    })
    .await;
    scene.play("history", json!(plan)).await;
    let changes = scene.changes().await;
    let number = |chunk: &Value, name: &str| chunk["metadata"][name].as_u64().unwrap();
    let chunks = changes
        .iter()
        .filter_map(|(_, value)| value["history"].get(0))
        .map(|chunk| {
            let [phase, order, progress] =
                ["phase", "chunk_order", "progress"].map(|name| number(chunk, name));
            (phase, order, progress)
        })
        .collect();
    (scene, chunks)
}

#[tokio::test]
async fn phases_and_chunks_come_in_any_order_and_empty_phases_not_at_all() {
    let plan = HistoryPlan {
        media_every: 0,
        ..HistoryPlan::default()
    };
    let (_, backwards) = chunks(HistoryPlan {
        phases: vec![2, 0],
        ..plan.clone()
    })
    .await;
    let mut phases: Vec<_> = backwards.iter().map(|(phase, ..)| *phase).collect();
    phases.dedup();
    assert_eq!(phases, [2, 0], "phase 1 is empty and has no webhook");

    let (_, early) = chunks(HistoryPlan {
        complete_first: true,
        ..plan.clone()
    })
    .await;
    assert_eq!(early[0].2, 100);
    assert!(
        early[1..].iter().all(|(_, _, progress)| *progress < 100),
        "{early:?}"
    );

    let (_, shuffled) = chunks(HistoryPlan {
        shuffled: true,
        conversations: 8,
        ..plan
    })
    .await;
    let orders: Vec<_> = shuffled
        .iter()
        .filter(|(phase, ..)| *phase == 1)
        .map(|(_, order, _)| *order)
        .collect();
    assert!(orders.len() > 2 && !orders.is_sorted(), "{orders:?}");
}

#[tokio::test]
async fn a_chunk_grows_to_3_mb_and_no_further() {
    let (scene, chunks) = chunks(HistoryPlan {
        conversations: 4,
        messages: 400,
        chunk_messages: 100_000,
        text_bytes: 4096,
        phases: vec![1],
        media_every: 0,
        ..HistoryPlan::default()
    })
    .await;
    let arrived = scene.arrived();
    let bytes: Vec<_> = arrived.iter().map(|body| body.bytes.len()).collect();
    assert!(
        bytes.iter().all(|bytes| *bytes <= 3_000_000) && bytes[0] > 2_900_000,
        "{bytes:?}"
    );
    assert_eq!(chunks.len(), 3);
    let messages: usize = arrived
        .iter()
        .flat_map(|body| decode(&body.bytes, Part::History).unwrap())
        .filter(|element| element.kind == "history.text")
        .count();
    assert_eq!(messages, 1600, "a thread goes on in the next chunk");
}

#[tokio::test]
async fn a_decline_comes_with_and_without_its_envelope() {
    for without_envelope in [false, true] {
        let scene = Scene::new(quick()).await;
        let plan = json!({"declined": true, "without_envelope": without_envelope});
        scene.play("history", plan).await;
        let body = scene.wait_arrived(1).await.remove(0);
        let json = body.json();
        assert_eq!(json.get("entry").is_none(), without_envelope);
        let value = if without_envelope {
            &json
        } else {
            &json["entry"][0]["changes"][0]["value"]
        };
        let error = json!({
            "code": 2_593_109,
            "title": value["history"][0]["errors"][0]["title"],
            "message": value["history"][0]["errors"][0]["title"],
            "error_data": {"details": "History sharing is turned off by the business"},
        });
        let metadata = json!({"display_phone_number": BUSINESS, "phone_number_id": NUMBER});
        let expected = json!({"messaging_product": "whatsapp", "metadata": metadata, "history": [{"errors": [error]}]});
        assert_eq!(value, &expected);
        let elements = decode(&body.bytes, Part::All).unwrap();
        assert_eq!(elements[0].kind, "coexistence.history_declined");
    }
}

#[tokio::test]
async fn the_phone_answers_while_a_bot_still_thinks() {
    let scene = Scene::new(quick()).await;
    scene.play("mood", json!({"phone_answers_ms": 5})).await;
    scene
        .sim
        .customer_writes(ASHA, "Is the shop open?")
        .await
        .unwrap();
    let changes = scene.changes().await;
    let fields: Vec<_> = changes.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["messages", "smb_message_echoes"]);
    let echo = &changes[1].1["message_echoes"][0];
    assert_eq!((&echo["to"], &echo["type"]), (&json!(ASHA), &json!("text")));
}

#[tokio::test]
async fn edits_and_revocations_may_name_what_nobody_has_seen() {
    let scene = Scene::new(quick()).await;
    let unseen = "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBIyNDlBOEI5QUQ4NDc0N0FCNjMA";
    scene
        .play(
            "phone",
            json!({"to": ASHA, "edit": unseen, "text": "At ten"}),
        )
        .await;
    scene
        .play("phone", json!({"to": ASHA, "revoke": unseen}))
        .await;
    let revoke = json!({"from": ASHA, "type": "revoke", "body": {"original_message_id": unseen}});
    scene.play("customer", revoke).await;
    let changes = scene.changes().await;
    let echo = |n: usize| changes[n].1["message_echoes"][0].clone();
    assert_eq!(echo(0)["edit"]["original_message_id"], unseen);
    assert_eq!(echo(1)["revoke"], json!({"original_message_id": unseen}));
    assert_eq!(
        changes[2].1["messages"][0]["revoke"]["original_message_id"],
        unseen
    );
}

#[tokio::test]
async fn a_removal_has_each_reason_in_both_shapes() {
    let reasons = [
        "ACCOUNT_DISCONNECTED",
        "BUSINESS_DOWNGRADE",
        "CHANGE_NUMBER",
        "COMPANION_INACTIVITY",
        "PRIMARY_INACTIVITY",
        "USER_RE_REGISTERED",
    ];
    let scene = Scene::new(quick()).await;
    for reason in reasons {
        for shape in ["waba", "phone"] {
            let event = json!({"event": "PARTNER_REMOVED", "reason": reason, "initiated_by": "SYSTEM", "shape": shape});
            scene.play("account", event).await;
        }
    }
    let changes = scene.changes().await;
    for (pair, reason) in changes.chunks(2).zip(reasons) {
        let disconnection = json!({"reason": reason, "initiated_by": "SYSTEM"});
        let waba = json!({"waba_id": crate::scene::WABA, "owner_business_id": "2329417887457253"});
        assert_eq!(
            pair[0].1,
            json!({"event": "PARTNER_REMOVED", "waba_info": waba, "disconnection_info": disconnection})
        );
        assert_eq!(
            pair[1].1,
            json!({"event": "PARTNER_REMOVED", "phone_number": BUSINESS, "disconnection_info": disconnection})
        );
    }
    assert_eq!(changes.len(), 12);
}

#[tokio::test]
async fn a_customer_is_named_in_all_five_ways_wherever_they_appear() {
    let parent = "IN.ENT.118157992128868";
    // What a play asks for, and whether phone, user id, parent id and username are there.
    let cases = [
        (json!({"hide_user_id": true}), [true, false, false, false]),
        (json!({}), [true, true, false, false]),
        (json!({"username": "asha.rao"}), [true, true, false, true]),
        (
            json!({"username": "asha.rao", "hide_phone": true}),
            [false, true, false, true],
        ),
        (json!({"parent_user_id": parent}), [true, true, true, false]),
    ];
    for (who, [phone, user_id, parent_id, username]) in cases {
        let scene = Scene::new(quick()).await;
        let mut message = json!({"from": ASHA, "text": "Hello"});
        message
            .as_object_mut()
            .unwrap()
            .extend(who.as_object().unwrap().clone());
        scene.play("customer", message).await;
        scene.sim.phone_replies(ASHA, "Yes?").await.unwrap();
        scene.send(text_to(ASHA, "Hi")).await;
        scene
            .play("contact", json!({"action": "add", "phone": ASHA}))
            .await;
        let changes = scene.changes().await;
        let of = |list: &str| {
            let found = changes.iter().find_map(|(_, value)| value[list].get(0));
            found.unwrap().clone()
        };
        let contact = of("contacts");
        assert_eq!(
            contact["profile"].get("username").is_some(),
            username,
            "{who}"
        );
        let places = [
            (contact, ["wa_id", "user_id", "parent_user_id"]),
            (
                of("messages"),
                ["from", "from_user_id", "from_parent_user_id"],
            ),
            (
                of("statuses"),
                [
                    "recipient_id",
                    "recipient_user_id",
                    "recipient_parent_user_id",
                ],
            ),
            (
                of("message_echoes"),
                ["to", "to_user_id", "to_parent_user_id"],
            ),
            (
                of("state_sync")["contact"].clone(),
                ["phone_number", "user_id", "parent_user_id"],
            ),
        ];
        for (object, names) in places {
            let has = names.map(|name| object.get(name).is_some());
            assert_eq!(has, [phone, user_id, parent_id], "{who}: {object}");
        }
    }
}

#[tokio::test]
async fn a_user_id_changes_with_the_number() {
    let scene = Scene::new(quick()).await;
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    scene
        .play("move", json!({"from": ASHA, "to": "919800000099"}))
        .await;
    let changes = scene.changes().await;
    let before = &changes[0].1["contacts"][0]["user_id"];
    let system = &changes[1].1["messages"][0];
    let update = &changes[2].1["user_id_update"][0];
    assert_eq!(changes[2].0, "user_id_update");
    assert_eq!(system["system"]["type"], "user_changed_user_id");
    assert_eq!(&update["user_id"]["previous"], before);
    let now = update["user_id"]["current"].as_str().unwrap();
    assert!(now != before && system["system"]["body"].as_str().unwrap().contains(now));
    scene
        .sim
        .customer_writes("919800000099", "Me again")
        .await
        .unwrap();
    let again = scene.changes().await.pop().unwrap().1;
    assert_eq!(
        (
            &again["contacts"][0]["user_id"],
            &again["contacts"][0]["profile"]["name"]
        ),
        (&json!(now), &json!("Asha"))
    );
}

#[tokio::test]
async fn a_quoted_id_may_be_spelled_with_the_user_id() {
    let scene = Scene::new(quick()).await;
    let id = scene.sim.phone_replies(ASHA, "At nine").await.unwrap();
    for rescoped in [false, true] {
        let reply = json!({"from": ASHA, "text": "Fine", "reply_to": id, "rescoped": rescoped});
        scene.play("customer", reply).await;
    }
    let changes = scene.changes().await;
    let quoted = |n: usize| {
        changes[n].1["messages"][0]["context"]["id"]
            .as_str()
            .unwrap()
    };
    assert_eq!(quoted(1), id);
    assert_ne!(quoted(2), id);
    let [one, two] = [1, 2].map(|n| duet_rules::wamid::decode(quoted(n)).unwrap());
    assert_eq!((one.stanza, one.peer), (two.stanza, ASHA.to_owned()));
    assert_eq!(changes[2].1["contacts"][0]["user_id"], two.peer);
}

#[tokio::test]
async fn retries_wait_longer_each_time_and_end_where_the_setting_says() {
    for horizon_ms in [
        DeliveryRules::HORIZON_36_H_MS,
        DeliveryRules::HORIZON_7_D_MS,
    ] {
        let scene = Scene::new(Config {
            delivery: DeliveryRules {
                horizon_ms,
                ..DeliveryRules::default()
            },
            ..quick()
        })
        .await;
        scene.answers(&[500; 1000]);
        scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
        let hour = Duration::from_secs(60 * 60);
        for attempts in 1.. {
            let seen = scene.sim.wait_deliveries(attempts, PATIENCE).await.unwrap();
            if seen.last().unwrap().outcome == "gave_up" {
                break;
            }
            // The longest wait is an hour.
            scene.sim.advance(hour);
        }
        let seen = scene.sim.deliveries();
        let span_ms = seen.last().unwrap().at_ms - seen[0].at_ms;
        assert!(
            span_ms <= horizon_ms && span_ms + 2 * 3_600_000 > horizon_ms,
            "{span_ms}"
        );
    }
    let scene = Scene::new(Config {
        delivery: DeliveryRules {
            retry_first_ms: 20,
            retry_max_ms: 80,
            ..DeliveryRules::default()
        },
        ..quick()
    })
    .await;
    scene.answers(&[500; 4]);
    scene.sim.customer_writes(ASHA, "Hello").await.unwrap();
    scene.sim.wait_quiet(PATIENCE).await.unwrap();
    let at: Vec<_> = scene
        .sim
        .deliveries()
        .iter()
        .map(|delivery| delivery.at_ms)
        .collect();
    for (pair, least_ms) in at.windows(2).zip([20, 40, 80, 80]) {
        // The clock has whole milliseconds, and an attempt itself takes some.
        assert!(pair[1] + 1 >= pair[0] + least_ms, "{at:?}");
    }
}

#[tokio::test]
async fn deliveries_run_side_by_side() {
    let inside = Arc::new(watch::Sender::new(0_u32));
    let counter = Arc::clone(&inside);
    // Answers only once two bodies are in its hands, so one after the other would end in retries.
    let take = move || async move {
        counter.send_modify(|inside| *inside += 1);
        let mut seen = counter.subscribe();
        let both = tokio::time::timeout(PATIENCE, seen.wait_for(|inside| *inside >= 2)).await;
        if both.is_ok() {
            StatusCode::OK
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", socket.local_addr().unwrap());
    tokio::spawn(
        async move { axum::serve(socket, Router::new().route("/webhook", post(take))).await },
    );
    let sim = Sim::start(Config {
        webhook: Some(url),
        ..quick()
    })
    .await
    .unwrap();
    for n in 0..8 {
        sim.customer_writes(&format!("91980000010{n}"), "Hello")
            .await
            .unwrap();
    }
    sim.wait_quiet(PATIENCE).await.unwrap();
    assert!(
        sim.deliveries()
            .iter()
            .all(|delivery| delivery.outcome == "delivered")
    );
}
