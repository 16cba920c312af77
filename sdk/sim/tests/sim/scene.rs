//! A sim and a webhook listener that know each other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use duet_sim::{Config, DeliveryRules, Sim, StatusDelays};
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) const NUMBER: &str = "106540352242922";
pub(crate) const WABA: &str = "102290129340398";
pub(crate) const ASHA: &str = "919800000001";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One body as it arrived.
#[derive(Clone)]
pub(crate) struct Arrived {
    pub(crate) signature: Option<String>,
    pub(crate) bytes: Bytes,
}

impl Arrived {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// `(field, value)` of every change.
    pub(crate) fn changes(&self) -> Vec<(String, Value)> {
        let body = self.json();
        let entries = body["entry"].as_array().unwrap().clone();
        let changes = entries
            .iter()
            .flat_map(|entry| entry["changes"].as_array().unwrap().clone());
        changes
            .map(|change| {
                (
                    change["field"].as_str().unwrap().to_owned(),
                    change["value"].clone(),
                )
            })
            .collect()
    }
}

#[derive(Default)]
struct Listener {
    arrived: Mutex<Vec<Arrived>>,
    answers: Mutex<VecDeque<u16>>,
    count: watch::Sender<usize>,
}

pub(crate) struct Scene {
    pub(crate) sim: Sim,
    pub(crate) http: reqwest::Client,
    pub(crate) webhook: String,
    listener: Arc<Listener>,
}

/// Quick statuses and retries, so that no test waits for show.
pub(crate) fn quick() -> Config {
    Config {
        statuses: StatusDelays {
            sent_ms: Some(0),
            delivered_ms: Some(0),
            read_ms: Some(0),
        },
        delivery: DeliveryRules {
            retry_first_ms: 5,
            retry_max_ms: 20,
            ..DeliveryRules::default()
        },
        ..Config::default()
    }
}

impl Scene {
    pub(crate) async fn new(config: Config) -> Self {
        let listener = Arc::new(Listener::default());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let webhook = format!("http://{}/webhook", socket.local_addr().unwrap());
        let router = Router::new()
            .route("/webhook", get(handshake).post(arrive))
            // Meta's bodies have up to 3 MB.
            .layer(axum::extract::DefaultBodyLimit::max(4_000_000))
            .with_state(Arc::clone(&listener));
        tokio::spawn(async move { axum::serve(socket, router).await });
        let sim = Sim::start(Config {
            webhook: Some(webhook.clone()),
            ..config
        })
        .await
        .unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            sim,
            http,
            webhook,
            listener,
        }
    }

    /// The listener's next answers; 200 after them.
    pub(crate) fn answers(&self, statuses: &[u16]) {
        self.listener.answers.lock().unwrap().extend(statuses);
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.listener.arrived.lock().unwrap().clone()
    }

    /// Waits for `count` bodies.
    pub(crate) async fn wait_arrived(&self, count: usize) -> Vec<Arrived> {
        let mut seen = self.listener.count.subscribe();
        tokio::time::timeout(PATIENCE, seen.wait_for(|seen| *seen >= count))
            .await
            .expect("webhooks arrive in time")
            .unwrap();
        self.arrived()
    }

    /// All changes of all bodies, once nothing is on its way any more.
    pub(crate) async fn changes(&self) -> Vec<(String, Value)> {
        self.sim.wait_quiet(PATIENCE).await.unwrap();
        self.arrived().iter().flat_map(Arrived::changes).collect()
    }

    pub(crate) async fn statuses(&self) -> Vec<Value> {
        let changes = self.changes().await;
        changes
            .iter()
            .flat_map(|(_, value)| value["statuses"].as_array().cloned().unwrap_or_default())
            .collect()
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.graph(self.http.get(self.url(path))).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.graph(self.http.delete(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.graph(self.http.post(self.url(path)).json(&body)).await
    }

    pub(crate) async fn send(&self, body: Value) -> (u16, Value) {
        self.post(&format!("v23.0/{NUMBER}/messages"), body).await
    }

    pub(crate) async fn play(&self, verb: &str, body: Value) -> Value {
        let answer = self
            .http
            .post(format!("{}/sim/{verb}", self.sim.url()))
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let said = answer.json().await.unwrap();
        assert!(status.is_success(), "{verb}: {said}");
        said
    }

    pub(crate) async fn upload(&self, mime_type: &str, bytes: &'static [u8]) -> (u16, Value) {
        let file = reqwest::multipart::Part::bytes(bytes)
            .file_name("file")
            .mime_str(mime_type)
            .unwrap();
        let form = reqwest::multipart::Form::new()
            .text("messaging_product", "whatsapp")
            .text("type", mime_type.to_owned())
            .part("file", file);
        self.graph(
            self.http
                .post(self.url(&format!("v23.0/{NUMBER}/media")))
                .multipart(form),
        )
        .await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.sim.url())
    }

    async fn graph(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.bearer_auth("sim-token").send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

pub(crate) fn text_to(to: &str, text: &str) -> Value {
    json!({"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": text}})
}

async fn handshake(RawQuery(query): RawQuery) -> String {
    let query = query.unwrap_or_default();
    assert!(
        query.contains("hub.mode=subscribe") && query.contains("hub.verify_token=let%20me%20in"),
        "{query}"
    );
    query
        .split('&')
        .find_map(|part| part.strip_prefix("hub.challenge="))
        .unwrap_or_default()
        .to_owned()
}

async fn arrive(
    State(listener): State<Arc<Listener>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> StatusCode {
    let signature = headers
        .get("x-hub-signature-256")
        .map(|value| value.to_str().unwrap().to_owned());
    listener
        .arrived
        .lock()
        .unwrap()
        .push(Arrived { signature, bytes });
    listener.count.send_modify(|count| *count += 1);
    let status = listener.answers.lock().unwrap().pop_front().unwrap_or(200);
    StatusCode::from_u16(status).unwrap()
}
