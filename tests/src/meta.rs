//! Meta's side of a webhook: bodies with real signatures.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use duet_rules::signature::{Secret, sign};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

pub const SIGNATURE: &str = "x-hub-signature-256";
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Posts to one webhook address. Cheap to clone.
#[derive(Clone)]
pub struct Meta {
    http: reqwest::Client,
    url: String,
    secret: Secret,
}

impl Meta {
    /// # Errors
    /// When the client cannot be built.
    pub fn new(url: String, secret: &str) -> anyhow::Result<Meta> {
        Ok(Meta {
            http: client()?,
            url,
            secret: Secret::new(secret),
        })
    }

    /// Posts to another address from now on, as after a restart.
    #[must_use]
    pub fn at(&self, url: String) -> Meta {
        Meta {
            url,
            ..self.clone()
        }
    }

    /// Posts a body with its signature; the answer is the status.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, body: impl Into<Bytes>) -> anyhow::Result<u16> {
        let body = body.into();
        let signature = HeaderValue::from_str(&sign(&self.secret, &body))?;
        self.post_with(body, [signature]).await
    }

    /// Posts a JSON value.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_json(&self, body: &serde_json::Value) -> anyhow::Result<u16> {
        self.post(serde_json::to_vec(body)?).await
    }

    /// Posts a value and wants a 200.
    ///
    /// # Errors
    /// When the answer is something else, or there is none.
    pub async fn deliver(&self, body: &serde_json::Value) -> anyhow::Result<()> {
        let status = self.post_json(body).await?;
        anyhow::ensure!(status == 200, "a webhook was answered {status}");
        Ok(())
    }

    /// Posts a body with exactly these signature headers.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_with(
        &self,
        body: Bytes,
        signatures: impl IntoIterator<Item = HeaderValue>,
    ) -> anyhow::Result<u16> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for signature in signatures {
            headers.append(SIGNATURE, signature);
        }
        let request = self.http.post(&self.url).headers(headers).body(body);
        let response = request.send().await.context("no answer to a webhook")?;
        let status = response.status().as_u16();
        // Read to the end, so that the connection serves again.
        response.bytes().await?;
        Ok(status)
    }
}

/// A client for loopback: no proxy, no redirect, no endless wait.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    // reqwest wants a provider although nothing here speaks TLS; one that is there already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_WAIT_MAX)
        // The public listener closes what is idle for 10 s: a connection must not be taken up again at that moment.
        .pool_idle_timeout(IDLE_MAX)
        .build()?)
}
