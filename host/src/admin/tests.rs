//! The admin API over its real listener. Rows are put into the database by hand, so that only reading is tested.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may stop at the first surprise"
)]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use reqwest::Method;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::config::Secret;
use crate::effect::Handling;

const ROOT: &str = "root-token";

/// Writes down what it is asked to do.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn note<T: Send + 'static>(&self, what: String, answer: T) -> Operation<'_, T> {
        self.0.lock().unwrap().push(what);
        Box::pin(async { Ok(answer) })
    }
}

impl Operations for Notes {
    fn plugins(&self) -> Operation<'_, Vec<PluginReport>> {
        self.note("plugins".into(), Vec::new())
    }

    fn reload(&self) -> Operation<'_, Vec<PluginReport>> {
        self.note("reload".into(), Vec::new())
    }

    fn redrive(&self, dead_letter: i64) -> Operation<'_, ()> {
        self.note(format!("redrive {dead_letter}"), ())
    }

    fn set_handling(&self, id: i64, handling: Handling, seconds: Option<u64>) -> Operation<'_, ()> {
        self.note(format!("{id} to {handling:?} for {seconds:?}"), ())
    }

    fn send_as_person(&self, id: i64, message: Value) -> Operation<'_, i64> {
        self.note(format!("send {message} to {id}"), 9)
    }

    fn export(&self, contact: i64) -> Operation<'_, Value> {
        self.note(format!("export {contact}"), json!({}))
    }

    fn erase(&self, contact: i64) -> Operation<'_, Value> {
        self.note(format!("erase {contact}"), json!({}))
    }
}

struct Fixture {
    folder: TempDir,
    base: String,
    client: reqwest::Client,
    notes: Arc<Notes>,
    receipts: ReceiptLog,
}

impl Fixture {
    async fn start() -> Fixture {
        // The second test of the process finds the provider installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let receipts = ReceiptLog::open(folder.path(), 16, 1 << 20).unwrap();
        let notes = Arc::new(Notes::default());
        let admin = Admin {
            store,
            receipts: receipts.clone(),
            operations: notes.clone(),
            metrics: Arc::default(),
            root: RootToken::new(&Secret::new(ROOT)).unwrap(),
            ready: Box::new(|| Err("the disk is full".into())),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, router(admin), std::future::pending()));
        Fixture {
            folder,
            base,
            client: reqwest::Client::new(),
            notes,
            receipts,
        }
    }

    /// The database, to put rows into.
    fn database(&self) -> Connection {
        let connection = Connection::open(self.folder.path().join("duet.db")).unwrap();
        connection
            .busy_timeout(std::time::Duration::from_secs(10))
            .unwrap();
        connection
    }

    async fn call(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self
            .call(
                Some(ROOT),
                Method::GET,
                &format!("/api/v1{path}"),
                Value::Null,
            )
            .await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn token(&self, scopes: &[&str]) -> String {
        let body = json!({"name": "test", "scopes": scopes});
        let (status, made) = self
            .call(Some(ROOT), Method::POST, "/api/v1/tokens", body)
            .await;
        assert_eq!(status, 201, "{made}");
        made["token"].as_str().unwrap().to_owned()
    }

    /// Every route of the description: method, path, the scope that it names.
    async fn routes(&self) -> Vec<(Method, String, Option<String>)> {
        let description = self.get("/openapi.json").await;
        let mut routes = Vec::new();
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else {
                    continue;
                };
                let scope = operation["security"][0]["token"][0]
                    .as_str()
                    .map(str::to_owned);
                routes.push((method, path.replace("{id}", "1"), scope));
            }
        }
        routes
    }
}

fn event(database: &Connection, seq: i64, kind: &str, conversation: Option<i64>) {
    database
        .execute(
            "INSERT INTO events (seq, id, kind, contact, conversation, at_ms, received_ms, receipt, history, body)
             VALUES (?1, x'00ff', ?2, ?3, ?3, 0, 1700000000123, 1, 0, '{\"n\":1.0e2}')",
            params![seq, kind, conversation],
        )
        .unwrap();
}

fn conversation(database: &Connection) {
    database
        .execute_batch(
            "INSERT INTO contacts (id, wa_id, name) VALUES (1, '919800000001', 'Asha');
             INSERT INTO conversations (id, number, contact, handling, handling_until_ms)
             VALUES (1, '555', 1, 'person', 1000);",
        )
        .unwrap();
}

/// The list as `GET <path>` gives it page after page, until `next` repeats `after`.
async fn all_pages(fixture: &Fixture, path: &str, list: &str) -> Vec<Value> {
    let (mut after, mut found) = (String::new(), Vec::new());
    for _ in 0..20 {
        let query = if after.is_empty() {
            path.to_owned()
        } else {
            format!("{path}&after={after}")
        };
        let page = fixture.get(&query).await;
        found.extend(page[list].as_array().unwrap().iter().cloned());
        let next = match &page["next"] {
            Value::String(next) => next.clone(),
            next => next.to_string(),
        };
        if next == after {
            return found;
        }
        after = next;
    }
    panic!("{path} has no end");
}

