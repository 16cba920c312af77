use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use duet_rules::outbound::{Mask, Method, Place, Request, Signed, target};
use duet_rules::plugins_toml::{HttpGrant, Instance, OAuthGrant, SecretValue};
use reqwest::Url;
use reqwest::header::HeaderName;
use tokio::sync::Semaphore;

use super::Reach;
use super::client::{client, may_call};
use super::outgoing::{CallError, Outgoing};
use super::tokens::{Bearer, Terms, Token, Tokens, Whose};
use crate::config::Secret;

/// Calls of one plugin at once, over all of its runs; further ones wait within their own time.
const CALLS_AT_ONCE_MAX: usize = 64;

/// The client's own affair: a plugin that set them could reach another host than the one that was checked, or an
/// answer that cannot be looked into for secrets.
const RESERVED: [&str; 15] = [
    "accept-charset",
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "if-range",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    // What comes in pieces cannot be looked into.
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Secrets that one request carries, and signatures; each of them costs a pass over the body.
const PLACEMENTS_MAX: usize = 8;
const SIGNATURES_MAX: usize = 4;

/// The connections of one plugin, each kind made for its first call. No other plugin has them: where a host reads a
/// request otherwise than it was sent, the rest of it would be the beginning of the next one's.
#[derive(Default)]
pub(super) struct Ways {
    public: OnceLock<reqwest::Client>,
    anywhere: OnceLock<reqwest::Client>,
}

impl Ways {
    /// The process must have installed a rustls provider before.
    pub(super) fn client(&self, reach: Reach) -> Result<&reqwest::Client, CallError> {
        let way = match reach {
            Reach::Public => &self.public,
            Reach::Anywhere => &self.anywhere,
        };
        if let Some(client) = way.get() {
            return Ok(client);
        }
        let opened = client(reach).map_err(|error| {
            CallError::new("unreachable", format!("TLS cannot be set up: {error}"))
        })?;
        Ok(way.get_or_init(|| opened))
    }
}

/// What `plugins.toml` names for a secret. What holds it shows none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The secret itself.
    Kept(Secret),
    /// What an access token is got with.
    OAuth {
        client_secret: Secret,
        refresh_token: Option<Secret>,
    },
}

