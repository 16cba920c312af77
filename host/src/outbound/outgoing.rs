use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use duet_rules::outbound::{Filled, Reach, Request, fill};
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};

use super::carried::{Carried, Files};
use super::client::leads_inside;
use super::egress::{Borrowed, Egress};

const TIMEOUT_MS: u32 = 8_000;
const TIMEOUT_MS_MAX: u32 = 120_000;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a call has brought.
pub type Answered = Result<Response, CallError>;

/// Secrets are masked in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// A word of the contract's.
    pub code: String,
    /// For whoever reads the plugin's log. Neither a secret nor what the call carries.
    pub detail: String,
}

impl CallError {
    pub(super) fn new(code: &str, detail: impl Into<String>) -> CallError {
        CallError {
            code: code.to_owned(),
            detail: detail.into(),
        }
    }

    pub fn invalid(detail: impl Into<String>) -> CallError {
        CallError::new("invalid", detail)
    }

    pub fn not_granted(detail: impl Into<String>) -> CallError {
        CallError::new("not-granted", detail)
    }

    pub fn left_alone() -> CallError {
        let detail = "it was down the last times, and is left alone for a while";
        CallError::new("unreachable", detail)
    }

    pub fn no_such_file() -> CallError {
        CallError::new("no-such-file", "the body names a file that is not there")
    }

    pub fn file_too_large(detail: impl Into<String>) -> CallError {
        CallError::new("file-too-large", detail)
    }

    pub(super) fn private() -> CallError {
        let detail = "the host lies in the network around the gateway; private = true lets hosts through that allow \
                      names in full";
        CallError::new("private-address", detail)
    }

    fn timeout() -> CallError {
        CallError::new("timeout", "no whole answer came in time")
    }
}

/// A call that may be made. What it carries is shown nowhere.
pub struct Outgoing {
    egress: Arc<Egress>,
    request: Request,
    hash: [u8; 32],
    url: Url,
    reach: Reach,
}

impl Outgoing {
    pub(super) fn new(egress: Arc<Egress>, request: Request, url: Url, reach: Reach) -> Outgoing {
        Outgoing {
            egress,
            hash: request.hash(),
            request,
            url,
            reach,
        }
    }

    /// As the plugin asked for it.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Scheme, host and port of where it goes.
    #[must_use]
    pub fn destination(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// By which it is known again.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Makes it, with this idempotency key unless the plugin has set one itself, and with its files from `files`. Dropping
    /// the future breaks it off.
    pub async fn make(&self, key: Option<&str>, files: &Files) -> Answered {
        let ms = self.request.timeout_ms.unwrap_or(TIMEOUT_MS);
        let time = Duration::from_millis(ms.clamp(1, TIMEOUT_MS_MAX).into());
        let exchange = tokio::time::timeout(time, self.exchange(key, files, time));
        exchange.await.unwrap_or_else(|_| Err(CallError::timeout()))
    }

    async fn exchange(&self, key: Option<&str>, files: &Files, time: Duration) -> Answered {
        let egress = &self.egress;
        // The semaphore is never closed; without a permit the call goes on all the same.
        let _place = egress.places.acquire().await;
        let borrowed = egress.tokens(&self.request).await?;
        let response = self.send(&borrowed, key, files, time).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.read(response).await;
        }
        // Refused means that nothing was done: the call is made once more, and the journal gets what comes of that.
        let Some(others) = borrowed.others().await? else {
            return self.read(response).await;
        };
        let response = self.send(&others, key, files, time).await?;
        others.repeated(response.status() == StatusCode::UNAUTHORIZED);
        self.read(response).await
    }

    async fn send(
        &self,
        borrowed: &Borrowed,
        key: Option<&str>,
        files: &Files,
        time: Duration,
    ) -> Result<reqwest::Response, CallError> {
        let egress = &self.egress;
        let now_s = crate::now_ms().div_euclid(1000);
        let secret = |name: &str| borrowed.get(name).or_else(|| egress.secret(name));
        let filled = fill(&self.request, self.url.clone(), secret, now_s);
        let Filled { url, headers, body } = filled.map_err(CallError::invalid)?;
        let request = egress
            .client(self.reach)?
            .request(method(&self.request)?, url)
            .headers(header_map(headers, key)?)
            .timeout(time);
        let body = Carried::open(body, files).await;
        let request = match body.map_err(|_| CallError::no_such_file())? {
            // A length of 0 says nothing about a GET, and confuses some.
            Carried::Bytes(body) if body.is_empty() => request,
            Carried::Bytes(body) => request.body(body),
            Carried::Stream(body, bytes) => request.header(CONTENT_LENGTH, bytes).body(body),
        };
        request.send().await.map_err(|error| self.told(error))
    }

