use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::body::{Body, Content};

/// What a plugin asks for. Secrets stand in it by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Body,
    pub timeout_ms: Option<u32>,
    /// The author's own, in place of one that is made of the request.
    pub idempotency_key: Option<String>,
    pub secrets: Vec<Placement>,
    pub signatures: Vec<Signing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

/// A secret, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    pub secret: String,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// After this prefix, in place of what the request has under the name.
    Header { name: String, prefix: String },
    /// One more parameter of the URL.
    Query { name: String },
    /// Where a JSON pointer (RFC 6901) leads in the body, which is written anew.
    Json { pointer: String },
    /// One more field of a body in `application/x-www-form-urlencoded`.
    Form { name: String },
    /// As the password of this user; without one, as the user that has an empty password.
    Basic { user: Option<String> },
}

/// HMAC-SHA256 over the body as it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    pub secret: String,
    pub over: Signed,
    pub encoding: Encoding,
    /// The header that gets the signature, after `prefix`.
    pub header: String,
    pub prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    Body,
    /// `before`, the time in seconds since 1970, `between`, the body; the time goes into a header, too.
    Timed {
        header: String,
        before: String,
        between: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    Hex,
    Base64,
}

impl Method {
    const ALL: [Method; 7] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
    ];

    /// As it stands in a request: methods are told apart by their case.
    #[must_use]
    pub fn read(word: &str) -> Option<Method> {
        Method::ALL
            .into_iter()
            .find(|method| method.as_str() == word)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }

    /// Whether such a call changes nothing, so that it may be made as often as one likes.
    #[must_use]
    pub fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head)
    }
}

impl Request {
    /// Everything that goes over the wire of the plugin's own making, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let placed = self.secrets.iter().map(|placement| {
            placement.secret.len()
                + match &placement.place {
                    Place::Header { name, prefix } => name.len() + prefix.len(),
                    Place::Query { name } | Place::Form { name } => name.len(),
                    Place::Json { pointer } => pointer.len(),
                    Place::Basic { user } => user.as_ref().map_or(0, String::len),
                }
        });
        let key = self.idempotency_key.as_ref().map_or(0, String::len);
        self.url.len() + headers + self.body.own_bytes() + placed.sum::<usize>() + key
    }

    /// SHA-256 of what is asked for, before secrets: two requests with the same one are the same. How long the plugin
    /// would wait is not in it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut parts = Parts(Context::new(&SHA256));
        parts.add(self.method.as_str());
        parts.add(&self.url);
        parts.count(self.headers.len());
        for (name, value) in &self.headers {
            parts.add(name);
            parts.add(value);
        }
        parts.add_body(&self.body);
        parts.maybe(self.idempotency_key.as_deref());
        parts.count(self.secrets.len());
        for Placement { secret, place } in &self.secrets {
            parts.add(secret);
            match place {
                Place::Header { name, prefix } => parts.all(&["header", name, prefix]),
                Place::Query { name } => parts.all(&["query", name]),
                Place::Json { pointer } => parts.all(&["json", pointer]),
                Place::Form { name } => parts.all(&["form", name]),
                Place::Basic { user } => {
                    parts.add("basic");
                    parts.maybe(user.as_deref());
                }
            }
        }
        parts.count(self.signatures.len());
        for signing in &self.signatures {
            parts.all(&[&signing.secret, &signing.header, &signing.prefix]);
            parts.add(match signing.encoding {
                Encoding::Hex => "hex",
                Encoding::Base64 => "base64",
            });
            match &signing.over {
                Signed::Body => parts.add("body"),
                Signed::Timed {
                    header,
                    before,
                    between,
                } => parts.all(&["timed", header, before, between]),
            }
        }
        parts.end()
    }
}

/// Each part behind its length, so that no two lists of parts are the same bytes.
struct Parts(Context);

