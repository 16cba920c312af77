//! Meta's moods do exactly what they say.

use std::time::Duration;

use duet_sim::{Config, Deed, Trouble};
use serde_json::json;

use crate::scene::{ASHA, NUMBER, PATIENCE, Scene, quick, text_to};

async fn scene() -> Scene {
    Scene::new(Config {
        open_window: true,
        ..quick()
    })
    .await
}

#[tokio::test]
async fn the_next_sends_fail_with_the_code_and_nothing_is_accepted() {
    let scene = scene().await;
    scene.sim.fail_next(131_000, 2);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(scene.send(text_to(ASHA, "Hi")).await.0);
    }
    assert_eq!((seen, scene.sim.sent_total()), (vec![500, 500, 200], 1));
    assert_eq!(scene.sim.requests()[0].code, Some(131_000));
    scene
        .play(
            "mood",
            json!({"troubles": [{"do": "fail", "code": 131_056, "http": 429, "every": 2}]}),
        )
        .await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(scene.send(text_to(ASHA, "Hi")).await.0);
    }
    assert_eq!(seen, [200, 429, 200, 429]);
}

#[tokio::test]
async fn a_lost_answer_was_accepted_and_an_earlier_loss_was_not() {
    let scene = scene().await;
    let request = || {
        scene
            .http
            .post(scene.url(&format!("{NUMBER}/messages")))
            .bearer_auth("sim-token")
            .json(&text_to(ASHA, "Hi"))
            .send()
    };
    scene.sim.trouble(Deed::Lost, 1);
    let error = request().await.unwrap_err();
    assert!(error.is_request() && !error.is_connect(), "{error:?}");
    assert_eq!(scene.sim.sent_total(), 1);
    assert_eq!(
        scene.statuses().await.len(),
        3,
        "its statuses come all the same"
    );

    scene.sim.trouble(Deed::LostBeforeAccept, 1);
    request().await.unwrap_err();
    scene.sim.wait_quiet(PATIENCE).await.unwrap();
    assert_eq!(
        (scene.sim.sent_total(), scene.statuses().await.len()),
        (1, 3)
    );
    let outcomes: Vec<_> = scene
        .sim
        .requests()
        .iter()
        .map(|request| (request.outcome, request.status))
        .collect();
    assert_eq!(outcomes, [("lost", None), ("lost_before_accept", None)]);
    assert_eq!(request().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_hanging_call_never_answers() {
    let scene = scene().await;
    scene.sim.add_trouble(Trouble {
        deed: Deed::HangAfterAccept,
        times: Some(1),
        ..Trouble::default()
    });
    let request = scene
        .http
        .post(scene.url(&format!("{NUMBER}/messages")))
        .bearer_auth("sim-token")
        .json(&text_to(ASHA, "Hi"));
    let error = request
        .timeout(Duration::from_millis(200))
        .send()
        .await
        .unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(scene.sim.wait_sent(1, PATIENCE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn accepted_sends_fail_later_or_report_oddly() {
    let cases = [
        (Deed::FailLater, vec!["failed"]),
        (Deed::NoStatuses, vec![]),
        (Deed::SkipDelivered, vec!["sent", "read"]),
        (Deed::ReadFirst, vec!["sent", "read", "delivered"]),
    ];
    for (deed, expected) in cases {
        let mut config = quick();
        config.statuses.read_ms = Some(150);
        let scene = Scene::new(Config {
            open_window: true,
            ..config
        })
        .await;
        scene.sim.add_trouble(Trouble {
            deed,
            code: 131_049,
            ..Trouble::default()
        });
        assert_eq!(scene.send(text_to(ASHA, "Hi")).await.0, 200);
        let statuses = scene.statuses().await;
        let words: Vec<_> = statuses
            .iter()
            .map(|status| status["status"].as_str().unwrap())
            .collect();
        assert_eq!(words, expected, "{deed:?}");
        if deed == Deed::FailLater {
            assert_eq!(statuses[0]["errors"][0]["code"], 131_049);
        }
    }
}

#[tokio::test]
async fn records_forget_their_oldest_entries_but_go_on_counting() {
    let mut config = quick();
    config.limits.kept_max = 5;
    let scene = Scene::new(Config {
        open_window: true,
        ..config
    })
    .await;
    for n in 0..12 {
        scene.send(text_to(ASHA, &n.to_string())).await;
    }
    let page = scene
        .http
        .get(scene.url("sim/sent?after=3&limit=2"))
        .send()
        .await
        .unwrap()
        .json::<serde_json::Value>()
        .await
        .unwrap();
    let seqs: Vec<_> = page["sent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sent| sent["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(
        (seqs, &page["next"], scene.sim.sent_total()),
        (vec![8, 9], &json!(9), 12)
    );
    scene.sim.reset();
    assert_eq!((scene.sim.sent_total(), scene.sim.sent().len()), (0, 0));
}