#[tokio::test]
async fn the_description_lists_every_route_and_each_asks_for_its_scope() {
    let fixture = Fixture::start().await;
    let routes = fixture.routes().await;
    let listed: Vec<_> = routes
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    for route in [
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /api/v1/openapi.json",
        "GET /api/v1/events",
        "GET /api/v1/plugins",
        "GET /api/v1/numbers",
        "GET /api/v1/conversations",
        "GET /api/v1/conversations/1",
        "GET /api/v1/conversations/1/messages",
        "POST /api/v1/conversations/1/messages",
        "POST /api/v1/conversations/1/handling",
        "GET /api/v1/outbox",
        "GET /api/v1/dead-letters",
        "POST /api/v1/dead-letters/1/redrive",
        "POST /api/v1/dead-letters/redrive",
        "POST /api/v1/plugins/reload",
        "GET /api/v1/receipts",
        "GET /api/v1/receipts/1",
        "GET /api/v1/contacts",
        "GET /api/v1/contacts/1/export",
        "DELETE /api/v1/contacts/1",
        "GET /api/v1/tokens",
        "POST /api/v1/tokens",
        "DELETE /api/v1/tokens/1",
    ] {
        assert!(
            listed.iter().any(|found| found == route),
            "{route} is not described"
        );
    }
    assert_eq!(listed.len(), 25, "{listed:?}");

    let scopes = Scope::ALL.map(Scope::as_str);
    for (method, path, scope) in routes {
        let Some(scope) = scope else {
            assert!(!path.starts_with("/api/"), "{path} asks for no token");
            continue;
        };
        for wrong in [None, Some("wrong"), Some("duet_wrong")] {
            let (status, _) = fixture
                .call(wrong, method.clone(), &path, Value::Null)
                .await;
            assert_eq!(status, 401, "{method} {path} with {wrong:?}");
        }
        let others: Vec<_> = scopes.into_iter().filter(|other| *other != scope).collect();
        let token = fixture.token(&others).await;
        let (status, body) = fixture
            .call(Some(&token), method.clone(), &path, Value::Null)
            .await;
        assert_eq!(status, 403, "{method} {path} without {scope}");
        assert!(
            body["error"]["message"].as_str().unwrap().ends_with(&scope),
            "{body}"
        );
    }
    assert!(
        !fixture
            .notes
            .0
            .lock()
            .unwrap()
            .iter()
            .any(|note| note.starts_with("erase"))
    );
}

#[tokio::test]
async fn a_revoked_or_expired_token_opens_nothing() {
    let fixture = Fixture::start().await;
    let token = fixture.token(&["read"]).await;
    let events = "/api/v1/events";
    assert_eq!(
        fixture
            .call(Some(&token), Method::GET, events, Value::Null)
            .await
            .0,
        200
    );
    fixture
        .database()
        .execute("UPDATE tokens SET expires_ms = 1", [])
        .unwrap();
    assert_eq!(
        fixture
            .call(Some(&token), Method::GET, events, Value::Null)
            .await
            .0,
        401
    );
    let token = fixture.token(&["read"]).await;
    let revoked = fixture
        .call(Some(ROOT), Method::DELETE, "/api/v1/tokens/2", Value::Null)
        .await;
    assert_eq!(revoked.0, 204);
    assert_eq!(
        fixture
            .call(Some(&token), Method::GET, events, Value::Null)
            .await
            .0,
        401
    );
    let file = std::fs::read(fixture.folder.path().join("duet.db-wal")).unwrap();
    assert!(
        !file
            .windows(token.len())
            .any(|bytes| bytes == token.as_bytes()),
        "the token's text is kept"
    );
}

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
async fn odd_input_is_refused_by_name() {
    let fixture = Fixture::start().await;
    conversation(&fixture.database());
    for (path, named) in [
        ("/events?after=-1", "after"),
        ("/events?after=9223372036854775808", "after"),
        ("/events?limit=0", "limit"),
        ("/events?limit=x", "limit"),
        ("/receipts?state=lost", "state"),
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
    assert_eq!(
        post("/api/v1/dead-letters/2/redrive", Value::Null).await.0,
        409
    );
    let redriven = post("/api/v1/dead-letters/redrive", json!({"plugin": "crm"})).await;
    assert_eq!(redriven, (200, json!({"redriven": 1, "left": 1})));
    let notes = fixture.notes.0.lock().unwrap().clone();
    assert_eq!(
        notes,
        [
            "1 to Person for Some(60)",
            "send {\"type\":\"text\"} to 1",
            "redrive 1"
        ]
    );
}

#[tokio::test]
async fn receipts_show_how_far_they_have_come() {
    let fixture = Fixture::start().await;
    for body in [&b"{}"[..], b"\xff\x00not json", b"{\"later\":1}"] {
        fixture
            .receipts
            .append(Bytes::from_static(body), 5, false)
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
