//! Small questions over loopback HTTP, JSON in and out.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use ureq::Agent;

/// One of the two processes: where it listens and what it wants to see.
pub(super) struct Wire {
    agent: Agent,
    base: String,
    token: Option<String>,
}

impl Wire {
    pub(super) fn new(base: String, token: Option<&str>) -> Wire {
        let agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(20)))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        Wire {
            agent,
            base,
            token: token.map(|token| format!("Bearer {token}")),
        }
    }

    pub(super) fn get(&self, path: &str) -> Result<Value> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        answer(path, request.call())
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        answer(path, request.send_json(body))
    }

    /// The whole list behind a paged path such as `/api/v1/events`.
    pub(super) fn list(&self, path: &str, name: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let mut page = self.get(&format!("{path}?limit=500{after}"))?;
            let entries = page
                .get_mut(name)
                .and_then(Value::as_array_mut)
                .map(std::mem::take);
            let entries = entries.with_context(|| format!("{path} has no list {name:?}"))?;
            if entries.is_empty() {
                return Ok(all);
            }
            all.extend(entries);
            let next = page.get("next").filter(|next| !next.is_null());
            let Some(next) = next else { return Ok(all) };
            let cursor = next
                .as_str()
                .map_or_else(|| next.to_string(), ToOwned::to_owned);
            after = format!("&after={cursor}");
        }
    }
}

fn answer(
    path: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Value> {
    let mut answer = answer.with_context(|| format!("no answer to {path}"))?;
    let text = answer
        .body_mut()
        .read_to_string()
        .with_context(|| format!("no whole answer to {path}"))?;
    if !answer.status().is_success() {
        bail!("{path} was answered {}: {}", answer.status(), text.trim());
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Asks until there is an answer, for at most `seconds`.
pub(super) fn until<T>(
    what: &str,
    seconds: u64,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        let found = ask();
        if let Ok(Some(found)) = found {
            return Ok(found);
        }
        if Instant::now() >= end {
            let because = found.err().unwrap_or_else(|| anyhow!("it did not happen"));
            return Err(because.context(format!("waited {seconds} s for {what}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
