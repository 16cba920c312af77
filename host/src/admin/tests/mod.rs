//! The admin API over its real listener. Rows are put into the database by hand, so that only reading is tested.

mod access;
mod lists;
mod requests;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use duet_rules::annotations::Annotation;
use duet_rules::coexistence::Kind;
use duet_rules::ledger::Compared;
use duet_rules::signup::HandIn;
use reqwest::Method;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::config::Secret;
use crate::dispatch::{Promoted, Replay, RolledBack};
use crate::doctor::Examined;
use crate::effect::Handling;
use crate::keyring::Access;
use crate::media;
use crate::plugin::Component;
use crate::store::runs::Which;
use crate::store::versions::Version;
use crate::store::wall::Wall;

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

    fn plugin_log(&self, name: String, after: i64, limit: usize) -> Operation<'_, PluginLog> {
        self.note(
            format!("log of {name} after {after}, {limit}"),
            PluginLog::default(),
        )
    }

    fn replay(
        &self,
        name: String,
        which: Which,
        component: Option<Component>,
    ) -> Operation<'_, Replay> {
        let replay = Replay {
            version: "1.0.0".into(),
            digest: "d".into(),
            runs: Vec::new(),
        };
        let given = component.is_some();
        self.note(format!("replay {which:?} of {name}, {given}"), replay)
    }

    fn reload(&self) -> Operation<'_, Vec<PluginReport>> {
        self.note("reload".into(), Vec::new())
    }

    fn promote(&self, name: String) -> Operation<'_, (Promoted, Option<PluginReport>)> {
        let promoted = Promoted {
            version: "1.0.0".into(),
            digest: "d".into(),
            file: "x.wasm".into(),
            others: Vec::new(),
        };
        self.note(format!("promote {name}"), (promoted, None))
    }

    fn roll_back(&self, name: String) -> Operation<'_, (RolledBack, Option<PluginReport>)> {
        let back = RolledBack {
            version: Version {
                digest: "d".into(),
                version: "1.0.0".into(),
                live_ms: 0,
            },
            file: Some("x.wasm".into()),
            others: Vec::new(),
            withdrawn: None,
        };
        self.note(format!("roll {name} back"), (back, None))
    }

    fn redrive(&self, dead_letter: i64) -> Operation<'_, ()> {
        self.note(format!("redrive {dead_letter}"), ())
    }

    fn redrive_send(&self, dead_letter: i64, even_if_sent: bool) -> Operation<'_, ()> {
        self.note(format!("send {dead_letter} again, {even_if_sent}"), ())
    }

    fn set_handling(&self, id: i64, handling: Handling, seconds: Option<u64>) -> Operation<'_, ()> {
        self.note(format!("{id} to {handling:?} for {seconds:?}"), ())
    }

    fn annotate(&self, id: i64, annotation: Annotation) -> Operation<'_, ()> {
        self.note(format!("{annotation:?} on {id}"), ())
    }

    fn send_as_person(&self, id: i64, message: Value) -> Operation<'_, i64> {
        self.note(format!("send {message} to {id}"), 9)
    }

    fn message_history(&self, number: String) -> Operation<'_, Compared> {
        let silent = Compared::NotOffered("a test".into());
        self.note(format!("record of {number}"), silent)
    }

    fn examine(&self, wall: Wall) -> Operation<'_, Vec<Examined>> {
        self.note(format!("examine {wall:?}"), Vec::new())
    }

    fn connect(&self, wish: ConnectWish) -> Operation<'_, ConnectReport> {
        let report = ConnectReport {
            findings: Vec::new(),
            begun: false,
        };
        self.note(format!("connect {wish:?}"), report)
    }

    fn ask_syncs(
        &self,
        number: String,
        kinds: Vec<Kind>,
        again: bool,
    ) -> Operation<'_, Vec<SyncReport>> {
        self.note(
            format!("ask for {kinds:?} of {number}, {again}"),
            Vec::new(),
        )
    }

    fn signup_obstacle(&self, business: String) -> Operation<'_, Option<String>> {
        self.note(format!("obstacle of {business}"), None)
    }

    fn sign_up(&self, business: String, hand_in: HandIn) -> Operation<'_, SignedUp> {
        let signed_up = SignedUp {
            waba: hand_in.waba.unwrap_or_default(),
            note: None,
        };
        self.note(
            format!("sign up {} for {business}", hand_in.code),
            signed_up,
        )
    }

    fn export(&self, contact: i64) -> Operation<'_, Value> {
        self.note(format!("export {contact}"), json!({}))
    }

    fn set_access(&self, business: String, access: Access) -> Operation<'_, ()> {
        self.note(format!("access of {business}: {access:?}"), ())
    }

    fn renew_webhook(
        &self,
        business: String,
        address: Option<String>,
    ) -> Operation<'_, PartnerWebhook> {
        let made = PartnerWebhook {
            url: "/webhook".into(),
            header: "Authorization",
            value: Secret::new("Bearer s"),
            numbers: Vec::new(),
            remaining: Vec::new(),
        };
        self.note(format!("webhook of {business} at {address:?}"), made)
    }

    fn remove_business(&self, business: String) -> Operation<'_, ()> {
        self.note(format!("remove {business}"), ())
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
        let files = media::Settings {
            file_bytes_max: 1 << 20,
            total_bytes_max: 1 << 20,
            fetches_max: 1,
        };
        let admin = Admin {
            deposits: Deposits::new(store.clone(), files),
            store,
            receipts: receipts.clone(),
            operations: notes.clone(),
            metrics: Arc::default(),
            person_hours: 12,
            signup: None,
            links: SignupLinks::default(),
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
                routes.push((
                    method,
                    path.replace("{id}", "1")
                        .replace("{name}", "p1")
                        .replace("{message}", "m1")
                        .replace("{label}", "l1")
                        .replace("{account}", "w1"),
                    scope,
                ));
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
