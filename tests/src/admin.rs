//! Asks the admin API, as an operator's script would.

use std::time::Duration;

use anyhow::Context;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::wait::{Seen, until};

/// The largest page that the API gives.
const PAGE: usize = 1000;

/// A client of the admin API with a token. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// An answer as it is.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    async fn of(response: reqwest::Response) -> anyhow::Result<Answer> {
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?.into(),
        })
    }

    /// A header's text; empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

impl Admin {
    pub(crate) fn new(url: String, token: &str) -> anyhow::Result<Admin> {
        Ok(Admin {
            http: crate::meta::client()?,
            url,
            token: token.to_owned(),
        })
    }

    /// The same API, asked with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Admin {
        Admin {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// Status and JSON of a call below `/api/v1`; what is not JSON comes as a string.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let mut request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.url));
        request = request.bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("no answer from {path}"))?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await?;
        let json = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok((status, json))
    }

    /// # Errors
    /// When the answer is not a 2xx.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.wanted(Method::GET, path, None).await
    }

    /// # Errors
    /// When the answer is not a 2xx.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.wanted(Method::POST, path, Some(body)).await
    }

    /// # Errors
    /// When the answer is not a 2xx.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.wanted(Method::DELETE, path, None).await
    }

    async fn wanted(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let (status, json) = self.call(method, path, body).await?;
        anyhow::ensure!(
            (200..300).contains(&status),
            "{path} answered {status}: {json}"
        );
        Ok(json)
    }

    /// Any path below `/api/v1`, with these headers; the bytes as they come.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn fetch(&self, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let url = format!("{}/api/v1{path}", self.url);
        let mut request = self.http.get(url).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await?).await
    }

    /// Any path of the admin listener, as a browser would go there.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn visit(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.url);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::of(request.send().await?).await
    }

    /// Hands a file over to be sent, with this query: status and JSON.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn hand_over(
        &self,
        query: &str,
        mime_type: &str,
        bytes: impl Into<reqwest::Body>,
    ) -> anyhow::Result<(u16, Value)> {
        let request = self.http.post(format!("{}/api/v1/media{query}", self.url));
        let request = request
            .bearer_auth(&self.token)
            .header("content-type", mime_type)
            .body(bytes);
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    /// Begins to hand a file over and sends no more of it, until the answer is dropped.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn hand_over_slowly(&self, query: &str) -> anyhow::Result<TcpStream> {
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await?;
        let head = format!(
            "POST /api/v1/media{query} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\
             content-type: image/png\r\ncontent-length: 1000\r\n\r\nbegun",
            self.token
        );
        stream.write_all(head.as_bytes()).await?;
        Ok(stream)
    }

    /// `/metrics`, `/readyz` and `/healthz`: status and text, without a token.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn open(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let response = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// All rows of a list, page after page: `rows("events", "")`.
    ///
    /// # Errors
    /// When a page has not the shape that every list has.
    pub async fn rows(&self, list: &str, query: &str) -> anyhow::Result<Vec<Value>> {
        self.rows_of(&format!("/{list}"), list, query, 0).await
    }

    /// All rows after a place.
    ///
    /// # Errors
    /// As [`Admin::rows`].
    pub async fn rows_after(&self, list: &str, after: i64) -> anyhow::Result<Vec<Value>> {
        self.rows_of(&format!("/{list}"), list, "", after).await
    }

    /// A conversation's messages, oldest first.
    ///
    /// # Errors
    /// As [`Admin::rows`].
    pub async fn messages(&self, conversation: i64) -> anyhow::Result<Vec<Value>> {
        let path = format!("/conversations/{conversation}/messages");
        self.rows_of(&path, "messages", "", 0).await
    }

    async fn rows_of(
        &self,
        path: &str,
        list: &str,
        query: &str,
        after: i64,
    ) -> anyhow::Result<Vec<Value>> {
        let mut rows = Vec::new();
        // A place is a number, or a name in the lists that go by names.
        let word = |place: &Value| {
            place
                .as_str()
                .map_or_else(|| place.to_string(), str::to_owned)
        };
        let mut place = after.to_string();
        loop {
            let page = self
                .get(&format!("{path}?limit={PAGE}&after={place}&{query}"))
                .await?;
            let found = page.get(list).and_then(Value::as_array);
            let found = found.with_context(|| format!("{path} has no {list:?}: {page}"))?;
            let next = page
                .get("next")
                .map(word)
                .with_context(|| format!("{path} has no next"))?;
            if found.is_empty() {
                anyhow::ensure!(
                    next == place,
                    "{path}: at the end next is {next}, not {place}"
                );
                return Ok(rows);
            }
            anyhow::ensure!(next != place, "{path}: next does not move from {place}");
            rows.extend_from_slice(found);
            place = next;
        }
    }

    /// Waits until every acknowledged webhook has become events.
    ///
    /// # Errors
    /// When that takes longer.
    pub async fn intake_done(&self, at_most: Duration) -> anyhow::Result<()> {
        until("intake catches up", at_most, || async {
            let page = self.get("/receipts?state=waiting&limit=1").await?;
            let waiting = page
                .get("receipts")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            Ok(Seen::when(waiting == 0, (), || page.to_string()))
        })
        .await
    }

    /// Waits until no file of a message is to be fetched any more.
    ///
    /// # Errors
    /// When that takes longer.
    pub async fn media_done(&self, at_most: Duration) -> anyhow::Result<()> {
        until("the files of messages are fetched", at_most, || async {
            let (_, text) = self.open("/metrics").await?;
            let depth = text
                .lines()
                .find(|line| line.starts_with("duet_queue_depth{queue=\"media\"}"))
                .map(str::to_owned);
            let none = depth.as_deref().is_some_and(|line| line.ends_with(" 0"));
            Ok(Seen::when(none, (), || depth.unwrap_or_default()))
        })
        .await
    }

    /// Waits until every plugin of `plugins.toml` runs.
    ///
    /// # Errors
    /// When that takes longer; with what they say of themselves.
    pub async fn plugins_run(&self, at_most: Duration) -> anyhow::Result<Vec<Value>> {
        until("the plugins run", at_most, || async {
            let plugins = self.rows("plugins", "").await?;
            let run = plugins
                .iter()
                .all(|plugin| plugin.get("state") == Some(&json!("ready")));
            Ok(Seen::when(
                run && !plugins.is_empty(),
                plugins.clone(),
                || json!(plugins).to_string(),
            ))
        })
        .await
    }

    /// Waits until a list has a row that fits, and gives it.
    ///
    /// # Errors
    /// When none comes; with the last rows seen.
    pub async fn row(
        &self,
        list: &str,
        what: &str,
        at_most: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        until(what, at_most, || async {
            let rows = self.rows(list, "").await?;
            Ok(match rows.iter().find(|row| fits(row)) {
                Some(row) => Seen::Done(row.clone()),
                None => {
                    Seen::NotYet(json!(rows.iter().rev().take(5).collect::<Vec<_>>()).to_string())
                }
            })
        })
        .await
    }

    /// Waits until a list has exactly so many rows, and gives them.
    ///
    /// # Errors
    /// When it has another number in the end; with the last rows seen.
    pub async fn count(
        &self,
        list: &str,
        query: &str,
        count: usize,
        at_most: Duration,
    ) -> anyhow::Result<Vec<Value>> {
        until(
            &format!("{list}?{query} has {count} rows"),
            at_most,
            || async {
                let rows = self.rows(list, query).await?;
                let seen = format!("{} rows, the last: {:?}", rows.len(), rows.last());
                Ok(Seen::when(rows.len() == count, rows, || seen))
            },
        )
        .await
    }

    /// The conversation with a contact of this phone, once it is there.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn conversation(&self, wa_id: &str, at_most: Duration) -> anyhow::Result<Value> {
        until("the conversation appears", at_most, || async {
            let rows = self.rows("conversations", "").await?;
            let found = rows
                .iter()
                .find(|row| row.pointer("/contact/wa_id") == Some(&json!(wa_id)));
            Ok(found.map_or_else(
                || Seen::NotYet(format!("{} conversations", rows.len())),
                |row| Seen::Done(row.clone()),
            ))
        })
        .await
    }
}
