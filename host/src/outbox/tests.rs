//! The sender against a little Meta of its own, over real sockets and a real store.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use duet_rules::provider::Provider;
use duet_rules::sending::Limits;
use duet_rules::webhook::Status;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::{Barrier, Feed, Outbox, Settings};
use crate::config::Secret;
use crate::graph::{Client, Clients, Connections, Outcome, Settings as GraphSettings, Token};
use crate::store::Store;
use crate::store::outbox::fixture::{Seen, text};
use crate::telemetry::Metrics;

/// What Meta does with the next request; afterwards it accepts.
#[derive(Clone, Copy)]
enum Reply {
    Error {
        status: u16,
        code: i64,
    },
    /// A proxy gave up waiting for Meta.
    Html502,
    Hang,
}

#[derive(Clone, Default)]
struct Meta {
    inner: Arc<Mutex<(Vec<Value>, VecDeque<Reply>)>>,
}

impl Meta {
    fn script(&self, replies: &[Reply]) {
        self.inner.lock().unwrap().1.extend(replies);
    }

    fn requests(&self) -> Vec<Value> {
        self.inner.lock().unwrap().0.clone()
    }

    /// Bodies of the texts that a phone was sent, in order.
    fn texts(&self, phone: &str) -> Vec<String> {
        let requests = self.requests();
        let to_phone = requests.iter().filter(|request| request["to"] == phone);
        to_phone
            .map(|request| request["text"]["body"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .route("/v23.0/{number}/messages", post(answer))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}/v23.0")
    }
}

async fn answer(
    State(meta): State<Meta>,
    Path(number): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    assert_eq!(number, "1001");
    let reply = {
        let mut inner = meta.inner.lock().unwrap();
        inner.0.push(body.clone());
        inner.1.pop_front()
    };
    match reply {
        Some(Reply::Error { status, code }) => {
            let error = json!({"error": {"message": "no", "type": "OAuthException", "code": code, "fbtrace_id": "A"}});
            (StatusCode::from_u16(status).unwrap(), Json(error)).into_response()
        }
        Some(Reply::Html502) => {
            (StatusCode::BAD_GATEWAY, "<html>502 Bad Gateway</html>").into_response()
        }
        Some(Reply::Hang) => std::future::pending().await,
        None if body["status"] == "read" => Json(json!({"success": true})).into_response(),
        None => {
            let id = format!(
                "wamid.{}",
                body["biz_opaque_callback_data"].as_str().unwrap()
            );
            Json(json!({
                "messaging_product": "whatsapp", "contacts": [{"input": body["to"], "wa_id": body["to"]}],
                "messages": [{"id": id}]
            }))
            .into_response()
        }
    }
}

fn client(base: &str, timeout: Duration) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connections = Connections::new(GraphSettings {
        connect_timeout: timeout,
        timeout,
    });
    let token = Token::new(&Secret::new("token"), "", 0);
    let connections = connections.unwrap();
    connections.client(Provider::Meta, base, &token).unwrap()
}

/// Lets through as many as it has permits.
struct Gatekeeper {
    permits: Semaphore,
    newest_forbidding: AtomicI64,
}

impl Barrier for Gatekeeper {
    async fn wait_for_intake(&self) {
        self.permits.acquire().await.unwrap().forget();
    }

    fn newest_forbidding(&self) -> i64 {
        self.newest_forbidding.load(Ordering::Relaxed)
    }
}

struct House {
    store: Store,
    meta: Meta,
    barrier: Arc<Gatekeeper>,
    settings: Settings,
    _folder: tempfile::TempDir,
}

/// A sender at work; it stops when this goes.
struct Work {
    feed: Feed,
    metrics: Arc<Metrics>,
    _stop: watch::Sender<bool>,
}

