//! `http`: calls to outside systems. What may be called is checked here; the world makes the calls.

use std::sync::Arc;

use duet_rules::outbound::{
    Body, Content, Encoding, File, Method, PARTS_MAX, Part, Place, Placement, Request, Signed,
    Signing,
};
use reqwest::Url;
use tokio::task::JoinSet;
use wasmtime::Result;

use crate::outbound::{Answered, CallError, Outgoing, Response};
use crate::plugin::bindings::duet::plugin::http;
use crate::plugin::fault::{Stop, shortened};
use crate::plugin::guest_log::Level;
use crate::plugin::running::Running;
use crate::plugin::world::Unavailable;

type Told = std::result::Result<http::Response, http::Error>;

/// `GET https://crm.example.com`: the rest of an address may say something of a customer.
fn whither(request: &http::Request) -> String {
    let url = Url::parse(&request.url);
    let origin = url.map(|url| url.origin().ascii_serialization());
    let origin = origin.unwrap_or_else(|_| "an address that is none".to_owned());
    let method = Method::read(&request.method).map_or("a call to", Method::as_str);
    format!("{method} {}", shortened(origin))
}

impl http::Host for Running {
    async fn send(&mut self, request: http::Request) -> Result<Told> {
        self.count_call()?;
        let mut answers = self.exchange(vec![request]).await?;
        let lost = || Stop::Unavailable("a call was not answered".into());
        Ok(answers.pop().ok_or_else(lost)?)
    }

    async fn send_all(&mut self, requests: Vec<http::Request>) -> Result<Vec<Told>> {
        self.count_call()?;
        self.exchange(requests).await
    }
}

impl Running {
    /// The answers, in the order of the requests.
    async fn exchange(&mut self, requests: Vec<http::Request>) -> Result<Vec<Told>> {
        let mut checked = Vec::new();
        let mut told = Vec::new();
        for request in requests {
            told.push(whither(&request));
            let request = self.resolve(request).await?;
            self.count_http(request.as_ref().map_or(0, Request::bytes))?;
            checked.push(request.and_then(|request| self.check(request)));
        }
        let mut calls = Vec::new();
        let mut refused = Vec::new();
        for checked in checked {
            refused.push(match checked {
                Ok(call) => {
                    calls.push(call);
                    None
                }
                Err(error) => Some(error),
            });
        }
        let mut made = self.make(calls).await?.into_iter();
        let mut answers = Vec::new();
        for (refused, told) in refused.into_iter().zip(told) {
            let answered = match refused {
                Some(error) => Err(error),
                None => made
                    .next()
                    .ok_or_else(|| Stop::Unavailable("a call was not answered".into()))?,
            };
            if let Err(error) = &answered {
                let line = format!("{told} failed: {}: {}", error.code, error.detail);
                self.log.write(Level::Warn, &line);
                self.failed_call = Some(format!("{told}: {}", error.code));
            }
            answers.push(answered.map(Into::into).map_err(Into::into));
        }
        Ok(answers)
    }

    /// The request with what there is of its files, or why it is none.
    async fn resolve(
        &mut self,
        request: http::Request,
    ) -> Result<std::result::Result<Request, CallError>> {
        let body = match request.body {
            http::Body::Bytes(bytes) => Body::Bytes(bytes),
            http::Body::Media(handle) => match self.named(&handle).await? {
                Ok(file) => Body::File(file),
                Err(error) => return Ok(Err(error)),
            },
            http::Body::FormData(parts) => match self.form(parts).await? {
                Ok(parts) => Body::Form(parts),
                Err(error) => return Ok(Err(error)),
            },
        };
        if let Err(detail) = self.within(body.file_bytes()) {
            return Ok(Err(CallError::file_too_large(detail)));
        }
        let method = Method::read(&request.method).ok_or_else(|| {
            CallError::invalid(
                "the method is none of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS",
            )
        });
        Ok(method.map(|method| Request {
            method,
            url: request.url,
            headers: request.headers,
            body,
            timeout_ms: request.timeout_ms,
            idempotency_key: request.idempotency_key,
            secrets: request.secrets.into_iter().map(Into::into).collect(),
            signatures: request.signatures.into_iter().map(Into::into).collect(),
        }))
    }

