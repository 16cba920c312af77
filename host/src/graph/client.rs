//! The connections to Meta and its partners: pooled, bounded in time and size, straight to the address that was
//! configured, each with the token of its business.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use duet_rules::provider::Provider;
use futures_util::future::BoxFuture;
use reqwest::header::{HeaderName, HeaderValue};

use super::send::words;
use crate::config::Secret;

/// An idle connection that Meta or a middlebox has dropped would swallow a request; ours goes first.
const IDLE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The version of the Graph API that Duet speaks.
const VERSION: &str = "/v23.0";

/// How long an answer may take.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub connect_timeout: Duration,
    /// From the first byte to the last of an answer; after it the answer counts as lost.
    pub timeout: Duration,
}

/// A token for an API. It shows in no log.
#[derive(Clone)]
pub struct Token {
    text: Secret,
    /// The number that it is for, `""` when it is for all of its business.
    scope: String,
    /// When it was set, ms since 1970; 0 for the gateway's own.
    set_ms: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("it is no address such as https://graph.facebook.com/v23.0: {0}")]
    Base(String),
    #[error(
        "the access token holds characters that cannot stand in a header; is there a line break in it?"
    )]
    Token,
    #[error("cannot set up connections: {0}")]
    Tls(reqwest::Error),
}

/// The connections that all clients share. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    http: reqwest::Client,
    /// A Meta in this process, which gets the requests instead.
    near: Option<Near>,
}

/// An API under one token. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: reqwest::Url,
    provider: Provider,
    header: (HeaderName, HeaderValue),
    token: Arc<Token>,
    near: Option<Near>,
}

/// Answers requests in this process; nothing when the answer is lost.
pub type Near = Arc<
    dyn Fn(reqwest::Request) -> BoxFuture<'static, Option<hyper::Response<Bytes>>> + Send + Sync,
>;

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// No request can be made of it.
    Unsendable(String),
    /// A connection that never stood has carried nothing.
    NotSent(String),
    /// It may have arrived.
    Lost(String),
}

impl Unanswered {
    pub(super) fn words(self) -> String {
        match self {
            Unanswered::Unsendable(words)
            | Unanswered::NotSent(words)
            | Unanswered::Lost(words) => words,
        }
    }
}

impl From<reqwest::Error> for Unanswered {
    fn from(error: reqwest::Error) -> Unanswered {
        if error.is_builder() {
            Unanswered::Unsendable(words(error))
        } else if error.is_connect() {
            Unanswered::NotSent(words(error))
        } else {
            Unanswered::Lost(words(error))
        }
    }
}

impl Token {
    #[must_use]
    pub fn new(text: &Secret, scope: &str, set_ms: i64) -> Token {
        Token {
            text: Secret::new(text.expose().trim()),
            scope: scope.to_owned(),
            set_ms,
        }
    }

    fn header(&self, provider: Provider) -> Result<(HeaderName, HeaderValue), OpenError> {
        let (name, before) = provider.token_header();
        let text = format!("{before}{}", self.text.expose());
        let mut value = HeaderValue::from_str(&text).map_err(|_| OpenError::Token)?;
        value.set_sensitive(true);
        Ok((HeaderName::from_static(name), value))
    }
}

