//! `GET /{media-id}`, and the bytes behind the address that it gives.
//!
//! Promises: the token goes to Meta's hosts and to the configured API alone, redirects included, and nothing at
//! all goes anywhere else.

use std::time::Duration;

use bytes::Bytes;
use duet_rules::media::{Address, may_carry_token};
use duet_rules::meta_error::{self, Class, Failure};
use duet_rules::provider::Provider;
use reqwest::header::LOCATION;
use reqwest::{Response, Url};
use serde_json::Value;

use super::Client;
use super::send::{KEY_REFUSED, bounded, words};

/// From the request to the last header of its answer.
const HEADERS_MAX: Duration = Duration::from_secs(30);
/// Between two parts of a body.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// A whole file.
const FILE_MAX: Duration = Duration::from_secs(15 * 60);
const REDIRECTS_MAX: usize = 3;

/// What Meta says of a file. Its page and its answers disagree on whether the size is a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Lives 5 minutes.
    pub url: String,
    pub mime_type: Option<String>,
    pub sha256: Option<String>,
    pub bytes: Option<u64>,
}

/// Why there is no file, without address and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoFile {
    /// Something on the way, Meta's trouble, or the token's.
    Passing(String),
    /// Meta does not give this file.
    Refused(String),
    /// Not the file but the token is refused, with this code.
    Token { code: i64, cause: String },
    /// The address is not one of Meta's; nothing was sent there.
    Foreign,
}

/// A body on its way.
pub struct Download {
    response: Response,
    /// As announced.
    pub bytes: Option<u64>,
}

impl Client {
    /// Where a file is. Deliberately without `phone_number_id`, which makes the fetch of inbound files fail.
    ///
    /// # Errors
    /// [`NoFile`].
    pub async fn describe_media(&self, id: &str) -> Result<Description, NoFile> {
        let request = self.get(&[id], &[]);
        let response = within_headers(request.send()).await?;
        let status = response.status();
        let answer = bounded(response).await.map_err(NoFile::Passing)?;
        if !status.is_success() {
            return Err(self.refused(status.as_u16(), &answer));
        }
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
        let bytes = answer.get("file_size");
        Ok(Description {
            url: text("url")
                .ok_or_else(|| NoFile::Passing("Meta's answer has no address".into()))?,
            mime_type: text("mime_type"),
            sha256: text("sha256"),
            bytes: bytes
                .and_then(Value::as_u64)
                .or_else(|| text("file_size")?.parse().ok()),
        })
    }

    /// Begins to fetch the bytes at an address that Meta gave.
    ///
    /// # Errors
    /// [`NoFile`].
    pub async fn download(&self, url: &str) -> Result<Download, NoFile> {
        let mut url = self.place(Url::parse(url).map_err(|_| NoFile::Foreign)?)?;
        for _ in 0..=REDIRECTS_MAX {
            let request = self.metas(url.clone())?.timeout(FILE_MAX);
            let response = within_headers(request.send()).await?;
            let status = response.status();
            if status.is_success() {
                let bytes = response.content_length();
                return Ok(Download { response, bytes });
            }
            if !status.is_redirection() {
                let answer = bounded(response).await.map_err(NoFile::Passing)?;
                return Err(self.refused(status.as_u16(), &answer));
            }
            let target = response.headers().get(LOCATION);
            let target = target.and_then(|target| url.join(target.to_str().ok()?).ok());
            let target = target.ok_or_else(|| NoFile::Passing("a redirect to nowhere".into()))?;
            url = self.place(target)?;
        }
        Err(NoFile::Passing("too many redirects".into()))
    }

    /// Where the file is for this client: a partner hands files out under its own host, with Meta's path and query
    /// ("Upload, retrieve or delete media" of docs.360dialog.com).
    fn place(&self, url: Url) -> Result<Url, NoFile> {
        if !self.provider().files_at_base() {
            return Ok(url);
        }
        let mut place = self.base().clone();
        place.set_path(url.path());
        place.set_query(url.query());
        Ok(place)
    }

    /// A refusal speaks against the file unless it is about the token, the rate or Meta's health.
    fn refused(&self, status: u16, answer: &[u8]) -> NoFile {
        match meta_error::read(status, answer) {
            Failure::Refused(error) => {
                let cause = format!("Meta refused with code {} and status {status}", error.code);
                match error.class() {
                    Class::Token => NoFile::Token {
                        code: error.code,
                        cause,
                    },
                    Class::Never if !matches!(status, 401 | 403) => NoFile::Refused(cause),
                    _ => NoFile::Passing(cause),
                }
            }
            // A partner answers so to a key that it does not take, with a body of its own.
            _ if status == 401 && self.provider() != Provider::Meta => NoFile::Token {
                code: KEY_REFUSED,
                cause: "the partner does not take the key".into(),
            },
            // Behind the address answer servers that write no JSON.
            _ if matches!(status, 400 | 404 | 410) => {
                NoFile::Refused(format!("Meta's server answered {status}"))
            }
            _ => NoFile::Passing(format!("Meta's server answered {status}")),
        }
    }

    /// A GET of an address, if the token may go there.
    fn metas(&self, url: Url) -> Result<reqwest::RequestBuilder, NoFile> {
        let allowed = address(&url)
            .zip(address(self.base()))
            .is_some_and(|(url, graph)| may_carry_token(url, graph));
        // A user name in it would take the token's place.
        if !allowed || !url.username().is_empty() || url.password().is_some() {
            return Err(NoFile::Foreign);
        }
        Ok(self.at(url))
    }
}

impl Download {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// Why it broke off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, NoFile> {
        match tokio::time::timeout(IDLE_MAX, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| NoFile::Passing(words(error))),
            Err(_) => Err(NoFile::Passing("the file stopped coming".into())),
        }
    }
}

fn address(url: &Url) -> Option<Address<'_>> {
    Some(Address {
        scheme: url.scheme(),
        host: url.host_str()?,
        port: url.port_or_known_default()?,
    })
}

async fn within_headers(
    sent: impl Future<Output = Result<Response, reqwest::Error>>,
) -> Result<Response, NoFile> {
    match tokio::time::timeout(HEADERS_MAX, sent).await {
        Ok(sent) => sent.map_err(|error| NoFile::Passing(words(error))),
        Err(_) => Err(NoFile::Passing("no answer in time".into())),
    }
}