    async fn read(&self, mut response: reqwest::Response) -> Answered {
        let egress = &self.egress;
        let status = response.status().as_u16();
        let mut encodings = response.headers().get_all(CONTENT_ENCODING).iter();
        if encodings.any(|encoding| encoding != "identity") {
            let detail = "the answer is compressed, though none was asked for that is";
            return Err(CallError::new("answer-encoded", detail));
        }
        let mask = egress.mask();
        let mut left = egress.response_bytes_max;
        let mut headers = Vec::new();
        for (name, value) in response.headers() {
            let bytes = name.as_str().len() + value.len();
            left = left.checked_sub(bytes).ok_or_else(|| self.too_long())?;
            let value = mask.bytes(value.as_bytes().to_vec());
            let value = String::from_utf8_lossy(&value).into_owned();
            headers.push((mask.text(name.as_str().to_owned()), value));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.told(error))? {
            left = left
                .checked_sub(chunk.len())
                .ok_or_else(|| self.too_long())?;
            body.extend_from_slice(&chunk);
        }
        Ok(Response {
            status,
            headers,
            body: egress.mask().bytes(body),
        })
    }

    fn too_long(&self) -> CallError {
        let detail = format!(
            "the answer has more than http_response_bytes_max = {} bytes",
            self.egress.response_bytes_max
        );
        CallError::new("answer-too-long", detail)
    }

    fn told(&self, error: reqwest::Error) -> CallError {
        if leads_inside(&error) {
            return CallError::private();
        }
        let code = if error.is_connect() {
            "unreachable"
        } else if error.is_timeout() {
            return CallError::timeout();
        } else if error.is_builder() {
            "invalid"
        } else {
            "lost"
        };
        // A URL may hold a secret, and what a customer wrote.
        let words = format!("{:#}", anyhow!(error.without_url()));
        CallError::new(code, self.egress.mask().text(words))
    }
}

fn method(request: &Request) -> Result<reqwest::Method, CallError> {
    let word = request.method.as_str();
    word.parse()
        .map_err(|_| CallError::invalid(format!("{word} is no method")))
}

fn header_map(headers: Vec<(String, String)>, key: Option<&str>) -> Result<HeaderMap, CallError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let unfit = || CallError::invalid(format!("the header {name:?} cannot carry its value"));
        let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unfit())?;
        // It may be a secret: neither printed nor kept in a table of HTTP/2.
        value.set_sensitive(true);
        map.append(known, value);
    }
    if let Some(key) = key.and_then(|key| HeaderValue::from_str(key).ok())
        && !map.contains_key(IDEMPOTENCY_KEY)
    {
        map.insert(IDEMPOTENCY_KEY, key);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use duet_rules::outbound::{Body, Method};
    use duet_rules::plugins_toml::{HttpGrant, parse};

    use super::*;
    use crate::outbound::Tokens;

    /// The name is on the list, and leads inside.
    #[tokio::test]
    async fn an_allowed_name_is_looked_at_again_when_it_is_dialled() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let file = "[plugins.crm]\ncomponent = 'c'\n[plugins.crm.http]\nallow = ['http://localhost:9']\nprivate = true\n";
        let file = parse("plugins.toml", file).into_result().unwrap();
        let instance = &file.plugins[0];
        let granted = instance.grants.http.clone().unwrap();
        for (private, code) in [(true, "unreachable"), (false, "private-address")] {
            let grant = HttpGrant {
                private,
                ..granted.clone()
            };
            let tokens = Tokens::default();
            let egress = Egress::new(&tokens, instance, grant, Default::default());
            let egress = Arc::new(egress);
            let request = Request {
                method: Method::Get,
                url: "http://localhost:9/".into(),
                headers: Vec::new(),
                body: Body::Bytes(Vec::new()),
                timeout_ms: Some(60_000),
                idempotency_key: None,
                secrets: Vec::new(),
                signatures: Vec::new(),
            };
            let call = egress.check(request).ok().unwrap();
            let files: Files = Arc::new(|_| Err(std::io::Error::other("none")));
            let error = call.make(None, &files).await.unwrap_err();
            assert_eq!(error.code, code, "{error:?}");
        }
    }
}
