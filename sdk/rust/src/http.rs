//! Calls to outside systems, where the grant lets them go. Needs the grant `http`.
//!
//! ```no_run
//! # fn handler() -> duet_sdk::Result {
//! use duet_sdk::http::Request;
//!
//! let answer = Request::post("https://api.example.com/notes")
//!     .bearer("token")
//!     .json(&serde_json::json!({ "text": "Hello" }))?
//!     .send()?
//!     .ok()?;
//! let id: u64 = answer.json::<serde_json::Value>()?["id"].as_u64().unwrap_or_default();
//! # let _ = id; Ok(()) }
//! ```
//!
//! Secrets go by their names in the grant; Duet puts them in, and the plugin never sees them. When Duet repeats a run
//! after a crash, what was answered is not called again. Where an attempt fails and another one is made, calls that
//! change something and were answered 2xx are not made again either, as long as they are asked for in the same words or
//! under the same [`Request::idempotency_key`].

use crate::bindings::duet::plugin::http as host;
use crate::{Failure, reject, retry, retry_after};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

pub use host::Encoding;

/// A call that is not made yet.
#[derive(Debug, Clone)]
pub struct Request(host::Request);

/// What came back: any status, redirects included.
#[derive(Debug, Clone)]
pub struct Response {
    /// `200`, `404`, …
    pub status: u16,
    /// Names in lower case, as often as they came.
    pub headers: Vec<(String, String)>,
    /// As long as `http_response_bytes_max` lets it be.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// `not-granted`, `unreachable`, `timeout`, …: an open set.
    pub code: String,
    /// For a person who reads the log.
    pub detail: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

/// What another attempt may mend is tried again; the rest is the author's or the admin's to correct.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.code.as_str() {
            "unreachable" | "timeout" | "lost" | "token-refused" | "token-unavailable" => retry(),
            _ => reject(error),
        }
    }
}

impl Request {
    /// With any method that Duet knows: `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS`.
    pub fn new(method: &str, url: &str) -> Request {
        Request(host::Request {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: host::Body::Bytes(Vec::new()),
            timeout_ms: None,
            idempotency_key: None,
            secrets: Vec::new(),
            signatures: Vec::new(),
        })
    }

    /// Asks for something.
    pub fn get(url: &str) -> Request {
        Request::new("GET", url)
    }

    /// Changes something.
    pub fn post(url: &str) -> Request {
        Request::new("POST", url)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.0.headers.push((name.into(), value.into()));
        self
    }

    /// Any body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.0.body = host::Body::Bytes(body.into());
        self
    }

    /// A file as the body, with its type. Needs the grant `media`, as every file does.
    pub fn file(mut self, handle: &str) -> Request {
        self.0.body = host::Body::Media(handle.into());
        self
    }

    /// A body of `multipart/form-data` with its header.
    pub fn form_data(mut self, parts: Vec<Part>) -> Request {
        self.0.body = host::Body::FormData(parts.into_iter().map(|part| part.0).collect());
        self
    }

    /// A JSON body with its header.
    pub fn json<T: Serialize>(self, value: &T) -> crate::Result<Request> {
        let body = serde_json::to_vec(value)?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// The fields of a form with their header.
    pub fn form(self, fields: &[(&str, &str)]) -> Request {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(fields.join("&"))
    }

    /// Waits so long for the whole answer.
    pub fn timeout_ms(mut self, ms: u32) -> Request {
        self.0.timeout_ms = Some(ms);
        self
    }

    /// What the call is, in place of its bytes: another attempt that words it otherwise is the same call by it.
    pub fn idempotency_key(mut self, key: &str) -> Request {
        self.0.idempotency_key = Some(key.into());
        self
    }

    /// `Authorization: Bearer` with this secret of the grant.
    pub fn bearer(self, secret: &str) -> Request {
        self.secret_header("authorization", "Bearer ", secret)
    }

    /// `Authorization: Basic` with the secret as the user's password.
    pub fn basic(self, user: &str, secret: &str) -> Request {
        self.place(host::Place::Basic(Some(user.into())), secret)
    }

    /// `Authorization: Basic` with the secret as the user, and an empty password.
    pub fn basic_user(self, secret: &str) -> Request {
        self.place(host::Place::Basic(None), secret)
    }

    /// A header with the secret after a prefix.
    pub fn secret_header(self, name: &str, prefix: &str, secret: &str) -> Request {
        self.place(host::Place::Header(prefixed(name, prefix)), secret)
    }

    /// A parameter of the URL with the secret.
    pub fn secret_query(self, name: &str, secret: &str) -> Request {
        self.place(host::Place::Query(name.into()), secret)
    }

    /// The secret where this JSON pointer leads in a JSON body.
    pub fn secret_json(self, pointer: &str, secret: &str) -> Request {
        self.place(host::Place::Json(pointer.into()), secret)
    }

    /// A field of a form with the secret.
    pub fn secret_form(self, name: &str, secret: &str) -> Request {
        self.place(host::Place::Form(name.into()), secret)
    }

    /// A header with the HMAC-SHA256 of the body under the secret, after a prefix such as `sha256=`.
    pub fn sign(self, header: &str, prefix: &str, encoding: Encoding, secret: &str) -> Request {
        self.signed(
            host::Signed::Body,
            prefixed(header, prefix),
            encoding,
            secret,
        )
    }

    /// The same over `before`, the time in seconds since 1970, `between` and the body; the time goes into the header
    /// `time`.
    pub fn sign_timed(
        self,
        (header, prefix): (&str, &str),
        (time, before, between): (&str, &str, &str),
        encoding: Encoding,
        secret: &str,
    ) -> Request {
        let over = host::Signed::TimedBody(host::Timed {
            header: time.into(),
            before: before.into(),
            between: between.into(),
        });
        self.signed(over, prefixed(header, prefix), encoding, secret)
    }

    /// Makes the call and waits for its answer.
    pub fn send(self) -> Result<Response, Error> {
        host::send(&self.0).map(Into::into).map_err(Into::into)
    }

    fn place(mut self, place: host::Place, secret: &str) -> Request {
        self.0.secrets.push(host::Placement {
            secret: secret.into(),
            place,
        });
        self
    }

    fn signed(
        mut self,
        over: host::Signed,
        header: host::Prefixed,
        encoding: Encoding,
        secret: &str,
    ) -> Request {
        self.0.signatures.push(host::Signing {
            secret: secret.into(),
            over,
            encoding,
            header,
        });
        self
    }
}

