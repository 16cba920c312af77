//! What is asked of the gateway, and what is refused.

use super::*;

#[tokio::test]
async fn an_unknown_parameter_is_refused_by_every_list_with_the_known_ones() {
    let fixture = Fixture::start().await;
    conversation(&fixture.database());
    let description = fixture.get("/openapi.json").await;
    let mut lists = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        let Some(parameters) = item["get"]["parameters"].as_array() else {
            continue;
        };
        let known = parameters.iter().filter(|known| known["in"] == "query");
        let known: Vec<_> = known.map(|known| known["name"].as_str().unwrap()).collect();
        if known.is_empty() {
            continue;
        }
        lists += 1;
        let path = format!("{}?handlng=person", path.replace("{id}", "1"));
        let (status, body) = fixture
            .call(Some(ROOT), Method::GET, &path, Value::Null)
            .await;
        assert_eq!(status, 400, "{path}: {body}");
        let message = body["error"]["message"].as_str().unwrap();
        for name in known.into_iter().chain(["handlng"]) {
            assert!(message.contains(&format!("`{name}`")), "{path}: {message}");
        }
    }
    assert_eq!(lists, 17);
    let redrive = &description["paths"]["/api/v1/dead-letters/redrive"]["post"];
    assert_ne!(redrive["requestBody"]["required"], json!(true));
}

#[tokio::test]
async fn odd_input_is_refused_by_name() {
    let fixture = Fixture::start().await;
    conversation(&fixture.database());
    for (path, named) in [
        ("/events?after=-1", "after"),
        ("/events?after=9223372036854775808", "after"),
        ("/events?limit=0", "limit"),
        ("/events?limit=x", "limit"),
        ("/receipts?state=lost", "state"),
        ("/outbox?state=lost", "state"),
        ("/conversations?handling=nobody", "handling"),
        ("/conversations/1/messages?after=..", "after"),
        ("/conversations/99999999999999999999", "id"),
        ("/conversations/%ff%fe", "id"),
    ] {
        let (status, body) = fixture
            .call(
                Some(ROOT),
                Method::GET,
                &format!("/api/v1{path}"),
                Value::Null,
            )
            .await;
        assert_eq!(status, 400, "{path}: {body}");
        assert!(
            body["error"]["message"].as_str().unwrap().contains(named),
            "{path}: {body}"
        );
    }
    for (path, body, status) in [
        (
            "/conversations/1/handling",
            json!({"handling": "person", "seconds": 0}),
            400,
        ),
        (
            "/conversations/1/handling",
            json!({"handling": "automation", "seconds": 5}),
            400,
        ),
        (
            "/conversations/2/handling",
            json!({"handling": "person"}),
            404,
        ),
        (
            "/conversations/1/messages",
            json!({"type": "text", "to": "1"}),
            400,
        ),
        ("/conversations/1/messages", json!(["text"]), 400),
        ("/tokens", json!({"name": "x", "scopes": []}), 400),
        ("/tokens", json!({"name": "x", "scopes": ["root"]}), 400),
        ("/nothing", Value::Null, 404),
        ("/events", Value::Null, 405),
        ("/tokens", json!({"name": "x".repeat(2 << 20)}), 413),
    ] {
        let found = fixture
            .call(
                Some(ROOT),
                Method::POST,
                &format!("/api/v1{path}"),
                body.clone(),
            )
            .await;
        assert_eq!(found.0, status, "{path}: {}", found.1);
        assert!(found.1["error"]["code"].is_string(), "{path}: {}", found.1);
    }
    assert!(fixture.notes.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn operations_get_what_the_admin_asked_for() {
    let fixture = Fixture::start().await;
    let database = fixture.database();
    conversation(&database);
    database
        .execute_batch(
            "INSERT INTO dead_letters (id, instance, seq, outbox, cause, attempts, at_ms) VALUES
             (1, 'crm', 1, NULL, 'trap', 3, 0), (2, 'crm', 2, 7, 'unknown', 1, 0), (3, 'faq', 3, NULL, 'trap', 3, 0)",
        )
        .unwrap();
    let post = |path: &'static str, body: Value| fixture.call(Some(ROOT), Method::POST, path, body);
    let handed = post(
        "/api/v1/conversations/1/handling",
        json!({"handling": "person", "seconds": 60}),
    )
    .await;
    assert_eq!(handed.0, 200);
    let sent = post("/api/v1/conversations/1/messages", json!({"type": "text"})).await;
    assert_eq!(sent, (202, json!({"outbox": 9})));
    for path in [
        "/api/v1/dead-letters/2/redrive",
        "/api/v1/dead-letters/2/redrive?even_if_sent=true",
    ] {
        assert_eq!(post(path, Value::Null).await.0, 200);
    }
    let redriven = post("/api/v1/dead-letters/redrive", json!({"plugin": "crm"})).await;
    assert_eq!(redriven, (200, json!({"redriven": 1, "left": 1})));
    let notes = fixture.notes.0.lock().unwrap().clone();
    assert_eq!(
        notes,
        [
            "1 to Person for Some(60)",
            "send {\"type\":\"text\"} to 1",
            "send 2 again, false",
            "send 2 again, true",
            "redrive 1"
        ]
    );
}