impl Parts {
    /// A file by its digest: its bytes need not be there.
    fn add_body(&mut self, body: &Body) {
        match body {
            Body::Bytes(bytes) => {
                self.add("bytes");
                self.add(bytes);
            }
            Body::File(file) => {
                self.add("file");
                self.add(file.digest.0);
            }
            Body::Form(parts) => {
                self.add("form-data");
                self.count(parts.len());
                for part in parts {
                    self.add(&part.name);
                    self.maybe(part.filename.as_deref());
                    self.maybe(part.content_type.as_deref());
                    match &part.content {
                        Content::Bytes(bytes) => {
                            self.add("bytes");
                            self.add(bytes);
                        }
                        Content::File(file) => {
                            self.add("file");
                            self.add(file.digest.0);
                        }
                    }
                }
            }
        }
    }

    fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.count(part.len());
        self.0.update(part);
    }

    fn all(&mut self, parts: &[&str]) {
        for part in parts {
            self.add(part);
        }
    }

    fn maybe(&mut self, part: Option<&str>) {
        self.count(usize::from(part.is_some()));
        self.add(part.unwrap_or_default());
    }

    fn count(&mut self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.update(&count.to_be_bytes());
    }

    fn end(self) -> [u8; 32] {
        self.0.finish().as_ref().try_into().unwrap_or_default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::body::{File, Part};
    use super::*;
    use crate::media::Digest;

    pub(in super::super) fn request() -> Request {
        Request {
            method: Method::Post,
            url: "https://api.example.com/things".into(),
            headers: vec![("a".into(), "b".into())],
            body: Body::Bytes(b"body".to_vec()),
            timeout_ms: None,
            idempotency_key: None,
            secrets: Vec::new(),
            signatures: Vec::new(),
        }
    }

    fn file(byte: u8) -> File {
        File {
            digest: Digest([byte; 32]),
            mime_type: "image/jpeg".into(),
            bytes: 7,
        }
    }

    fn part(filename: Option<&str>, content: Content) -> Part {
        Part {
            name: "file".into(),
            filename: filename.map(str::to_owned),
            content_type: None,
            content,
        }
    }

    #[test]
    fn whatever_a_request_asks_for_is_in_its_hash() {
        let header = |name: &str, prefix: &str| Placement {
            secret: "token".into(),
            place: Place::Header {
                name: name.into(),
                prefix: prefix.into(),
            },
        };
        let basic = |user: Option<&str>| Placement {
            secret: "token".into(),
            place: Place::Basic {
                user: user.map(str::to_owned),
            },
        };
        let changes: [&dyn Fn(&mut Request); 18] = [
            &|_| {},
            &|request| request.method = Method::Put,
            &|request| request.url.push('x'),
            &|request| request.headers = vec![("ab".into(), String::new())],
            &|request| request.headers.clear(),
            &|request| request.body = Body::Bytes(b"bodyx".to_vec()),
            &|request| request.body = Body::File(file(1)),
            &|request| request.body = Body::File(file(2)),
            &|request| request.body = Body::Form(Vec::new()),
            &|request| request.body = Body::Form(vec![part(None, Content::File(file(1)))]),
            &|request| request.body = Body::Form(vec![part(Some("a"), Content::File(file(1)))]),
            &|request| request.body = Body::Form(vec![part(None, Content::Bytes(vec![1; 32]))]),
            &|request| request.idempotency_key = Some(String::new()),
            &|request| request.secrets = vec![header("x", "yz")],
            &|request| request.secrets = vec![header("xy", "z")],
            &|request| request.secrets = vec![basic(None)],
            &|request| request.secrets = vec![basic(Some(""))],
            &|request| {
                request.signatures = vec![Signing {
                    secret: "token".into(),
                    over: Signed::Body,
                    encoding: Encoding::Hex,
                    header: "x".into(),
                    prefix: String::new(),
                }];
            },
        ];
        let hashes: std::collections::BTreeSet<_> = changes
            .iter()
            .map(|change| {
                let mut request = request();
                change(&mut request);
                request.hash()
            })
            .collect();
        assert_eq!(hashes.len(), changes.len());
        let renamed = Request {
            body: Body::File(File {
                mime_type: "image/png".into(),
                ..file(1)
            }),
            ..request()
        };
        let same = Request {
            body: Body::File(file(1)),
            ..request()
        };
        assert_eq!(renamed.hash(), same.hash());
        let patient = Request {
            timeout_ms: Some(1),
            ..request()
        };
        assert_eq!(patient.hash(), request().hash());
    }
}
