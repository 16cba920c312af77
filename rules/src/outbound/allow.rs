use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use super::{Method, is_public, target};

/// Scheme, host and port that may be called: `https://api.example.com`, `https://*.zendesk.com`,
/// `http://127.0.0.1:8080`. Without a port it is the scheme's own and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: Name,
    /// As in a URL: none is the scheme's own.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Exact(String),
    /// Every name below this one.
    Below(String),
}

/// An entry of `allow`: `https://api.example.com`, or with methods `GET POST https://api.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// Empty: all.
    methods: Vec<Method>,
    origin: Origin,
}

impl Origin {
    /// Whether a URL from [`target`] leads there.
    #[must_use]
    pub fn matches(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let named = match &self.host {
            Name::Exact(name) => name == host,
            Name::Below(name) => is_below(host, name),
        };
        named && self.scheme == url.scheme() && self.port == url.port()
    }

    /// Whether whatever `other` matches is matched by this one, too.
    #[must_use]
    pub fn covers(&self, other: &Origin) -> bool {
        let named = match (&self.host, &other.host) {
            (Name::Below(name), Name::Exact(host)) => is_below(host, name),
            (Name::Below(name), Name::Below(below)) => below == name || is_below(below, name),
            (host, other) => host == other,
        };
        named && self.scheme == other.scheme && self.port == other.port
    }

    /// Whether it names one host.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        matches!(self.host, Name::Exact(_))
    }

    /// Whether it is plain to see that it lies in the network around the gateway.
    #[must_use]
    pub fn is_private(&self) -> bool {
        let Name::Exact(host) = &self.host else {
            return false;
        };
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
        literal.map_or_else(|_| is_local_name(host), |address| !is_public(address))
    }
}

fn is_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name)
        .and_then(|rest| rest.strip_suffix('.'))
        .is_some_and(|below| !below.is_empty())
}