impl Connections {
    /// Prepares them; each is made with its first call. The process must have installed a rustls provider before.
    ///
    /// # Errors
    /// [`OpenError::Tls`].
    pub fn new(settings: Settings) -> Result<Connections, OpenError> {
        let http = reqwest::Client::builder()
            // A redirect or a proxy from the environment would carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // A request that may have been carried out is never repeated behind the outbox's back.
            .retry(reqwest::retry::never())
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .pool_idle_timeout(IDLE)
            .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
            .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            .user_agent(concat!("duet/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(OpenError::Tls)?;
        Ok(Connections { http, near: None })
    }

    /// The same, of which messages, questions about numbers and lists of templates go to a Meta in this process.
    #[must_use]
    pub fn to(&self, near: Near) -> Connections {
        Connections {
            near: Some(near),
            ..self.clone()
        }
    }

    /// A client of a provider's API at `base`, with the version where it is Meta's.
    ///
    /// # Errors
    /// [`OpenError`] when the address or the token cannot be used.
    pub fn client(
        &self,
        provider: Provider,
        base: &str,
        token: &Token,
    ) -> Result<Client, OpenError> {
        Ok(Client {
            http: self.http.clone(),
            base: address(provider, base)?,
            provider,
            header: token.header(provider)?,
            token: Arc::new(token.clone()),
            near: self.near.clone(),
        })
    }
}

impl Client {
    /// Makes the call.
    pub(super) async fn call(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Unanswered> {
        match &self.near {
            None => Ok(request.send().await?),
            Some(near) => match near(request.build()?).await {
                Some(response) => Ok(response.into()),
                None => Err(Unanswered::Lost("the answer was lost".into())),
            },
        }
    }

    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The number that its token is for, `""` when that is for all of the business.
    pub fn scope(&self) -> &str {
        &self.token.scope
    }

    /// When its token was set.
    pub fn set_ms(&self) -> i64 {
        self.token.set_ms
    }

    /// The token's text, for the one call that asks what it may do.
    pub(super) fn token(&self) -> &str {
        self.token.text.expose()
    }

    /// A POST to a path under the base.
    pub(super) fn post(&self, path: &[&str]) -> reqwest::RequestBuilder {
        self.authorized(self.http.post(self.address(path)))
    }

    /// A GET of a path under the base, with a query.
    pub(super) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut url = self.address(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.at(url)
    }

    /// A GET of a path under the base that brings its own credentials in the query, and so without the token.
    pub(super) fn bare(&self, path: &[&str], query: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut url = self.address(path);
        url.query_pairs_mut().extend_pairs(query);
        self.http.get(url)
    }

    /// A GET of any address, with the token: the caller has judged it.
    pub(super) fn at(&self, url: reqwest::Url) -> reqwest::RequestBuilder {
        self.authorized(self.http.get(url))
    }

    /// Where its API is.
    pub fn base(&self) -> &reqwest::Url {
        &self.base
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let (name, value) = &self.header;
        request.header(name, value)
    }

    /// An id that is more than one path segment is refused by escaping it.
    fn address(&self, segments: &[&str]) -> reqwest::Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

/// The version of Meta's API at an address: its own, else the one that is put there.
pub fn version(base: &str) -> &str {
    let last = base.rsplit('/').next().unwrap_or_default();
    let is_version = |text: &str| {
        let number = text
            .strip_prefix('v')
            .and_then(|number| number.split_once('.'));
        number.is_some_and(|(major, minor)| {
            major.parse::<u16>().is_ok() && minor.parse::<u16>().is_ok()
        })
    };
    if is_version(last) {
        last
    } else {
        VERSION.trim_start_matches('/')
    }
}

/// Without a version Meta answers as its oldest one, so an address without a path gets ours.
fn address(provider: Provider, text: &str) -> Result<reqwest::Url, OpenError> {
    let mut url = reqwest::Url::parse(text).map_err(|error| OpenError::Base(error.to_string()))?;
    if provider == Provider::Meta && url.path() == "/" {
        url.set_path(VERSION);
    }
    if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
        return Err(OpenError::Base("it must begin with https://".into()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(provider: Provider, base: &str, token: &str) -> Result<Client, OpenError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let second = Duration::from_secs(1);
        let settings = Settings {
            connect_timeout: second,
            timeout: second,
        };
        let token = Token::new(&Secret::new(token), "", 0);
        Connections::new(settings)?.client(provider, base, &token)
    }

    #[test]
    fn the_token_shows_nowhere() {
        for provider in Provider::ALL {
            let client = client(provider, "https://example.com", "EAAG-secret").unwrap();
            let request = client.post(&["1", "messages"]);
            assert!(!format!("{request:?}").contains("secret"));
        }
    }

    #[test]
    fn each_provider_has_its_own_header_and_no_other() {
        for (provider, header, value, other) in [
            (Provider::Meta, "authorization", "Bearer t", "d360-api-key"),
            (Provider::Dialog360, "d360-api-key", "t", "authorization"),
        ] {
            let client = client(provider, "https://example.com", "t").unwrap();
            for request in [
                client.post(&["1"]),
                client.get(&["1"], &[]),
                client.at(client.base().clone()),
            ] {
                let request = request.build().unwrap();
                assert_eq!(request.headers()[header], value);
                assert!(!request.headers().contains_key(other));
            }
        }
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        let client = client(Provider::Meta, "https://graph.facebook.com/v23.0/", "t").unwrap();
        let request = client.post(&["../me?x", "messages"]).build().unwrap();
        assert_eq!(
            request.url().as_str(),
            "https://graph.facebook.com/v23.0/..%2Fme%3Fx/messages"
        );
    }

    #[test]
    fn a_version_is_the_address_s_or_ours() {
        for (base, expected) in [
            ("https://graph.facebook.com/v25.0", "v25.0"),
            ("https://graph.facebook.com", "v23.0"),
            ("http://127.0.0.1:7700/vault", "v23.0"),
            ("http://127.0.0.1:7700/v2.x", "v23.0"),
        ] {
            assert_eq!(version(base), expected, "{base}");
        }
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let refused = |base: &str, token: &str| client(Provider::Meta, base, token).err().unwrap();
        assert!(matches!(
            refused("graph.facebook.com", "t"),
            OpenError::Base(_)
        ));
        assert!(matches!(refused("file:///tmp", "t"), OpenError::Base(_)));
        assert!(matches!(refused("https://e.com", "a\nb"), OpenError::Token));
    }
}
