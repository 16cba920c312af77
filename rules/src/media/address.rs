//! Where the access token may go: to Meta's hosts over TLS, and to the Graph API that was configured.

/// Hosts that serve media for Meta, each with everything below it.
const HOSTS: [&str; 4] = [
    "lookaside.fbsbx.com",
    "fbcdn.net",
    "whatsapp.net",
    "facebook.com",
];
const TLS_PORT: u16 = 443;

/// Scheme, host and port of a URL, as a URL parser gives them: lower case, the port that the scheme implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    pub scheme: &'a str,
    pub host: &'a str,
    pub port: u16,
}

/// Whether a request with the token may go to `address`. `graph` is the configured Graph API.
#[must_use]
pub fn may_carry_token(address: Address<'_>, graph: Address<'_>) -> bool {
    address == graph || is_metas(address)
}

fn is_metas(address: Address<'_>) -> bool {
    let below = |host: &&str| {
        address
            .host
            .strip_suffix(*host)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    address.scheme == "https" && address.port == TLS_PORT && HOSTS.iter().any(below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRAPH: Address<'_> = Address {
        scheme: "http",
        host: "127.0.0.1",
        port: 7700,
    };

    fn allowed(scheme: &str, host: &str, port: u16) -> bool {
        may_carry_token(Address { scheme, host, port }, GRAPH)
    }

    #[test]
    fn metas_hosts_over_tls_and_the_configured_origin_only() {
        for host in [
            "lookaside.fbsbx.com",
            "scontent-ams4-1.xx.fbcdn.net",
            "mmg.whatsapp.net",
            "graph.facebook.com",
            "facebook.com",
        ] {
            assert!(allowed("https", host, 443), "{host}");
            assert!(!allowed("http", host, 80), "{host}");
            assert!(!allowed("https", host, 8443), "{host}");
        }
        assert!(allowed("http", "127.0.0.1", 7700));
        for (scheme, host, port) in [
            ("http", "127.0.0.1", 7701),
            ("https", "127.0.0.1", 7700),
            ("http", "localhost", 7700),
            ("https", "evilfacebook.com", 443),
            ("https", "apps.fbsbx.com", 443),
            ("https", "facebook.com.evil.example", 443),
            ("https", "facebook.com.", 443),
            ("https", "", 443),
        ] {
            assert!(!allowed(scheme, host, port), "{scheme}://{host}:{port}");
        }
    }

    proptest! {
        #[test]
        fn no_other_host_gets_it(host in "[a-z0-9.-]{0,40}", port: u16) {
            let metas = HOSTS.iter().any(|meta| host == *meta || host.ends_with(&format!(".{meta}")));
            prop_assert_eq!(allowed("https", &host, port), metas && port == 443);
        }
    }
}