fn is_local_name(host: &str) -> bool {
    host == "localhost" || is_below(host, "localhost")
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Origin, &'static str> {
        const SHAPE: &str = "write scheme, host and port alone, such as https://api.example.com or https://*.example.com";
        const STAR: &str = "after *. give a name with a dot in it, such as *.example.com";
        let (scheme, rest) = text.split_once("://").ok_or(SHAPE)?;
        let below = rest.strip_prefix("*.");
        if below.unwrap_or(rest).contains('*') {
            return Err(STAR);
        }
        let url = target(&format!("{scheme}://{}", below.unwrap_or(rest)))?;
        if url.path() != "/" || url.query().is_some() || text.contains('#') || text.ends_with('/') {
            return Err(SHAPE);
        }
        let host = match (below, url.host()) {
            (Some(_), Some(Host::Domain(name))) if name.contains('.') => {
                Name::Below(name.to_owned())
            }
            (Some(_), _) => return Err(STAR),
            (None, _) => Name::Exact(url.host_str().unwrap_or_default().to_owned()),
        };
        Ok(Origin {
            scheme: url.scheme().to_owned(),
            host,
            port: url.port(),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (star, host) = match &self.host {
            Name::Exact(host) => ("", host),
            Name::Below(host) => ("*.", host),
        };
        write!(f, "{}://{star}{host}", self.scheme)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Allow {
    #[must_use]
    pub fn permits(&self, method: Method, url: &Url) -> bool {
        (self.methods.is_empty() || self.methods.contains(&method)) && self.origin.matches(url)
    }

    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl FromStr for Allow {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Allow, &'static str> {
        let mut words: Vec<_> = text.split(' ').collect();
        let origin = words.pop().unwrap_or_default().parse()?;
        let methods = words
            .into_iter()
            .map(|word| {
                Method::read(word)
                    .ok_or("methods are GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS")
            })
            .collect::<Result<_, _>>()?;
        Ok(Allow { methods, origin })
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for method in &self.methods {
            write!(f, "{} ", method.as_str())?;
        }
        self.origin.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(entry: &str, method: Method, url: &str) -> bool {
        let entry: Allow = entry.parse().unwrap();
        target(url).is_ok_and(|url| entry.permits(method, &url))
    }

    #[test]
    fn an_entry_lets_its_own_through_and_nothing_that_looks_like_it() {
        let exact = "https://api.example.com";
        for url in [
            "https://api.example.com",
            "https://api.example.com/a/b?c=d",
            "https://api.example.com:443/",
            "https://API.EXAMPLE.COM/",
            "https://api\u{3002}example.com/",
        ] {
            assert!(permits(exact, Method::Post, url), "{url}");
        }
        for url in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://api.example.com./",
            "https://example.com/",
            "https://a.api.example.com/",
            "https://api.example.com.evil.example/",
            "https://api.example.com@evil.example/",
            "https://evil.example/https://api.example.com",
            "https://evil.example#@api.example.com",
            "https://evil.example?https://api.example.com",
            "https://evil.example\\.api.example.com/",
            "https://apiXexample.com/",
            // A letter of another script that looks the same.
            "https://\u{430}pi.example.com/",
            "https://127.0.0.1/",
        ] {
            assert!(!permits(exact, Method::Post, url), "{url}");
        }
    }

    #[test]
    fn a_wildcard_is_for_names_below() {
        let below = "GET https://*.example.com:8443";
        for (url, expect) in [
            ("https://a.example.com:8443/", true),
            ("https://a.b.example.com:8443/", true),
            ("https://example.com:8443/", false),
            ("https://.example.com:8443/", false),
            ("https://aexample.com:8443/", false),
            ("https://a.example.com/", false),
            ("https://a.example.com.evil.example:8443/", false),
        ] {
            assert_eq!(permits(below, Method::Get, url), expect, "{url}");
            assert!(!permits(below, Method::Post, url), "{url}");
        }
    }

    #[test]
    fn an_address_is_its_own_in_every_spelling() {
        let here = "http://127.0.0.1:8080";
        for url in [
            "http://127.0.0.1:8080",
            "http://0x7f.1:8080",
            "http://2130706433:8080",
        ] {
            assert!(permits(here, Method::Get, url), "{url}");
        }
        for url in [
            "http://[::ffff:127.0.0.1]:8080",
            "http://localhost:8080",
            "http://127.0.0.1",
        ] {
            assert!(!permits(here, Method::Get, url), "{url}");
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for text in [
            "",
            "*",
            "https://*",
            "https://*.com",
            "https://*.*.example.com",
            "https://a.*.example.com",
            "https://*example.com",
            "https://*.127.0.0.1",
            "api.example.com",
            "https://api.example.com/",
            "https://api.example.com/path",
            "https://api.example.com?",
            "https://api.example.com#",
            "https://user@api.example.com",
            "https://api.example.com.",
            "ftp://api.example.com",
            "get https://api.example.com",
            "CONNECT https://api.example.com",
            "GET,POST https://api.example.com",
            "GET  https://api.example.com",
        ] {
            assert!(text.parse::<Allow>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn entries_are_told_in_their_one_spelling() {
        for (text, told) in [
            (
                "GET POST https://API.example.com:443",
                "GET POST https://api.example.com",
            ),
            (
                "http://*.B\u{fc}cher.example:80",
                "http://*.xn--bcher-kva.example",
            ),
            ("http://0x7f.1:81", "http://127.0.0.1:81"),
        ] {
            assert_eq!(text.parse::<Allow>().unwrap().to_string(), told);
        }
    }

    #[test]
    fn an_origin_covers_what_is_narrower() {
        for (wide, narrow, expect) in [
            ("https://*.example.com", "https://a.example.com", true),
            ("https://*.example.com", "https://*.example.com", true),
            ("https://*.example.com", "https://*.a.example.com", true),
            ("https://*.a.example.com", "https://*.example.com", false),
            ("https://*.example.com", "https://example.com", false),
            ("https://a.example.com", "https://*.example.com", false),
            ("https://a.example.com", "http://a.example.com", false),
            ("https://a.example.com", "https://a.example.com:8443", false),
        ] {
            let [wide, narrow] = [wide, narrow].map(|text| text.parse::<Origin>().unwrap());
            assert_eq!(wide.covers(&narrow), expect, "{wide} and {narrow}");
        }
    }

    #[test]
    fn what_lies_around_the_gateway_is_plain_to_see_when_it_is_written_out() {
        for (text, private) in [
            ("http://127.0.0.1:8080", true),
            ("http://2130706433", true),
            ("http://[::ffff:10.0.0.1]", true),
            ("http://[64:ff9b::a00:1]", true),
            ("http://[2002:7f00:1::]", true),
            ("http://0.0.0.0", true),
            ("http://169.254.169.254", true),
            ("http://localhost", true),
            ("http://db.localhost", true),
            ("https://api.example.com", false),
            ("https://1.1.1.1", false),
        ] {
            assert_eq!(
                text.parse::<Origin>().unwrap().is_private(),
                private,
                "{text}"
            );
        }
    }
}