/// What one plugin may call.
pub struct Egress {
    ways: Arc<Ways>,
    instance: String,
    grant: HttpGrant,
    kept: BTreeMap<String, Secret>,
    bearers: BTreeMap<String, Arc<Bearer>>,
    /// Of what the bearers have come to after so many changes.
    mask: Mutex<(u64, Arc<Mask>)>,
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
        tokens: &Tokens,
        instance: &Instance,
        grant: HttpGrant,
        secrets: BTreeMap<String, Credential>,
    ) -> Egress {
        let bytes_max = instance.limits.http_response_bytes_max;
        let ways = Arc::<Ways>::default();
        let (mut kept, mut bearers) = (BTreeMap::new(), BTreeMap::new());
        for (name, credential) in secrets {
            let value = grant.secrets.get(&name).map(|secret| &secret.value);
            match (credential, value) {
                (Credential::Kept(secret), _) => {
                    kept.insert(name, secret);
                }
                (
                    Credential::OAuth {
                        client_secret,
                        refresh_token,
                    },
                    Some(SecretValue::OAuth(oauth)),
                ) => {
                    let terms = Terms {
                        grant: OAuthGrant::clone(oauth),
                        client_secret,
                        refresh_token,
                    };
                    let whose = Whose {
                        business: instance.business.clone(),
                        instance: instance.name.clone(),
                        secret: name.clone(),
                        origin: terms.origin(),
                    };
                    bearers.insert(name, tokens.bearer(&ways, whose, terms));
                }
                // Of a secret that the grant does not name there is nothing to be had.
                (Credential::OAuth { .. }, _) => {}
            }
        }
        let egress = Egress {
            ways,
            instance: instance.name.clone(),
            grant,
            kept,
            bearers,
            mask: Mutex::default(),
            response_bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            places: Semaphore::new(CALLS_AT_ONCE_MAX),
        };
        let mask = egress.mask_now();
        Egress {
            mask: Mutex::new(mask),
            ..egress
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
        let adds = |place: &Place| matches!(place, Place::Json { .. } | Place::Form { .. });
        let has_body =
            !request.body.is_empty() || request.secrets.iter().any(|secret| adds(&secret.place));
        if has_body && matches!(method, Method::Get | Method::Head | Method::Options) {
            // Hosts that do not read it take it for another request, of whatever method.
            let detail = format!("a {} has no body", method.as_str());
            return Err(CallError::invalid(detail));
        }
        if request.secrets.len() > PLACEMENTS_MAX || request.signatures.len() > SIGNATURES_MAX {
            return Err(CallError::invalid(format!(
                "a request has at most {PLACEMENTS_MAX} secrets and {SIGNATURES_MAX} signatures"
            )));
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

    pub(super) fn client(&self, reach: Reach) -> Result<&reqwest::Client, CallError> {
        self.ways.client(reach)
    }

    /// A secret that stays as it is.
    pub(super) fn secret(&self, name: &str) -> Option<&str> {
        self.kept.get(name).map(Secret::expose)
    }

    /// Why there is a token that is not given, with the remedy.
    pub fn refusal(&self) -> Option<String> {
        let refusals = self.bearers.values().filter_map(|bearer| bearer.refusal());
        let refusals: Vec<_> = refusals.collect();
        (!refusals.is_empty()).then(|| refusals.join("\n"))
    }

    /// The tokens that a request names.
    pub(super) async fn tokens(&self, request: &Request) -> Result<Borrowed, CallError> {
        let placed = request.secrets.iter().map(|placement| &placement.secret);
        let signed = request.signatures.iter().map(|signing| &signing.secret);
        let mut borrowed = Borrowed::default();
        for name in placed.chain(signed) {
            if let Some(bearer) = self.bearers.get(name)
                && !borrowed.0.contains_key(name)
            {
                let token = bearer.token().await?;
                borrowed.0.insert(name.clone(), (bearer.clone(), token));
            }
        }
        Ok(borrowed)
    }

    /// For whatever comes back now.
    pub(super) fn mask(&self) -> Arc<Mask> {
        let mut mask = self.mask.lock().unwrap_or_else(PoisonError::into_inner);
        let changes: u64 = self.bearers.values().map(|bearer| bearer.changes()).sum();
        if mask.0 != changes {
            *mask = self.mask_now();
        }
        mask.1.clone()
    }

    fn mask_now(&self) -> (u64, Arc<Mask>) {
        let (mut changes, mut secrets) = (0, Vec::new());
        for bearer in self.bearers.values() {
            let (changed, known) = bearer.known();
            changes += changed;
            secrets.extend(known);
        }
        let secrets = self.kept.values().chain(&secrets).map(Secret::expose);
        (changes, Arc::new(Mask::new(secrets)))
    }
}

/// The tokens that one request carries, by the names of the secrets.
#[derive(Default)]
pub(super) struct Borrowed(BTreeMap<String, (Arc<Bearer>, Token)>);

impl Borrowed {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(_, token)| token.text.expose())
    }

    /// Others than these, under which the request was refused; nothing when none of them is worth another try.
    pub(super) async fn others(&self) -> Result<Option<Borrowed>, CallError> {
        let mut others = BTreeMap::new();
        for (name, (bearer, token)) in &self.0 {
            if let Some(other) = bearer.another(token).await? {
                others.insert(name.clone(), (bearer.clone(), other));
            }
        }
        if others.is_empty() {
            return Ok(None);
        }
        for (name, borrowed) in &self.0 {
            others
                .entry(name.clone())
                .or_insert_with(|| borrowed.clone());
        }
        Ok(Some(Borrowed(others)))
    }

    /// What came of the request under these.
    pub(super) fn repeated(&self, refused: bool) {
        for (bearer, _) in self.0.values() {
            bearer.repeated(refused);
        }
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
        let kept = Credential::Kept(Secret::new("not to be seen"));
        let secrets = [("token".to_owned(), kept)].into();
        let tokens = Tokens::default();
        Arc::new(Egress::new(&tokens, instance, grant, secrets))
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
