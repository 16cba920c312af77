//! The phone's side: echoes, address book, the one-shot syncs, disconnection.

use std::time::Duration;

use duet_sim::play::{AccountEvent, ContactChange, PhoneMessage};
use duet_sim::{Config, HistoryPlan};
use serde_json::{Value, json};

use crate::scene::{ASHA, NUMBER, Scene, quick, text_to};

async fn sync(scene: &Scene, kind: &str) -> (u16, Value) {
    scene
        .post(
            &format!("v23.0/{NUMBER}/smb_app_data"),
            json!({"messaging_product": "whatsapp", "sync_type": kind}),
        )
        .await
}

#[tokio::test]
async fn the_phone_writes_edits_revokes_and_reacts() {
    let scene = Scene::new(quick()).await;
    let id = scene.sim.phone_replies(ASHA, "At nine").await.unwrap();
    let more = [
        PhoneMessage {
            edit: Some(id.clone()),
            ..PhoneMessage::text(ASHA, "At ten")
        },
        PhoneMessage {
            revoke: Some(id.clone()),
            to: ASHA.into(),
            ..PhoneMessage::default()
        },
        PhoneMessage {
            reaction: Some("\u{1f44d}".into()),
            message: Some(id.clone()),
            to: ASHA.into(),
            ..PhoneMessage::default()
        },
        PhoneMessage {
            omit_to: true,
            ..PhoneMessage::text(ASHA, "no phone")
        },
    ];
    for message in more {
        scene.sim.phone_sends(message).await.unwrap();
    }
    let changes = scene.changes().await;
    assert!(
        changes
            .iter()
            .all(|(field, _)| field == "smb_message_echoes")
    );
    let echoes: Vec<_> = changes
        .iter()
        .map(|(_, value)| value["message_echoes"][0].clone())
        .collect();
    assert_eq!(
        (&echoes[0]["from"], &echoes[0]["to"], &echoes[0]["id"]),
        (&json!("912255500100"), &json!(ASHA), &json!(id))
    );
    assert_eq!(echoes[1]["edit"]["message"]["text"]["body"], "At ten");
    assert_eq!(echoes[2]["revoke"], json!({"original_message_id": id}));
    assert_eq!(
        echoes[3]["reaction"],
        json!({"message_id": id, "emoji": "\u{1f44d}"})
    );
    assert_eq!(
        (echoes[4].get("to"), echoes[4]["to_user_id"].is_string()),
        (None, true)
    );
}

#[tokio::test]
async fn each_sync_can_be_asked_for_once_and_within_a_day() {
    let scene = Scene::new(quick()).await;
    let (status, answer) = sync(&scene, "smb_app_state_sync").await;
    assert_eq!(
        (status, answer["request_id"].is_string()),
        (200, true),
        "{answer}"
    );
    let (status, again) = sync(&scene, "smb_app_state_sync").await;
    assert_eq!((status, &again["error"]["code"]), (400, &json!(2_593_107)));
    let (field, value) = scene.changes().await.remove(0);
    assert_eq!(
        (
            field.as_str(),
            &value["state_sync"][0]["contact"]["full_name"]
        ),
        ("smb_app_state_sync", &json!("Asha Rao"))
    );
    scene.sim.advance(Duration::from_secs(25 * 60 * 60));
    let (status, late) = sync(&scene, "history").await;
    assert_eq!((status, &late["error"]["code"]), (400, &json!(2_593_108)));
}