impl Work {
    /// How often a send has ended so.
    fn ended(&self, outcome: &str) -> u64 {
        let line = format!("duet_sends_total{{outcome=\"{outcome}\"}} ");
        let text = self.metrics.text([]);
        let count = text.lines().find_map(|text| text.strip_prefix(&line));
        count.map_or(0, |count| count.parse().unwrap())
    }
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let barrier = Arc::new(Gatekeeper {
            permits: Semaphore::new(1000),
            newest_forbidding: AtomicI64::new(0),
        });
        let settings = Settings {
            retry_first_ms: 2,
            retry_max_ms: 2,
            ..Settings::default()
        };
        House {
            store,
            meta: Meta::default(),
            barrier,
            settings,
            _folder: folder,
        }
    }

    async fn work(&self) -> Work {
        let base = self.meta.serve().await;
        self.work_at(&base)
    }

    fn work_at(&self, base: &str) -> Work {
        let clients = Clients::default();
        clients.put("", client(base, Duration::from_secs(10)));
        let metrics = Arc::new(Metrics::default());
        let outbox = Outbox::new(
            self.store.clone(),
            clients,
            self.barrier.clone(),
            self.settings.clone(),
            metrics.clone(),
        );
        let (stop, stopped) = watch::channel(false);
        let work = Work {
            feed: outbox.feed(),
            metrics,
            _stop: stop,
        };
        tokio::spawn(outbox.run(stopped));
        work
    }

    async fn conversation(&self, peer: i64) -> i64 {
        self.store.plant_conversation(peer).await.unwrap()
    }

    async fn row(&self, conversation: i64, body: &str) -> i64 {
        self.store.plant(conversation, text(body)).await.unwrap()
    }

    async fn until(&self, id: i64, wanted: impl Fn(&Seen) -> bool) -> Seen {
        for _ in 0..2000 {
            let seen = self.store.seen(id).await.unwrap().unwrap();
            if wanted(&seen) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("row {id} stays {:?}", self.store.seen(id).await);
    }

    async fn until_state(&self, id: i64, state: &str) -> Seen {
        self.until(id, |seen| seen.state == state).await
    }

    async fn dead(&self) -> usize {
        self.store
            .column("SELECT cause FROM dead_letters")
            .await
            .unwrap()
            .len()
    }

    /// The status webhook that Meta sends for the request at `at`.
    async fn status(&self, at: usize, status: &str) -> Option<i64> {
        let opaque = self.meta.requests()[at]["biz_opaque_callback_data"]
            .as_str()
            .unwrap()
            .to_owned();
        let status = Status {
            wamid: Some("wamid.late".into()),
            status: status.into(),
            opaque: Some(opaque.clone()),
            error: None,
        };
        self.store
            .plant_status(opaque, status, crate::now_ms())
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_conversation_keeps_its_order_through_retries_and_late_rows() {
    let house = House::new();
    let (one, two) = (house.conversation(1).await, house.conversation(2).await);
    house.meta.script(&[
        Reply::Error {
            status: 500,
            code: 131_000,
        },
        Reply::Error {
            status: 400,
            code: 4,
        },
    ]);
    for body in ["1", "2", "3"] {
        house.row(one, body).await;
        house.row(two, body).await;
    }
    let work = house.work().await;
    let last = [house.row(one, "4").await, house.row(two, "4").await];
    work.feed.wake(last);
    for id in last {
        house.until_state(id, "sent").await;
    }
    for phone in ["16505550001", "16505550002"] {
        let mut texts = house.meta.texts(phone);
        texts.dedup();
        assert_eq!(texts, ["1", "2", "3", "4"]);
    }
    assert_eq!(house.meta.requests().len(), 10);
    assert_eq!((work.ended("sent"), work.ended("retried")), (8, 2));
}

#[tokio::test]
async fn a_lost_answer_holds_its_conversation_until_a_status_settles_it() {
    let house = House::new();
    let conversation = house.conversation(1).await;
    let (first, second) = (
        house.row(conversation, "1").await,
        house.row(conversation, "2").await,
    );
    let elsewhere = house.row(house.conversation(2).await, "x").await;
    house.meta.script(&[Reply::Html502]);
    // One at a time, so that the scripted reply meets the first row.
    let house = House {
        settings: Settings {
            concurrency: 1,
            ..house.settings.clone()
        },
        ..house
    };
    let work = house.work().await;
    house.until_state(first, "unknown").await;
    house.until_state(elsewhere, "sent").await;
    assert_eq!(
        house.store.seen(second).await.unwrap().unwrap().state,
        "pending"
    );
    assert_eq!(house.status(0, "delivered").await, Some(first));
    work.feed.wake([first]);
    house.until_state(second, "sent").await;
    let settled = house.store.seen(first).await.unwrap().unwrap();
    assert_eq!(
        (settled.state.as_str(), settled.wamid.as_deref()),
        ("sent", Some("wamid.late"))
    );
    assert_eq!(house.meta.texts("16505550001"), ["1", "2"]);
    assert_eq!(house.dead().await, 0);
}

#[tokio::test]
async fn a_lost_answer_that_nobody_settles_is_a_dead_letter_and_never_sent_again() {
    let house = House::new();
    let conversation = house.conversation(1).await;
    let (first, second) = (
        house.row(conversation, "1").await,
        house.row(conversation, "2").await,
    );
    house.meta.script(&[Reply::Html502]);
    let house = House {
        settings: Settings {
            hold_ms: 1,
            ..house.settings.clone()
        },
        ..house
    };
    let work = house.work().await;
    house.until_state(second, "sent").await;
    assert_eq!(
        house.store.seen(first).await.unwrap().unwrap().state,
        "dead"
    );
    assert_eq!(house.dead().await, 1);
    assert_eq!(house.meta.texts("16505550001"), ["1", "2"]);
    assert_eq!((work.ended("lost"), work.ended("dead")), (1, 1));
}

#[tokio::test]
async fn the_code_decides_about_a_retry_not_the_http_status() {
    let house = House::new();
    let throttled = house.row(house.conversation(1).await, "1").await;
    house.meta.script(&[Reply::Error {
        status: 400,
        code: 130_429,
    }]);
    let work = house.work().await;
    assert_eq!(house.until_state(throttled, "sent").await.attempt, 2);
    house.meta.script(&[Reply::Error {
        status: 503,
        code: 131_026,
    }]);
    let refused = house.row(house.conversation(2).await, "2").await;
    work.feed.wake([refused]);
    let seen = house.until_state(refused, "failed").await;
    assert_eq!((seen.attempt, seen.code), (1, Some(131_026)));
    assert_eq!(house.meta.requests().len(), 3);
}

#[tokio::test]
async fn a_refused_token_holds_all_of_its_business_until_a_send_is_taken() {
    let house = House::new();
    let work = house.work().await;
    house.meta.script(&[Reply::Error {
        status: 401,
        code: 190,
    }]);
    let (one, other) = (house.conversation(1).await, house.conversation(2).await);
    let first = house.row(one, "1").await;
    work.feed.wake([first]);
    let held = |seen: &Seen| seen.cause.as_deref() == Some("token-refused");
    let seen = house.until(first, held).await;
    assert_eq!((seen.state.as_str(), seen.attempt), ("pending", 0));
    let second = house.row(other, "2").await;
    work.feed.wake([second]);
    house.until(second, held).await;
    assert_eq!(house.meta.requests().len(), 1, "the second one only waits");
    let open = "SELECT name FROM alarms WHERE acknowledged_ms IS NULL";
    assert_eq!(house.store.column(open).await.unwrap(), ["token-refused"]);

    // Time passes: one send tries the token, it is taken, and the other one goes as well.
    let later = "UPDATE refusals SET next_ms = 0; UPDATE outbox SET next_ms = 0 WHERE id = 2";
    house.store.change(later).await.unwrap();
    work.feed.wake([second]);
    house.until_state(second, "sent").await;
    let seen = house.until_state(first, "sent").await;
    assert_eq!((seen.code, seen.cause), (None, None));
    assert_eq!(house.store.column(open).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_row_that_meta_refuses_again_and_again_becomes_a_dead_letter() {
    let house = House::new();
    let row = house.row(house.conversation(1).await, "1").await;
    house.meta.script(
        &[Reply::Error {
            status: 500,
            code: 131_000,
        }; 9],
    );
    let _work = house.work().await;
    let seen = house.until_state(row, "dead").await;
    assert_eq!((seen.attempt, seen.code), (8, Some(131_000)));
    assert_eq!((house.dead().await, house.meta.requests().len()), (1, 8));
}

#[tokio::test]
async fn a_refused_connection_leaves_the_row_pending_and_uncounted() {
    let house = House::new();
    let row = house.row(house.conversation(1).await, "1").await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let work = house.work_at(&format!("http://{closed}/v23.0"));
    let tried = |seen: &Seen| seen.state == "pending" && seen.cause.is_some();
    let seen = house.until(row, tried).await;
    assert_eq!(seen.attempt, 0);
    assert!(seen.cause.unwrap().starts_with("Meta cannot be reached"));
    assert_eq!(work.ended("lost"), 0);
}

#[tokio::test]
async fn a_restart_never_repeats_what_was_on_the_way() {
    let house = House::new();
    let conversation = house.conversation(1).await;
    let (first, second) = (
        house.row(conversation, "1").await,
        house.row(conversation, "2").await,
    );
    house
        .store
        .begin_send(first, Limits::default(), crate::now_ms(), || 0)
        .await
        .unwrap();
    let house = House {
        settings: Settings {
            hold_ms: 1,
            ..house.settings.clone()
        },
        ..house
    };
    let _work = house.work().await;
    house.until_state(second, "sent").await;
    assert_eq!(
        house.store.seen(first).await.unwrap().unwrap().state,
        "dead"
    );
    assert_eq!(house.meta.texts("16505550001"), ["2"]);
}

#[tokio::test]
async fn an_echo_taken_in_while_the_row_waits_at_the_barrier_silences_it() {
    let house = House::new();
    house.barrier.permits.forget_permits(1000);
    let conversation = house.conversation(1).await;
    let row = house.row(conversation, "1").await;
    let mark = json!({"status": "read", "message_id": "wamid.X"});
    let mark = house.store.plant(conversation, mark).await.unwrap();
    let work = house.work().await;
    house
        .store
        .change("UPDATE conversations SET handling = 'person', handling_seq = 11")
        .await
        .unwrap();
    assert_eq!(
        house.store.seen(row).await.unwrap().unwrap().state,
        "pending"
    );
    house.barrier.permits.add_permits(1000);
    house.until_state(row, "cancelled").await;
    house.until_state(mark, "sent").await;
    let requests = house.meta.requests();
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.X"});
    assert_eq!(requests, [read]);
    assert_eq!(work.ended("cancelled"), 1);
}

#[tokio::test]
async fn a_lost_read_mark_is_simply_repeated() {
    let house = House::new();
    house.meta.script(&[Reply::Html502]);
    let mark = json!({"status": "read", "message_id": "wamid.X"});
    let mark = house
        .store
        .plant(house.conversation(1).await, mark)
        .await
        .unwrap();
    let _work = house.work().await;
    assert_eq!(house.until_state(mark, "sent").await.attempt, 2);
}

#[tokio::test]
async fn an_answer_that_never_comes_is_lost_and_no_connection_is_not_sent() {
    let meta = Meta::default();
    meta.script(&[Reply::Hang]);
    let base = meta.serve().await;
    let body = json!({"to": "1", "biz_opaque_callback_data": "x"});
    let hung = client(&base, Duration::from_millis(300))
        .send("1001", &body)
        .await;
    assert!(matches!(hung, Outcome::Lost { .. }), "{hung:?}");
    assert_eq!(meta.requests().len(), 1, "it had left");
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let unsent = client(&format!("http://{closed}"), Duration::from_secs(5))
        .send("1001", &body)
        .await;
    assert!(matches!(unsent, Outcome::NotSent { .. }), "{unsent:?}");
}

/// It was acknowledged while the row was on its way to the gate, so no wait before could know of it.
#[tokio::test]
async fn an_echo_that_meta_was_told_we_have_is_heard_before_anything_leaves() {
    let house = House::new();
    let row = house.row(house.conversation(1).await, "1").await;
    house.barrier.newest_forbidding.store(7, Ordering::Relaxed);
    let _work = house.work().await;
    for _ in 0..2000 {
        if house.barrier.permits.available_permits() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(house.barrier.permits.available_permits(), 0);
    assert_eq!(
        house.store.seen(row).await.unwrap().unwrap().state,
        "pending"
    );
    house
        .store
        .change(
            "UPDATE intake SET receipt = 7 WHERE part = 'live';
             UPDATE conversations SET handling = 'person', handling_seq = 11",
        )
        .await
        .unwrap();
    house.barrier.permits.add_permits(10);
    house.until_state(row, "cancelled").await;
    assert!(house.meta.requests().is_empty());
}
