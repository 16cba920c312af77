use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use duet_rules::outbound::{Mask, Place, Request, Signed, target};
use duet_rules::plugins_toml::{HttpGrant, Instance};
use reqwest::Url;
use reqwest::header::HeaderName;
use tokio::sync::Semaphore;

use super::Reach;
use super::client::{client, may_call};
use super::outgoing::{CallError, Outgoing};
use crate::config::Secret;

/// Calls of one plugin at once, over all of its runs; further ones wait within their own time.
const CALLS_AT_ONCE_MAX: usize = 64;

/// The client's own affair: a plugin that set them could reach another host than the one that was checked, or an
/// answer that cannot be looked into for secrets.
const RESERVED: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The connections of all plugins.
pub struct Ways {
    public: reqwest::Client,
    anywhere: reqwest::Client,
}

impl Ways {
    /// The process must have installed a rustls provider before.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn open() -> Result<Ways, reqwest::Error> {
        Ok(Ways {
            public: client(Reach::Public)?,
            anywhere: client(Reach::Anywhere)?,
        })
    }
}

/// What one plugin may call.
pub struct Egress {
    ways: Arc<Ways>,
    instance: String,
    grant: HttpGrant,
    secrets: BTreeMap<String, Secret>,
    pub(super) mask: Mask,
    pub(super) response_bytes_max: usize,
    pub(super) places: Semaphore,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress")
            .field("grant", &self.grant)
            .finish()
    }
}

impl Egress {
    /// For an instance with this grant and all of its secrets.
    #[must_use]
    pub fn new(
        ways: Arc<Ways>,
        instance: &Instance,
        grant: HttpGrant,
        secrets: BTreeMap<String, Secret>,
    ) -> Egress {
        let bytes_max = instance.limits.http_response_bytes_max;
        Egress {
            ways,
            instance: instance.name.clone(),
            mask: Mask::new(secrets.values().map(Secret::expose)),
            grant,
            secrets,
            response_bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            places: Semaphore::new(CALLS_AT_ONCE_MAX),
        }
    }

    /// A call that may be made, or why it may not; nothing has left then.
    pub fn check(self: &Arc<Self>, request: Request) -> Result<Outgoing, CallError> {
        let url = target(&request.url).map_err(CallError::invalid)?;
        let origin = url.origin().ascii_serialization();
        let method = request.method;
        let Some(reach) = self.grant.reach(method, &url) else {
            return Err(CallError::not_granted(format!(
                "{} {origin} is not in allow of [plugins.{}.http]",
                method.as_str(),
                self.instance
            )));
        };
        if !may_call(&url, reach) {
            return Err(CallError::private());
        }
        let placed = request.secrets.iter().map(|placement| &placement.secret);
        let signed = request.signatures.iter().map(|signing| &signing.secret);
        for name in placed.chain(signed) {
            self.check_secret(name, &url, &origin)?;
        }
        for name in header_names(&request) {
            check_header(name)?;
        }
        Ok(Outgoing::new(Arc::clone(self), request, url, reach))
    }

    fn check_secret(&self, name: &str, url: &Url, origin: &str) -> Result<(), CallError> {
        let table = format!("[plugins.{}.http.secrets.{name}]", self.instance);
        match self.grant.secrets.get(name) {
            None => Err(CallError::not_granted(format!("there is no {table}"))),
            Some(secret) if secret.hosts.iter().any(|host| host.matches(url)) => Ok(()),
            Some(_) => Err(CallError::not_granted(format!(
                "{origin} is not in hosts of {table}"
            ))),
        }
    }

    pub(super) fn client(&self, reach: Reach) -> &reqwest::Client {
        match reach {
            Reach::Public => &self.ways.public,
            Reach::Anywhere => &self.ways.anywhere,
        }
    }

    pub(super) fn secret(&self, name: &str) -> Option<&str> {
        self.secrets.get(name).map(Secret::expose)
    }
}

/// Every header that the request sets, by itself or with a secret.
fn header_names(request: &Request) -> impl Iterator<Item = &str> {
    let own = request.headers.iter().map(|(name, _)| name);
    let placed = request
        .secrets
        .iter()
        .filter_map(|placement| match &placement.place {
            Place::Header { name, .. } => Some(name),
            _ => None,
        });
    let signed = request.signatures.iter().flat_map(|signing| {
        let time = match &signing.over {
            Signed::Body => None,
            Signed::Timed { header, .. } => Some(header),
        };
        time.into_iter().chain([&signing.header])
    });
    own.chain(placed).chain(signed).map(String::as_str)
}