#[tokio::test]
async fn history_comes_in_chunks_and_its_media_in_both_shapes() {
    let plan = HistoryPlan {
        conversations: 2,
        messages: 30,
        chunk_messages: 7,
        media_every: 3,
        ..HistoryPlan::default()
    };
    let scene = Scene::new(Config {
        history: plan.clone(),
        ..quick()
    })
    .await;
    assert_eq!(sync(&scene, "history").await.0, 200);
    let changes = scene.changes().await;
    assert!(changes.iter().all(|(field, _)| field == "history"));
    let chunks: Vec<_> = changes
        .iter()
        .filter_map(|(_, value)| value["history"].get(0))
        .collect();
    let messages: Vec<_> = chunks
        .iter()
        .flat_map(|chunk| chunk["threads"].as_array().unwrap())
        .flat_map(|thread| thread["messages"].as_array().unwrap())
        .collect();
    assert_eq!(messages.len(), 60);
    let ids: std::collections::HashSet<_> = messages
        .iter()
        .map(|message| message["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 60);
    let progress: Vec<_> = chunks
        .iter()
        .map(|chunk| chunk["metadata"]["progress"].as_u64().unwrap())
        .collect();
    assert!(
        progress.is_sorted() && progress.last() == Some(&100),
        "{progress:?}"
    );
    for list in ["messages", "message_echoes"] {
        let followed: Vec<_> = changes
            .iter()
            .filter_map(|(_, value)| value[list].get(0))
            .collect();
        assert!(!followed.is_empty(), "{list}");
        assert!(
            followed
                .iter()
                .all(|message| ids.contains(message["id"].as_str().unwrap())
                    && message["image"]["id"].is_string())
        );
    }

    let shuffled = Scene::new(Config {
        seed: Some(3),
        ..quick()
    })
    .await;
    shuffled
        .sim
        .history(&HistoryPlan {
            shuffled: true,
            media_every: 0,
            ..plan
        })
        .await
        .unwrap();
    let progress: Vec<_> = shuffled
        .changes()
        .await
        .iter()
        .map(|(_, value)| value["history"][0]["metadata"]["progress"].as_u64())
        .collect();
    assert!(!progress.is_sorted(), "{progress:?}");
}

#[tokio::test]
async fn history_can_be_declined_or_stay_silent() {
    let declined = Scene::new(Config {
        history: HistoryPlan {
            declined: true,
            ..HistoryPlan::default()
        },
        ..quick()
    })
    .await;
    assert_eq!(sync(&declined, "history").await.0, 200);
    let (_, value) = declined.changes().await.remove(0);
    assert_eq!(value["history"][0]["errors"][0]["code"], 2_593_109);

    let silent = Scene::new(Config {
        history: HistoryPlan {
            silent: true,
            ..HistoryPlan::default()
        },
        ..quick()
    })
    .await;
    assert_eq!(sync(&silent, "history").await.0, 200);
    assert!(silent.changes().await.is_empty());
}

#[tokio::test]
async fn contacts_are_added_and_removed_without_names() {
    let scene = Scene::new(quick()).await;
    for action in ["add", "remove"] {
        let change = ContactChange {
            action: action.into(),
            phone: ASHA.into(),
            full_name: Some("Asha Rao".into()),
            ..ContactChange::default()
        };
        scene.sim.contact(change).await.unwrap();
    }
    let elements: Vec<_> = scene
        .changes()
        .await
        .into_iter()
        .map(|(_, value)| value["state_sync"][0].clone())
        .collect();
    assert_eq!(
        (&elements[0]["action"], &elements[0]["contact"]["full_name"]),
        (&json!("add"), &json!("Asha Rao"))
    );
    assert_eq!(
        (
            &elements[1]["action"],
            elements[1]["contact"].get("full_name")
        ),
        (&json!("remove"), None)
    );
}

#[tokio::test]
async fn offboarding_suspends_sends_and_removal_ends_coexistence() {
    let scene = Scene::new(Config {
        open_window: true,
        ..quick()
    })
    .await;
    let on_app = async || {
        scene
            .get(&format!("{NUMBER}?fields=is_on_biz_app,platform_type"))
            .await
            .1["is_on_biz_app"]
            .clone()
    };
    let event = |event: &str, time: u64| AccountEvent {
        event: event.into(),
        time: Some(time),
        ..AccountEvent::default()
    };
    assert_eq!(on_app().await, true);
    scene
        .sim
        .account(event("ACCOUNT_OFFBOARDED", 1_768_477_204))
        .await
        .unwrap();
    assert_eq!(
        (on_app().await, scene.send(text_to(ASHA, "?")).await.0),
        (json!(false), 400)
    );
    scene
        .sim
        .account(event("ACCOUNT_RECONNECTED", 1_768_477_203))
        .await
        .unwrap();
    assert_eq!(
        (on_app().await, scene.send(text_to(ASHA, "!")).await.0),
        (json!(true), 200)
    );
    let removed = |shape: &str| AccountEvent {
        event: "PARTNER_REMOVED".into(),
        shape: Some(shape.into()),
        reason: Some("PRIMARY_INACTIVITY".into()),
        initiated_by: Some("SYSTEM".into()),
        ..AccountEvent::default()
    };
    scene.sim.account(removed("waba")).await.unwrap();
    scene.sim.account(removed("phone")).await.unwrap();
    assert_eq!(
        (on_app().await, scene.send(text_to(ASHA, "?")).await.0),
        (json!(false), 403)
    );
    let updates: Vec<_> = scene
        .changes()
        .await
        .into_iter()
        .filter(|(field, _)| field == "account_update")
        .map(|(_, value)| value)
        .collect();
    assert_eq!(updates[0], json!({"event": "ACCOUNT_OFFBOARDED"}));
    assert_eq!(
        updates[2]["disconnection_info"],
        json!({"reason": "PRIMARY_INACTIVITY", "initiated_by": "SYSTEM"})
    );
    assert!(updates[2]["waba_info"].is_object() && updates[3]["phone_number"] == "912255500100");
    let times: Vec<_> = scene
        .arrived()
        .iter()
        .filter_map(|body| body.json()["entry"][0]["time"].as_u64())
        .take(2)
        .collect();
    assert_eq!(times, [1_768_477_204, 1_768_477_203]);
}