/// Makes all calls at once and waits for all answers, which stand in the order of the requests.
pub fn send_all(requests: Vec<Request>) -> Vec<Result<Response, Error>> {
    let requests: Vec<host::Request> = requests.into_iter().map(|request| request.0).collect();
    let answers = host::send_all(&requests).into_iter();
    answers
        .map(|answer| answer.map(Into::into).map_err(Into::into))
        .collect()
}

/// A field of a form of `multipart/form-data`.
#[derive(Debug, Clone)]
pub struct Part(host::Part);

impl Part {
    /// A field with a text.
    pub fn text(name: &str, text: &str) -> Part {
        Part::bytes(name, text)
    }

    /// A field with any bytes.
    pub fn bytes(name: &str, bytes: impl Into<Vec<u8>>) -> Part {
        Part(host::Part {
            name: name.into(),
            filename: None,
            content_type: None,
            content: host::Content::Bytes(bytes.into()),
        })
    }

    /// A field with a file, by its handle, under this name.
    pub fn file(name: &str, filename: &str, handle: &str) -> Part {
        Part(host::Part {
            name: name.into(),
            filename: Some(filename.into()),
            content_type: None,
            content: host::Content::Media(handle.into()),
        })
    }

    /// Says what its content is; a file's own type otherwise.
    pub fn content_type(mut self, content_type: &str) -> Part {
        self.0.content_type = Some(content_type.into());
        self
    }
}

impl Response {
    /// Only a 2xx: a 429 and a 5xx are tried again with the event, after as many seconds as `Retry-After` names; any
    /// other status rejects it.
    pub fn ok(self) -> crate::Result<Response> {
        match self.status {
            200..=299 => Ok(self),
            429 | 500..=599 => Err(match self.header("retry-after").map(str::parse) {
                Some(Ok(seconds)) => retry_after(seconds),
                _ => retry(),
            }),
            status => Err(reject(format_args!("a call was answered {status}"))),
        }
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> crate::Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// The body as text; what is no UTF-8 becomes `\u{fffd}`.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl From<host::Response> for Response {
    fn from(response: host::Response) -> Self {
        Response {
            status: response.status,
            headers: response.headers,
            body: response.body,
        }
    }
}

impl From<host::Error> for Error {
    fn from(error: host::Error) -> Self {
        Error {
            code: error.code,
            detail: error.detail,
        }
    }
}

fn prefixed(name: &str, prefix: &str) -> host::Prefixed {
    host::Prefixed {
        name: name.into(),
        prefix: prefix.into(),
    }
}

/// As forms want it.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded() {
        let request = Request::post("https://a.example").form(&[("a b", "c&d=\u{fc}"), ("e", "")]);
        let host::Body::Bytes(body) = request.0.body else {
            panic!("a form is bytes");
        };
        assert_eq!(body, b"a+b=c%26d%3D%C3%BC&e=");
    }

    #[test]
    fn what_another_attempt_may_mend_is_tried_again() {
        let answer = |status, headers: &[(&str, &str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let response = Response {
                status,
                headers: headers.collect(),
                body: Vec::new(),
            };
            response.ok().map(|response| response.status)
        };
        assert_eq!(answer(204, &[]), Ok(204));
        assert_eq!(answer(503, &[]), Err(retry()));
        assert_eq!(answer(429, &[("Retry-After", "7")]), Err(retry_after(7)));
        assert_eq!(answer(302, &[]), Err(reject("a call was answered 302")));
        let error = |code: &str| {
            Failure::from(Error {
                code: code.into(),
                detail: "so".into(),
            })
        };
        assert_eq!(error("timeout"), retry());
        assert_eq!(error("not-granted"), reject("not-granted: so"));
    }
}