    async fn form(
        &mut self,
        parts: Vec<http::Part>,
    ) -> Result<std::result::Result<Vec<Part>, CallError>> {
        if parts.len() > PARTS_MAX {
            let detail = format!("form-data has at most {PARTS_MAX} parts");
            return Ok(Err(CallError::invalid(detail)));
        }
        let mut form = Vec::new();
        for part in parts {
            let content = match part.content {
                http::Content::Bytes(bytes) => Content::Bytes(bytes),
                http::Content::Media(handle) => match self.named(&handle).await? {
                    Ok(file) => Content::File(file),
                    Err(error) => return Ok(Err(error)),
                },
            };
            form.push(Part {
                name: part.name,
                filename: part.filename,
                content_type: part.content_type,
                content,
            });
        }
        Ok(Ok(form))
    }

    /// A file that a call is to carry.
    async fn named(&mut self, handle: &str) -> Result<std::result::Result<File, CallError>> {
        if self.facts.media.is_none() {
            let detail = format!(
                "a call with a file needs [plugins.{}.media]",
                self.facts.name
            );
            return Ok(Err(CallError::not_granted(detail)));
        }
        let found = self.file(handle).await?;
        Ok(found
            .map(|(digest, file)| File {
                digest,
                mime_type: file.mime_type,
                bytes: file.bytes,
            })
            .ok_or_else(CallError::no_such_file))
    }

    fn check(&self, request: Request) -> std::result::Result<Outgoing, CallError> {
        let egress = self.facts.egress.as_ref();
        let egress = egress.ok_or_else(|| CallError::invalid("nothing is granted"))?;
        egress.check(request)
    }

    fn count_http(&mut self, bytes: usize) -> std::result::Result<(), Stop> {
        let limits = &self.facts.limits;
        self.http_calls = self.http_calls.saturating_add(1);
        if self.http_calls > limits.http_calls_max {
            return Err(Stop::HttpCalls);
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.http_bytes = self.http_bytes.saturating_add(bytes);
        if self.http_bytes > limits.http_request_bytes_max {
            return Err(Stop::HttpBytes);
        }
        Ok(())
    }

    /// In a task of its own, which is dropped with this future: what the host does for a call is not the guest's CPU.
    async fn make(&mut self, calls: Vec<Outgoing>) -> Result<Vec<Answered>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let world = Arc::clone(&self.world);
        let mut task = JoinSet::new();
        task.spawn(async move { world.call(calls).await });
        match task.join_next().await {
            Some(Ok(answers)) => Ok(answers.map_err(Stop::from)?),
            Some(Err(broken)) if broken.is_panic() => {
                std::panic::resume_unwind(broken.into_panic())
            }
            Some(Err(_)) | None => {
                Err(Stop::from(Unavailable("the gateway is ending".into())).into())
            }
        }
    }
}

impl From<http::Placement> for Placement {
    fn from(placement: http::Placement) -> Placement {
        let place = match placement.place {
            http::Place::Header(http::Prefixed { name, prefix }) => Place::Header { name, prefix },
            http::Place::Query(name) => Place::Query { name },
            http::Place::Json(pointer) => Place::Json { pointer },
            http::Place::Form(name) => Place::Form { name },
            http::Place::Basic(user) => Place::Basic { user },
        };
        Placement {
            secret: placement.secret,
            place,
        }
    }
}

impl From<http::Signing> for Signing {
    fn from(signing: http::Signing) -> Signing {
        let over = match signing.over {
            http::Signed::Body => Signed::Body,
            http::Signed::TimedBody(http::Timed {
                header,
                before,
                between,
            }) => Signed::Timed {
                header,
                before,
                between,
            },
        };
        Signing {
            secret: signing.secret,
            over,
            encoding: match signing.encoding {
                http::Encoding::Hex => Encoding::Hex,
                http::Encoding::Base64 => Encoding::Base64,
            },
            header: signing.header.name,
            prefix: signing.header.prefix,
        }
    }
}

impl From<Response> for http::Response {
    fn from(response: Response) -> http::Response {
        http::Response {
            status: response.status,
            headers: response.headers,
            body: response.body,
        }
    }
}

impl From<CallError> for http::Error {
    fn from(error: CallError) -> http::Error {
        http::Error {
            code: error.code,
            detail: error.detail,
        }
    }
}
