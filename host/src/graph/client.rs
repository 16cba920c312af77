//! The connection to Meta: pooled, bounded in time and size, straight to the address that was configured.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// An idle connection that Meta or a middlebox has dropped would swallow a request; ours goes first.
const IDLE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The version of the Graph API that Duet speaks.
const VERSION: &str = "/v23.0";

/// Where Meta is, and how long an answer may take.
#[derive(Debug, Clone)]
pub struct Settings {
    /// With the version, such as `https://graph.facebook.com/v23.0`.
    pub base: String,
    pub token: Token,
    pub connect_timeout: Duration,
    /// From the first byte to the last of an answer; after it the answer counts as lost.
    pub timeout: Duration,
}

/// A bearer token. It shows in no log.
#[derive(Clone)]
pub struct Token(String);

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("DUET_GRAPH_URL is not an address such as https://graph.facebook.com/v23.0: {0}")]
    Base(String),
    #[error(
        "DUET_ACCESS_TOKEN holds characters that cannot stand in a header; is there a line break in it?"
    )]
    Token,
    #[error("cannot set up the connection to Meta: {0}")]
    Tls(reqwest::Error),
}

/// Meta's API under one token. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: reqwest::Url,
    token: Token,
}

impl Token {
    #[must_use]
    pub fn new(token: &str) -> Token {
        Token(token.trim().to_owned())
    }

    /// The text itself, for the one call that asks what it may do.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    fn header(&self) -> Result<HeaderValue, OpenError> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", self.0)).map_err(|_| OpenError::Token)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Client {
    /// Prepares the client; it connects with the first call. The process must have installed a rustls
    /// provider before.
    ///
    /// # Errors
    /// [`OpenError`] when the address or the token cannot be used.
    pub fn new(settings: &Settings) -> Result<Client, OpenError> {
        let base = base(&settings.base)?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, settings.token.header()?);
        let http = reqwest::Client::builder()
            .default_headers(headers)
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
        Ok(Client {
            http,
            base,
            token: settings.token.clone(),
        })
    }

    /// A POST to `{base}/{id}/{edge}`.
    pub(super) fn post(&self, id: &str, edge: &str) -> reqwest::RequestBuilder {
        self.http.post(self.address(&[id, edge]))
    }

    /// A GET of `{base}/{id}?fields={fields}`.
    pub(super) fn get(&self, id: &str, fields: &str) -> reqwest::RequestBuilder {
        let mut url = self.address(&[id]);
        url.query_pairs_mut().append_pair("fields", fields);
        self.http.get(url)
    }

    /// A GET of `{base}/{edge}` with a query.
    pub(super) fn get_root(&self, edge: &str, query: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut url = self.address(&[edge]);
        url.query_pairs_mut().extend_pairs(query);
        self.http.get(url)
    }

    /// A GET of `{base}/{id}/{edge}` with a query.
    pub(super) fn get_edge(
        &self,
        id: &str,
        edge: &str,
        query: &[(&str, &str)],
    ) -> reqwest::RequestBuilder {
        let mut url = self.address(&[id, edge]);
        url.query_pairs_mut().extend_pairs(query);
        self.http.get(url)
    }

    /// A GET of `{base}/{id}`.
    pub(super) fn object(&self, id: &str) -> reqwest::RequestBuilder {
        self.http.get(self.address(&[id]))
    }

    /// A GET of any address, with the token: the caller has judged it.
    pub(super) fn at(&self, url: reqwest::Url) -> reqwest::RequestBuilder {
        self.http.get(url)
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    pub(super) fn base(&self) -> &reqwest::Url {
        &self.base
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

/// Without a version Meta answers as its oldest one, so an address without a path gets ours.
fn base(text: &str) -> Result<reqwest::Url, OpenError> {
    let mut url = reqwest::Url::parse(text).map_err(|error| OpenError::Base(error.to_string()))?;
    if url.path() == "/" {
        url.set_path(VERSION);
    }
    if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
        return Err(OpenError::Base("it must begin with https://".into()));
    }
    Ok(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]
mod tests {
    use super::*;

    fn settings(base: &str, token: &str) -> Settings {
        let second = Duration::from_secs(1);
        Settings {
            base: base.into(),
            token: Token::new(token),
            connect_timeout: second,
            timeout: second,
        }
    }

    #[test]
    fn the_token_shows_nowhere() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = settings("https://graph.facebook.com/v23.0", "EAAG-secret");
        assert!(!format!("{settings:?}").contains("secret"));
        let request = Client::new(&settings).unwrap().post("1", "messages");
        assert!(!format!("{request:?}").contains("secret"));
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::new(&settings("https://graph.facebook.com/v23.0/", "t")).unwrap();
        let request = client.post("../me?x", "messages").build().unwrap();
        assert_eq!(
            request.url().as_str(),
            "https://graph.facebook.com/v23.0/..%2Fme%3Fx/messages"
        );
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        assert!(matches!(
            Client::new(&settings("graph.facebook.com", "t")),
            Err(OpenError::Base(_))
        ));
        assert!(matches!(
            Client::new(&settings("file:///tmp", "t")),
            Err(OpenError::Base(_))
        ));
        assert!(matches!(
            Client::new(&settings("https://e.com", "a\nb")),
            Err(OpenError::Token)
        ));
    }
}
