//! Pages and filters.

use super::*;
use duet_rules::webhook::Mentions;

#[tokio::test]
async fn events_are_paged_past_gaps_and_filtered() {
    let fixture = Fixture::start().await;
    let database = fixture.database();
    conversation(&database);
    for (seq, kind) in [
        (5, "message.text"),
        (6, "status.read"),
        (900_000, "message.image"),
        (900_001, "echo.text"),
    ] {
        event(&database, seq, kind, (seq == 6).then_some(1));
    }
    let seqs = |events: &[Value]| {
        events
            .iter()
            .map(|event| event["seq"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let all = all_pages(&fixture, "/events?limit=2", "events").await;
    assert_eq!(seqs(&all), [5, 6, 900_000, 900_001]);
    assert_eq!(
        seqs(&all_pages(&fixture, "/events?limit=1&kind=message.*", "events").await),
        [5, 900_000]
    );
    assert_eq!(
        seqs(&all_pages(&fixture, "/events?kind=echo.text", "events").await),
        [900_001]
    );
    assert_eq!(
        seqs(&all_pages(&fixture, "/events?conversation=1", "events").await),
        [6]
    );
    assert_eq!(all[0]["received_at"], "2023-11-14T22:13:20.123Z");
    assert_eq!(
        (&all[0]["id"], &all[0]["body"]),
        (&json!("00ff"), &json!({"n": 1.0e2}))
    );
    let end = fixture.get("/events?after=900001").await;
    assert_eq!(end, json!({"events": [], "next": 900_001}));
}

#[tokio::test]
async fn messages_are_paged_by_time_and_then_by_row() {
    let fixture = Fixture::start().await;
    let database = fixture.database();
    conversation(&database);
    for (row, at_ms) in [(1, 300), (2, 100), (3, 100), (4, 200)] {
        database
            .execute(
                "INSERT INTO messages (id, conversation, direction, origin, type, text, at_ms)
                 VALUES (?1, 1, 'in', 'live', 'text', 'secret words', ?2)",
                [row, at_ms],
            )
            .unwrap();
    }
    let path = "/conversations/1/messages?limit=1";
    let found = all_pages(&fixture, path, "messages").await;
    let ids: Vec<_> = found
        .iter()
        .map(|message| message["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["m2", "m3", "m4", "m1"]);

    let token = fixture.token(&["read"]).await;
    let (_, redacted) = fixture
        .call(
            Some(&token),
            Method::GET,
            &format!("/api/v1{path}"),
            Value::Null,
        )
        .await;
    assert_eq!(redacted["messages"][0]["redacted"], true);
    assert!(!redacted.to_string().contains("secret words"), "{redacted}");

    let conversation = fixture.get("/conversations/1").await;
    assert_eq!(
        conversation["handling"], "automation",
        "the person's time is over: {conversation}"
    );
    assert_eq!(conversation["contact"]["name"], "Asha");
}

#[tokio::test]
async fn receipts_show_how_far_they_have_come() {
    let fixture = Fixture::start().await;
    for body in [&b"{}"[..], b"\xff\x00not json", b"{\"later\":1}"] {
        fixture
            .receipts
            .append(Bytes::from_static(body), 5, Mentions::default())
            .await
            .unwrap();
    }
    fixture
        .database()
        .execute_batch(
            "UPDATE intake SET receipt = 2 WHERE part = 'live';
             INSERT INTO unreadable VALUES (2, 5, 'no JSON');",
        )
        .unwrap();
    let states = |receipts: &[Value]| {
        receipts
            .iter()
            .map(|receipt| receipt["state"].clone())
            .collect::<Vec<_>>()
    };
    let all = all_pages(&fixture, "/receipts?limit=2", "receipts").await;
    assert_eq!(states(&all), ["done", "unreadable", "waiting"]);
    for state in ["done", "unreadable", "waiting"] {
        let some = all_pages(
            &fixture,
            &format!("/receipts?limit=1&state={state}"),
            "receipts",
        )
        .await;
        assert_eq!(states(&some), [state]);
    }
    let request = fixture
        .client
        .get(format!("{}/api/v1/receipts/2", fixture.base))
        .bearer_auth(ROOT);
    assert_eq!(
        request.send().await.unwrap().bytes().await.unwrap(),
        &b"\xff\x00not json"[..]
    );

    let (status, why) = fixture
        .call(None, Method::GET, "/readyz", Value::Null)
        .await;
    assert_eq!((status, why), (503, json!("the disk is full\n")));
    let (_, metrics) = fixture
        .call(None, Method::GET, "/metrics", Value::Null)
        .await;
    assert!(
        metrics
            .as_str()
            .unwrap()
            .contains("duet_intake_lag_receipts 1\n"),
        "{metrics}"
    );
}
