//! Does what a text message lists: a JSON array of steps, such as
//! `[{"call": {"method": "GET", "url": "https://…"}}, {"tell": true}]`. Any other message is none of its business.

use duet_sdk::http::{Encoding, Error, Request, Response, send_all};
use duet_sdk::{Conversation, Event, Result, now_ms, reject, retry, store};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Instant;

duet_sdk::plugin!("manifest.json", handle);

/// A reply has at most 4,096 characters.
const BODY_CHARS_MAX: usize = 1500;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    /// One call after the other.
    Call(Call),
    /// All at once.
    All(Vec<Call>),
    /// Key and value.
    Set(String, String),
    /// One more under a key.
    Add(String),
    Say(String),
    /// Replies with all answers so far.
    Tell(bool),
    /// Replies with what is counted under a key.
    Show(String),
    /// Another attempt, unless the last answer has this status.
    Want(u16),
}

#[derive(Deserialize)]
struct Call {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    /// Whether the clock stands behind the body.
    #[serde(default)]
    stamp: bool,
    /// Whether there also stands what differs in each run.
    #[serde(default)]
    chance: bool,
    key: Option<String>,
    timeout_ms: Option<u32>,
    #[serde(default)]
    places: Vec<Place>,
}

/// Where a secret goes, which comes last.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Place {
    Header(String, String, String),
    Query(String, String),
    Json(String, String),
    Form(String, String),
    Basic(String, String),
    BasicUser(String),
    /// Header and prefix, in hex.
    Sign(String, String, String),
    /// Header and prefix, in base64; the header of the time, with what stands before it and behind.
    SignTimed(String, String, String, String, String, String),
}

fn handle(event: Event) -> Result {
    let text = event.text().unwrap_or_default();
    let (Ok(steps), Some(conversation)) = (
        serde_json::from_str::<Vec<Step>>(text),
        event.conversation(),
    ) else {
        return Ok(());
    };
    let mut answers = Vec::new();
    for step in steps {
        take(step, conversation, &mut answers)?;
    }
    Ok(())
}

fn take(step: Step, conversation: Conversation, answers: &mut Vec<Value>) -> Result {
    match step {
        Step::Call(call) => answers.push(told(call.request().send())),
        Step::All(calls) => {
            let requests = calls.into_iter().map(Call::request).collect();
            answers.extend(send_all(requests).into_iter().map(told));
        }
        Step::Set(key, value) => store::set(&key, &value)?,
        Step::Add(key) => {
            let count: u64 = store::get(&key)?.unwrap_or_default();
            store::set(&key, &(count + 1))?;
        }
        Step::Say(text) => drop(conversation.reply_text(&text)?),
        Step::Show(key) => {
            let count: u64 = store::get(&key)?.unwrap_or_default();
            conversation.reply_text(&format!("{key}: {count}"))?;
        }
        Step::Tell(true) => drop(conversation.reply_text(&json!(answers).to_string())?),
        Step::Tell(false) => {}
        Step::Want(status) => {
            let last = answers.last().ok_or_else(|| reject("nothing was called"))?;
            if last["status"] != status {
                return Err(retry());
            }
        }
    }
    Ok(())
}

impl Call {
    fn request(self) -> Request {
        let mut body = self.body;
        if self.stamp {
            body.push_str(&now_ms().to_string());
        }
        if self.chance {
            body.push_str(&chance());
        }
        let mut request = Request::new(&self.method, &self.url).body(body);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(key) = &self.key {
            request = request.idempotency_key(key);
        }
        if let Some(ms) = self.timeout_ms {
            request = request.timeout_ms(ms);
        }
        self.places
            .iter()
            .fold(request, |request, place| place.in_request(request))
    }
}

/// How long the run has lasted, looked at so often that no two runs see the same. It is all that a repeated run sees
/// otherwise.
fn chance() -> String {
    (0..50).map(|_| format!("{:?} ", Instant::now())).collect()
}

impl Place {
    fn in_request(&self, request: Request) -> Request {
        match self {
            Place::Header(name, prefix, secret) => request.secret_header(name, prefix, secret),
            Place::Query(name, secret) => request.secret_query(name, secret),
            Place::Json(pointer, secret) => request.secret_json(pointer, secret),
            Place::Form(name, secret) => request.secret_form(name, secret),
            Place::Basic(user, secret) => request.basic(user, secret),
            Place::BasicUser(secret) => request.basic_user(secret),
            Place::Sign(header, prefix, secret) => {
                request.sign(header, prefix, Encoding::Hex, secret)
            }
            Place::SignTimed(header, prefix, time, before, between, secret) => request.sign_timed(
                (header, prefix),
                (time, before, between),
                Encoding::Base64,
                secret,
            ),
        }
    }
}

fn told(answer: std::result::Result<Response, Error>) -> Value {
    match answer {
        Ok(answer) => json!({
            "status": answer.status,
            "headers": answer.headers,
            "body": answer.text().chars().take(BODY_CHARS_MAX).collect::<String>(),
        }),
        Err(error) => json!({ "error": error.code, "detail": error.detail }),
    }
}