fn check_header(name: &str) -> Result<(), CallError> {
    // A header's name, whatever its case, in lower case.
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| CallError::invalid("a header has a name that is none"))?;
    if RESERVED.contains(&name.as_str()) {
        return Err(CallError::invalid(format!(
            "the header {name} is Duet's own"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use duet_rules::outbound::{Body, Encoding, Method, Placement, Signing};
    use duet_rules::plugins_toml::parse;

    use super::*;

    const FILE: &str = r#"
        [plugins.crm]
        component = "crm.wasm"
        [plugins.crm.http]
        allow = ["GET https://api.example.com", "https://*.example.org", "http://127.0.0.1:81", "http://localhost:82"]
        private = true
        [plugins.crm.http.secrets.token]
        env = "TOKEN"
        hosts = ["https://a.example.org"]
    "#;

    fn egress(file: &str) -> Arc<Egress> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let file = parse("plugins.toml", file).into_result().unwrap();
        let instance = &file.plugins[0];
        let grant = instance.grants.http.clone().unwrap();
        let secrets = [("token".to_owned(), Secret::new("not to be seen"))];
        let ways = Arc::new(Ways::open().unwrap());
        Arc::new(Egress::new(ways, instance, grant, secrets.into()))
    }

    fn get(url: &str) -> Request {
        Request {
            method: Method::Get,
            url: url.into(),
            headers: Vec::new(),
            body: Body::Bytes(Vec::new()),
            timeout_ms: None,
            idempotency_key: None,
            secrets: Vec::new(),
            signatures: Vec::new(),
        }
    }

    fn refusal(egress: &Arc<Egress>, request: Request) -> Option<(String, String)> {
        let error = egress.check(request).err()?;
        Some((error.code, error.detail))
    }

    #[tokio::test]
    async fn only_what_is_granted_passes() {
        let egress = egress(FILE);
        for url in [
            "https://api.example.com/x",
            "https://a.example.org",
            "http://127.0.0.1:81/",
            "http://0x7f.1:81/",
            "http://localhost:82/",
        ] {
            assert_eq!(refusal(&egress, get(url)), None, "{url}");
        }
        for (url, code) in [
            ("https://example.org/", "not-granted"),
            ("http://api.example.com/", "not-granted"),
            ("https://api.example.com:444/", "not-granted"),
            ("http://[::ffff:127.0.0.1]:81/", "not-granted"),
            ("http://127.0.0.1:82/", "not-granted"),
            ("https://api.example.com./", "invalid"),
            ("https://a@api.example.com/", "invalid"),
            ("api.example.com", "invalid"),
        ] {
            let refused = refusal(&egress, get(url)).map(|(code, _)| code);
            assert_eq!(refused.as_deref(), Some(code), "{url}");
        }
        let post = Request {
            method: Method::Post,
            ..get("https://api.example.com/x?key=1")
        };
        let expect = "POST https://api.example.com is not in allow of [plugins.crm.http]";
        assert_eq!(
            refusal(&egress, post),
            Some(("not-granted".into(), expect.into()))
        );
    }

    #[tokio::test]
    async fn a_secret_goes_to_its_hosts_alone() {
        let egress = egress(FILE);
        let placed = |url: &str, secret: &str| Request {
            secrets: vec![Placement {
                secret: secret.into(),
                place: Place::Basic { user: None },
            }],
            ..get(url)
        };
        let signed = |url: &str, secret: &str| Request {
            signatures: vec![Signing {
                secret: secret.into(),
                over: Signed::Body,
                encoding: Encoding::Hex,
                header: "x".into(),
                prefix: String::new(),
            }],
            ..get(url)
        };
        for request in [placed, signed] {
            assert_eq!(
                refusal(&egress, request("https://a.example.org", "token")),
                None
            );
            for (url, secret, detail) in [
                (
                    "https://b.example.org",
                    "token",
                    "https://b.example.org is not in hosts of [plugins.crm.http.secrets.token]",
                ),
                (
                    "https://a.example.org",
                    "other",
                    "there is no [plugins.crm.http.secrets.other]",
                ),
            ] {
                let expect = Some(("not-granted".to_owned(), detail.to_owned()));
                assert_eq!(refusal(&egress, request(url, secret)), expect);
            }
        }
        assert!(!format!("{egress:?}").contains("not to be seen"));
    }

    #[tokio::test]
    async fn headers_that_lead_elsewhere_are_refused_wherever_they_stand() {
        let egress = egress(FILE);
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "Accept-Encoding",
            "a b",
            "a\r\nb",
            "",
        ] {
            let own = Request {
                headers: vec![(name.into(), "x".into())],
                ..get("https://a.example.org")
            };
            let placed = Request {
                secrets: vec![Placement {
                    secret: "token".into(),
                    place: Place::Header {
                        name: name.into(),
                        prefix: String::new(),
                    },
                }],
                ..get("https://a.example.org")
            };
            let timed = Request {
                signatures: vec![Signing {
                    secret: "token".into(),
                    over: Signed::Timed {
                        header: name.into(),
                        before: String::new(),
                        between: String::new(),
                    },
                    encoding: Encoding::Hex,
                    header: "x".into(),
                    prefix: String::new(),
                }],
                ..get("https://a.example.org")
            };
            for request in [own, placed, timed] {
                let refused = refusal(&egress, request).map(|(code, _)| code);
                assert_eq!(refused.as_deref(), Some("invalid"), "{name:?}");
            }
        }
    }
}
