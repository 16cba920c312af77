//! Meta, the customers and the phone: the sim in this process, and the log of what goes to and fro.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use duet::graph::Near;
use duet::receive::Receive;
use duet_sim::{Config, Inbox, Sim};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::books::Books;
use crate::log::{Call, Post, Shared, lock};

/// Meta waits no longer for the gateway's answer, and the gateway no longer for Meta's.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Who takes webhooks now; nobody while the gateway is down.
pub(crate) type Door = Arc<Mutex<Option<Arc<Receive>>>>;

#[derive(Clone)]
pub(crate) struct Meta {
    pub(crate) sim: Arc<Sim>,
    pub(crate) door: Door,
    log: Shared,
    books: Arc<Books>,
}

impl Meta {
    pub(crate) fn new(config: Config, books: Arc<Books>, log: &Shared) -> Meta {
        let door = Door::default();
        let sim = Sim::near(config, inbox(&door, log));
        Meta {
            sim: Arc::new(sim),
            door,
            log: log.clone(),
            books,
        }
    }

    /// Somebody does something.
    pub(crate) async fn play(&self, path: &str, body: &Value) -> Value {
        let request = Request::post(format!("http://sim/sim/{path}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap_or_default();
        let answer = self.sim.call(request).await.unwrap_or_default();
        if !answer.status().is_success() {
            let words = String::from_utf8_lossy(answer.body()).into_owned();
            panic!("{path} {body}: {words}");
        }
        serde_json::from_slice(answer.body()).unwrap_or_default()
    }

    /// What the gateway's Graph client calls.
    pub(crate) fn near(&self) -> Near {
        let meta = self.clone();
        Arc::new(move |request| {
            let meta = meta.clone();
            async move { meta.answer(&request).await }.boxed()
        })
    }

    async fn answer(&self, request: &reqwest::Request) -> Option<hyper::Response<Bytes>> {
        let at_ms = duet::now_ms();
        let bytes = request.body().and_then(reqwest::Body::as_bytes);
        let bytes = Bytes::copy_from_slice(bytes.unwrap_or_default());
        let mut asked = Request::builder()
            .method(request.method().clone())
            .uri(request.url().as_str());
        for (name, value) in request.headers() {
            asked = asked.header(name, value);
        }
        asked = asked.header("authorization", "Bearer sim-token");
        let asked = asked.body(Body::from(bytes.clone())).unwrap_or_default();
        let slot = self.note(request, &bytes, at_ms);
        let answer = tokio::time::timeout(ANSWER_MAX, self.sim.call(asked)).await;
        let answer = answer.ok().flatten();
        self.note_answer(slot, answer.as_ref());
        answer
    }

    /// Writes a send down; the answer is its place.
    fn note(&self, request: &reqwest::Request, bytes: &Bytes, at_ms: i64) -> Option<usize> {
        let path = request.url().path();
        if path.ends_with("/message_templates") {
            lock(&self.log).listed_ms.push(at_ms);
        }
        let number = path.strip_suffix("/messages")?.rsplit('/').next()?;
        let body: Value = serde_json::from_slice(bytes).ok()?;
        let mark = body.get("biz_opaque_callback_data")?.as_str()?;
        let row: i64 = mark.rsplit(':').next()?.parse().ok()?;
        let gate_ms = self.gate_ms(row).unwrap_or(0);
        let mut log = lock(&self.log);
        log.tell(format_args!("Meta gets row {row}: {body}"));
        let leapt = log
            .leapt_ms
            .last()
            .is_some_and(|leapt_ms| *leapt_ms >= gate_ms);
        if gate_ms > at_ms || (gate_ms < at_ms - 2000 && !leapt) {
            log.wrong
                .push(format!("row {row} left at {at_ms}, and says {gate_ms}"));
        }
        log.calls.push(Call {
            at_ms,
            answered_ms: at_ms,
            lost: true,
            gate_ms,
            row,
            number: number.to_owned(),
            body,
            code: None,
            by_rule: false,
        });
        Some(log.calls.len() - 1)
    }

    /// The moment at which the gate let a row go: the one thing that only the gateway knows.
    fn gate_ms(&self, row: i64) -> Option<i64> {
        let books = self.books.look();
        let sql = "SELECT sending_ms FROM outbox WHERE id = ?1";
        let mut query = books.prepare_cached(sql).ok()?;
        query.query_row([row], |row| row.get(0)).ok()
    }

    fn note_answer(&self, slot: Option<usize>, answer: Option<&hyper::Response<Bytes>>) {
        let mut log = lock(&self.log);
        let Some(slot) = slot else {
            return log.marked_ms.push(duet::now_ms());
        };
        let body: Value = answer
            .and_then(|answer| serde_json::from_slice(answer.body()).ok())
            .unwrap_or_default();
        let code = body.pointer("/error/code").and_then(Value::as_i64);
        let details = body.pointer("/error/error_data/details");
        let by_seed = details.is_some_and(|details| details.to_string().contains("was asked to"));
        let row = log.calls[slot].row;
        log.tell(format_args!(
            "row {row} answered: {code:?} {}",
            answer.is_some()
        ));
        log.calls[slot].answered_ms = duet::now_ms();
        log.calls[slot].code = code;
        log.calls[slot].lost = answer.is_none();
        log.calls[slot].by_rule = code.is_some() && !by_seed;
    }

    /// Time passes for Meta as well.
    pub(crate) fn leap(&self, by: Duration) {
        self.sim.advance(by);
    }

    pub(crate) async fn mood(&self, patch: Value) {
        self.play("mood", &patch).await;
    }

    /// Meta is well again.
    pub(crate) async fn heal(&self) {
        self.mood(
            json!({"troubles": null, "webhook": null, "latency_ms": null, "jitter_ms": null, "phone_answers_ms": null}),
        )
        .await;
    }
}

fn inbox(door: &Door, log: &Shared) -> Inbox {
    let (door, log) = (door.clone(), log.clone());
    Arc::new(move |body, signature| {
        let (door, log) = (door.clone(), log.clone());
        Box::pin(async move {
            let who = || door.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let receive = who()?;
            let begun_ms = duet::now_ms();
            let signature = signature.as_deref().map(str::as_bytes);
            let status = receive.body(signature, body.clone()).await;
            // A gateway that was killed meanwhile answers nobody.
            let lives = who().is_some_and(|now| Arc::ptr_eq(&now, &receive));
            let status = lives.then_some(status.as_u16());
            let mut log = lock(&log);
            let text = String::from_utf8_lossy(&body).into_owned();
            log.tell(format_args!("webhook {status:?}: {text}"));
            log.posts.push(Post {
                begun_ms,
                acked_ms: (status == Some(200)).then(duet::now_ms),
                lost: status.is_none(),
                body: serde_json::from_str(&text).unwrap_or_default(),
                text,
            });
            status
        })
    })
}
